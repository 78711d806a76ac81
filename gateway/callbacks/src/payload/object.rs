//! Judges JSON that a callback sends.

use callgate_json::Scanner;
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
