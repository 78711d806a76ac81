//! The call: what every hook may read ([`CallView`]) and what `on_llm_start` may change
//! ([`LlmCall`]).

use super::{EditError, edit, read_number, read_text};
use crate::{
    Endpoint, Hook, HookError, Rejection, Reply,
    abi::{CallHandle, RawRejection, RawReply, RawRoute, Verdict, View, ViewPair},
    callback::Flow,
};
use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
    time::Duration,
};

/// The call as every hook sees it. Reading costs a few nanoseconds and copies nothing; what was
/// never read was never parsed.
pub struct CallView<'a> {
    pub(super) raw: CallHandle,
    /// Borrowed from the host for one hook.
    lent: PhantomData<&'a mut ()>,
}

// SAFETY: the host hands the whole call to one hook at a time; it may be polled on any thread.
// (Not `Sync`: accessors may compute and keep what they return.)
unsafe impl Send for CallView<'_> {}

impl<'a> CallView<'a> {
    /// # Safety
    /// `raw` is alive for `'a` and lent to nobody else.
    pub(crate) unsafe fn lent(raw: CallHandle) -> Self {
        Self { raw, lent: PhantomData }
    }

    /// The call's id, as in the log and in `x-litellm-call-id`.
    #[must_use]
    pub fn id(&self) -> &str {
        read_text!(self.id()).unwrap_or_default()
    }

