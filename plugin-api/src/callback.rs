//! What an author implements, and what a hook may answer.

use crate::{CallView, Chunk, Host, LlmCall, LlmFailure, LlmReply};
use serde::de::DeserializeOwned;
use std::{fmt, future::Future, time::Duration};

/// What a hook returns: go on, answer, refuse, or report that it broke.
pub type Hook = Result<Flow, HookError>;

/// A hook's answer when nothing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// Go on: the next callback, then the upstream.
    Continue,
    /// Answer the call here (a cache hit, a canned text). Only in `on_llm_start`; the callbacks
    /// behind this one and the upstream are not asked.
    Reply(Reply),
    /// What the default bodies return; the same as [`Flow::Continue`].
    #[doc(hidden)]
    NotImplemented,
}

/// Why a hook does not let the call go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookError {
    /// A decision: the client gets exactly this. Not counted as a fault.
    Reject(Rejection),
    /// The callback broke. What the client sees is the operator's choice (`on_error`); the text
    /// goes to the log, never to the client.
    Internal(String),
}

impl From<Rejection> for HookError {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl HookError {
    /// A fault from anything that can be printed: `.map_err(HookError::internal)?`.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}

/// An answer given by a callback instead of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The assistant's text; the gateway builds the reply or the stream around it.
    Text(String),
    /// A whole `chat.completion` object; for a streaming client its text is sent as one chunk.
    Json(String),
}

/// A refusal, as the client gets it: OpenAI's error object with this status.
///
/// ```
/// use plugin_api::Rejection;
/// use std::time::Duration;
///
/// let refusal = Rejection::new(429, "90 requests per minute are used up")
///     .code("rate_limit_exceeded")
///     .retry_after(Duration::from_secs(12));
/// assert_eq!(refusal.status, 429);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// 400 to 599; for anything else 500 is sent, and the log says so.
    pub status: u16,
    /// The error object's `code`; the status when `None`.
    pub code: Option<String>,
    /// What happened and what to do, for the client's developer.
    pub message: String,
    /// Sent as `Retry-After`, in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
    /// Further response headers; invalid names or values are left out with a warning.
    pub headers: Vec<(String, String)>,
}

impl Rejection {
    /// A refusal with a status (400 to 599) and a message.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), retry_after: None, headers: Vec::new() }
    }

    /// Sets the error object's `code`.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Tells the client when a retry may pass.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Why an instance cannot be made from its settings; stops the gateway's start with this text,
/// the callback's name and the place in the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError(pub String);

