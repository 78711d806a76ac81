//! Assembles a body: slices of the original, with the edits between them.

use super::{Body, Entry, ONE_PIECE, Slices, Value};
use crate::LARGE;
use bytes::Bytes;
use std::ops::Range;

/// The parts to assemble: a body's members, and the edits over them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) body: &'a Body,
    /// Edits by the index of the body's entries; [`Value::Original`] means unedited. Empty if there
    /// are no edits.
    pub(super) over: &'a [Value],
    /// Members to add to the body.
    pub(super) added: &'a [Entry],
    /// A member's index, and the pieces of its value.
    pub(super) instead: Option<(usize, &'a [Bytes])>,
}

impl Body {
    /// `instead` is a member's index and its value.
    pub(super) fn pieces(&self, instead: Option<(usize, &[Bytes])>) -> Slices {
        Layers { body: self, over: &[], added: &[], instead }.pieces()
    }
}

impl<'a> Layers<'a> {
    /// Every member, including removed ones, with its index and value.
    pub(super) fn entries(self) -> impl Iterator<Item = (usize, &'a Entry, &'a Value)> {
        let of_body = self.body.entries.iter().enumerate();
        let of_body = of_body.map(move |(index, entry)| (index, entry, self.value(index, entry)));
        let first = self.body.entries.len();
        let added = self.added.iter().enumerate();
        of_body.chain(added.map(move |(index, entry)| (first + index, entry, &entry.value)))
    }

    /// The value of one of the body's own entries.
    #[inline]
    fn value(self, index: usize, entry: &'a Entry) -> &'a Value {
        match self.over.get(index) {
            None | Some(Value::Original) => &entry.value,
            Some(over) => over,
        }
    }

    /// The bytes with all edits.
    pub(super) fn pieces(self) -> Slices {
        let mut pieces = Assembly::new(self);
        // Whether a member comes before the current one, and the end of the previous one.
        let (mut follows, mut end) = (false, self.body.opening() + 1);
        let first_added = self.body.entries.iter().position(Entry::is_added);
        let originals = &self.body.entries[..first_added.unwrap_or(self.body.entries.len())];
        let value_of = |index| self.instead.filter(|(at, _)| *at == index).map(|(_, value)| value);
        for (index, entry) in originals.iter().enumerate() {
            match self.value(index, entry) {
                // Its comma is removed, too: the one before, or the one after if it was the first.
                Value::Removed if follows => pieces.skip(end..entry.span().end),
                Value::Removed => {
                    let span = entry.span();
                    let next = originals.get(index + 1);
                    let next = next.map_or(span.end, |next| next.span().start);
                    pieces.skip(span.start..next);
                }
                value @ (Value::Original | Value::Edited(_)) => {
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
        for (index, entry, value) in self.entries().skip(originals.len()) {
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

/// As [`ONE_PIECE`], for edits of a large body, which must not be copied once more.
const ONE_PIECE_OF_LARGE: usize = 512;

/// The pieces of a body being assembled: the original up to `at`, with insertions.
struct Assembly<'a> {
    body: &'a Body,
    done: Slices,
    /// The copied bytes: edits, and everything in a small body.
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
        // Exact if only values change: `Bytes` that fill their memory need no extra allocation.
        let room = if body.len < ONE_PIECE {
            layers.entries().map(grown).fold(body.len, usize::saturating_add_signed)
        } else {
            256
        };
        Self { body, done: Slices::new(), copied: Vec::with_capacity(room), at: 0 }
    }

    /// Takes the original up to `gap`, and skips `gap`.
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
