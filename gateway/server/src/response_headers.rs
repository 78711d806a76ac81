//! The headers of a client's response: upstream headers that clients act on, the deployment, and
//! the duration.

use super::{access_log::Record, request, upstream_request::Sent};
use crate::app::App;
use bytes::Bytes;
use callgate_call::{Call, ResponseFacts, Target};
use callgate_deployments::Deployment;
use callgate_failure::Failure;
use callgate_secret::mask_one;
use callgate_telemetry::decimal;
use callgate_upstream::{Headers, UpstreamResponse};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};
use std::{borrow::Cow, time::Duration};

/// Upstream headers that clients act on: rate limits, and the request id that support asks for.
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

/// More than a response mostly has, because a map that grows is reallocated.
const ANSWER_HEADERS: usize = 24;

/// The headers of a client's response that come from the upstream's response and from the config.
pub(super) fn answer_headers(app: &App, sent: &Sent, upstream: &Headers) -> HeaderMap {
    let mut headers = early_headers(app, sent);
    pass_on(app, sent, upstream, &mut headers);
    headers
}

/// The same for a JSON reply. The headers whose values are known only at its end have their places
/// already, because a map that grows copies its entries.
pub(super) fn json_headers(app: &App, sent: &Sent, upstream: &Headers) -> HeaderMap {
    let (target, model) = (&sent.target, &sent.echo.model);
    let deployment = target.deployment();
    let constant = deployment.json_headers.get_or_init(|| {
        let mut headers = deployment_headers(app, deployment);
        for name in [DURATION, OVERHEAD, request::CALL_ID, header::CONTENT_TYPE] {
            headers.insert(name, HeaderValue::from_static(""));
        }
        headers.clone()
    });
    let mut headers = target_headers(app, target, model, constant);
    pass_on(app, sent, upstream, &mut headers);
    headers
}

/// Adds the upstream's headers that clients get.
fn pass_on(app: &App, sent: &Sent, upstream: &Headers, headers: &mut HeaderMap) {
    for (name, value) in upstream.iter() {
        if let Some(name) = passed_on_as(name)
            && let Ok(value) = passed_on(app, &sent.target, value)
            // Of several headers with one name, the first counts.
            && let Entry::Vacant(place) = headers.entry(name)
        {
            place.insert(value);
        }
    }
}

/// The same for a response whose head has not arrived.
pub(super) fn early_headers(app: &App, sent: &Sent) -> HeaderMap {
    let constant = constant_headers(app, &sent.target);
    target_headers(app, &sent.target, &sent.echo.model, constant)
}

/// The header of [`PASSED_ON`] that has this name, in any case.
fn passed_on_as(name: &[u8]) -> Option<HeaderName> {
    // Most of an upstream's headers are rejected here.
    if !name.first_chunk().is_some_and(|start: &[u8; 3]| start.eq_ignore_ascii_case(b"x-r")) {
        return None;
    }
    let same = |wanted: &&HeaderName| name.eq_ignore_ascii_case(wanted.as_str().as_bytes());
    PASSED_ON.iter().find(same).cloned()
}

/// The value of a header that is passed on. Secrets are masked, because upstreams may repeat a key
/// here.
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

/// The response's status and headers for callbacks, with secrets masked. Values that are not UTF-8
/// are left out.
pub(super) fn facts(app: &App, sent: &Sent, answer: &UpstreamResponse) -> ResponseFacts {
    let readable = answer.headers.iter().filter_map(|(name, value)| {
        let name = str::from_utf8(name).ok()?.to_owned();
        let value = passed_on(app, &sent.target, value).ok()?;
        Some((name, value.to_str().ok()?.to_owned()))
    });
    ResponseFacts::new(answer.status, readable)
}

/// Adds the headers that callbacks set for every outcome. They replace those of the upstream, but
/// not the gateway's own.
pub(super) fn add_reply_headers(app: &App, call: &mut Call, headers: &mut HeaderMap) {
    for (name, value) in std::mem::take(&mut call.reply_headers) {
        let is_upstreams = PASSED_ON.contains(&name);
        match headers.entry(name) {
            Entry::Vacant(place) => drop(place.insert(without_secrets(app, value))),
            Entry::Occupied(mut place) if is_upstreams => {
                place.insert(without_secrets(app, value));
            }
            Entry::Occupied(_) => {}
        }
    }
}

/// The same for an error, whose headers are masked later. With `ran`, hooks may have set headers,
/// which stay.
pub(super) fn add_reply_headers_to_failure(call: &Call, failure: &mut Failure, ran: bool) {
    for (name, value) in &call.reply_headers {
        let Ok(value) = value.to_str() else { continue };
        match failure.headers.iter_mut().find(|(known, _)| *name == **known) {
            Some((_, known)) if !ran && PASSED_ON.contains(name) => value.clone_into(known),
            Some(_) => {}
            None => failure.headers.push((name.as_str().to_owned(), value.to_owned())),
        }
    }
}

/// Masks secrets in a header that a callback set.
pub(super) fn without_secrets(app: &App, value: HeaderValue) -> HeaderValue {
    let masked = value.to_str().ok().map(|text| app.masking.mask(text));
    match masked.as_deref().map(HeaderValue::from_str) {
        Some(Ok(masked)) => masked,
        _ => value,
    }
}

fn constant_headers<'t>(app: &App, target: &'t Target) -> &'t HeaderMap {
    let deployment = target.deployment();
    deployment.answer_headers.get_or_init(|| deployment_headers(app, deployment))
}

/// The headers that name the deployment and the model.
fn target_headers(app: &App, target: &Target, model: &str, constant: &HeaderMap) -> HeaderMap {
    let deployment = target.deployment();
    let mut headers = constant.clone();
    let mut replace = |name: HeaderName, text: &str| match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    };
    if let Some(base) = target.callback_base() {
        replace(API_BASE, &app.masking.mask(base));
    }
    // The name differs after an alias or a wildcard.
    if *model != *deployment.model_name {
        replace(MODEL_GROUP, &app.masking.mask(model));
    }
    headers
}

/// The headers that are the same for every response of a deployment.
fn deployment_headers(app: &App, deployment: &Deployment) -> HeaderMap {
    // Clones of this map have the same capacity, so adding headers to them does not reallocate.
    let mut headers = HeaderMap::with_capacity(ANSWER_HEADERS);
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
    // The stored clone has no room for more headers.
    headers.clone()
}

/// Adds the duration of the call, and the gateway's own part of it.
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

/// Adds the deployment's headers to a failure, as to a response.
pub(super) fn add_deployment_headers(
    failure: &mut Failure,
    app: &App,
    call: &Call,
    target: &Target,
) {
    if failure.headers.iter().any(|(name, _)| MODEL_ID == **name) {
        return;
    }
    let constant = constant_headers(app, target);
    add_headers(failure, &target_headers(app, target, &call.requested_model, constant));
}

/// Adds these headers to a failure, except those without a value.
pub(super) fn add_headers(failure: &mut Failure, headers: &HeaderMap) {
    for (name, value) in headers {
        if !value.is_empty()
            && let Ok(value) = value.to_str()
        {
            failure.headers.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
}
