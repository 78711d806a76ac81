//! Reads the text of files that people write: a config, an environment file, a tool's input. Errors
//! in the text have a location.

use super::problem::{Problem, SourceLocation};
use crate::regular_file::{self, ReadError};
use std::{io, path::Path};

/// The largest config or environment file that is read, in MiB.
const MOST: u64 = 16;

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// The content is not text; the location is after the last valid character.
    #[error("expected UTF-8 text, found {found}")]
    NotText {
        /// The kind of the content.
        found: &'static str,
        /// Line and column, from 1.
        at: (usize, usize),
    },
}

impl TextError {
    /// The system's error, if the file cannot be read.
    pub(crate) fn system(&self) -> Option<io::ErrorKind> {
        match self {
            Self::File(ReadError::System(error)) => Some(error.kind()),
            _ => None,
        }
    }

    /// `what` names the file in the message, as in `the config`.
    pub fn problem(&self, path: &Path, what: &str) -> Problem {
        let mut place = SourceLocation::whole_file(path);
        if let Self::NotText { at, .. } = self {
            (place.line, place.column) = *at;
        }
        Problem::error(place, format!("{what} cannot be read: {self}"))
    }
}

/// Reads a file as text.
pub fn read_text(path: &Path) -> Result<String, TextError> {
    text(regular_file::read(path, MOST)?)
}

fn text(bytes: Vec<u8>) -> Result<String, TextError> {
    let (good, found) = match std::str::from_utf8(&bytes) {
        Ok(text) => match text.find('\0') {
            Some(at) => (at, "a NUL byte"),
            // The bytes were valid text a moment ago.
            None => return Ok(String::from_utf8(bytes).unwrap_or_default()),
        },
        Err(error) => (error.valid_up_to(), "other bytes"),
    };
    let before = String::from_utf8_lossy(bytes.get(..good).unwrap_or_default());
    let last = before.rsplit('\n').next().unwrap_or_default();
    let at = (1 + before.matches('\n').count(), 1 + last.chars().count());
    Err(TextError::NotText { found, at })
}

#[cfg(test)]
mod tests {
    use super::{TextError, text};

    #[test]
    fn what_is_no_text_has_a_place() {
        for (bytes, wanted) in [
            (&b"a: 1\nb\xc3\xa4: \0"[..], ("a NUL byte", (2, 5))),
            (b"\0", ("a NUL byte", (1, 1))),
            (b"a\n\n \xff\0", ("other bytes", (3, 2))),
            (b"\xff\xfea\0", ("other bytes", (1, 1))),
        ] {
            match text(bytes.to_vec()) {
                Err(TextError::NotText { found, at }) => assert_eq!((found, at), wanted),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(text(b"a: b\n".to_vec()).ok().as_deref(), Some("a: b\n"));
    }
}
