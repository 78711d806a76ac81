//! The writer of a stream that a callback produces.

use crate::{HostError, HostErrorKind, abi::RawReplyWriter};
use std::fmt;

/// Why a part is refused.
const REFUSALS: &[(HostErrorKind, &str)] = &[
    (HostErrorKind::INVALID, "expected a JSON object as a chunk, found something else"),
    (HostErrorKind::TOO_LARGE, "a part of a stream has at most `limits::STREAMED_PART` bytes"),
];

/// Writes the stream that a callback answers a call with: see
/// [`LlmCall::reply_stream`](crate::LlmCall::reply_stream). It belongs into a
/// [task](crate::Host::task), and may be moved to any thread.
///
/// The gateway takes at most 16 parts before the client has them; then `.await` waits. So a slow
/// client slows the task down. Once the client has left, or the call has failed, every function
/// fails as [`CLOSED`](crate::HostErrorKind::CLOSED).
pub struct ReplyWriter {
    raw: RawReplyWriter,
}

// SAFETY: the contract of `RawReplyWriter`: any thread, one at a time.
unsafe impl Send for ReplyWriter {}
// SAFETY: as above; every function takes `&mut self` or `self`.
unsafe impl Sync for ReplyWriter {}

impl fmt::Debug for ReplyWriter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ReplyWriter").finish_non_exhaustive()
    }
}

impl ReplyWriter {
    pub(crate) fn new(raw: RawReplyWriter) -> Self {
        Self { raw }
    }

    /// Sends a text.
    ///
    /// # Errors
    /// [`CLOSED`](crate::HostErrorKind::CLOSED); [`TOO_LARGE`](crate::HostErrorKind::TOO_LARGE)
    /// beyond [`limits::STREAMED_PART`](crate::limits::STREAMED_PART).
    pub async fn text(&mut self, text: &str) -> Result<(), HostError> {
        self.send(0, text).await
    }

    /// Sends a whole `chat.completion.chunk`, for tool calls and everything else that is not text.
    /// The gateway sets `model`, and `id` and `created` if they are missing. An object `{"error":
    /// …}` ends the stream with this error.
    ///
    /// # Errors
    /// [`INVALID`](crate::HostErrorKind::INVALID) if `chunk` is not a JSON object; the others as
    /// for [`ReplyWriter::text`].
    pub async fn json(&mut self, chunk: &str) -> Result<(), HostError> {
        self.send(1, chunk).await
    }

    /// Ends the stream with a finish reason: `stop`, `length`, …
    ///
    /// # Errors
    /// [`CLOSED`](crate::HostErrorKind::CLOSED).
    pub async fn finish(self, reason: &str) -> Result<(), HostError> {
        self.end(reason, [u64::MAX; 2]).await
    }

    /// Ends the stream with a finish reason and the tokens of prompt and completion. Clients that
    /// ask for it, callbacks and the log get them.
    ///
    /// # Errors
    /// [`CLOSED`](crate::HostErrorKind::CLOSED).
    pub async fn finish_with_usage(
        self,
        reason: &str,
        prompt_tokens: u64,
        completion_tokens: u64,
    ) -> Result<(), HostError> {
        self.end(reason, [prompt_tokens, completion_tokens]).await
    }

    /// Ends a stream whose chunks had the finish reason.
    ///
    /// # Errors
    /// [`CLOSED`](crate::HostErrorKind::CLOSED).
    pub async fn done(self) -> Result<(), HostError> {
        self.end("", [u64::MAX; 2]).await
    }

    async fn send(&mut self, kind: u32, content: &str) -> Result<(), HostError> {
        // SAFETY: the writer is open until `drop`.
        let sent = unsafe { (self.raw.vt.send())(self.raw.ctx, kind, content.into()) };
        HostError::from_number(sent.await, REFUSALS)
    }

    async fn end(self, reason: &str, [prompt, completion]: [u64; 2]) -> Result<(), HostError> {
        // SAFETY: as above.
        let ended =
            unsafe { (self.raw.vt.finish())(self.raw.ctx, reason.into(), prompt, completion) };
        HostError::from_number(ended.await, REFUSALS)
    }
}

/// A stream whose writer is dropped without an end is broken: the client gets an error.
impl Drop for ReplyWriter {
    fn drop(&mut self) {
        // SAFETY: it is closed once, here.
        unsafe { (self.raw.vt.close())(self.raw.ctx) }
    }
}
