//! The traits that an author implements, and the results of a hook.

use crate::{CallView, Chunk, Host, LlmCall, LlmFailure, LlmReply};
use serde::de::DeserializeOwned;
use std::{fmt, future::Future, time::Duration};

/// The result of a hook: continue, answer the call, reject it, or report a fault.
pub type Hook = Result<Flow, HookError>;

/// The result of a hook that neither rejects the call nor fails.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// Continue with the next callback, then with the upstream or the client.
    Continue,
    /// Answer the call with this reply, for example from a cache. Later callbacks do not see the
    /// call and no upstream is called. Only `on_llm_start` may return it; in another hook it is a
    /// fault.
    Reply(Reply),
    /// Returned by the default bodies. The gateway treats it as [`Flow::Continue`].
    #[doc(hidden)]
    NotImplemented,
}

/// The reason why a hook stops a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookError {
    /// A decision of the callback: the client gets exactly this rejection. It is not a fault, and
    /// never opens the breaker.
    Reject(Rejection),
    /// A fault: the callback failed. The operator's `on_error` decides whether the call continues.
    /// The text goes to the log, never to the client, and is cut at
    /// [`limits::MESSAGE`](crate::limits::MESSAGE).
    Internal(String),
}

impl From<Rejection> for HookError {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(rejection)
    }
}

impl HookError {
    /// Makes a fault from any printable error: `.map_err(HookError::internal)?`.
    pub fn internal(error: impl fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A callback's own answer to a call, sent in place of an upstream's. Its text may have up to
/// [`limits::ANSWER`](crate::limits::ANSWER) bytes; a longer one is a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The assistant's text. The gateway builds the completion or the stream around it.
    Text(String),
    /// A whole `chat.completion` object as JSON. A client that asked for a stream gets all its
    /// choices as chunks. Anything other than a completion is a fault.
    Json(String),
}

/// A rejection: the client gets OpenAI's error object with this status.
///
/// ```
/// use plugin_api::Rejection;
/// use std::time::Duration;
///
/// let rejection = Rejection::new(429, "90 requests per minute are used up")
///     .code("rate_limit_exceeded")
///     .retry_after(Duration::from_secs(12));
/// assert_eq!(rejection.status, 429);
/// assert_eq!(rejection.code.as_deref(), Some("rate_limit_exceeded"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status, 400 to 599. For any other number the client gets a 500, and the log has a
    /// warning.
    pub status: u16,
    /// The error object's `code`. `None` stands for the status as a text.
    pub code: Option<String>,
    /// The error object's `message`, for the client's developer: what happened, and what to do. Cut
    /// at [`limits::MESSAGE`](crate::limits::MESSAGE).
    pub message: String,
    /// The time to wait before a retry. The client gets it as `Retry-After`, rounded up to whole
    /// seconds.
    pub retry_after: Option<Duration>,
    /// Further response headers. Headers with an invalid name or value are left out with a warning.
    pub headers: Vec<(String, String)>,
}

impl Rejection {
    /// Creates a rejection with a status (400 to 599) and a message.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, code: None, message: message.into(), retry_after: None, headers: Vec::new() }
    }

    /// Sets the error object's `code`.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Sets the time after which a retry may pass.
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

/// The reason why an instance cannot be made. The gateway refuses to start and reports this text
/// with the callback's name and its place in the config. (Under `required: false` it warns and
/// leaves the callback out.)
///
/// If the text begins with the path of a setting (`limits[0].per: expected …`), the gateway reports
/// it at that setting's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitError(pub String);

