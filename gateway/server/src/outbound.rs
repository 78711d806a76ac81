//! What goes to an upstream beside the body, and what its answer's head means here.

use super::{access_log::Record, alarm::Alarm, flight::shutting_down, request::HOP};
use crate::app::App;
use bytes::Bytes;
use callgate_call::{Call, Target};
use callgate_deployments::{Deployment, Setting};
use callgate_failure::Failure;
use callgate_providers::{Asked, Echo, said::read_status};
use callgate_secret::mask_one;
use callgate_telemetry::decimal;
use callgate_upstream::{Answer, Headers, Lines, Origin, UpstreamError};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};
use plugin_api::FailureKind;
use std::{
    borrow::Cow,
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

/// The header of [`PASSED_ON`] that a name is, in any case.
fn passed_on_as(name: &[u8]) -> Option<HeaderName> {
    // Most of an upstream's headers end here.
    if !name.first_chunk().is_some_and(|start: &[u8; 3]| start.eq_ignore_ascii_case(b"x-r")) {
        return None;
    }
    let same = |wanted: &&HeaderName| name.eq_ignore_ascii_case(wanted.as_str().as_bytes());
    PASSED_ON.iter().find(same).cloned()
}

/// Where upstreams put the id that their support asks for.
const REQUEST_IDS: [&str; 4] = ["x-request-id", "request-id", "x-amzn-requestid", "cf-ray"];

const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const API_BASE: HeaderName = HeaderName::from_static("x-litellm-model-api-base");
const GATEWAY_VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const ATTEMPTED_RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const ATTEMPTED_FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");

/// More headers than an answer mostly has: a map that grows is made anew.
const ANSWER_HEADERS: usize = 24;

/// What is known of the chosen way when the answer is sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) target: Target,
    pub(super) echo: Echo,
    /// What the client asked a stream for.
    pub(super) asked: Asked,
    /// Of a JSON reply as a whole, of a stream from event to event.
    pub(super) timeout: Duration,
    /// Of a stream's first content, when it has a limit of its own.
    pub(super) first_content: Option<Duration>,
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
        && target.callback_key().is_none();
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
    let mut lines = Lines::beginning(&[]);
    let set_by_callback =
        |name: &str| call.upstream_headers.iter().any(|(set, _)| set.as_str() == name);
    let extra = target.extra_headers();
    let set_by_config = |name: &str| extra.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    let is_set = |name: &str| set_by_callback(name) || set_by_config(name);
    // First of all, where `upstream` looks for it.
    if let Some((_, Setting::Set(host))) =
        extra.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        lines.add(callgate_upstream::HOST, &[host.expose().as_bytes()]);
    }
    let own = [
        ("content-type", "application/json"),
        ("accept", "*/*"),
        ("user-agent", callgate_upstream::USER_AGENT),
    ];
    for (name, value) in own {
        if !is_set(name) {
            lines.add(name, &[value.as_bytes()]);
        }
    }
    // A key of a callback's is for this call alone.
    if let Some(key) = target.api_key()
        && (target.callback_key().is_some() || !set_by_config("authorization"))
    {
        lines.add("authorization", &[b"Bearer ", key.expose().as_bytes()]);
    }
    if let Some(organization) = target.organization().filter(|_| !is_set("openai-organization")) {
        lines.add("openai-organization", &[organization.as_bytes()]);
    }
    if url.contains("ngrok") && Origin::parse(url).is_some_and(|origin| origin.is_ngrok()) {
        lines.add("ngrok-skip-browser-warning", &[b"1"]);
    }
    for (name, value) in extra {
        let lower = name.to_ascii_lowercase();
        let replaced = set_by_callback(&lower)
            || lower == "host"
            || (lower == "authorization" && target.callback_key().is_some());
        if let Setting::Set(value) = value
            && !replaced
        {
            lines.add(name, &[value.expose().as_bytes()]);
        }
    }
    for (name, value) in &call.upstream_headers {
        lines.add(name.as_str(), &[value.as_bytes()]);
    }
    lines
}

