//! Reads the values of a client's request, and reports those of another kind with their path.
//!
//! The request's JSON has been scanned, and its names are checked once, at the top: so each value
//! is found by a walk over its source, and not parsed again.

use super::error::RequestError;
use crate::json_text::{Text, kind_of};
use callgate_json::{check_names, walk};
use std::borrow::Cow;

/// A value as its source spells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    pub(super) fn get(self) -> &'a str {
        self.0
    }

    /// `None` if it is not a string.
    pub(super) fn text(self) -> Option<Text<'a>> {
        Text::of_json(self.0)
    }

    /// The kind of the value, for error messages.
    pub(super) fn kind(self) -> &'static str {
        kind_of(self.0)
    }
}

/// The members of an object, without those that are null, which clients use like absent ones.
#[derive(Debug, Default)]
pub(super) struct RequestMembers<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> RequestMembers<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, *value))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        member(self, name).is_some()
    }

    pub(super) fn remove_all(&mut self, unwanted: impl Fn(&str) -> bool) {
        self.0.retain(|(name, _)| !unwanted(name));
    }
}

/// The members of a request, whose names are checked.
pub(super) fn request(json: &str) -> Result<RequestMembers<'_>, RequestError> {
    check_names(json, "", |_| {})?;
    object(json, || "body".to_owned(), "a JSON object")
}

/// The members of an object.
pub(super) fn object<'a>(
    json: &'a str,
    path: impl Fn() -> String,
    expected: &'static str,
) -> Result<RequestMembers<'a>, RequestError> {
    let members = walk::members(json).ok_or_else(|| RequestError::WrongType {
        param: path(),
        expected,
        found: kind_of(json),
    })?;
    let named = members.filter_map(|member| {
        let value = json.get(member.value.clone()).filter(|value| *value != "null")?;
        Some((walk::name_of(json, &member), Json(value)))
    });
    Ok(RequestMembers(named.collect()))
}

/// A member, unless it is absent or null.
pub(super) fn member<'a>(members: &RequestMembers<'a>, name: &str) -> Option<Json<'a>> {
    members.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

/// The text at `path`; `None` if it is absent or null.
pub(super) fn text<'a>(
    members: &RequestMembers<'a>,
    name: &str,
    path: impl Fn() -> String,
) -> Result<Option<Text<'a>>, RequestError> {
    let Some(value) = member(members, name) else { return Ok(None) };
    let (expected, found) = ("a string", value.kind());
    let text = value.text();
    text.map(Some).ok_or_else(|| RequestError::WrongType { param: path(), expected, found })
}

/// The same for a text that must be there.
pub(super) fn required<'a>(
    members: &RequestMembers<'a>,
    name: &str,
    path: impl Fn() -> String,
) -> Result<Text<'a>, RequestError> {
    text(members, name, &path)?.ok_or_else(|| RequestError::Missing { param: path() })
}

/// The elements of a value that must be an array.
pub(super) fn list<'a>(
    value: Json<'a>,
    path: &dyn Fn() -> String,
    expected: &'static str,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, RequestError> {
    let elements = walk::elements(value.0).ok_or_else(|| RequestError::WrongType {
        param: path(),
        expected,
        found: value.kind(),
    })?;
    Ok(elements.filter_map(move |element| value.0.get(element.value)))
}

/// Whether a member is `true`.
pub(super) fn is_true(members: &RequestMembers<'_>, name: &str) -> bool {
    member(members, name).is_some_and(|value| value.get() == "true")
}