impl InitError {
    /// Creates an error from anything printable.
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

/// A callback with sync hooks. This is the usual kind: calling a hook costs nanoseconds.
///
/// # Rules
/// - **Threads**: one instance serves all calls, and its hooks run concurrently on the gateway's
///   threads. Data that changes needs a `Mutex`, an atomic or the host's
///   [counters](Host::counters).
/// - **Never block**: a hook does no I/O, does not sleep and runs no long loop, because every call
///   on its thread waits. A hook that takes more than 1 ms is counted and logged by name. Use
///   [`AsyncCallback`] to wait for something, and a [task](Host::task) for work that no call needs
///   to wait for. An operator can give a callback threads of its own (`mode: blocking`). Its hooks
///   may then block for up to the entry's `timeout`; a hook that takes longer is a fault, and its
///   changes are dropped.
/// - **Lifetimes**: a value that an accessor returns is valid until the next edit or the end of the
///   hook. The borrow checker enforces this. Copy values that you need longer.
/// - **Panics** are caught. The call ends as the operator's `on_error` says, and the gateway makes
///   a new instance. Calls in flight keep the instance they started with, so two may exist at once.
///   As long as no new instance can be made, every hook is a fault. A panic in a `Drop` during
///   unwinding ends the process.
/// - **Exactly once**: a callback whose `on_llm_start` let a call pass gets exactly one
///   `on_llm_end` or `on_llm_error` for it, also if the client disconnects. A callback that rejects
///   the call or fails in `on_llm_start` gets neither.
/// - **Order**: every hook runs in the order of the config's list, and later callbacks see the
///   edits of earlier ones.
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
    /// The settings, deserialized from the entry's `settings` or from `callback_settings.<name>`.
    /// Deny unknown fields, so that a misspelt setting is an error.
    type Settings: DeserializeOwned;

    /// Makes an instance. The gateway calls it when it loads the config, and again after a panic.
    /// It may block. If the plugin or its settings are new, it also runs in a child process first:
    /// see [`is_probe`](crate::is_probe).
    /// # Errors
    /// Returns an [`InitError`] if the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// Runs after authentication and parsing, before a deployment is chosen. It may change the
    /// call, answer it or reject it.
    ///
    /// # Errors
    /// Both kinds of [`HookError`] end the call, a fault only under `on_error: fail`. No upstream
    /// is called.
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let _ = call;
        Ok(Flow::NotImplemented)
    }

    /// Runs for each streamed chunk, before the client gets it. It may change or drop the chunk.
    ///
    /// # Errors
    /// [`HookError::Reject`] ends the stream with an error frame; the client keeps the chunks that
    /// were sent before.
    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        let _ = (call, chunk);
        Ok(Flow::NotImplemented)
    }

    /// Runs when the answer is complete: before a JSON reply is sent, or after the last chunk of a
    /// stream. It may change a JSON reply.
    ///
    /// # Errors
    /// [`HookError::Reject`] replaces a JSON reply with the error. After a stream it is only
    /// logged.
    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        let _ = (call, reply);
        Ok(Flow::NotImplemented)
    }

    /// Runs when a call failed that this callback's start hook let pass. It may change the error
    /// until something has been sent.
    ///
    /// # Errors
    /// [`HookError::Reject`] replaces the error, unless something has been sent already.
    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        let _ = (call, failure);
        Ok(Flow::NotImplemented)
    }

    /// Runs once before the instance is dropped, when it will get no new call. It may block. The
    /// instance's [tasks](Host::task) have 5 s to end from then on.
    fn shutdown(&self) {}
}

/// A callback with async hooks, which may wait for something.
/// The rules of [`Callback`] apply. In addition:
///
/// - **No tokio runtime**: a plugin has its own copy of tokio, and no runtime runs in it. Await the
///   host's [HTTP client](Host::http) and [timer](Host::timer), or futures that your own threads
///   wake.
/// - **Timeouts**: a hook that takes longer than the entry's `timeout` (2 s by default, 50 ms for a
///   chunk) is dropped at its `.await`, and counts as a fault.
/// - **Cancellation**: a hook is also dropped when its client disconnects. Code after the `.await`
///   does not run.
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
    /// See [`Callback::Settings`].
    type Settings: DeserializeOwned;

    /// See [`Callback::new`].
    /// # Errors
    /// Returns an [`InitError`] if the settings cannot work.
    fn new(host: Host, settings: Self::Settings) -> Result<Self, InitError>;

    /// See [`Callback::on_llm_start`].
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> impl Future<Output = Hook> + Send {
        let _ = call;
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_new_token`].
    fn on_llm_new_token(
        &self,
        call: &mut CallView<'_>,
        chunk: &mut Chunk<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, chunk);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_end`].
    fn on_llm_end(
        &self,
        call: &mut CallView<'_>,
        reply: &mut LlmReply<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, reply);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::on_llm_error`].
    fn on_llm_error(
        &self,
        call: &mut CallView<'_>,
        failure: &mut LlmFailure<'_>,
    ) -> impl Future<Output = Hook> + Send {
        let _ = (call, failure);
        std::future::ready(Ok(Flow::NotImplemented))
    }

    /// See [`Callback::shutdown`].
    fn shutdown(&self) {}
}
