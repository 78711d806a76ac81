//! The complete answer.

use super::{EditError, edit, known, read_newer_text, read_number, read_text};
use crate::abi::{ReplyHandle, View};
use std::{marker::PhantomData, time::Duration};

/// The complete answer, in `on_llm_end`. A JSON reply can be changed. After a stream the client
/// already has the answer, and edits fail.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, CallView, Flow, Hook, Host, InitError, LlmReply};
/// use plugin_api::testing::{TestCall, TestReply, Tester};
///
/// struct American;
///
/// impl Callback for American {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_end(&self, _: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
///         if let Some(json) = reply.json() {
///             let edited = json.replace("colour", "color");
///             reply.set_json(&edited)?;
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<American>(serde_json::json!({}))?;
/// let mut reply = TestReply::text("a colour");
/// tester.end(&mut TestCall::chat("gemma3"), &mut reply);
/// assert_eq!(reply.value()["choices"][0]["message"]["content"], "a color");
/// # Ok::<(), InitError>(())
/// ```
pub struct LlmReply<'a> {
    raw: ReplyHandle,
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: as for `CallView`.
unsafe impl Send for LlmReply<'_> {}

impl LlmReply<'_> {
    /// # Safety
    /// `raw` must live as long as the borrow and be lent to nobody else.
    pub(crate) unsafe fn lent(raw: ReplyHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the HTTP status of the response.
    #[must_use]
    pub fn status(&self) -> u16 {
        u16::try_from(read_number!(self.status())).unwrap_or_default()
    }

    /// Returns the body of a JSON reply. `None` after a stream.
    #[must_use]
    pub fn json(&self) -> Option<&str> {
        read_text!(self.json())
    }

    /// Replaces the body of a JSON reply.
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `json` is not a JSON object; [`EditError::TooLarge`] beyond
    /// [`limits::ANSWER`](crate::limits::ANSWER); [`EditError::TooLate`] after a stream.
    pub fn set_json(&mut self, json: &str) -> Result<(), EditError> {
        edit!(self.set_json(View::of(json.as_bytes())))
    }

    /// Returns the assistant's text of the first choice. After a stream it is the text of all
    /// chunks, up to the config's `callgate.limits.max_stream_text_bytes` (8 MiB by default).
    #[must_use]
    pub fn text(&self) -> &str {
        read_text!(self.text()).unwrap_or_default()
    }

    /// Sets a response header of a JSON reply.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] if name or value is not valid, or if the gateway sets this header
    /// itself; [`EditError::TooLarge`] beyond [`limits::HEADERS`](crate::limits::HEADERS);
    /// [`EditError::TooLate`] after a stream.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Returns the reason why the model stopped (`stop`, `length`, `tool_calls`, …), of the first
    /// choice.
    #[must_use]
    pub fn finish_reason(&self) -> Option<&str> {
        read_text!(self.finish_reason())
    }

    /// Returns the number of prompt tokens, if the upstream reported it.
    #[must_use]
    pub fn prompt_tokens(&self) -> Option<u64> {
        known(read_number!(self.prompt_tokens()))
    }

    /// Returns the number of completion tokens, if the upstream reported it.
    #[must_use]
    pub fn completion_tokens(&self) -> Option<u64> {
        known(read_number!(self.completion_tokens()))
    }

    /// Returns the total number of tokens, if the upstream reported it.
    #[must_use]
    pub fn total_tokens(&self) -> Option<u64> {
        known(read_number!(self.total_tokens()))
    }

    /// Returns the time since the gateway accepted the call.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(known(read_number!(self.duration_ns())).unwrap_or_default())
    }

    /// Returns the time that the upstream took for its answer, head and body. `None` if a callback
    /// answered. Gateways before 1.1 return the time until the answer began.
    #[must_use]
    pub fn upstream_duration(&self) -> Option<Duration> {
        known(read_number!(self.upstream_duration_ns())).map(Duration::from_nanos)
    }

    /// Returns the time from accepting the call to the first streamed chunk. `None` for a JSON
    /// reply.
    #[must_use]
    pub fn time_to_first_token(&self) -> Option<Duration> {
        known(read_number!(self.first_token_ns())).map(Duration::from_nanos)
    }

    /// Returns the whole answer as one `chat.completion`: a JSON reply as it is, and for a stream
    /// what its chunks came to, with all choices, tool calls, reasoning, finish reasons and usage.
    /// The gateway puts streams together only if a callback's
    /// [`export_callbacks!`](crate::export_callbacks) has `completion` in `reads`; otherwise, and
    /// for a stream larger than `callgate.limits.max_stream_text_bytes`, it is `None`. A gateway
    /// older than 1.1 returns it for JSON replies only.
    ///
    /// ```no_run
    /// # fn hook(reply: &plugin_api::LlmReply<'_>) {
    /// let whole: Option<serde_json::Value> =
    ///     reply.completion().and_then(|json| serde_json::from_str(json).ok());
    /// # }
    /// ```
    #[must_use]
    pub fn completion(&self) -> Option<&str> {
        read_newer_text!(self.completion()).or_else(|| self.json())
    }

    /// Returns whether a callback answered the call instead of an upstream.
    #[must_use]
    pub fn from_callback(&self) -> bool {
        read_number!(self.from_callback()) != 0
    }
}
