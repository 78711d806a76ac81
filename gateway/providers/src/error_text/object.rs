//! Reads an error object, in any of the known shapes.

use super::shape::{self, ErrorMembers};
use crate::ErrorText;
use serde_json::value::RawValue;

/// How deep an error within an error is looked for.
const DEPTH: u8 = 5;

/// The most entries of an error list that are shown.
const ENTRIES: usize = 5;

/// Members that hold a message or a nested error, the most useful ones first.
const MESSAGES: [&str; 11] = [
    "message",
    "detail",
    "errormessage",
    "errormsg",
    "errordescription",
    "error",
    "errors",
    "msg",
    "description",
    "reason",
    "title",
];

/// Reads an error object of any known shape. `None` if the body is not one. Rule out a success
/// first, because a message alone counts as an error, too.
pub(crate) fn read_error(body: &[u8]) -> Option<ErrorText> {
    let text = String::from_utf8_lossy(body);
    let json: &RawValue = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    error_in(json)
}

/// The same for a value that has already been found, such as an `error` member.
pub(crate) fn error_in(json: &RawValue) -> Option<ErrorText> {
    let said = read(json, DEPTH)?;
    (!said.message.is_empty()).then_some(said)
}

fn read(json: &RawValue, depth: u8) -> Option<ErrorText> {
    let depth = depth.checked_sub(1)?;
    match json.get().as_bytes().first()? {
        b'"' => Some(ErrorText { message: string(json)?, ..ErrorText::default() }),
        b'[' => list(&shape::elements(json, ENTRIES)?, depth),
        b'{' => object(&ErrorMembers::of(json)?, depth),
        _ => None,
    }
}

/// An object with a message, or with a nested error.
fn object(shape: &ErrorMembers<'_>, depth: u8) -> Option<ErrorText> {
    let mut said = ErrorText::default();
    for name in MESSAGES {
        let Some(found) = shape.get(name).and_then(|json| read(json, depth)) else { continue };
        if said.message.is_empty() {
            said.message = found.message;
        } else if name == "error" && !found.message.contains(char::is_whitespace) {
            // For example, `"error": "invalid_grant"` beside a description.
            said.code = said.code.or(Some(found.message));
        }
        said.error_type = said.error_type.or(found.error_type);
        said.code = said.code.or(found.code);
        said.param = said.param.or(found.param);
    }
    let first = |names: &[&str]| names.iter().find_map(|name| scalar(shape.get(name)?));
    // The type of an envelope that calls itself an error means nothing.
    let own_type = first(&["type", "errortype", "exception"]).filter(|text| text != "error");
    let status = shape.get("status").and_then(scalar_text);
    said.error_type = own_type.or(said.error_type).or(status);
    said.code = first(&["code", "errorcode"]).or(said.code);
    said.param = first(&["param"]).or(said.param);
    if said.message.is_empty() {
        return None;
    }
    Some(said)
}

/// The entries' messages, each after the location it refers to.
fn list(entries: &[&RawValue], depth: u8) -> Option<ErrorText> {
    let mut all: Option<ErrorText> = None;
    for entry in entries {
        let Some(mut said) = read(entry, depth) else { continue };
        if let Some(place) = place(entry) {
            said.message = format!("{place}: {}", said.message);
            said.param = said.param.or(Some(place));
        }
        match &mut all {
            None => all = Some(said),
            Some(all) => {
                all.message.push_str("; ");
                all.message.push_str(&said.message);
            }
        }
    }
    all
}

/// The `loc` of a validation error: `["body", "messages", 0]` becomes `messages.0`.
fn place(entry: &RawValue) -> Option<String> {
    if !entry.get().starts_with('{') {
        return None;
    }
    let loc = ErrorMembers::of(entry)?.get("loc")?;
    let parts = shape::elements(loc, 16)?.into_iter().filter_map(scalar);
    let parts: Vec<String> = parts.skip_while(|part| part == "body").collect();
    (!parts.is_empty()).then(|| parts.join("."))
}

/// A text that is not empty, or a number.
fn scalar(json: &RawValue) -> Option<String> {
    match json.get().as_bytes().first()? {
        b'"' => string(json),
        b'-' | b'0'..=b'9' => Some(json.get().to_owned()),
        _ => None,
    }
}

/// A text that is not a number: Google's `status` is one; other upstreams repeat the HTTP status
/// there.
fn scalar_text(json: &RawValue) -> Option<String> {
    let text = scalar(json)?;
    text.parse::<f64>().is_err().then_some(text)
}

fn string(json: &RawValue) -> Option<String> {
    let text = serde_json::from_str::<String>(json.get());
    // A lone surrogate cannot be decoded, so the text is shown as written.
    let text = text.unwrap_or_else(|_| json.get().trim_matches('"').to_owned());
    (!text.trim().is_empty()).then_some(text)
}
