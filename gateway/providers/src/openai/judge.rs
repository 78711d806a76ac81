//! Judges whether the body of a success is a completion.

use super::{
    choices,
    error_instead::{NO_COMPLETION, error_instead},
};
use crate::AnswerFault;
use callgate_json::slices;
use std::borrow::Cow;

/// Judges the body of a success: an error object of any shape is that error; `choices` judges the
/// rest.
pub(super) fn judge<'a>(
    error: Option<&[u8]>,
    choices: Option<&[u8]>,
    all: impl FnOnce() -> Cow<'a, [u8]>,
) -> Result<(), AnswerFault> {
    if error.is_some_and(|error| !slices::is_blank(error)) {
        return Err(error_instead(&all(), "an error without a message"));
    }
    match choices.filter(|choices| !slices::is_blank(choices)) {
        Some(choices) => choices::of_completion(choices),
        None => Err(error_instead(&all(), NO_COMPLETION)),
    }
}
