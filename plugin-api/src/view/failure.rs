//! A failed call.

use super::{EditError, edit, known, newer_edit, read_newer_text, read_number, read_text};
use crate::{
    FailureKind,
    abi::{FailureHandle, View},
};
use std::{marker::PhantomData, time::Duration};

/// The failure of a call, in `on_llm_error`. Status and message can be changed until something has
/// been sent.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, CallView, FailureKind, Flow, Hook, Host, InitError, LlmFailure};
/// use plugin_api::testing::{TestCall, TestFailure, Tester};
///
/// struct Friendly;
///
/// impl Callback for Friendly {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_error(&self, _: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
///         if !failure.sent() && failure.kind() == FailureKind::TIMEOUT {
///             failure.set_message("The model is busy. Try again in a minute.")?;
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Friendly>(serde_json::json!({}))?;
/// let mut failure = TestFailure::new(FailureKind::TIMEOUT, 504, "no answer");
/// tester.error(&mut TestCall::chat("gemma3"), &mut failure);
/// assert_eq!(failure.shown().1, "The model is busy. Try again in a minute.");
/// # Ok::<(), InitError>(())
/// ```
pub struct LlmFailure<'a> {
    raw: FailureHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as for `CallView`.
unsafe impl Send for LlmFailure<'_> {}

impl LlmFailure<'_> {
    /// # Safety
    /// `raw` must live as long as the borrow and be lent to nobody else.
    pub(crate) unsafe fn lent(raw: FailureHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the reason for the failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        FailureKind(read_number!(self.kind()))
    }

    /// Returns the error's status. The client gets it unless something was [`sent`](Self::sent)
    /// already.
    #[must_use]
    pub fn status(&self) -> u16 {
        u16::try_from(read_number!(self.status())).unwrap_or_default()
    }

    /// Returns the error object's `code`.
    #[must_use]
    pub fn code(&self) -> &str {
        read_text!(self.code()).unwrap_or_default()
    }

    /// Returns the error object's `message`.
    #[must_use]
    pub fn message(&self) -> &str {
        read_text!(self.message()).unwrap_or_default()
    }

    /// Changes the status (400 to 599).
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] outside that range; [`EditError::TooLate`] if something was
    /// [`sent`](Self::sent) already.
    pub fn set_status(&mut self, status: u16) -> Result<(), EditError> {
        edit!(self.set_status(status.into()))
    }

    /// Changes the message. It is cut at [`limits::MESSAGE`](crate::limits::MESSAGE).
    ///
    /// # Errors
    /// [`EditError::TooLate`] if something was [`sent`](Self::sent) already.
    pub fn set_message(&mut self, message: &str) -> Result<(), EditError> {
        edit!(self.set_message(View::of(message.as_bytes())))
    }

    /// Returns the error object's `type`, such as `rate_limit_error`. It is empty if the gateway is
    /// older than 1.1.
    #[must_use]
    pub fn error_type(&self) -> &str {
        read_newer_text!(self.error_type()).unwrap_or_default()
    }

    /// Changes the error object's `type`.
    ///
    /// # Errors
    /// [`EditError::TooLate`] if something was [`sent`](Self::sent) already;
    /// [`EditError::TooLarge`] beyond [`limits::CODE`](crate::limits::CODE);
    /// [`EditError::NotSupported`] if the gateway is older than 1.1.
    pub fn set_type(&mut self, error_type: &str) -> Result<(), EditError> {
        newer_edit!(self.set_type(View::of(error_type.as_bytes())))
    }

    /// Changes the error object's `code`.
    ///
    /// # Errors
    /// As for [`set_type`](Self::set_type).
    pub fn set_code(&mut self, code: &str) -> Result<(), EditError> {
        newer_edit!(self.set_code(View::of(code.as_bytes())))
    }

    /// Sets a header of the error response, in place of one of that name.
    ///
    /// # Errors
    /// [`EditError::TooLate`] if something was [`sent`](Self::sent) already;
    /// [`EditError::NotAllowed`] for a name or value that is not valid, and for headers that
    /// describe the connection or the body; [`EditError::TooLarge`] beyond
    /// [`limits::HEADERS`](crate::limits::HEADERS); [`EditError::NotSupported`] if the gateway is
    /// older than 1.1.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        newer_edit!(self.set_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Returns whether the client already got the head of a response, or has disconnected.
    #[must_use]
    pub fn sent(&self) -> bool {
        read_number!(self.sent()) != 0
    }

    /// Returns the text that was streamed before the failure. It is empty if no callback of the
    /// chain has `on_llm_end`, because the gateway does not keep the text then.
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Returns the number of prompt tokens that the upstream reported before the failure, if it
    /// did.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        known(read_number!(self.prompt_tokens()))
    }

    /// Returns the number of completion tokens that the upstream reported before the failure, if it
    /// did.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        known(read_number!(self.completion_tokens()))
    }

    /// Returns the total number of tokens that the upstream reported before the failure, if it did.
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        known(read_number!(self.total_tokens()))
    }

    /// Returns the time since the gateway accepted the call.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(known(read_number!(self.duration_ns())).unwrap_or_default())
    }

    /// Returns the time that the upstream took until the failure. `None` if it began no answer.
    /// Gateways before 1.1 return the time until the answer began.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        known(read_number!(self.upstream_duration_ns())).map(Duration::from_nanos)
    }

    /// Returns the time from accepting the call to the first streamed chunk. `None` if there was
    /// none.
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        known(read_number!(self.first_token_ns())).map(Duration::from_nanos)
    }

    /// Returns the name of the callback that rejected the call or failed. `None` if no callback
    /// did.
    #[must_use]
    pub fn callback(&self) -> Option<&str> {
        read_text!(self.callback())
    }
}
