//! The scanner and the splices, for fuzz targets.

use super::{Body, IncomingBody, Scanner};
use bytes::Bytes;
use std::ops::Range;

/// The ranges of each top-level member's name and value.
pub type MemberSpans = Vec<(Range<usize>, Range<usize>)>;

/// The ranges of the top-level members' names and values, or the error with its position.
///
/// # Errors
/// If the bytes are not JSON.
/// When the bytes are not JSON.
pub fn scan(pieces: &[&[u8]]) -> Result<MemberSpans, String> {
    let mut scanner = Scanner::new();
    for piece in pieces {
        scanner.feed(piece).map_err(|error| error.to_string())?;
    }
    let members = scanner.finish().map_err(|error| error.to_string())?;
    Ok(members.iter().map(|member| (member.name.clone(), member.value.clone())).collect())
}

/// An edit of a top-level member.
#[derive(Debug, Clone, Copy)]
pub enum Splice<'a> {
    /// Sets a value, which is valid JSON.
    Set(&'a str, &'a str),
    /// Removes a member.
    Remove(&'a str),
}

/// The body as sent after these edits; `None` if it is not a JSON object.
#[must_use]
pub fn spliced(pieces: &[&[u8]], edits: &[Splice<'_>]) -> Option<Vec<u8>> {
    let mut body = arrived(pieces)?;
    for edit in edits {
        match edit {
            Splice::Set(name, json) => body.set(name, Bytes::copy_from_slice(json.as_bytes())),
            Splice::Remove(name) => {
                body.remove(name);
            }
        }
    }
    Some(body.render().concat())
}

/// A body that arrived in these pieces.
pub fn arrived(pieces: &[&[u8]]) -> Option<Body> {
    let mut arriving = IncomingBody::announced(None);
    for piece in pieces {
        arriving.push(Bytes::copy_from_slice(piece)).ok()?;
    }
    arriving.finish().ok()
}
