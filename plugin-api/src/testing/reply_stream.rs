//! The stream that a callback answers a test's call with.

use crate::{
    HostError, HostErrorKind,
    abi::serve::{BoxFuture, ReplyPart, ReplySink},
    limits,
};
use serde_json::Value;
use std::{
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a callback has written to a [stream](crate::LlmCall::reply_stream) so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamedReply {
    /// The texts, one after another.
    pub text: String,
    /// The whole chunks, in order.
    pub chunks: Vec<Value>,
    /// Whether the callback has ended the stream.
    pub finished: bool,
    /// The finish reason, if the end has one.
    pub finish_reason: Option<String>,
    /// Prompt and completion tokens.
    pub usage: Option<(u64, u64)>,
}

/// The test's end of the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct MockStream(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    reply: StreamedReply,
    closed: bool,
}

impl MockStream {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reply(&self) -> StreamedReply {
        self.lock().reply.clone()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    fn take(&self, part: ReplyPart) -> Result<(), HostError> {
        let refused = |kind| Err(HostError::new(kind, "refused by the test's stream"));
        let mut state = self.lock();
        if state.closed || state.reply.finished {
            return refused(HostErrorKind::CLOSED);
        }
        let reply = &mut state.reply;
        match part {
            ReplyPart::Text(text) | ReplyPart::Chunk(text)
                if text.len() > limits::STREAMED_PART =>
            {
                return refused(HostErrorKind::TOO_LARGE);
            }
            ReplyPart::Text(text) => reply.text.push_str(&text),
            ReplyPart::Chunk(json) => match serde_json::from_str::<Value>(&json) {
                Ok(chunk) if chunk.is_object() => reply.chunks.push(chunk),
                _ => return refused(HostErrorKind::INVALID),
            },
            ReplyPart::Finish { reason, usage } => {
                (reply.finished, reply.finish_reason, reply.usage) = (true, reason, usage);
            }
        }
        Ok(())
    }
}

impl ReplySink for MockStream {
    fn send(&self, part: ReplyPart) -> BoxFuture<Result<(), HostError>> {
        Box::pin(ready(self.take(part)))
    }
}