/// The headers of the client's answer that come from the upstream's and from the config.
pub(super) fn answer_headers(app: &App, sent: &Sent, upstream: &Headers) -> HeaderMap {
    let mut headers = early_headers(app, sent);
    for (name, value) in upstream.iter() {
        if let Some(name) = passed_on_as(name)
            && let Ok(value) = passed_on(app, &sent.target, value)
            // The first of several counts.
            && let Entry::Vacant(place) = headers.entry(name)
        {
            place.insert(value);
        }
    }
    headers
}

/// The same of an answer whose head has not come.
pub(super) fn early_headers(app: &App, sent: &Sent) -> HeaderMap {
    target_headers(app, &sent.target, &sent.echo.model)
}

/// Upstreams may repeat a key here too.
fn passed_on(
    app: &App,
    target: &Target,
    value: Bytes,
) -> Result<HeaderValue, header::InvalidHeaderValue> {
    let Ok(text) = str::from_utf8(&value) else { return HeaderValue::from_maybe_shared(value) };
    let mut text = app.masking.mask(text);
    if let Some(key) = target.callback_key() {
        mask_one(text.to_mut(), key.expose());
    }
    match text {
        Cow::Borrowed(_) => HeaderValue::from_maybe_shared(value),
        Cow::Owned(text) => HeaderValue::from_str(&text),
    }
}

/// A header that a callback made.
pub(super) fn without_secrets(app: &App, value: HeaderValue) -> HeaderValue {
    let masked = value.to_str().ok().map(|text| app.masking.mask(text));
    match masked.as_deref().map(HeaderValue::from_str) {
        Some(Ok(masked)) => masked,
        _ => value,
    }
}

/// What every answer for `model` from here says.
fn target_headers(app: &App, target: &Target, model: &str) -> HeaderMap {
    let deployment = target.deployment();
    let constant = deployment.answer_headers.get_or_init(|| deployment_headers(app, deployment));
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
    headers.extend(constant.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut replace = |name: HeaderName, text: &str| match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    };
    if let Some(base) = target.callback_base() {
        replace(API_BASE, &app.masking.mask(base));
    }
    // An alias, or a wildcard's match.
    if *model != *deployment.model_name {
        replace(MODEL_GROUP, &app.masking.mask(model));
    }
    headers
}

