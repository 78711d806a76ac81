//! Judges JSON objects that a callback sends, and writes them with another member.

use callgate_json::{Scanner, slices};
use plugin_api::{EditError, limits};

/// Checks that the text is a JSON object within the size limit. It builds no tree, which would take
/// many times the memory.
pub(super) fn object(json: &[u8]) -> Result<(), EditError> {
    if json.len() > limits::ANSWER {
        return Err(EditError::TooLarge);
    }
    let is_json = Scanner::scan(json).is_ok();
    if is_json && is_object(json.trim_ascii()) { Ok(()) } else { Err(EditError::NotJson) }
}

/// Whether the text is one JSON object.
pub(crate) fn is_object_json(json: &str) -> bool {
    object(json.as_bytes()).is_ok()
}

pub(super) fn is_object(json: &[u8]) -> bool {
    json.first() == Some(&b'{')
}

/// An object with a new value for a member, which then occurs once.
pub(super) fn with_member(object: &[u8], wanted: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + value.len() + 16);
    out.push(b'{');
    let mut push = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(if out.len() == 1 { b"\"" } else { b",\"" });
        for part in [name, b"\":", value] {
            out.extend_from_slice(part);
        }
    };
    let mut is_there = false;
    for (name, own) in slices::members(object) {
        if !name.is(wanted) {
            push(name.json(), own);
        } else if !std::mem::replace(&mut is_there, true) {
            push(name.json(), value);
        }
    }
    if !is_there {
        push(wanted.as_bytes(), value);
    }
    out.push(b'}');
    out
}
