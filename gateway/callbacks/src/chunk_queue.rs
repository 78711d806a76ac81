//! The chunks of one stream that hooks have not seen: those that came from the upstream, those that
//! hooks added, and the text that callbacks hold back. The chain takes from it and puts into it;
//! the relay fills it.

use super::payload::{ChunkPayload, by_choice};
use callgate_call::Call;
use plugin_api::abi::serve::ChunkAccess as _;
use std::{collections::VecDeque, mem::take};

/// The chunks that wait for hooks.
#[derive(Debug, Default)]
pub struct ChunkQueue {
    waiting: VecDeque<NextChunk>,
    /// What callbacks hold back, at most one text for each callback and choice.
    held: Vec<HeldText>,
}

/// A chunk that waits for hooks.
#[derive(Debug)]
pub struct NextChunk {
    json: String,
    /// The first callback that gets it, by its place in the chain.
    from: usize,
    /// It has the rest of what this callback held back.
    flushed: bool,
}

/// Text that a callback holds back.
#[derive(Debug)]
struct HeldText {
    /// The callback's place in the chain.
    place: usize,
    choice: u64,
    text: String,
    /// A chunk that has only this text.
    chunk: String,
}

impl NextChunk {
    /// The chunk with its index, and the place of the first callback that gets it.
    pub(super) fn begin(self, call: &mut Call) -> (usize, ChunkPayload) {
        let index = call.next_chunk();
        let begin = if self.flushed { ChunkPayload::flushed } else { ChunkPayload::new };
        (self.from, begin(index, self.json))
    }
}

impl ChunkQueue {
    /// Adds a chunk for all callbacks. Hooks read and edit one choice, so that each of several
    /// choices comes as a chunk of its own; else the others would pass by the hooks.
    pub fn push(&mut self, json: String) {
        let fresh = |json| NextChunk { json, from: 0, flushed: false };
        match by_choice(json.as_bytes()) {
            None => self.waiting.push_back(fresh(json)),
            Some(alone) => self.waiting.extend(alone.into_iter().map(fresh)),
        }
    }

    /// Adds the chunks of another part of the stream, which no hook has seen.
    pub fn append(&mut self, mut next: Self) {
        self.waiting.append(&mut next.waiting);
    }

    /// Whether no chunk waits. Text may still be held back.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a callback holds text back.
    pub fn holds_text(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next chunk. At the end of the stream, the text that callbacks hold back follows.
    pub fn next(&mut self, ending: bool) -> Option<NextChunk> {
        match self.waiting.pop_front() {
            // What the first callback gives back may join what a later one holds.
            None if ending => {
                let places = self.held.iter().map(|held| held.place).enumerate();
                let (first, _) = places.min_by_key(|(_, place)| *place)?;
                Some(self.flush(first))
            }
            next => next,
        }
    }

    fn flush(&mut self, at: usize) -> NextChunk {
        let held = self.held.remove(at);
        NextChunk { json: held.chunk, from: held.place, flushed: true }
    }

    /// Puts the text that the callback at `place` holds back before that of the chunk. Returns
    /// `false` if the text has to come as a chunk of its own first; both are then queued.
    #[cold]
    pub(super) fn bring_held_text(&mut self, place: usize, chunk: &mut ChunkPayload) -> bool {
        let choice = chunk.choice();
        let is_its_own = |held: &HeldText| held.place == place && Some(held.choice) == choice;
        let Some(at) = self.held.iter().position(is_its_own) else { return true };
        if chunk.has_text() {
            let held = self.held.remove(at);
            chunk.put_before(&held.text);
        } else if chunk.ends_text() {
            let held = self.flush(at);
            let json = take(&mut chunk.json);
            self.waiting.push_front(NextChunk { json, from: place, flushed: false });
            self.waiting.push_front(held);
            return false;
        }
        true
    }

    /// Takes over what the hook at `place` added and holds back.
    #[cold]
    pub(super) fn take_from(&mut self, place: usize, chunk: &mut ChunkPayload) {
        let from = place + 1;
        for json in take(&mut chunk.emitted).into_iter().rev() {
            let alone = by_choice(json.as_bytes()).unwrap_or_else(|| vec![json]);
            for json in alone.into_iter().rev() {
                self.waiting.push_front(NextChunk { json, from, flushed: false });
            }
        }
        if let Some(choice) = chunk.choice()
            && let Some((text, rest)) = chunk.cut_held()
        {
            self.held.push(HeldText { place, choice, text, chunk: rest });
        }
        chunk.leave_callback();
    }
}

#[cfg(test)]
mod tests;
