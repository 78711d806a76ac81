//! JSON objects as the bytes that arrived: scanned once, edited by splices, forwarded unparsed.
//! Also the lines of event streams and NDJSON (`lines`).
//!
//! Requests (`call`), replies and frames (`providers`) are built on it. It knows no dialect, except
//! for names that must not be confused with others (`names`).

#![forbid(unsafe_code)]

mod body;
mod decode;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod incoming_body;
mod joined;
pub mod lines;
pub mod lone_surrogates;
mod names;
pub mod passed;
mod scan;
pub mod slices;
pub mod walk;

pub use body::{Body, BodyError, Edits};
use bytes::Bytes;
pub use decode::decode_text;
pub use incoming_body::IncomingBody;
pub use joined::{Slices, joined};
pub use names::{Ambiguity, KNOWN, check as check_names, check_case};
pub use scan::{Member, MemberList, ScanError, Scanner};

/// The length from which a body is handled outside the worker, if all of it has to be read.
pub const LARGE: usize = 256 << 10;

/// Scanned bytes as text.
pub fn text(bytes: &[u8]) -> &str {
    simdutf8::basic::from_utf8(bytes).unwrap_or_default()
}

/// `text` as a JSON string.
pub fn json_text(text: &str) -> Bytes {
    // Free of branches, so that the compiler can check many bytes together.
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |found, byte| found | special(byte)) {
        return serde_json::to_vec(text).unwrap_or_default().into();
    }
    ["\"", text, "\""].concat().into()
}

#[cfg(test)]
mod tests {
    use super::json_text;

    #[test]
    fn texts_are_json_strings() {
        for text in ["", "gpt-4o", "é/日本", "a\"b", "a\\b", "a\nb", "\u{1}", "\u{7f}"] {
            assert_eq!(*json_text(text), *serde_json::to_vec(text).unwrap(), "{text:?}");
        }
    }
}
