//! What an upstream says instead of a completion.

use crate::{AnswerFault, error_text};

/// The text for JSON that ends too soon.
pub(crate) const CUT_JSON: &str = "its JSON ends too soon";

pub(crate) const NO_COMPLETION: &str = "JSON that is not a chat completion";

/// The error that the JSON reports if it is not a completion; `otherwise` if it is not an error
/// either.
pub(super) fn error_instead(json: &[u8], otherwise: &'static str) -> AnswerFault {
    error_text::read_error(json).map_or(AnswerFault::Other(otherwise), AnswerFault::Upstream)
}
