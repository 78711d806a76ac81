//! Reads the values of a request, and reports those of another kind with their path.

use super::error::RequestError;
use crate::json_text::{JsonMembers, Text, kind, kind_of, problem, set};
use callgate_json::check_names;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The members of an object.
pub(super) fn object<'a>(
    json: &'a str,
    path: impl Fn() -> String,
    expected: &'static str,
) -> Result<JsonMembers<'a>, RequestError> {
    let found = || RequestError::WrongType { param: path(), expected, found: kind_of(json) };
    if !json.starts_with('{') {
        return Err(found());
    }
    check_names(json, &path(), |_| {})?;
    serde_json::from_str(json)
        .map_err(|error| RequestError::NotJson { param: path(), reason: problem(&error) })
}

/// A member, unless it is absent or null.
pub(super) fn member<'a>(members: &JsonMembers<'a>, name: &str) -> Option<&'a RawValue> {
    set(members.get(name).copied())
}

/// The text at `path`; `None` if it is absent or null.
pub(super) fn text<'a>(
    members: &JsonMembers<'a>,
    name: &str,
    path: impl Fn() -> String,
) -> Result<Option<Text<'a>>, RequestError> {
    let Some(value) = member(members, name) else { return Ok(None) };
    Text::of(value).map(Some).ok_or_else(|| RequestError::WrongType {
        param: path(),
        expected: "a string",
        found: kind(value),
    })
}

/// The same for a text that must be there.
pub(super) fn required<'a>(
    members: &JsonMembers<'a>,
    name: &str,
    path: impl Fn() -> String,
) -> Result<Text<'a>, RequestError> {
    text(members, name, &path)?.ok_or_else(|| RequestError::Missing { param: path() })
}

/// A text without its escapes.
pub(super) fn decoded<'a>(
    text: Text<'a>,
    path: impl Fn() -> String,
) -> Result<Cow<'a, str>, RequestError> {
    text.decode().map_err(|error| RequestError::NotJson { param: path(), reason: problem(&error) })
}
