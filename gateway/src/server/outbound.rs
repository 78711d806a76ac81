//! What goes to an upstream beside the body, and what its answer's head means here.

use super::{
    access_log::Record,
    request::{CALL_ID, HOP},
};
use crate::{
    call::{Call, Target},
    deployments::{Deployment, Setting},
    failure::Failure,
    provider::Echo,
    telemetry::decimal,
    upstream::{Answer, CONNECT_TIMEOUT, Headers, Lines, Origin, TlsFault, UpstreamError},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use plugin_api::FailureKind;
use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

/// An error reply is read up to here; more of it helps nobody.
const MAX_ERROR_BODY: usize = 256 * 1024;

/// Headers of an answer that clients act on: limits, and the id support asks for.
const PASSED_ON: [HeaderName; 7] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
    HeaderName::from_static("x-request-id"),
];

const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const API_BASE: HeaderName = HeaderName::from_static("x-litellm-model-api-base");
const GATEWAY_VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const ATTEMPTED_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const ATTEMPTED_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");

/// What is known of the chosen way when the answer is sent.
pub(super) struct Sent {
    pub(super) target: Target,
    pub(super) echo: Echo,
    /// The client asked for the usage chunk.
    pub(super) include_usage: bool,
    pub(super) timeout: Duration,
    pub(super) started: Instant,
}

/// A variable the config names and the environment lacks.
pub(super) fn missing_variable(model: &str, variable: &str) -> Failure {
    Failure::new(
        FailureKind::INVALID,
        500,
        format!(
            "model `{model}` needs the environment variable `{variable}`, which is not set where \
             this gateway runs"
        ),
    )
    .code("missing_variable")
}

/// The header lines of a request.
pub(super) fn request_lines(hop: &str, call: &Call, target: &Target, url: &str) -> Lines {
    let configured = call.upstream_headers.is_empty()
        && target.callback_base().is_none()
        && !target.has_callback_key();
    let mut lines = if configured {
        let lines = &target.deployment().request_lines;
        Lines::beginning(
            lines.get_or_init(|| deployment_lines(call, target, url).as_bytes().into()),
        )
    } else {
        deployment_lines(call, target, url)
    };
    match call.headers.get(HOP) {
        Some(before) => lines.add(HOP.as_str(), &[before.as_bytes(), b",", hop.as_bytes()]),
        None => lines.add(HOP.as_str(), &[hop.as_bytes()]),
    }
    lines
}

/// What every request to this deployment carries. What a callback sets wins over the config, and
/// the config over the gateway's own.
fn deployment_lines(call: &Call, target: &Target, url: &str) -> Lines {
    let deployment = target.deployment();
    let mut lines = Lines::beginning(&[]);
    let set_by_callback =
        |name: &str| call.upstream_headers.iter().any(|(set, _)| set.as_str() == name);
    let set_by_config =
        |name: &str| deployment.extra_headers.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    lines.add("content-type", &[b"application/json"]);
    if let Some(key) = target.api_key().filter(|_| !set_by_config("authorization")) {
        lines.add("authorization", &[b"Bearer ", key.expose().as_bytes()]);
    }
    let own = [("accept", "*/*"), ("user-agent", crate::USER_AGENT)];
    for (name, value) in own {
        if !set_by_callback(name) && !set_by_config(name) {
            lines.add(name, &[value.as_bytes()]);
        }
    }
    if let Setting::Set(organization) = &deployment.organization {
        lines.add("openai-organization", &[organization.as_bytes()]);
    }
    if url.contains("ngrok") && Origin::parse(url).is_some_and(|origin| origin.is_ngrok()) {
        lines.add("ngrok-skip-browser-warning", &[b"1"]);
    }
    for (name, value) in &deployment.extra_headers {
        if let Setting::Set(value) = value
            && !set_by_callback(&name.to_ascii_lowercase())
        {
            lines.add(name, &[value.expose().as_bytes()]);
        }
    }
    for (name, value) in &call.upstream_headers {
        lines.add(name.as_str(), &[value.as_bytes()]);
    }
    lines
}