/// What every answer of this deployment says of it.
fn deployment_headers(app: &App, deployment: &Deployment) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let base = app.masking.mask(deployment.api_base.set().map_or("", String::as_str));
    let texts = [
        (MODEL_ID, &*deployment.id),
        (API_BASE, &*base),
        (MODEL_GROUP, &*deployment.model_name),
        (GATEWAY_VERSION, env!("CARGO_PKG_VERSION")),
        (ATTEMPTED_RETRIES, "0"),
        (ATTEMPTED_FALLBACKS, "0"),
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

/// A success with a body of another kind than JSON: its own words.
pub(super) fn no_json(status: u16, body: &[u8], sent: &Sent) -> Failure {
    let label = &sent.target.deployment().label;
    let start = &body[..body.len().min(MAX_ERROR_BODY)];
    let mut said = read_status(status, start);
    let plain = format!("the upstream answered {status}");
    let words = said.message.strip_prefix(&plain).unwrap_or(&said.message);
    said.message =
        format!("`{label}` answered {status} with something that is no completion{words}");
    Failure::of_upstream(500, said)
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
pub(super) async fn upstream_error(
    app: &App,
    alarm: &Alarm,
    mut answer: Answer,
    sent: &Sent,
) -> Failure {
    let status = answer.status;
    if let Some(failure) = no_answer(&answer, sent) {
        return failure;
    }
    let (mut body, mut broken) = (Vec::new(), None);
    let reading = async {
        while let Some(read) = answer.next().await {
            match read {
                Ok(bytes) => body.extend_from_slice(&bytes),
                Err(error) => broken = Some(error),
            }
            if body.len() > MAX_ERROR_BODY || broken.is_some() {
                break;
            }
        }
    };
    // An error that never ends is told as far as it came.
    let whole = alarm.within(sent.timeout, reading).await.is_some();
    if !whole && alarm.is_cut() {
        return shutting_down();
    }
    let mut said = sent.target.deployment().provider.dialect.error(status, &body);
    if let Some(error) = broken.filter(|_| body.is_empty()) {
        let label = &sent.target.deployment().label;
        said.message = match error {
            UpstreamError::Coding(error) => format!("`{label}` answered {status} with {error}"),
            _ => {
                format!("`{label}` answered {status}, and its connection broke before it said why")
            }
        };
    }
    // What is no error's status is not one to pass on.
    let status = if (400..600).contains(&status) { status } else { 502 };
    let mut failure = Failure::of_upstream(status, said);
    let text = |name: &str| {
        let value = answer.headers.get(name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    failure.upstream_request_id = REQUEST_IDS.into_iter().find_map(text);
    failure.retry_after = text("retry-after");
    for (name, value) in &answer_headers(app, sent, &answer.headers) {
        if !value.is_empty()
            && let Ok(value) = value.to_str()
        {
            failure.headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    failure
}

/// What is neither an answer nor an error. Of the codes from 300 on, those that lead somewhere are
/// redirects, and others say so by a `Location`.
fn no_answer(answer: &Answer, sent: &Sent) -> Option<Failure> {
    let status = answer.status;
    match status {
        301 | 302 | 303 | 307 | 308 => Some(redirected(answer, sent)),
        300 | 305 | 306 | 309..400 if answer.headers.get("location").is_some() => {
            Some(redirected(answer, sent))
        }
        304 => Some(no_meaning("Not Modified, which is no answer to a call", status, sent)),
        300..400 => Some(no_meaning("which is neither an answer nor an error", status, sent)),
        _ => None,
    }
}

fn no_meaning(what: &str, status: u16, sent: &Sent) -> Failure {
    let (label, model) = (&sent.target.deployment().label, &sent.echo.model);
    let text = format!(
        "`{label}` for model `{model}` answered {status}, {what}; is its base URL right, and does a \
         cache or proxy stand before it?"
    );
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 502, text)
        .cause(format!("asked at {}", sent.target.api_base()))
}

/// Redirects are never followed: what was meant for one server must not go to another. Only a
/// target on the same server is shown to the client.
fn redirected(answer: &Answer, sent: &Sent) -> Failure {
    let status = answer.status;
    let (label, model) = (&sent.target.deployment().label, &sent.echo.model);
    let location = answer.headers.get("location").map(String::from_utf8_lossy);
    let mut text = format!(
        "`{label}` for model `{model}` answered {status}, a redirect, which is never followed; its \
         `api_base` should point to where the redirect leads"
    );
    match location.as_deref() {
        None => text.push_str(", but the redirect does not say where"),
        Some(path) if path.starts_with('/') && !path.starts_with("//") => {
            text.push_str(&format!(", `{path}` on the same server"));
        }
        Some(_) => text.push_str("; the gateway's log has the target"),
    }
    let cause = format!(
        "asked at {}, redirected to {}",
        sent.target.api_base(),
        location.as_deref().unwrap_or("nowhere")
    );
    Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 502, text)
        .code("upstream_redirect")
        .cause(cause)
}

/// A failure names the deployment that was asked, as an answer does.
pub(super) fn add_deployment_headers(
    failure: &mut Failure,
    app: &App,
    call: &Call,
    target: &Target,
) {
    if failure.headers.iter().any(|(name, _)| MODEL_ID == **name) {
        return;
    }
    for (name, value) in &target_headers(app, target, &call.requested_model) {
        if !value.is_empty()
            && let Ok(value) = value.to_str()
        {
            failure.headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
}
