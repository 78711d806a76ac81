//! A streamed chunk.

use super::{EditError, edit, read_number, read_text};
use crate::abi::{ChunkHandle, View};
use std::marker::PhantomData;

/// A streamed chunk before the client gets it, in `on_llm_new_token`. It is always an OpenAI
/// `chat.completion.chunk`, whatever the upstream sends. A chunk is not a token, and a word may be
/// split across two chunks.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, CallView, Chunk, Flow, Hook, Host, InitError};
/// use plugin_api::testing::{TestCall, TestChunk, Tester};
///
/// struct Loud;
///
/// impl Callback for Loud {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_new_token(&self, _: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
///         let text = chunk.text().to_uppercase();
///         chunk.set_text(&text)?;
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Loud>(serde_json::json!({}))?;
/// let mut chunk = TestChunk::text("hello");
/// tester.new_token(&mut TestCall::chat("gemma3").stream(), &mut chunk);
/// assert_eq!(chunk.added(), "HELLO");
/// # Ok::<(), InitError>(())
/// ```
pub struct Chunk<'a> {
    raw: ChunkHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as for `CallView`.
unsafe impl Send for Chunk<'_> {}

impl Chunk<'_> {
    /// # Safety
    /// `raw` must live as long as the borrow and be lent to nobody else.
    pub(crate) unsafe fn lent(raw: ChunkHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the chunk's position in the stream, from 0. Dropped chunks count.
    #[must_use]
    pub fn index(&self) -> u64 {
        read_number!(self.index())
    }

    /// Returns the chunk as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        read_text!(self.json()).unwrap_or_default()
    }

    /// Returns the text that the chunk adds to the first choice. It is empty for chunks without
    /// text (role, tool call, usage).
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Replaces the whole chunk.
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `json` is not a JSON object; [`EditError::TooLarge`] beyond
    /// [`limits::ANSWER`](crate::limits::ANSWER).
    pub fn set_json(&mut self, json: &str) -> Result<(), EditError> {
        edit!(self.set_json(View::of(json.as_bytes())))
    }

    /// Replaces the text of the first choice. Everything else in the chunk stays.
    ///
    /// # Errors
    /// [`EditError::WrongKind`] if the chunk has no choice with a `delta`; [`EditError::TooLarge`]
    /// beyond [`limits::ANSWER`](crate::limits::ANSWER).
    pub fn set_text(&mut self, text: &str) -> Result<(), EditError> {
        edit!(self.set_text(View::of(text.as_bytes())))
    }

    /// Drops the chunk: neither the client nor later callbacks get it.
    ///
    /// # Errors
    /// It never fails in this version.
    pub fn drop_chunk(&mut self) -> Result<(), EditError> {
        edit!(self.drop_chunk())
    }
}