/// The headers of the client's answer that come from the upstream's and from the config. Empty ones
/// keep the places of what is known later: a map that grows is made anew.
pub(super) fn answer_headers(sent: &Sent, upstream: &Headers) -> HeaderMap {
    let deployment = sent.target.deployment();
    let constant = deployment.answer_headers.get_or_init(|| deployment_headers(deployment));
    let mut headers = constant.clone();
    for name in PASSED_ON {
        if let Some(value) = upstream.get(name.as_str())
            && let Ok(value) = HeaderValue::from_bytes(value)
        {
            headers.insert(name, value);
        }
    }
    let mut replace = |name: HeaderName, text: &str| match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    };
    if let Some(base) = sent.target.callback_base() {
        replace(API_BASE, base);
    }
    // An alias, or a wildcard's match.
    if *sent.echo.model != *deployment.model_name {
        replace(MODEL_GROUP, &sent.echo.model);
    }
    headers
}

/// What every answer of this deployment says of it.
fn deployment_headers(deployment: &Deployment) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let base = deployment.api_base.set().map_or("", String::as_str);
    let texts = [
        (MODEL_ID, &*deployment.id),
        (API_BASE, base),
        (MODEL_GROUP, &*deployment.model_name),
        (GATEWAY_VERSION, env!("CARGO_PKG_VERSION")),
        (ATTEMPTED_RETRIES, "0"),
        (ATTEMPTED_FALLBACKS, "0"),
        (DURATION, ""),
        (OVERHEAD, ""),
        (CALL_ID, ""),
        (header::CONTENT_TYPE, ""),
    ];
    for (name, text) in texts {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    }
    headers
}

/// How long it took, and how much of that was ours.
pub(super) fn duration_headers(headers: &mut HeaderMap, record: &Record) {
    let total = record.took();
    let overhead = total.saturating_sub(record.upstream.unwrap_or_default());
    let mut text = Vec::with_capacity(24);
    let mut add = |duration: Duration| {
        let from = text.len();
        decimal(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), &mut text);
        from..text.len()
    };
    let places = [(DURATION, add(total)), (OVERHEAD, add(overhead))];
    let text = Bytes::from(text);
    for (name, place) in places {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(place)) {
            headers.insert(name, value);
        }
    }
}

/// No answer came.
pub(super) fn unreachable(error: &UpstreamError, sent: &Sent) -> Failure {
    let deployment = sent.target.deployment();
    let label = &deployment.label;
    let cause = error.to_string();
    if let UpstreamError::Timeout(limit) = error {
        let text = format!(
            "`{label}` did not answer within {} s; `timeout` and `stream_timeout` in the config \
             set how long to wait",
            limit.as_secs_f64()
        );
        return Failure::new(FailureKind::TIMEOUT, 504, text).code("timeout").cause(cause);
    }
    if error.lacks_descriptors() {
        let text = format!(
            "this gateway has no file descriptor left for a connection to `{label}`; raise the \
             limit of open files where it runs"
        );
        return Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 503, text)
            .code("out_of_descriptors")
            .cause(cause);
    }
    let base = sent.target.api_base();
    if let UpstreamError::ConnectTimeout { phase, .. } = error {
        let limit = CONNECT_TIMEOUT.as_secs();
        let text = format!(
            "cannot reach `{label}`: {phase} took longer than {limit} s, the limit for \
             connecting; is {base} the right address, and does it speak what its scheme says?"
        );
        return Failure::new(FailureKind::TIMEOUT, 504, text).code("timeout").cause(cause);
    }
    let text = match error {
        UpstreamError::Broken(error) if error.kind() == ErrorKind::InvalidData => format!(
            "`{label}` at {base} answered with something that is not HTTP/1.1; is its base URL \
             right, with the right scheme and port?"
        ),
        UpstreamError::ClosedIdle(_) => format!(
            "`{label}` closed an idle connection just as this call was sent on it; the gateway does \
             not repeat a call that may have been received, so send it again, or set \
             `callgate.upstream.idle_timeout` below the time after which `{label}` closes idle \
             connections"
        ),
        UpstreamError::Broken(_) => format!(
            "`{label}` at {base} broke the connection before its answer was complete; its own \
             log may say why"
        ),
        UpstreamError::Tls { fault, .. } => {
            format!("cannot reach `{label}` at {base}: no TLS connection: {}", tls(*fault))
        }
        _ => {
            let hint = deployment.provider.dialect.unreachable_hint(base);
            format!("cannot reach `{label}`: {}; {hint}", reason(error))
        }
    };
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 502, text)
        .code("upstream_unreachable")
        .cause(cause)
}

