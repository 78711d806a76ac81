//! HTTP requests through the gateway's client.

use super::HostError;
use crate::abi::{HostHandle, HttpVtRef, RawHeader, RawHttpRequest, RawHttpResponse};
use std::{fmt, future::Future, time::Duration};

/// The gateway's HTTP client: pooled connections, TLS by the system's certificates, HTTP/1.1.
/// It runs on the entry's background thread, so a request never sits on a call's worker, and its
/// futures may be awaited anywhere: in an async hook (within that hook's limit), or in a
/// [`Task`](super::Task), which is the only way from a sync hook.
///
/// A host must be granted: `grants: {http_hosts: [api.example.com]}` in the callback's entry, or by
/// the manifest's `needs` for the callback's own variables. Redirects are not followed.
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
    /// Sends a request and reads the whole answer, whatever its status. Dropping the future gives
    /// the request up.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED): the host;
    /// [`INVALID`](super::HostErrorKind::INVALID): method, URL or a header;
    /// [`TOO_LARGE`](super::HostErrorKind::TOO_LARGE): an answer above 8 MiB;
    /// [`FULL`](super::HostErrorKind::FULL): 64 requests of this callback are under way;
    /// [`UNREACHABLE`](super::HostErrorKind::UNREACHABLE),
    /// [`TIMEOUT`](super::HostErrorKind::TIMEOUT), [`ENDING`](super::HostErrorKind::ENDING).
    pub fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpResponse, HostError>> + Send + use<> {
        // SAFETY: as in `Host`; the request is given away.
        let sent = unsafe { (self.vt.request())(self.raw.ctx, request.into()) };
        async move { Ok(sent.await.into_result()?.into()) }
    }
}

/// A request for [`Http::send`].
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout: Option<Duration>,
}

impl HttpRequest {
    /// A `GET` of an `http://` or `https://` URL.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A `POST` to an `http://` or `https://` URL.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A request with another method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let (method, url) = (method.into(), url.into());
        Self { method, url, headers: Vec::new(), body: Vec::new(), timeout: None }
    }

    /// Adds a header. `Host`, `Content-Length` and the connection's own are the client's.
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

    /// How long all of it may take, to the end of the answer: 10 s unless said, at most 5 minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The headers, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// The timeout, if it has its own.
    #[must_use]
    pub fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The body, moved out.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// Without header values, query and body: they may be secret.
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

/// An answer to [`Http::send`], of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// An empty answer, for a test's script.
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

    /// Whether the status is one of success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, in any case.
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
