//! The complete answer.

use super::{EditError, edit, known, read_number, read_text};
use crate::abi::{ReplyHandle, View};
use std::{marker::PhantomData, time::Duration};

/// The answer in `on_llm_end`. After a stream it can only be observed: the client has it.
pub struct LlmReply<'a> {
    raw: ReplyHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as `CallView`.
unsafe impl Send for LlmReply<'_> {}

impl LlmReply<'_> {
    /// # Safety
    /// `raw` is alive for the borrow and lent to nobody else.
    pub(crate) unsafe fn lent(raw: ReplyHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// The HTTP status the client gets.
    #[must_use]
    pub fn status(&self) -> u16 {
        u16::try_from(read_number!(self.status())).unwrap_or_default()
    }

    /// A JSON reply's body; `None` after a stream.
    #[must_use]
    pub fn json(&self) -> Option<&str> {
        read_text!(self.json())
    }

    /// Replaces a JSON reply's body.
    ///
    /// # Errors
    /// [`EditError::NotJson`]; [`EditError::TooLate`] after a stream.
    pub fn set_json(&mut self, json: &str) -> Result<(), EditError> {
        edit!(self.set_json(View::of(json.as_bytes())))
    }

    /// The assistant's text (of the first choice), assembled when it was streamed.
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Sets a response header of a JSON reply.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] when it is no header or one of the connection's own;
    /// [`EditError::TooLate`] after a stream.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Why the model stopped: `stop`, `length`, `tool_calls`, …
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        read_text!(self.finish_reason())
    }

    /// Tokens of the prompt, as the upstream counted them.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        known(read_number!(self.prompt_tokens()))
    }

    /// Tokens of the answer, as the upstream counted them.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        known(read_number!(self.completion_tokens()))
    }

    /// Tokens in all, as the upstream counted them.
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        known(read_number!(self.total_tokens()))
    }

    /// Since the call was accepted.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(known(read_number!(self.duration_ns())).unwrap_or_default())
    }

    /// How much of it the upstream took; `None` when a callback answered.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        known(read_number!(self.upstream_duration_ns())).map(Duration::from_nanos)
    }

    /// From accepting the call to the first streamed chunk; `None` for a JSON reply.
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        known(read_number!(self.first_token_ns())).map(Duration::from_nanos)
    }

    /// Whether a callback answered instead of an upstream.
    #[must_use]
    pub fn from_callback(&self) -> bool {
        read_number!(self.from_callback()) != 0
    }
}
