//! A streamed chunk.

use super::{EditError, edit, newer_edit, read_newer_number, read_number, read_text};
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

    /// Returns the text that the chunk adds to its [choice](Chunk::choice). It is empty for chunks
    /// without text (role, tool call, usage). If the callback [held text back](Chunk::hold_back),
    /// it begins with that.
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

    /// Replaces the text. Everything else in the chunk stays.
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

    /// Returns the index of the choice that the text belongs to. It is 0 unless the client asked
    /// for several choices (`n`). If the upstream sends several in one chunk, each comes as a chunk
    /// of its own; of several that an earlier callback put into one by
    /// [`set_json`](Chunk::set_json), it is the first. `None` for a chunk without choices, and if
    /// the gateway is older than 1.1.
    #[must_use]
    pub fn choice(&self) -> Option<u64> {
        read_newer_number!(self.choice()).filter(|choice| *choice != u64::MAX)
    }

    /// Sends a further chunk after this one, or in its place if this one is dropped, with a text
    /// for the same choice. Several follow one another. Later callbacks get each as a chunk of its
    /// own; this callback's hook does not. If the hook fails, none is sent.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use plugin_api::{Callback, CallView, Chunk, Flow, Hook, Host, InitError};
    /// use plugin_api::testing::{TestCall, TestChunk, Tester};
    ///
    /// /// Sends each word by itself.
    /// struct Words;
    ///
    /// impl Callback for Words {
    ///     type Settings = serde_json::Value;
    ///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
    ///     fn on_llm_new_token(&self, _: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
    ///         let text = chunk.text().to_owned();
    ///         let mut words = text.split_inclusive(' ');
    ///         if let Some(first) = words.next() {
    ///             chunk.set_text(first)?;
    ///         }
    ///         words.try_for_each(|word| chunk.emit_text(word))?;
    ///         Ok(Flow::Continue)
    ///     }
    /// }
    ///
    /// let tester = Tester::of::<Words>(serde_json::json!({}))?;
    /// let mut chunk = TestChunk::text("one two three");
    /// tester.new_token(&mut TestCall::chat("gemma3").stream(), &mut chunk);
    /// assert_eq!((chunk.added(), chunk.emitted_texts()), ("one ", vec!["two ", "three"]));
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`EditError::WrongKind`] if the chunk has no choices; [`EditError::TooLarge`] beyond
    /// [`limits::EMITTED`](crate::limits::EMITTED) bytes or
    /// [`limits::EMITTED_CHUNKS`](crate::limits::EMITTED_CHUNKS) chunks;
    /// [`EditError::NotSupported`] if the gateway is older than 1.1.
    pub fn emit_text(&mut self, text: &str) -> Result<(), EditError> {
        newer_edit!(self.emit_text(View::of(text.as_bytes())))
    }

    /// Sends a whole `chat.completion.chunk` after this one. See [`Chunk::emit_text`].
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `json` is not a JSON object; the others as for
    /// [`Chunk::emit_text`].
    pub fn emit_json(&mut self, json: &str) -> Result<(), EditError> {
        newer_edit!(self.emit_json(View::of(json.as_bytes())))
    }

    /// Keeps the last `bytes` bytes of the text back, for words and patterns that continue in the
    /// next chunk. The gateway cuts the text when the hook returns, at the character's beginning,
    /// sends what comes before, and puts the rest before the text of the choice's next chunk. So
    /// the hook sees it again, and decides again. When the choice ends, a tool call begins or the
    /// stream ends, the rest comes as a chunk of its own, for which [`is_last`](Chunk::is_last) is
    /// true. A chunk whose whole text is held back is not sent. Held text comes after
    /// [emitted](Chunk::emit_text) chunks. If a later hook ends the stream, held text is not sent.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use plugin_api::{Callback, CallView, Chunk, Flow, Hook, Host, InitError};
    /// use plugin_api::testing::{TestCall, TestChunk, Tester};
    ///
    /// /// Masks e-mail addresses, also those that are cut into several chunks.
    /// struct NoMail;
    ///
    /// impl Callback for NoMail {
    ///     type Settings = serde_json::Value;
    ///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
    ///     fn on_llm_new_token(&self, _: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
    ///         let text = chunk.text().to_owned();
    ///         // The last word may continue in the next chunk, so it is judged when it is whole.
    ///         let mut whole = text.rfind(' ').map_or(0, |at| at + 1);
    ///         if chunk.is_last() || text.len() - whole > 256 {
    ///             whole = text.len();
    ///         }
    ///         let (now, later) = text.split_at(whole);
    ///         let mask = |word: &str| String::from(if word.contains('@') { "***" } else { word });
    ///         let masked: Vec<String> = now.split(' ').map(mask).collect();
    ///         chunk.set_text(&(masked.join(" ") + later))?;
    ///         if !later.is_empty() {
    ///             chunk.hold_back(later.len())?;
    ///         }
    ///         Ok(Flow::Continue)
    ///     }
    /// }
    ///
    /// let tester = Tester::of::<NoMail>(serde_json::json!({}))?;
    /// let mut call = TestCall::chat("gemma3").stream();
    /// let sent = tester.stream_text(&mut call, &["write to bo", "b@exam", "ple.com to", "day"]);
    /// assert_eq!(sent, "write to *** today");
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`EditError::TooLate`] if [`is_last`](Chunk::is_last); [`EditError::TooLarge`] beyond
    /// [`limits::HELD_BACK`](crate::limits::HELD_BACK); [`EditError::NotSupported`] if the gateway
    /// is older than 1.1.
    pub fn hold_back(&mut self, bytes: usize) -> Result<(), EditError> {
        newer_edit!(self.hold_back(bytes))
    }

    /// Returns how many bytes at the beginning of the text this callback held back before. 0 if the
    /// gateway is older than 1.1.
    #[must_use]
    pub fn held(&self) -> usize {
        read_newer_number!(self.held()).unwrap_or_default()
    }

    /// Returns whether nothing can be held back any longer: the choice ends or calls a tool, or the
    /// chunk is the rest that was held back. `false` if the gateway is older than 1.1.
    #[must_use]
    pub fn is_last(&self) -> bool {
        read_newer_number!(self.is_last()) == Some(1)
    }
}
