//! The gateway's HTTP client, its requests and responses.

use super::HostError;
use crate::abi::{HostHandle, HttpVtRef, RawHeader, RawHttpRequest, RawHttpResponse, View};
use std::{fmt, future::Future, time::Duration};

/// The gateway's HTTP/1.1 client, with pooled connections, and the proxies and trusted certificates
/// that the operator has set for calls.
/// Requests run on the entry's background thread and never hold up calls. Await them in an async
/// hook (within the hook's timeout) or in a [`Task`](super::Task). A sync hook needs a task. The
/// host must be granted, by `grants: {http_hosts: [api.example.com]}` in the callback's entry or
/// by `needs` in the export for the callback's own variables. Redirects are not followed.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, HttpRequest, HttpResponse, InitError, LlmCall};
/// use plugin_api::testing::{TestCall, Tester};
///
/// struct Beacon(Host);
///
/// impl Callback for Beacon {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let (Some(http), Some(task)) = (self.0.http(), self.0.task()) else {
///             return Ok(Flow::Continue);
///         };
///         let request = HttpRequest::post("https://beacon.example/calls").body(call.id());
///         let _ = task.spawn(async move {
///             let _ = http.send(request).await;
///         });
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Beacon>(serde_json::json!({}))?;
/// tester.host().answer_http(|_| Ok(HttpResponse::new(204)));
/// tester.start(&mut TestCall::chat("gemma3"));
/// tester.host().run_tasks();
/// assert_eq!(tester.host().http_requests()[0].url(), "https://beacon.example/calls");
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Http {
    pub(super) raw: HostHandle,
    pub(super) vt: HttpVtRef,
}

impl Http {
    /// Sends a request and returns the whole response, whatever its status. Dropping the future
    /// cancels the request. While 64 requests of this instance are running, up to 1024 more wait
    /// for their turn, which counts towards their timeouts.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED): the host is not granted;
    /// [`INVALID`](super::HostErrorKind::INVALID): the method, URL or a header is not valid;
    /// [`TOO_LARGE`](super::HostErrorKind::TOO_LARGE): the response is larger than 8 MiB;
    /// [`FULL`](super::HostErrorKind::FULL): 64 requests of this instance are running and 1024
    /// wait; [`UNREACHABLE`](super::HostErrorKind::UNREACHABLE): the connection failed or broke;
    /// [`TIMEOUT`](super::HostErrorKind::TIMEOUT): the response did not arrive in time;
    /// [`ENDING`](super::HostErrorKind::ENDING): the gateway is shutting down.
    pub fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, HostError>> + Send + use<> {
        // SAFETY: as in `Host`; the request is given away.
        let sent = unsafe { (self.vt.request())(self.raw.ctx, request.into()) };
        async move { Ok(sent.await.into_result()?.into()) }
    }

    /// Returns whether a request to this URL may be sent: the URL is valid and its host is
    /// granted. In `new`, a callback that cannot work otherwise can refuse to start, and so fails
    /// in `callgate check`. In the [probe](crate::is_probe), every valid URL is permitted.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED), with the remedy in its text;
    /// [`INVALID`](super::HostErrorKind::INVALID): it is no `http://` or `https://` URL;
    /// [`NOT_SUPPORTED`](super::HostErrorKind::NOT_SUPPORTED): the gateway is older than 1.1.
    pub fn permits(&self, url: &str) -> Result<(), HostError> {
        let permits = self.vt.permits().ok_or_else(HostError::not_supported)?;
        // SAFETY: as in `Host`; the view lives until the call returns.
        let refused = unsafe { permits(self.raw.ctx, View::of(url.as_bytes())) };
        refused.into_option().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A request for [`Http::send`]. `Debug` shows no header values, no query and no body, because
/// they may be secret.
///
/// ```
/// use plugin_api::HttpRequest;
/// use std::time::Duration;
///
/// let request = HttpRequest::post("https://api.example.com/items")
///     .header("content-type", "application/json")
///     .body(r#"{"name": "x"}"#)
///     .timeout(Duration::from_secs(2));
/// assert_eq!(request.method(), "POST");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

impl HttpRequest {
    /// Creates a `GET` request for an `http://` or `https://` URL.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Creates a `POST` request to an `http://` or `https://` URL.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// Creates a request with any method but `CONNECT`.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url) = (method.into(), url.into());
        Self { method, url, headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Adds a header. The client sets `Host`, `Content-Length` and connection headers itself; with
    /// one of them the request is not valid.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets how long the request may take, until the end of the response. The default is 10 s, the
    /// maximum 5 minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the headers, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns the body.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the timeout, if one was set.
    #[must_use]
    pub fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns the body and consumes the request.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// Leaves out header values, query and body, because they may be secret.
impl fmt::Debug for HttpRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        out.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("headers", &names)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The response to [`Http::send`], of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in lower case. Headers whose value is not visible ASCII are left
    /// out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// Creates an empty response, for a test's script.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns whether the status is 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the value of the first header with this name. Case does not matter.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn raw_headers(headers: Vec<(String, String)>) -> impl Iterator<Item = RawHeader> {
    headers.into_iter().map(|(name, value)| RawHeader { name: name.into(), value: value.into() })
}

fn headers(raw: impl IntoIterator<Item = RawHeader>) -> Vec<(String, String)> {
    raw.into_iter().map(|header| (header.name.into(), header.value.into())).collect()
}

impl From<HttpRequest> for RawHttpRequest {
    fn from(request: HttpRequest) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            method: request.method.into(),
            url: request.url.into(),
            headers: raw_headers(request.headers).collect(),
            body: request.body.into(),
            timeout_ms: request.timeout.map_or(0, millis),
        }
    }
}

impl From<RawHttpRequest> for HttpRequest {
    fn from(raw: RawHttpRequest) -> Self {
        Self {
            method: raw.method.into(),
            url: raw.url.into(),
            headers: headers(raw.headers),
            body: raw.body.into(),
            timeout: (raw.timeout_ms > 0).then(|| Duration::from_millis(raw.timeout_ms)),
        }
    }
}

impl From<HttpResponse> for RawHttpResponse {
    fn from(response: HttpResponse) -> Self {
        Self {
            status: response.status.into(),
            headers: raw_headers(response.headers).collect(),
            body: response.body.into(),
        }
    }
}

impl From<RawHttpResponse> for HttpResponse {
    fn from(raw: RawHttpResponse) -> Self {
        Self {
            status: u16::try_from(raw.status).unwrap_or_default(),
            headers: headers(raw.headers),
            body: raw.body.into(),
        }
    }
}
