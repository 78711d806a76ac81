//! Reads a child's steps, its result and its output. All of it is untrusted and bounded.

use std::{
    io::{ErrorKind, PipeReader, Read as _},
    os::unix::net::UnixStream,
};

/// The bytes of output that are kept: the last ones, where a crash is reported.
pub(super) const OUTPUT: usize = 16 << 10;

/// The most reads in a row: a child that writes without end must not keep the parent from checking
/// the time.
const AT_ONCE: usize = 64;

/// The most bytes of lines that a child may send.
const ANSWER: usize = 4 << 20;

/// The child's lines: `>` and a step, `+` and a note, `=` and the result.
#[derive(Default)]
pub(super) struct ChildLines {
    pending: Vec<u8>,
    pub(super) step: String,
    /// The notes that the listener has not taken yet.
    pub(super) notes: Vec<String>,
    pub(super) result: Option<String>,
}

impl ChildLines {
    /// Reads the available bytes; `false` at the end.
    pub(super) fn read(&mut self, source: &mut UnixStream) -> bool {
        let mut part = [0; 4096];
        for _ in 0..AT_ONCE {
            match source.read(&mut part) {
                Ok(0) => return false,
                Ok(count) => self.take(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte != b'\n' {
                if self.pending.len() < ANSWER {
                    self.pending.push(byte);
                }
                continue;
            }
            let line = text(&std::mem::take(&mut self.pending));
            if let Some(step) = line.strip_prefix('>') {
                step.clone_into(&mut self.step);
            } else if let Some(note) = line.strip_prefix('+') {
                self.notes.push(note.to_owned());
            } else if let Some(result) = line.strip_prefix('=') {
                self.result.get_or_insert(result.to_owned());
            }
        }
    }
}

/// Reads the available bytes and keeps the last ones; `false` at the end.
pub(super) fn read_end(source: &mut PipeReader, kept: &mut Vec<u8>) -> bool {
    let mut part = [0; 4096];
    for _ in 0..AT_ONCE {
        match source.read(&mut part) {
            Ok(0) => return false,
            Ok(count) => {
                kept.extend_from_slice(part.get(..count).unwrap_or_default());
                kept.drain(..kept.len().saturating_sub(OUTPUT));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
