//! Reads the values of a client's request, and reports those of another kind with their path.

use super::error::RequestError;
use crate::json_text::{JsonMembers, Text, elements, kind, kind_of, problem, set};
use callgate_json::check_names;
use serde_json::value::RawValue;

/// The members of an object.
pub(super) fn object<'a>(
    json: &'a str,
    path: impl Fn() -> String,
    expected: &'static str,
) -> Result<JsonMembers<'a>, RequestError> {
    if !json.starts_with('{') {
        return Err(RequestError::WrongType { param: path(), expected, found: kind_of(json) });
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
    member(members, name).map(|value| text_of(value, &path)).transpose()
}

/// The same for a text that must be there.
pub(super) fn required<'a>(
    members: &JsonMembers<'a>,
    name: &str,
    path: impl Fn() -> String,
) -> Result<Text<'a>, RequestError> {
    text(members, name, &path)?.ok_or_else(|| RequestError::Missing { param: path() })
}

/// A value that must be a text.
pub(super) fn text_of<'a>(
    value: &'a RawValue,
    path: impl Fn() -> String,
) -> Result<Text<'a>, RequestError> {
    let found = kind(value);
    let expected = "a string";
    Text::of(value).ok_or_else(|| RequestError::WrongType { param: path(), expected, found })
}

/// The elements of a value that must be an array.
pub(super) fn list<'a>(
    value: &'a RawValue,
    path: &dyn Fn() -> String,
    expected: &'static str,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, RequestError> {
    let found = kind(value);
    elements(value).ok_or_else(|| RequestError::WrongType { param: path(), expected, found })
}

/// Whether a member is `true`.
pub(super) fn is_true(members: &JsonMembers<'_>, name: &str) -> bool {
    member(members, name).is_some_and(|value| value.get() == "true")
}
