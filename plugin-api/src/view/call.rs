//! Read access to the call, and the result of a hook. The edits are in `llm_call`.

use super::{EditError, edit, read_number, read_text};
use crate::{
    Endpoint, Flow, Hook, HookError, Reply,
    abi::{CallHandle, RawReply, Verdict, View},
};
use std::{marker::PhantomData, time::Duration};

/// Read access to the call, in every hook. Reading takes a few nanoseconds and copies nothing;
/// parts that nobody reads are not parsed.
///
/// A returned value is valid until the next edit or the end of the hook. A `CallView` can move to
/// another thread with its hook, but two threads cannot use it at once: it is `Send`, not `Sync`.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, CallView, Flow, Hook, Host, InitError, LlmCall, LlmReply};
/// use plugin_api::testing::{TestCall, TestReply, Tester};
///
/// /// Shares the number of user messages, and reads it at the end.
/// struct Turns;
///
/// impl Callback for Turns {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let turns = call.messages().filter(|(role, _)| *role == "user").count();
///         call.set_metadata("turns", &turns.to_string())?;
///         Ok(Flow::Continue)
///     }
///     fn on_llm_end(&self, call: &mut CallView<'_>, _: &mut LlmReply<'_>) -> Hook {
///         assert_eq!(call.metadata("turns"), Some("1"));
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Turns>(serde_json::json!({}))?;
/// let mut call = TestCall::chat("gemma3").message("user", "hello");
/// tester.start(&mut call);
/// tester.end(&mut call, &mut TestReply::text("hi"));
/// # Ok::<(), InitError>(())
/// ```
pub struct CallView<'a> {
    pub(super) raw: CallHandle,
    /// The host lends the call for one hook.
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: the host lends the whole call to one hook at a time, which may be polled on any thread.
// (Not `Sync`: accessors may compute and cache a value.)
unsafe impl Send for CallView<'_> {}

impl<'a> CallView<'a> {
    /// # Safety
    /// `raw` must live for `'a` and be lent to nobody else.
    pub(crate) unsafe fn lent(raw: CallHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// Returns the call's id, as in the log and in the header `x-litellm-call-id`.
    #[must_use]
    pub fn id(&self) -> &str {
        read_text!(self.id()).unwrap_or_default()
    }

    /// Returns the API that the client uses.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint(read_number!(self.endpoint()))
    }

