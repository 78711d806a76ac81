//! A body being put together: what arrived, in slices, with the edits between.

use super::{Body, Entry, ONE_PIECE, Slices, Value};
use crate::LARGE;
use bytes::Bytes;
use std::ops::Range;

/// As [`ONE_PIECE`] for what is put into a large body, of which there must not be one more copy.
const ONE_PIECE_OF_LARGE: usize = 512;

/// The pieces of a body being put together: the original up to `at`, with what was inserted.
pub(super) struct Assembly<'a> {
    body: &'a Body,
    done: Slices,
    /// What is copied: edits, and everything in a small body.
    copied: Vec<u8>,
    at: usize,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(body: &'a Body) -> Self {
        let grown = |entry: &Entry| match &entry.value {
            Value::Edited(json) if !entry.is_added() => {
                json.len() as isize - entry.value_at.len() as isize
            }
            Value::Edited(json) => json.len() as isize + 64,
            Value::Original | Value::Removed => 0,
        };
        // Exact for changed values alone: bytes that fill their memory need no note of its size.
        let room = if body.len < ONE_PIECE {
            body.entries.iter().map(grown).fold(body.len, usize::saturating_add_signed)
        } else {
            256
        };
        Self { body, done: Slices::new(), copied: Vec::with_capacity(room), at: 0 }
    }

    /// Takes the original up to `gap` and leaves out what is in it.
    pub(super) fn skip(&mut self, gap: Range<usize>) {
        let range = self.at..gap.start;
        self.at = gap.end;
        let body = self.body;
        if body.len < ONE_PIECE || range.len() < 512 {
            self.copied.extend_from_slice(&body.slice(range));
            return;
        }
        self.done.push(std::mem::take(&mut self.copied).into());
        body.share(range, |piece| self.done.push(piece));
    }

    pub(super) fn insert(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    pub(super) fn insert_shared(&mut self, json: &Bytes) {
        if json.len() < if self.body.len > LARGE { ONE_PIECE_OF_LARGE } else { ONE_PIECE } {
            self.insert(json);
        } else {
            self.done.push(std::mem::take(&mut self.copied).into());
            self.done.push(json.clone());
        }
    }

    pub(super) fn finish(mut self) -> Slices {
        self.skip(self.body.len..self.body.len);
        self.done.push(self.copied.into());
        self.done.retain(|piece| !piece.is_empty());
        self.done
    }
}
