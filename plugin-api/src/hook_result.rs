//! What a hook and a constructor return.

use crate::abi::{RawRejection, View, ViewPair};
use std::{fmt, time::Duration};

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
    /// A stream that the callback produces: see
    /// [`LlmCall::reply_stream`](crate::LlmCall::reply_stream).
    Stream(ReplyStream),
}

/// A stream that a callback produces, as the answer of `on_llm_start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyStream(pub(crate) ());

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

    /// Lends it to `take` in the form that crosses the boundary.
    pub(crate) fn lend(&self, take: impl FnOnce(RawRejection)) {
        let view = |text: &str| View::of(text.as_bytes());
        let pair =
            |(name, value): &(String, String)| ViewPair { name: view(name), value: view(value) };
        let headers: Vec<ViewPair> = self.headers.iter().map(pair).collect();
        let wait = self.retry_after.map(|wait| wait.as_nanos().div_ceil(1_000_000));
        take(RawRejection {
            status: self.status.into(),
            retry_after_ms: wait
                .map_or(u64::MAX, |wait| u64::try_from(wait).unwrap_or(u64::MAX - 1)),
            code: View::of_option(self.code.as_deref()),
            message: view(&self.message),
            headers: headers.as_ptr(),
            headers_len: headers.len(),
        });
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