impl InitError {
    /// An error from anything that can be printed.
    pub fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for InitError {}

/// A callback whose hooks answer at once. This is the usual kind: a hook costs nanoseconds.
///
/// # Rules
/// - **Threads**: one instance serves all calls; hooks run concurrently on the gateway's own
///   threads. State needs `Mutex` or atomics, or better the host's [counters](Host::counters).
/// - **Never block**: no I/O, no sleeping, no long loop: every call on that thread waits. A hook
///   over 1 ms is counted and logged by name. Use [`AsyncCallback`] to wait for something, and a
///   [task](Host::task) for what no call has to wait for. An operator may give a callback threads
///   of its own (`mode: blocking`): then its hooks may block up to its `timeout`; what a hook does
///   after that changes nothing, and is a fault.
/// - **Lifetimes**: what an accessor returns is valid until the next editing accessor or the end
///   of the hook; the borrow checker enforces it. Copy what must live longer.
/// - **Panics** are caught: the call ends as the operator's `on_error` says and the instance is
///   made anew. Calls in flight end with the instance they started with, so two may live at once;
///   one that cannot be made anew fails every call until it can. A panic in `Drop` of what is being
///   unwound ends the process.
/// - **Exactly once**: a callback whose `on_llm_start` let a call pass gets exactly one
///   `on_llm_end` or `on_llm_error` for it, also when the client hangs up. A callback that refuses
///   or breaks in `on_llm_start` itself gets neither.
/// - **Order**: every hook runs in the order of the config's list; later callbacks see the edits
///   of earlier ones.
///
/// ```
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall};
///
/// struct ShortPromptsGoLocal { limit: usize }
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Settings { limit: usize }
///
/// impl Callback for ShortPromptsGoLocal {
///     type Settings = Settings;
///
///     fn new(_host: Host, settings: Settings) -> Result<Self, InitError> {
///         Ok(Self { limit: settings.limit })
///     }
///
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         if call.prompt_len() <= self.limit {
///             call.set_model("gemma3")?;
///         }
///         Ok(Flow::Continue)
///     }
/// }
/// ```
pub trait Callback: Send + Sync + Sized + 'static {
    /// What the config gives this callback, from `callback_settings.<name>` or inline. Deny
    /// unknown fields, so that an operator's typo is told and not ignored.
    type Settings: DeserializeOwned;

    /// Makes an instance. Runs once at start, may block, may fail: the text reaches the operator.
    /// Runs once more, in a process of its own, when the plugin or its settings are new
    /// ([`crate::is_probe`]).
    ///
    /// # Errors
    /// When the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// After authentication and parsing, before a deployment is chosen.
    ///
    /// # Errors
    /// See [`HookError`].
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let _ = call;
        Ok(Flow::NotImplemented)
    }

    /// For each streamed chunk, before it goes to the client.
    ///
    /// # Errors
    /// `Reject` ends the stream with an error frame.
    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        let _ = (call, chunk);
        Ok(Flow::NotImplemented)
    }

    /// When the answer is complete: a JSON reply before it is sent, a stream after its last chunk.
    ///
    /// # Errors
    /// `Reject` replaces a JSON reply by the error; after a stream it is only logged.
    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let _ = (call, reply);
        Ok(Flow::NotImplemented)
    }

    /// When the call failed after this callback's start hook let it pass.
    ///
    /// # Errors
    /// `Reject` replaces the error, while nothing has been sent.
    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        let _ = (call, failure);
        Ok(Flow::NotImplemented)
    }

    /// Told once, before the instance is dropped: no new call will come. May block. From now on its
    /// [tasks](Host::task) have 5 seconds to come to their end.
    fn shutdown(&self) {}
}

/// A callback whose hooks may wait.
///
/// The rules of [`Callback`] hold, and: there is **no tokio in a plugin** (a shared object has its
/// own dead copy), so nothing that needs a runtime can be awaited; what a callback wakes itself,
/// from a thread of its own, can. So can the host's services that wait: its
/// [HTTP client](Host::http) and its [timer](Host::timer). A hook that is not done within the
/// callback's `timeout` is dropped and counted as a fault; it is dropped too when the client goes.
///
/// ```
/// use plugin_api::{AsyncCallback, Flow, Hook, Host, InitError, LlmCall};
///
/// struct Nothing;
///
/// impl AsyncCallback for Nothing {
///     type Settings = serde_json::Value;
///
///     fn new(_host: Host, _settings: Self::Settings) -> Result<Self, InitError> {
///         Ok(Self)
///     }
///
///     async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         call.set_metadata("seen", "yes")?;
///         Ok(Flow::Continue)
///     }
/// }
/// ```
pub trait AsyncCallback: Send + Sync + Sized + 'static {
    /// As [`Callback::Settings`].
    type Settings: DeserializeOwned;

    /// As [`Callback::new`].
    ///
    /// # Errors
    /// When the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// As [`Callback::on_llm_start`].
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> impl Future<Output = Hook> + Send {
        let _ = call;
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// As [`Callback::on_llm_new_token`].
    fn on_llm_new_token(
        &self,
        call: &mut CallView<'_>,
        chunk: &mut Chunk<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, chunk);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// As [`Callback::on_llm_end`].
    fn on_llm_end(
        &self,
        call: &mut CallView<'_>,
        reply: &mut LlmReply<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, reply);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// As [`Callback::on_llm_error`].
    fn on_llm_error(
        &self,
        call: &mut CallView<'_>,
        failure: &mut LlmFailure<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, failure);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// As [`Callback::shutdown`].
    fn shutdown(&self) {}
}
