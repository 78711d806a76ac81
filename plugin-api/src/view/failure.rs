//! A failed call.

use super::{EditError, edit, known, read_number, read_text};
use crate::{
    FailureKind,
    abi::{FailureHandle, View},
};
use std::{marker::PhantomData, time::Duration};

/// The failure in `on_llm_error`. While nothing has been sent, what the client gets can be changed.
pub struct LlmFailure<'a> {
    raw: FailureHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as `CallView`.
unsafe impl Send for LlmFailure<'_> {}

impl LlmFailure<'_> {
    /// # Safety
    /// `raw` is alive for the borrow and lent to nobody else.
    pub(crate) unsafe fn lent(raw: FailureHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        FailureKind(read_number!(self.kind()))
    }

    /// The status the client gets, or would get.
    #[must_use]
    pub fn status(&self) -> u16 {
        u16::try_from(read_number!(self.status())).unwrap_or_default()
    }

    /// The error object's `code`.
    #[must_use]
    pub fn code(&self) -> &str {
        read_text!(self.code()).unwrap_or_default()
    }

    /// What the client is told, or would be.
    #[must_use]
    pub fn message(&self) -> &str {
        read_text!(self.message()).unwrap_or_default()
    }

    /// Changes the status (400 to 599).
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] outside that range; [`EditError::TooLate`] once
    /// [`sent`](Self::sent).
    pub fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        edit!(self.set_status(status.into()))
    }

    /// Changes what the client is told.
    ///
    /// # Errors
    /// [`EditError::TooLate`] once [`sent`](Self::sent).
    pub fn set_message(&mut self, message: &str) -> Result<(), EditError> {
        edit!(self.set_message(View::of(message.as_bytes())))
    }

    /// Whether the client already has the head of an answer, or is gone.
    #[must_use]
    pub fn sent(&self) -> bool {
        read_number!(self.sent()) != 0
    }

    /// What was streamed before it failed.
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Tokens of the prompt, as the upstream counted them; `None` when it failed before it said.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        known(read_number!(self.prompt_tokens()))
    }

    /// Tokens of the answer so far, as the upstream counted them.
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

    /// How long the upstream took to begin its answer; `None` when it did not.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        known(read_number!(self.upstream_duration_ns())).map(Duration::from_nanos)
    }

    /// From accepting the call to the first streamed chunk; `None` when there was none.
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        known(read_number!(self.first_token_ns())).map(Duration::from_nanos)
    }

    /// The name of the callback that refused or broke, if one did.
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        read_text!(self.callback())
    }
}