    /// Returns whether the client asked for a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        read_number!(self.stream()) != 0
    }

    /// Returns the model name that the client sent. It never changes.
    #[must_use]
    pub fn requested_model(&self) -> &str {
        read_text!(self.requested_model()).unwrap_or_default()
    }

    /// Returns the model name with the edits of this and earlier callbacks.
    #[must_use]
    pub fn model(&self) -> &str {
        read_text!(self.model()).unwrap_or_default()
    }

    /// Returns the label of the provider that the call is planned to go to (`groq`, `openai`,
    /// `ollama`, …). Limits and logs count by it. `None` if nothing in the config serves the model.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        read_text!(self.provider())
    }

    /// Returns the model's planned name at the upstream. `None` if nothing in the config serves the
    /// model.
    #[must_use]
    pub fn upstream_model(&self) -> Option<&str> {
        read_text!(self.upstream_model())
    }

    /// Returns the planned base URL of the upstream. `None` if nothing in the config serves the
    /// model.
    #[must_use]
    pub fn api_base(&self) -> Option<&str> {
        read_text!(self.api_base())
    }

    /// Returns a header of the client's request. Case does not matter. Headers that carry
    /// credentials read as `***`, unless the operator grants `read_auth_header`. `None` if there is
    /// no such header, or its value is not visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        read_text!(self.header(View::of(name.as_bytes())))
    }

    /// Returns all headers of the client's request. See [`CallView::header`]; headers whose value
    /// is not visible ASCII are left out.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let count = read_number!(self.header_count());
        (0..count).filter_map(|index| {
            // SAFETY: as in `read_text!`.
            unsafe {
                let pair = (self.raw.vt.header_at())(self.raw.ctx, index);
                Some((pair.name.text()?, pair.value.text()?))
            }
        })
    }

    /// Returns a parameter of the request body as JSON text, by dotted path: `temperature`,
    /// `response_format.type`, `tools.0.function.name`. `None` if the parameter does not exist.
    ///
    /// ```no_run
    /// # fn hook(call: &plugin_api::CallView<'_>) {
    /// let temperature = call.param("temperature").and_then(|json| json.parse::<f64>().ok());
    /// # }
    /// ```
    #[must_use]
    pub fn param(&self, path: &str) -> Option<&str> {
        read_text!(self.param(View::of(path.as_bytes())))
    }

    /// Returns the number of messages.
    #[must_use]
    pub fn message_count(&self) -> usize {
        // SAFETY: the handle lives as long as the hook.
        unsafe { (self.raw.vt.message_count())(self.raw.ctx) }
    }

    /// Returns a message's role. `None` past the end.
    #[must_use]
    pub fn message_role(&self, index: usize) -> Option<&str> {
        read_text!(self.message_role(index))
    }

    /// Returns a message's text: its content if that is a string, else the texts of its parts,
    /// joined with newlines. `None` past the end; empty if the message has no text.
    #[must_use]
    pub fn message_text(&self, index: usize) -> Option<&str> {
        read_text!(self.message_text(index))
    }

    /// Returns a whole message as JSON, with images and tool calls. `None` past the end.
    #[must_use]
    pub fn message_json(&self, index: usize) -> Option<&str> {
        read_text!(self.message_json(index))
    }

    /// Returns role and text of each message, in order.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.message_count()).map(|index| {
            (
                self.message_role(index).unwrap_or_default(),
                self.message_text(index).unwrap_or_default(),
            )
        })
    }

    /// Returns the total length of all messages' texts, in bytes.
    #[must_use]
    pub fn prompt_len(&self) -> usize {
        self.messages().map(|(_, text)| text.len()).sum()
    }

    /// Returns the request body as JSON, with all edits so far.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        // SAFETY: as in `read_text!`.
        unsafe { (self.raw.vt.body())(self.raw.ctx).bytes() }.unwrap_or_default()
    }

    /// Returns the id of the client's key: its name in `callgate.keys`, `master_key`, or
    /// `anonymous` if the gateway has no key. It is never the key itself.
    #[must_use]
    pub fn key_id(&self) -> &str {
        read_text!(self.key_id()).unwrap_or_default()
    }

    /// Returns a value that an earlier hook of any callback set on this call with
    /// [`set_metadata`](Self::set_metadata), or one of the gateway's own [`FACTS`](crate::FACTS).
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        read_text!(self.metadata(View::of(key.as_bytes())))
    }

    /// Returns the public name of the model that serves the call, even if the client used an alias
    /// or a raw `litellm_params.model`. Under a wildcard it is the requested name. If nothing
    /// serves the model it is [`model`](Self::model). Count and restrict by this name.
    #[must_use]
    pub fn public_model(&self) -> &str {
        self.metadata("callgate.public_model").unwrap_or_else(|| self.model())
    }

    /// Returns the config's `model_name` that serves the call, with the `*` of a wildcard. `None`
    /// if nothing serves the call, or if a callback sent it to a provider outside `model_list`.
    #[must_use]
    pub fn model_group(&self) -> Option<&str> {
        self.metadata("callgate.model_group")
    }

    /// Returns whether the gateway has called an upstream so far, or tried to. If not, the call has
    /// cost nothing upstream. `None` if the gateway does not know.
    #[must_use]
    pub fn upstream_asked(&self) -> Option<bool> {
        Some(self.metadata("callgate.upstream_asked")? == "true")
    }

    /// Returns the id of the deployment that the call is planned to go to, or went to: its
    /// `model_info.id`, else a hash of its settings that stays the same at a restart. `None` if
    /// nothing in the config serves the model, or if the gateway is older than 1.1.
    #[must_use]
    pub fn deployment_id(&self) -> Option<&str> {
        self.metadata("callgate.deployment_id")
    }

    /// Returns the `model_info` of that deployment as a JSON object, with what the operator wrote
    /// there. `None` if it has none.
    #[must_use]
    pub fn model_info(&self) -> Option<&str> {
        self.metadata("callgate.model_info")
    }

    /// Returns the number of attempts so far to have an upstream answer the call: 0 in
    /// `on_llm_start`, and for calls that a callback answers or rejects. `None` if the gateway is
    /// older than 1.1.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.metadata("callgate.attempts")?.parse().ok()
    }

    /// Returns the HTTP status of the upstream's response. `None` before there is one, and unless a
    /// callback of the chain has `upstream_response` in the `reads` of its
    /// [`export_callbacks!`](crate::export_callbacks): the gateway keeps responses only for those.
    #[must_use]
    pub fn upstream_status(&self) -> Option<u16> {
        self.metadata("callgate.upstream_status")?.parse().ok()
    }

    /// Returns a header of the upstream's response; case does not matter, and of several with one
    /// name the first counts. The deployment's secrets read as `***`. `None` if there is no such
    /// header, where [`upstream_status`](Self::upstream_status) is `None`, or if the gateway is
    /// older than 1.1.
    ///
    /// ```no_run
    /// # fn hook(call: &plugin_api::CallView<'_>) {
    /// let left = call.upstream_header("x-ratelimit-remaining-requests");
    /// # }
    /// ```
    #[must_use]
    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        self.metadata(&["callgate.upstream_header.", name].concat())
    }

    /// Returns all headers of the upstream's response as a JSON object, names in lower case, as in
    /// [`upstream_header`](Self::upstream_header).
    #[must_use]
    pub fn upstream_headers(&self) -> Option<&str> {
        self.metadata("callgate.upstream_headers")
    }

    /// Shares a value with later hooks of this call, of all callbacks. All hooks may call it.
    ///
    /// # Errors
    /// [`EditError::TooLarge`] beyond [`limits::METADATA`](crate::limits::METADATA);
    /// [`EditError::NotAllowed`] if the key begins with [`FACTS`](crate::FACTS).
    pub fn set_metadata(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_metadata(View::of(key.as_bytes()), View::of(value.as_bytes())))
    }

    /// Returns this callback's own note on this call. It is empty until a hook sets it. Other
    /// callbacks cannot see it.
    #[must_use]
    pub fn local(&self) -> &[u8] {
        // SAFETY: as in `read_text!`.
        unsafe { (self.raw.vt.local())(self.raw.ctx).bytes() }.unwrap_or_default()
    }

    /// Replaces this callback's note, for its later hooks. All hooks may call it. Notes of up to 24
    /// bytes need no allocation.
    ///
    /// # Errors
    /// [`EditError::TooLarge`] beyond [`limits::LOCAL`](crate::limits::LOCAL).
    pub fn set_local(&mut self, note: &[u8]) -> Result<(), EditError> {
        edit!(self.set_local(View::of(note)))
    }

    /// Returns the time left until the call's timeout, to the millisecond. `None` without a
    /// timeout.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        super::known(read_number!(self.remaining_ms())).map(Duration::from_millis)
    }

    /// Returns whether the client has disconnected. Nobody will see the answer then.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        read_number!(self.cancelled()) != 0
    }

    /// Turns the result of the author's hook into a verdict for the host.
    pub(crate) fn conclude(&mut self, outcome: Hook) -> Verdict {
        match outcome {
            Ok(Flow::Continue) => Verdict::CONTINUE,
            Ok(Flow::NotImplemented) => Verdict::NOT_IMPLEMENTED,
            Ok(Flow::Reply(reply)) => {
                let (is_json, content) = match &reply {
                    Reply::Text(text) => (0, text),
                    Reply::Json(json) => (1, json),
                    // The host has it since it was opened.
                    Reply::Stream(_) => return Verdict::REPLY,
                };
                let raw = RawReply { is_json, content: View::of(content.as_bytes()) };
                // SAFETY: the handle is alive; the host reads the view before `reply` is dropped.
                unsafe { (self.raw.vt.reply())(self.raw.ctx, raw) };
                Verdict::REPLY
            }
            Err(HookError::Reject(rejection)) => {
                // SAFETY: the handle is alive; the host copies all views.
                rejection.lend(|raw| unsafe { (self.raw.vt.reject())(self.raw.ctx, raw) });
                Verdict::REJECT
            }
            Err(HookError::Internal(message)) => self.fault(&message),
        }
    }

    /// Reports a fault.
    pub(crate) fn fault(&mut self, message: &str) -> Verdict {
        // SAFETY: the handle lives as long as the hook.
        unsafe { (self.raw.vt.fault())(self.raw.ctx, View::of(message.as_bytes())) };
        Verdict::FAULT
    }

    /// Reports a panic.
    pub(crate) fn panicked(&mut self, message: &str) -> Verdict {
        let _ = self.fault(message);
        Verdict::PANIC
    }
}
