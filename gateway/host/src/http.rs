//! The HTTP client for callbacks: hyper's pooled client, on the background thread, over the
//! connections that `upstream` makes. Calls have their own client there, because for them each
//! microsecond counts.

mod connect;

use super::permissions::Permissions;
use arc_swap::ArcSwap;
use bytes::Bytes;
use callgate_config::{HttpUrl, ProxyServer, UrlError};
use callgate_upstream::{Connector, USER_AGENT};
use connect::{PoolConnector, reads_requests};
use http::{
    Method, Request, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use plugin_api::{HostError, HostErrorKind, HttpRequest, HttpResponse};
use std::{
    error::Error,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

/// Names the gateways that a request has passed, and how deep a call is that it makes.
const HOP: HeaderName = HeaderName::from_static("x-callgate-hop");

const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(50);
const IDLE_PER_HOST: usize = 8;
const MAX_ANSWER: usize = 8 * 1024 * 1024;

type Pool = Client<PoolConnector, Full<Bytes>>;

/// The client of one entry. Its pool is created at the first request, and anew if a reload has
/// changed how servers are reached.
#[derive(Debug, Default)]
pub(super) struct HttpClient {
    connector: Arc<ArcSwap<Connector>>,
    pool: Mutex<Option<(Arc<Connector>, Pool)>>,
}

/// A request that passed the checks.
pub(super) struct Checked {
    request: Request<Full<Bytes>>,
    url: HttpUrl,
    timeout: Duration,
}

fn refuse(kind: HostErrorKind, text: impl Into<String>) -> HostError {
    HostError::new(kind, text)
}

impl HttpClient {
    pub(super) fn new(connector: Arc<ArcSwap<Connector>>) -> Self {
        Self { connector, ..Self::default() }
    }

    /// Sends a request when it is its turn, and reads the whole response.
    pub(super) async fn send(
        self: Arc<Self>,
        checked: Checked,
        turns: &Semaphore,
    ) -> Result<HttpResponse, HostError> {
        let Checked { request, url, timeout } = checked;
        let (ends, millis) = (Instant::now() + timeout, timeout.as_millis());
        let late = |text| Err(refuse(HostErrorKind::TIMEOUT, text));
        let Ok(_turn) = timeout_at(ends, turns.acquire()).await else {
            return late(format!(
                "it waited {millis} ms for its turn, because too many requests run"
            ));
        };
        match timeout_at(ends, self.exchange(request, &url)).await {
            Ok(answer) => answer,
            Err(_) => late(format!("`{}` did not answer within {millis} ms", url.host())),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Full<Bytes>>,
        url: &HttpUrl,
    ) -> Result<HttpResponse, HostError> {
        let host = url.host();
        let broken = |error: &(dyn Error + 'static)| {
            refuse(HostErrorKind::UNREACHABLE, format!("no answer of `{host}`: {}", causes(error)))
        };
        let connector = self.connector.load_full();
        let proxy = connector.proxies().proxy_for(url);
        let reader = proxy.filter(|_| reads_requests(&connector, url));
        reader.into_iter().for_each(|proxy| authorize(&mut request, proxy));
        let answer = self.pool(&connector).request(request).await;
        let (head, body) = answer.map_err(|error| broken(&error))?.into_parts();
        if let Some(proxy) = reader
            && head.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            let text = format!(
                "no answer of `{host}`: the proxy {} refuses the request for want of credentials",
                proxy.address()
            );
            return Err(refuse(HostErrorKind::UNREACHABLE, text));
        }
        let body = match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let text = format!("`{host}` answered with more than {MAX_ANSWER} bytes");
                return Err(refuse(HostErrorKind::TOO_LARGE, text));
            }
            Err(error) => return Err(broken(&*error)),
        };
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let named = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), text(value)?))
        };
        let mut response = HttpResponse::new(head.status.as_u16()).with_body(body);
        response.headers = head.headers.iter().filter_map(named).collect();
        Ok(response)
    }

    /// The pool for this connector. Another connector's connections are not used any more.
    fn pool(&self, connector: &Arc<Connector>) -> Pool {
        let mut kept = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, pool)) = &*kept
            && Arc::ptr_eq(of, connector)
        {
            return pool.clone();
        }
        let pool: Pool = builder().build(PoolConnector(Arc::clone(connector)));
        *kept = Some((Arc::clone(connector), pool.clone()));
        pool
    }
}

