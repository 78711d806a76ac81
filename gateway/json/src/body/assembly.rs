//! A body being put together: what arrived, in slices, with the edits between.

use super::{Body, Entry, ONE_PIECE, Slices, Value};
use crate::LARGE;
use bytes::Bytes;
use std::ops::Range;

/// What is put together: a body's members, and what lies over them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) body: &'a Body,
    /// By the places of the body's entries; [`Value::Original`] is what the body itself has there.
    /// Empty where nothing lies over any.
    pub(super) over: &'a [Value],
    /// Members that the body lacks.
    pub(super) added: &'a [Entry],
    /// A member by its place, and pieces as its value.
    pub(super) instead: Option<(usize, &'a [Bytes])>,
}

impl<'a> Layers<'a> {
    /// Every member that there is or was, with its place and its value.
    pub(super) fn entries(self) -> impl Iterator<Item = (usize, &'a Entry, &'a Value)> {
        let of_body = self.body.entries.iter().enumerate().map(move |(index, entry)| {
            match self.over.get(index) {
                None | Some(Value::Original) => (index, entry, &entry.value),
                Some(over) => (index, entry, over),
            }
        });
        let first = self.body.entries.len();
        let added = self.added.iter().enumerate();
        of_body.chain(added.map(move |(index, entry)| (first + index, entry, &entry.value)))
    }

    /// The bytes with everything that lies over them.
    pub(super) fn pieces(self) -> Slices {
        let mut pieces = Assembly::new(self);
        // Whether a member stands before the current one, and where the one before it ended.
        let (mut follows, mut end) = (false, self.body.opening() + 1);
        let originals = self.entries().take_while(|(_, entry, _)| !entry.is_added());
        let mut originals = originals.peekable();
        let value_of = |index| self.instead.filter(|(at, _)| *at == index).map(|(_, value)| value);
        while let Some((index, entry, value)) = originals.next() {
            match value {
                // Its comma goes with it: the one before, or the one behind when it was the first.
                Value::Removed if follows => pieces.skip(end..entry.span().end),
                Value::Removed => {
                    let span = entry.span();
                    let next = originals.peek().map_or(span.end, |(_, next, _)| next.span().start);
                    pieces.skip(span.start..next);
                }
                Value::Original | Value::Edited(_) => {
                    if let Some(value) = value_of(index).or_else(|| value.edited()) {
                        pieces.skip(entry.value_at.clone());
                        value.iter().for_each(|json| pieces.insert_shared(json));
                    }
                    follows = true;
                }
            }
            end = entry.span().end;
        }
        pieces.skip(end..end);
        for (index, entry, value) in self.entries().filter(|(_, entry, _)| entry.is_added()) {
            if let Some(json) = value.edited() {
                pieces.insert(if follows { b"," } else { b"" });
                pieces.insert(&serde_json::to_vec(&entry.name).unwrap_or_default());
                pieces.insert(b":");
                let value = value_of(index).unwrap_or(json);
                value.iter().for_each(|json| pieces.insert_shared(json));
                follows = true;
            }
        }
        pieces.finish()
    }
}

/// As [`ONE_PIECE`] for what is put into a large body, of which there must not be one more copy.
const ONE_PIECE_OF_LARGE: usize = 512;

/// The pieces of a body being put together: the original up to `at`, with what was inserted.
struct Assembly<'a> {
    body: &'a Body,
    done: Slices,
    /// What is copied: edits, and everything in a small body.
    copied: Vec<u8>,
    at: usize,
}

impl<'a> Assembly<'a> {
    fn new(layers: Layers<'a>) -> Self {
        let body = layers.body;
        let grown = |(_, entry, value): (usize, &Entry, &Value)| match value {
            Value::Edited(json) if !entry.is_added() => {
                json.len() as isize - entry.value_at.len() as isize
            }
            Value::Edited(json) => json.len() as isize + 64,
            Value::Original | Value::Removed => 0,
        };
        // Exact for changed values alone: bytes that fill their memory need no note of its size.
        let room = if body.len < ONE_PIECE {
            layers.entries().map(grown).fold(body.len, usize::saturating_add_signed)
        } else {
            256
        };
        Self { body, done: Slices::new(), copied: Vec::with_capacity(room), at: 0 }
    }

    /// Takes the original up to `gap` and leaves out what is in it.
    fn skip(&mut self, gap: Range<usize>) {
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

    fn insert(&mut self, bytes: &[u8]) {
        self.copied.extend_from_slice(bytes);
    }

    fn insert_shared(&mut self, json: &Bytes) {
        if json.len() < if self.body.len > LARGE { ONE_PIECE_OF_LARGE } else { ONE_PIECE } {
            self.insert(json);
        } else {
            self.done.push(std::mem::take(&mut self.copied).into());
            self.done.push(json.clone());
        }
    }

    fn finish(mut self) -> Slices {
        self.skip(self.body.len..self.body.len);
        self.done.push(self.copied.into());
        self.done.retain(|piece| !piece.is_empty());
        self.done
    }
}