    /// Which API the client speaks.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        Endpoint(read_number!(self.endpoint()))
    }

    /// Whether the client asked for a stream.
    #[must_use]
    pub fn stream(&self) -> bool {
        read_number!(self.stream()) != 0
    }

    /// The model name the client sent; never changes.
    #[must_use]
    pub fn requested_model(&self) -> &str {
        read_text!(self.requested_model()).unwrap_or_default()
    }

    /// The model name as edited so far by this and earlier callbacks.
    #[must_use]
    pub fn model(&self) -> &str {
        read_text!(self.model()).unwrap_or_default()
    }

    /// The label of the provider the call goes to as things stand (`groq`, `openai`, `ollama`, …):
    /// what limits and logs count by. `None` when nothing in the config serves the model.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        read_text!(self.provider())
    }

    /// The model's name at the upstream, as things stand.
    #[must_use]
    pub fn upstream_model(&self) -> Option<&str> {
        read_text!(self.upstream_model())
    }

    /// The upstream's base URL, as things stand.
    #[must_use]
    pub fn api_base(&self) -> Option<&str> {
        read_text!(self.api_base())
    }

    /// A header of the client's request; names in any case. Credentials read as `***`, unless the
    /// config grants them: `grants: {read_auth_header: true}`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        read_text!(self.header(View::of(name.as_bytes())))
    }

    /// All headers of the client's request, as sent. Values that are not UTF-8 are left out.
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

    /// A parameter of the request body as JSON text, by dotted path: `temperature`,
    /// `response_format.type`, `tools.0.function.name`. `None` when it is not there.
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

    /// How many messages there are.
    #[must_use]
    pub fn message_count(&self) -> usize {
        // SAFETY: the handle is alive for the hook.
        unsafe { (self.raw.vt.message_count())(self.raw.ctx) }
    }

    /// A message's role.
    #[must_use]
    pub fn message_role(&self, index: usize) -> Option<&str> {
        read_text!(self.message_role(index))
    }

    /// A message's text: its content when that is a string, else its text parts joined by
    /// newlines. `None` past the end; empty when it has no text.
    #[must_use]
    pub fn message_text(&self, index: usize) -> Option<&str> {
        read_text!(self.message_text(index))
    }

    /// A whole message as JSON, images and tool calls included.
    #[must_use]
    pub fn message_json(&self, index: usize) -> Option<&str> {
        read_text!(self.message_json(index))
    }

    /// The texts of all messages with their roles, in order.
    pub fn messages(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.message_count()).map(|index| {
            (
                self.message_role(index).unwrap_or_default(),
                self.message_text(index).unwrap_or_default(),
            )
        })
    }

    /// The length of all messages' texts together, in bytes.
    #[must_use]
    pub fn prompt_len(&self) -> usize {
        self.messages().map(|(_, text)| text.len()).sum()
    }

    /// The request body as it stands with all edits, as JSON.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        // SAFETY: as in `read_text!`.
        unsafe { (self.raw.vt.body())(self.raw.ctx).bytes() }.unwrap_or_default()
    }

    /// Who called: a stable id of the key, never the key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        read_text!(self.key_id()).unwrap_or_default()
    }

    /// A value an earlier hook or callback shared on this call.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        read_text!(self.metadata(View::of(key.as_bytes())))
    }

    /// The public name of the model that serves the call, however the call spells it: what an alias
    /// or a raw `litellm_params.model` stands for, else [`model`](Self::model) itself. Under a
    /// wildcard it is the name that was asked for. Count and restrict by this one.
    #[must_use]
    pub fn public_model(&self) -> &str {
        self.metadata("callgate.public_model").unwrap_or_else(|| self.model())
    }

    /// The config's `model_name` that serves the call, with the `*` of a wildcard; `None` when
    /// nothing serves it, or a callback sent it to a provider beside all model names.
    #[must_use]
    pub fn model_group(&self) -> Option<&str> {
        self.metadata("callgate.model_group")
    }

    /// Whether an upstream was asked, or tried to be, when the call ended; `None` from a gateway
    /// that does not say. A call that was not cost nothing upstream, whatever its failure is
    /// called.
    #[must_use]
    pub fn upstream_asked(&self) -> Option<bool> {
        Some(self.metadata("callgate.upstream_asked")? == "true")
    }

    /// Shares a value with the later hooks of this call, of all callbacks.
    ///
    /// # Errors
    /// [`EditError::TooLarge`] past [`limits::METADATA`](crate::limits::METADATA);
    /// [`EditError::NotAllowed`] for a key that begins with [`FACTS`](crate::FACTS), which is the
    /// gateway's.
    pub fn set_metadata(&mut self, key: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_metadata(View::of(key.as_bytes()), View::of(value.as_bytes())))
    }

    /// This callback's own note on this call, empty until set: how a later hook knows what the
    /// start hook did. Free of name clashes and of allocation up to 24 bytes.
    #[must_use]
    pub fn local(&self) -> &[u8] {
        // SAFETY: as in `read_text!`.
        unsafe { (self.raw.vt.local())(self.raw.ctx).bytes() }.unwrap_or_default()
    }

    /// Replaces the note.
    ///
    /// # Errors
    /// [`EditError::TooLarge`] past [`limits::LOCAL`](crate::limits::LOCAL).
    pub fn set_local(&mut self, note: &[u8]) -> Result<(), EditError> {
        edit!(self.set_local(View::of(note)))
    }

    /// How long the call may still take; `None` without a timeout.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        super::known(read_number!(self.remaining_ms())).map(Duration::from_millis)
    }

    /// Whether the client has gone: what is done from here on, nobody will see.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        read_number!(self.cancelled()) != 0
    }

    /// Turns what the author's hook returned into what crosses.
    pub(crate) fn conclude(&mut self, outcome: Hook) -> Verdict {
        match outcome {
            Ok(Flow::Continue) => Verdict::CONTINUE,
            Ok(Flow::NotImplemented) => Verdict::NOT_IMPLEMENTED,
            Ok(Flow::Reply(reply)) => {
                let (is_json, content) = match &reply {
                    Reply::Text(text) => (0, text),
                    Reply::Json(json) => (1, json),
                };
                let raw = RawReply { is_json, content: View::of(content.as_bytes()) };
                // SAFETY: the handle is alive; the view is read before `reply` is dropped.
                unsafe { (self.raw.vt.reply())(self.raw.ctx, raw) };
                Verdict::REPLY
            }
            Err(HookError::Reject(rejection)) => {
                self.reject(&rejection);
                Verdict::REJECT
            }
            Err(HookError::Internal(message)) => self.fault(&message),
        }
    }

    /// Reports that the hook broke.
    pub(crate) fn fault(&mut self, message: &str) -> Verdict {
        // SAFETY: the handle is alive for the hook.
        unsafe { (self.raw.vt.fault())(self.raw.ctx, View::of(message.as_bytes())) };
        Verdict::FAULT
    }

    /// Reports that the hook panicked.
    pub(crate) fn panicked(&mut self, message: &str) -> Verdict {
        let _ = self.fault(message);
        Verdict::PANIC
    }

    fn reject(&mut self, rejection: &Rejection) {
        let view = |text: &str| View::of(text.as_bytes());
        let headers: Vec<ViewPair> = rejection
            .headers
            .iter()
            .map(|(name, value)| ViewPair { name: view(name), value: view(value) })
            .collect();
        let wait = rejection.retry_after.map(|wait| wait.as_nanos().div_ceil(1_000_000));
        let raw = RawRejection {
            status: rejection.status.into(),
            retry_after_ms: wait
                .map_or(u64::MAX, |wait| u64::try_from(wait).unwrap_or(u64::MAX - 1)),
            code: View::of_option(rejection.code.as_deref()),
            message: view(&rejection.message),
            headers: headers.as_ptr(),
            headers_len: headers.len(),
        };
        // SAFETY: the handle is alive; the views are read before `rejection` is dropped.
        unsafe { (self.raw.vt.reject())(self.raw.ctx, raw) };
    }
}

