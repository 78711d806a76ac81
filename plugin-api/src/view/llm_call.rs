//! The edits of `on_llm_start`: [`LlmCall`] and [`Route`].

use super::{CallView, EditError, edit, newer_edit};
use crate::{
    Reply, ReplyStream, ReplyWriter,
    abi::{CallHandle, RawRoute, View},
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// The destination of a call, for [`LlmCall::set_route`]. Fields that are `None` keep the planned
/// value. If only `provider` is set, base URL and key come from the config's first deployment of
/// that provider, or else from the provider's defaults. `Debug` does not show the key.
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
    /// The provider's prefix or label: `groq`, `openai`, `ollama`.
    pub provider: Option<&'a str>,
    /// The model's name at the upstream.
    pub model: Option<&'a str>,
    /// The upstream's base URL.
    pub api_base: Option<&'a str>,
    /// The key to send to the upstream. No callback can read it back.
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

/// Read and write access to the call, in `on_llm_start`. It has everything that [`CallView`] has,
/// and the edits.
///
/// An edit that fails changes nothing.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall};
/// use plugin_api::testing::{TestCall, Tester};
///
/// struct Polite;
///
/// impl Callback for Polite {
///     type Settings = serde_json::Value;
///     fn new(_: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         call.insert_message(0, "system", "Be polite.")?;
///         call.set_param("temperature", "0.2")?;
///         call.set_upstream_header("x-tone", "polite")?;
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Polite>(serde_json::json!({}))?;
/// let mut call = TestCall::chat("gemma3").message("user", "hello");
/// tester.start(&mut call);
/// assert_eq!(call.body()["messages"][0]["content"], "Be polite.");
/// assert_eq!(call.body()["temperature"], 0.2);
/// # Ok::<(), InitError>(())
/// ```
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
    /// See [`CallView::lent`].
    pub(crate) unsafe fn lent(raw: CallHandle) -> Self {
        // SAFETY: passed on to the caller.
        Self(unsafe { CallView::lent(raw) })
    }

    /// Changes the model name. The reply still shows the name that the client requested.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] if the name is empty; [`EditError::TooLarge`] beyond
    /// [`limits::MODEL`](crate::limits::MODEL).
    pub fn set_model(&mut self, model: &str) -> Result<(), EditError> {
        edit!(self.set_model(View::of(model.as_bytes())))
    }

    /// Sends the call to another destination than the config's deployment for the model.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] if the provider does not exist, or if the URL or key is not valid.
    pub fn set_route(&mut self, route: Route<'_>) -> Result<(), EditError> {
        edit!(self.set_route(RawRoute {
            provider: View::of_option(route.provider),
            model: View::of_option(route.model),
            api_base: View::of_option(route.api_base),
            api_key: View::of_option(route.api_key),
        }))
    }

    /// Sets a header of the client's response, whatever the outcome: a JSON reply, a stream, an
    /// error. It takes precedence over one that is passed on from the upstream, such as
    /// `x-ratelimit-remaining-tokens`, but not over one that the gateway sets itself, or that a
    /// later hook sets on the reply or the failure.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] for a name or value that is not valid, and for headers that
    /// describe the connection or the body; [`EditError::TooLarge`] beyond
    /// [`limits::HEADERS`](crate::limits::HEADERS); [`EditError::NotSupported`] if the gateway is
    /// older than 1.1.
    pub fn set_reply_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        newer_edit!(self.set_reply_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Opens a stream as the call's answer, which the callback produces itself, for example from an
    /// API of its own. Give the writer to a [task](crate::Host::task), and return the reply. The
    /// gateway relays the stream like an upstream's: to chunk hooks and end hooks, with the limits
    /// of a stream's time and, for a client that asked for no stream, put together. A stream whose
    /// writer is dropped without an end fails the call as an incomplete one. If the hook returns
    /// something else, nobody takes the stream.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// use plugin_api::{Callback, Flow, Hook, HookError, Host, HostError, InitError, LlmCall};
    /// use plugin_api::testing::{TestCall, Tester};
    ///
    /// struct Countdown(Host);
    ///
    /// impl Callback for Countdown {
    ///     type Settings = serde_json::Value;
    ///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
    ///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
    ///         let (mut writer, reply) = call.reply_stream()?;
    ///         let stream = async move {
    ///             for number in ["3 ", "2 ", "1 "] {
    ///                 writer.text(number).await?;
    ///             }
    ///             writer.finish("stop").await
    ///         };
    ///         // A client that has left is no error of the callback.
    ///         let task = async move { let _: Result<(), HostError> = stream.await; };
    ///         let tasks = self.0.task().ok_or_else(|| HookError::internal("no tasks"))?;
    ///         tasks.spawn(task).map_err(HookError::internal)?;
    ///         Ok(Flow::Reply(reply))
    ///     }
    /// }
    ///
    /// let tester = Tester::of::<Countdown>(serde_json::json!({}))?;
    /// let mut call = TestCall::chat("countdown").stream();
    /// tester.start(&mut call);
    /// tester.host().run_tasks();
    /// let streamed = call.streamed_reply();
    /// assert_eq!((&*streamed.text, streamed.finish_reason.as_deref()), ("3 2 1 ", Some("stop")));
    /// # Ok::<(), InitError>(())
    /// ```
    ///
    /// # Errors
    /// [`EditError::NotSupported`] if the gateway is older than 1.1.
    pub fn reply_stream(&mut self) -> Result<(ReplyWriter, Reply), EditError> {
        let open = self.raw.vt.reply_stream().ok_or(EditError::NotSupported)?;
        // SAFETY: as in `edit!`.
        let writer = unsafe { open(self.raw.ctx) }.into_option().ok_or(EditError::TooLate)?;
        Ok((ReplyWriter::new(writer), Reply::Stream(ReplyStream(()))))
    }

    /// Sets a header of the upstream request. It replaces an earlier value.
    ///
    /// # Errors
    /// [`EditError::NotAllowed`] if name or value is not valid, or if the gateway sets this header
    /// itself (`host`, `content-type`, `content-length`, `authorization`, connection headers and
    /// the like); [`EditError::TooLarge`] if all headers together exceed
    /// [`limits::HEADERS`](crate::limits::HEADERS).
    pub fn set_upstream_header(&mut self, name: &str, value: &str) -> Result<(), EditError> {
        edit!(self.set_upstream_header(View::of(name.as_bytes()), View::of(value.as_bytes())))
    }

    /// Removes a header that this or an earlier callback set.
    ///
    /// # Errors
    /// [`EditError::NotFound`] if no callback has set it.
    pub fn remove_upstream_header(&mut self, name: &str) -> Result<(), EditError> {
        edit!(self.remove_upstream_header(View::of(name.as_bytes())))
    }

    /// Sets a parameter of the body to a JSON value, by dotted path as in [`CallView::param`].
    /// Missing objects on the path are created.
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `json` is not JSON; [`EditError::NotFound`] if the path names an
    /// array element that does not exist; [`EditError::WrongKind`] if the path leads through a
    /// value that is neither an object nor an array; [`EditError::NotAllowed`] for `model` and
    /// `messages`, which have their own accessors, and for `stream`; [`EditError::TooLarge`] if all
    /// edits of the body together exceed [`limits::BODY_EDITS`](crate::limits::BODY_EDITS).
    pub fn set_param(&mut self, path: &str, json: &str) -> Result<(), EditError> {
        edit!(self.set_param(View::of(path.as_bytes()), View::of(json.as_bytes())))
    }

    /// Removes a parameter, by dotted path.
    ///
    /// # Errors
    /// [`EditError::NotFound`] if the parameter does not exist; [`EditError::NotAllowed`] as for
    /// [`LlmCall::set_param`].
    pub fn remove_param(&mut self, path: &str) -> Result<(), EditError> {
        edit!(self.remove_param(View::of(path.as_bytes())))
    }

    /// Replaces a message's text. Images and tool calls of the message stay; several text parts
    /// become one.
    ///
    /// # Errors
    /// [`EditError::NotFound`] if there is no message at `index`; [`EditError::WrongKind`] if the
    /// body's messages cannot be read; [`EditError::TooLarge`] as for [`LlmCall::set_param`].
    pub fn set_message_text(&mut self, index: usize, text: &str) -> Result<(), EditError> {
        edit!(self.set_message_text(index, View::of(text.as_bytes())))
    }

    /// Replaces a whole message with a JSON object.
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `json` is not a message; else as for
    /// [`LlmCall::set_message_text`].
    pub fn set_message_json(&mut self, index: usize, json: &str) -> Result<(), EditError> {
        edit!(self.set_message_json(index, View::of(json.as_bytes())))
    }

    /// Inserts a text message before the message at `index`. With the number of messages as `index`
    /// it appends.
    ///
    /// # Errors
    /// [`EditError::NotFound`] if `index` is greater than the number of messages; else as for
    /// [`LlmCall::set_message_text`].
    pub fn insert_message(
        &mut self,
        index: usize,
        role: &str,
        text: &str,
    ) -> Result<(), EditError> {
        edit!(self.insert_message(index, View::of(role.as_bytes()), View::of(text.as_bytes())))
    }

    /// Appends a text message.
    ///
    /// # Errors
    /// See [`LlmCall::insert_message`].
    pub fn append_message(&mut self, role: &str, text: &str) -> Result<(), EditError> {
        self.insert_message(self.message_count(), role, text)
    }

    /// Removes a message.
    ///
    /// # Errors
    /// [`EditError::NotFound`] if there is no message at `index`; [`EditError::WrongKind`] if the
    /// body's messages cannot be read.
    pub fn remove_message(&mut self, index: usize) -> Result<(), EditError> {
        edit!(self.remove_message(index))
    }

    /// Replaces the whole body with another JSON object. Its `model` becomes the model name.
    /// `stream` keeps the client's value.
    ///
    /// # Errors
    /// [`EditError::NotJson`] if `body` is not a request; [`EditError::NotAllowed`] if it asks for
    /// a stream and the client did not; [`EditError::TooLarge`] as for [`LlmCall::set_param`].
    pub fn replace_body(&mut self, body: &[u8]) -> Result<(), EditError> {
        edit!(self.replace_body(View::of(body)))
    }
}
