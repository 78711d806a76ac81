//! The HTTP client for callbacks: hyper's pooled client, on the background thread. Calls have their
//! own client (`upstream`), because there each microsecond counts.

use super::permissions::Permissions;
use bytes::Bytes;
use callgate_config::{HttpUrl, UrlError};
use callgate_upstream::{NoTls, Tls, USER_AGENT};
use http::{
    Method, Request,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use plugin_api::{HostError, HostErrorKind, HttpRequest, HttpResponse};
use rustls::ClientConfig;
use std::{
    error::Error,
    fmt::Write as _,
    sync::{Arc, OnceLock},
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
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(50);
const IDLE_PER_HOST: usize = 8;
const MAX_ANSWER: usize = 8 * 1024 * 1024;

type Pool = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;
type PlainPool = Client<HttpConnector, Full<Bytes>>;

/// The client of one entry. Its pools are created at the first request.
#[derive(Debug, Default)]
pub(super) struct HttpClient {
    tls: Arc<Tls>,
    plain: OnceLock<PlainPool>,
    secure: OnceLock<Pool>,
}

/// A request that passed the checks.
pub(super) struct Checked {
    request: Request<Full<Bytes>>,
    host: String,
    timeout: Duration,
}

fn refuse(kind: HostErrorKind, text: impl Into<String>) -> HostError {
    HostError::new(kind, text)
}

impl HttpClient {
    pub(super) fn new(tls: Arc<Tls>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// Sends a request when it is its turn, and reads the whole response.
    pub(super) async fn send(
        self: Arc<Self>,
        checked: Checked,
        turns: &Semaphore,
    ) -> Result<HttpResponse, HostError> {
        let Checked { request, host, timeout } = checked;
        let (ends, millis) = (Instant::now() + timeout, timeout.as_millis());
        let late = |text| Err(refuse(HostErrorKind::TIMEOUT, text));
        let Ok(_turn) = timeout_at(ends, turns.acquire()).await else {
            return late(format!(
                "it waited {millis} ms for its turn, because too many requests run"
            ));
        };
        match timeout_at(ends, self.exchange(request, &host)).await {
            Ok(answer) => answer,
            Err(_) => late(format!("`{host}` did not answer within {millis} ms")),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        host: &str,
    ) -> Result<HttpResponse, HostError> {
        let broken = |error: &(dyn Error + 'static)| {
            refuse(HostErrorKind::UNREACHABLE, format!("no answer of `{host}`: {}", causes(error)))
        };
        let answer = if request.uri().scheme_str() == Some("https") {
            let unusable = |error: NoTls| refuse(HostErrorKind::UNREACHABLE, error.to_string());
            let pool = self.secure_pool(|| self.tls.config()).map_err(unusable)?;
            pool.request(request).await
        } else {
            self.plain.get_or_init(|| builder().build(connector())).request(request).await
        };
        let (head, body) = answer.map_err(|error| broken(&error))?.into_parts();
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

    /// Only a pool is kept: a lack of descriptors may be over at the next request.
    fn secure_pool(
        &self,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, NoTls>,
    ) -> Result<&Pool, NoTls> {
        if let Some(pool) = self.secure.get() {
            return Ok(pool);
        }
        let mut config = (*tls()?).clone();
        // The connector below sets its own.
        config.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(connector());
        Ok(self.secure.get_or_init(|| builder().build(connector)))
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
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
    let host = url.host().to_owned();
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
    *sent.uri_mut() = url.into_uri();
    *sent.headers_mut() = headers;
    Ok(Checked { request: sent, host, timeout })
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

    /// Settings as `Tls` makes them, apart from the trusted certificates.
    fn settings() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let roots = rustls::RootCertStore::empty();
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    #[test]
    fn the_pool_for_tls_is_made_once_and_a_failure_is_not_remembered() {
        let client = HttpClient::default();
        let short = || Err(NoTls::Descriptors(std::io::ErrorKind::Other.into()));
        let error = client.secure_pool(short).unwrap_err().to_string();
        assert!(error.contains("the trusted certificates cannot be read"), "{error}");
        let none = || Err(NoTls::Never("no trusted certificates".to_owned()));
        let error = client.secure_pool(none).unwrap_err().to_string();
        assert_eq!(error, "no trusted certificates");
        let first: *const Pool = client.secure_pool(|| Ok(settings())).unwrap();
        let second = client.secure_pool(|| panic!("made a second time")).unwrap();
        assert!(std::ptr::eq(first, second));
    }

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
