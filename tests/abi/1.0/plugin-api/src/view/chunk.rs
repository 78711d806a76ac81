//! One streamed chunk.

use super::{EditError, edit, read_number, read_text};
use crate::abi::{ChunkHandle, View};
use std::marker::PhantomData;

/// A chunk on its way to the client: an OpenAI `chat.completion.chunk`, whatever the upstream
/// speaks.
pub struct Chunk<'a> {
    raw: ChunkHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as `CallView`.
unsafe impl Send for Chunk<'_> {}

impl Chunk<'_> {
    /// # Safety
    /// `raw` is alive for the borrow and lent to nobody else.
    pub(crate) unsafe fn lent(raw: ChunkHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Its position in the stream, from 0; dropped chunks count.
    #[must_use]
    pub fn index(&self) -> u64 {
        read_number!(self.index())
    }

    /// The chunk as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        read_text!(self.json()).unwrap_or_default()
    }

    /// The text it adds to the first choice; empty when it adds none (role, tool call, usage).
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Replaces the whole chunk.
    ///
    /// # Errors
    /// [`EditError::NotJson`].
    pub fn set_json(&mut self, json: &str) -> Result<(), EditError> {
        edit!(self.set_json(View::of(json.as_bytes())))
    }

    /// Replaces the text; everything else in the chunk stays.
    ///
    /// # Errors
    /// [`EditError::WrongKind`] when the chunk has no choice to put text into.
    pub fn set_text(&mut self, text: &str) -> Result<(), EditError> {
        edit!(self.set_text(View::of(text.as_bytes())))
    }

    /// Keeps the chunk from the client. Later callbacks do not see it either.
    ///
    /// # Errors
    /// None today.
    pub fn drop_chunk(&mut self) -> Result<(), EditError> {
        edit!(self.drop_chunk())
    }
}