/// Where a call shall go. What is `None` stays as planned: with only `provider`, the gateway takes
/// base URL and key from the first deployment of that provider in the config, or the provider's
/// own defaults.
///
/// ```no_run
/// # use plugin_api::{LlmCall, Route, EditError};
/// # fn hook(call: &mut LlmCall<'_>) -> Result<(), EditError> {
/// let (provider, model) = (Some("groq"), Some("llama-3.3-70b-versatile"));
/// call.set_route(Route { provider, model, ..Route::default() })
/// # }
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Route<'a> {
    /// A provider's name or label: `groq`, `openai`, `ollama`.
    pub provider: Option<&'a str>,
    /// The model's name at the upstream.
    pub model: Option<&'a str>,
    /// The upstream's base URL.
    pub api_base: Option<&'a str>,
    /// The key to send. It can be set, and never be read back.
    pub api_key: Option<&'a str>,
}

impl fmt::Debug for Route<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Route")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .field("api_base", &self.api_base)
            .field("api_key", &self.api_key.map(|_| "***"))
            .finish()
    }
}

/// The call in `on_llm_start`: everything of [`CallView`], and edits.
pub struct LlmCall<'a>(CallView<'a>);

impl<'a> Deref for LlmCall<'a> {
    type Target = CallView<'a>;

    fn deref(&self) -> &CallView<'a> {
        &self.0
    }
}

impl DerefMut for LlmCall<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'a> LlmCall<'a> {
    /// # Safety
    /// As [`CallView::lent`].
    pub(crate) unsafe fn lent(raw: CallHandle) -> Self {
        // SAFETY: passed on to the caller.
        Self(unsafe { CallView::lent(raw) })
    }

    /// Asks for another model name of the config. The reply still shows the requested one.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] when empty, [`EditError::TooLarge`] past
    /// [`limits::MODEL`](crate::limits::MODEL).
    pub fn set_model(&mut self, model: &str) -> Result<(), EditError> {
        edit!(self.set_model(View::of(model.as_bytes())))
    }

