//! Reads an upstream's error, in any of the known shapes: one reader for error statuses and for
//! errors under 200.
//!
//! The texts are not shortened here. They are masked and cut where a failure leaves the gateway
//! (`server::disclosure`), because a cut made here could leave half a key, which no mask
//! recognises.

mod cut;
mod framed;
mod markup;
mod object;
mod shape;

use super::ErrorText;
use callgate_json::Scanner;
pub(crate) use object::{error_in, read_error};
use serde_json::value::RawValue;

/// The most text of an HTML page that is shown, in bytes.
const PAGE: usize = 512;

/// The most text of a body of unknown shape that is shown, in bytes.
const PLAIN: usize = 16 * 1024;

/// Reads the body of an error status: an error object, one in an event or a line of a stream, one
/// that was cut off, or else its text.
pub fn read_status(status: u16, body: &[u8]) -> ErrorText {
    let said = read_error(body).or_else(|| framed::read(body)).or_else(|| {
        let text = String::from_utf8_lossy(body);
        let said = read_error(&cut::completed(text.trim_start_matches('\u{feff}').as_bytes())?)?;
        Some(ErrorText { message: format!("{} [cut off]", said.message), ..said })
    });
    said.unwrap_or_else(|| ErrorText {
        message: plain_message(status, body),
        ..ErrorText::default()
    })
}

/// Whether a body is text for people, such as a page, and not data. Unreadable data may be a
/// completion, whose text no callback has seen.
pub fn is_page(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let data =
        |line: &[u8]| line.starts_with(b"data:") || line.trim_ascii_start().starts_with(b"{");
    let mut lines = body.split(|byte| matches!(byte, b'\n' | b'\r'));
    body.starts_with(b"<") || !(body.starts_with(b"[") || lines.any(data))
}

/// A body that is not an error object, as one line.
fn plain_message(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let trimmed = text.trim_start_matches('\u{feff}').trim();
    if trimmed.is_empty() {
        return format!("the upstream answered {status} with an empty body");
    }
    if trimmed.starts_with(['{', '[']) && Scanner::is_cut(trimmed.as_bytes()) {
        return format!("the upstream answered {status} with an error that is cut off");
    }
    let odd = |c: &char| *c == '\u{fffd}' || (c.is_control() && !c.is_whitespace());
    if trimmed.chars().take(512).filter(odd).count() > 16 {
        return format!("the upstream answered {status} with a body that is not text");
    }
    let line = if trimmed.starts_with('<') {
        let words = markup::text(trimmed);
        words[..words.floor_char_boundary(PAGE)].to_owned()
    } else {
        // Serialized again, so that no escape hides a secret from the mask.
        let json = serde_json::from_str::<&RawValue>(trimmed);
        json.map_or_else(|_| trimmed.to_owned(), |json| shape::unescaped(json.get()))
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut line = words.join(" ");
    line.truncate(line.floor_char_boundary(PLAIN));
    format!("the upstream answered {status}: {line}")
}

#[cfg(test)]
mod tests;