/// Adds the credentials for a proxy that reads the request.
fn authorize(request: &mut Request<Full<Bytes>>, proxy: &ProxyServer) {
    if let Ok(mut value) = HeaderValue::from_str(proxy.authorization())
        && !value.is_empty()
    {
        value.set_sensitive(true);
        request.headers_mut().insert(PROXY_AUTHORIZATION, value);
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new());
    builder.pool_idle_timeout(IDLE).pool_max_idle_per_host(IDLE_PER_HOST);
    builder
}

fn invalid(text: &str) -> HostError {
    refuse(HostErrorKind::INVALID, text)
}

/// A URL to which requests may be sent.
pub(super) fn permitted(url: &str, may: &Permissions) -> Result<HttpUrl, HostError> {
    let url = HttpUrl::parse(url).map_err(|error| {
        invalid(match error {
            UrlError::Scheme(_) => "expected an `http://` or `https://` URL, found another scheme",
            UrlError::Credentials => "expected a URL without a user; use an `authorization` header",
            UrlError::NotUrl | UrlError::Query => {
                "expected an `http://` or `https://` URL, found something else"
            }
        })
    })?;
    let (host, port) = (url.host(), url.port());
    if !may.reach(host, port) {
        let text = format!(
            "`{host}:{port}` is not granted to this callback; add it to `grants.http_hosts` of its entry"
        );
        return Err(refuse(HostErrorKind::NOT_GRANTED, text));
    }
    Ok(url)
}

/// Checks a request before anything is sent.
/// `hop` tells this gateway that the request is its own, should it come back.
pub(super) fn check(
    request: HttpRequest,
    hop: &str,
    may: &Permissions,
) -> Result<Checked, HostError> {
    let url = permitted(request.url(), may)?;
    let method = Method::from_bytes(request.method().as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| invalid("expected a method such as `POST`, found something else"))?;
    let timeout = request.own_timeout().unwrap_or(TIMEOUT).min(LONGEST);
    let mut headers = headers(request.headers())?;
    if let Ok(hop) = HeaderValue::from_str(hop) {
        headers.append(HOP, hop);
    }
    let mut sent = Request::new(Full::new(Bytes::from(request.into_body())));
    *sent.method_mut() = method;
    *sent.uri_mut() = url.clone().into_uri();
    *sent.headers_mut() = headers;
    Ok(Checked { request: sent, url, timeout })
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, HostError> {
    const CLIENTS: [&str; 6] =
        ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
    let mut headers = HeaderMap::with_capacity(given.len() + 1);
    for (name, value) in given {
        let pair =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::try_from(value).ok());
        // Neither is repeated: a value may be secret, and an invalid name may be, too.
        let (name, value) = pair.ok_or_else(|| {
            refuse(
                HostErrorKind::INVALID,
                "expected a header's name and value, found another character",
            )
        })?;
        if CLIENTS.contains(&name.as_str()) {
            let text = format!("the header `{name}` is the client's own; leave it out");
            return Err(refuse(HostErrorKind::INVALID, text));
        }
        headers.append(name, value);
    }
    let agent = headers.entry(http::header::USER_AGENT);
    agent.or_insert(HeaderValue::from_static(USER_AGENT));
    Ok(headers)
}

/// An error with its causes; hyper's own message alone says little.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_judged_before_anything_is_sent() {
        let may = Permissions::for_hosts(&["a.example", "b.example:8443", "*.c.example"]);
        let ok = None;
        let (invalid, denied) = (Some(HostErrorKind::INVALID), Some(HostErrorKind::NOT_GRANTED));
        for (url, expected) in [
            ("https://a.example/x?y", ok),
            ("http://A.EXAMPLE:81", ok),
            ("https://b.example:8443/", ok),
            ("https://b.example/", denied),
            ("https://x.c.example", ok),
            ("https://c.example", denied),
            ("https://evila.example", denied),
            ("https://a.example@evil.example/", invalid),
            ("https://a.example.evil.example/", denied),
            ("ftp://a.example", invalid),
            ("a.example", invalid),
            ("/path", invalid),
            ("", invalid),
            ("https://[::1]:1/", denied),
        ] {
            let checked = check(HttpRequest::get(url), "", &may);
            assert_eq!(checked.err().map(|error| error.kind), expected, "{url}");
        }
        for (name, value) in [("a b", "c"), ("a", "b\r\nx: y"), ("Host", "x"), ("Connection", "x")]
        {
            let request = HttpRequest::get("http://a.example").header(name, value);
            let error = check(request, "", &may).err().expect("refused");
            assert_eq!(error.kind, HostErrorKind::INVALID);
            assert!(!error.message.contains("x: y"));
        }
        let connect = HttpRequest::new("CONNECT", "http://a.example");
        assert!(check(connect, "", &may).is_err());
    }
}