    /// Sends the call somewhere else than the config's deployment for the model.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] for a provider that does not exist, or a URL or key that cannot
    /// be one.
    pub fn set_route(&mut self, route: Route<'_>) -> Result<(), EditError> {
        edit!(self.set_route(RawRoute {
            provider: View::of_option(route.provider),
            model: View::of_option(route.model),
            api_base: View::of_option(route.api_base),
            api_key: View::of_option(route.api_key),
        }))
    }

    /// Sets a header of the upstream request.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] when it is no header, or one the gateway owns (`host`,
    /// `content-length`, `authorization` and the connection's own), [`EditError::TooLarge`] when
    /// all set so far exceed [`limits::HEADERS`](crate::limits::HEADERS).
    pub fn set_upstream_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_upstream_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Drops a header that an earlier callback set for the upstream.
    ///
    /// # Errors
    /// [`EditError::NotFound`] when there is none.
    pub fn remove_upstream_header(&mut self, name: &str) -> Result<(), EditError> {
        edit!(self.remove_upstream_header(View::of(name.as_bytes())))
    }

    /// Sets a parameter of the body to a JSON value, by dotted path as in [`CallView::param`].
    /// `model` and `messages` have their own accessors.
    ///
    /// # Errors
    /// [`EditError::NotJson`], [`EditError::WrongKind`] when the path leads through a value that is
    /// no object, [`EditError::NotAllowed`] for `model`, `messages` and `stream`,
    /// [`EditError::TooLarge`] when all edits of the body exceed
    /// [`limits::BODY_EDITS`](crate::limits::BODY_EDITS).
    pub fn set_param(&mut self, path: &str, json: &str) -> Result<(), EditError> {
        edit!(self.set_param(View::of(path.as_bytes()), View::of(json.as_bytes())))
    }

    /// Removes a parameter.
    ///
    /// # Errors
    /// [`EditError::NotFound`] when it is not there.
    pub fn remove_param(&mut self, path: &str) -> Result<(), EditError> {
        edit!(self.remove_param(View::of(path.as_bytes())))
    }

    /// Replaces a message's text. Images and tool calls beside it stay as they were; several text
    /// parts become one.
    ///
    /// # Errors
    /// [`EditError::NotFound`] past the end; [`EditError::TooLarge`] as for
    /// [`LlmCall::set_param`].
    pub fn set_message_text(&mut self, index: usize, text: &str) -> Result<(), EditError> {
        edit!(self.set_message_text(index, View::of(text.as_bytes())))
    }

    /// Replaces a whole message by a JSON object.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::NotJson`], [`EditError::TooLarge`].
    pub fn set_message_json(&mut self, index: usize, json: &str) -> Result<(), EditError> {
        edit!(self.set_message_json(index, View::of(json.as_bytes())))
    }

    /// Inserts a text message before `index`.
    ///
    /// # Errors
    /// [`EditError::NotFound`] when `index` is past the count, [`EditError::TooLarge`].
    pub fn insert_message(
        &mut self,
        index: usize,
        role: &str,
        text: &str,
    ) -> Result<(), EditError> {
        edit!(self.insert_message(index, View::of(role.as_bytes()), View::of(text.as_bytes())))
    }

    /// Adds a text message at the end.
    ///
    /// # Errors
    /// As [`LlmCall::insert_message`].
    pub fn append_message(&mut self, role: &str, text: &str) -> Result<(), EditError> {
        self.insert_message(self.message_count(), role, text)
    }

    /// Removes a message.
    ///
    /// # Errors
    /// [`EditError::NotFound`] past the end.
    pub fn remove_message(&mut self, index: usize) -> Result<(), EditError> {
        edit!(self.remove_message(index))
    }

    /// Replaces the whole body by another JSON object.
    ///
    /// # Errors
    /// [`EditError::NotJson`], [`EditError::TooLarge`].
    pub fn replace_body(&mut self, body: &[u8]) -> Result<(), EditError> {
        edit!(self.replace_body(View::of(body)))
    }
}