/// What the client may know of the network behind us.
fn reason(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::BadUrl(_) => "its `api_base` is no URL",
        UpstreamError::Resolve { .. } => "its host name cannot be resolved",
        UpstreamError::Connect { .. } => "the connection was refused",
        _ => "no connection could be made",
    }
}

/// Why there is no TLS connection, and what to do.
fn tls(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::NoRoots => {
            "this machine has no trusted certificates; install ca-certificates or set \
             `SSL_CERT_FILE` where the gateway runs"
        }
        TlsFault::UnknownIssuer => {
            "its certificate is by an authority this machine does not trust; add the authority's \
             certificate to the file that `SSL_CERT_FILE` names where the gateway runs"
        }
        TlsFault::WrongName => {
            "its certificate is for another host name; use a name in `api_base` that the \
             certificate has"
        }
        TlsFault::Expired => "its certificate has expired; it has to be renewed there",
        TlsFault::NotYetValid => {
            "its certificate is not valid yet; is the clock right here and there?"
        }
        TlsFault::NotTls => "it does not speak TLS there; should `api_base` begin with `http://`?",
        TlsFault::Other => "the handshake failed; the gateway's log has the cause",
    }
}

/// A success that holds no completion.
pub(super) fn no_completion(status: u16, cause: String, sent: &Sent) -> Failure {
    let label = &sent.target.deployment().label;
    let what = if cause.is_empty() { "an empty body" } else { "something that is no completion" };
    let text = format!("`{label}` answered {status} with {what}");
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 500, text).cause(cause)
}

/// An answer whose status HTTP has no meaning for.
pub(super) fn no_status(status: u16, sent: &Sent) -> Failure {
    let label = &sent.target.deployment().label;
    let text = format!("`{label}` answered with the status {status}, which HTTP does not have");
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 502, text)
}

/// A JSON reply that is more than the gateway takes.
pub(super) fn too_large(limit: usize, sent: &Sent) -> Failure {
    let text = format!(
        "`{}` answered with more than this gateway's limit of {limit} bytes \
         (`callgate.limits.max_reply_bytes`)",
        sent.target.deployment().label
    );
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 502, text).code("reply_too_large")
}

/// The upstream answered with an error status: its own words, type and code.
pub(super) async fn upstream_error(mut answer: Answer, sent: &Sent) -> Failure {
    let mut body = Vec::new();
    let reading = async {
        while let Some(Ok(bytes)) = answer.next().await {
            body.extend_from_slice(&bytes);
            if body.len() > MAX_ERROR_BODY {
                break;
            }
        }
    };
    // An error that never ends is told as far as it came.
    let _ = tokio::time::timeout(sent.timeout, reading).await;
    let status = if answer.status < 400 { 502 } else { answer.status };
    let dialect = sent.target.deployment().provider.dialect;
    let said = dialect.error(answer.status, &body);
    // Some upstreams repeat the key they refuse.
    let message = match sent.target.api_key().map(crate::secret::Secret::expose) {
        Some(key) if !key.is_empty() => said.message.replace(key, "***"),
        _ => said.message,
    };
    let mut failure = Failure::new(FailureKind::UPSTREAM_STATUS, status, message);
    if let Some(error_type) = said.error_type {
        failure.error_type = error_type.into();
    } else if status == 429 {
        failure.error_type = "throttling_error".into();
    }
    failure.code = said.code.map(Into::into);
    failure.param = said.param;
    let retry_after = answer.headers.get("retry-after");
    failure.retry_after = retry_after.and_then(|it| String::from_utf8(it.to_vec()).ok());
    for (name, value) in &answer_headers(sent, &answer.headers) {
        if !value.is_empty()
            && let Ok(value) = value.to_str()
        {
            failure.headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    failure
}
