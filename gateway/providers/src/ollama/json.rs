//! Reads the strings of a request, and reports other values as this dialect does.

use super::error::TranslateError;
pub(super) use crate::json_text::{
    JsonMembers, Piece, Str, Text, elements, kind, kind_of, problem, push_list, push_string, set,
};
use serde_json::value::RawValue;

/// The string at `path`; `None` if absent or null.
pub(super) fn string(
    value: Option<&RawValue>,
    path: impl Fn() -> String,
) -> Result<Option<Text<'_>>, TranslateError> {
    let Some(value) = set(value) else { return Ok(None) };
    match Text::of(value) {
        Some(text) => Ok(Some(text)),
        None => Err(TranslateError::WrongType {
            param: path(),
            expected: "a string",
            found: kind(value),
        }),
    }
}
