//! Turns an HTTP request into a [`Call`], and checks everything that can be wrong before callbacks
//! run.

use super::{
    RequestBody,
    access_log::Record,
    auth,
    auth::Holder,
    body,
    connection_timer::ConnectionTimer,
    inflight::Held,
    keyring::admit_model,
    route,
    route::Route,
    upload::{self, Upload},
    usable_input::check_input,
};
use crate::app::App;
use callgate_call::{Accepted, Call, CallId, Caller};
use callgate_failure::Failure;
use callgate_json::{Body, check_case, check_names, text, walk};
use callgate_providers::CallKind;
use callgate_secret::credentials::sent_keys;
use http::{HeaderMap, HeaderName, request::Parts};
use plugin_api::limits;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::{Builder, Uuid};

/// The header that shows that a call has passed this gateway before.
pub(super) const HOP: HeaderName = HeaderName::from_static("x-callgate-hop");

/// The header of the call id, from the client and in the response.
pub(super) const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");

const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
const STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");

/// Authenticates the client, then reads and scans the body. The path says the kind of call, and may
/// name the model, still encoded.
pub(super) async fn accept(
    (app, timer): (&App, &ConnectionTimer),
    head: &mut Parts,
    body: &mut RequestBody,
    (kind, path_model): (CallKind, Option<String>),
    record: &mut Record,
) -> Result<(Box<Call>, Held, Option<Arc<Upload>>), Failure> {
    let asked = Some(Route::Call(kind, path_model.as_deref()));
    let client = record.client.as_deref();
    let from = (&*head, client, record.accepted);
    let holder = admit(app, from, asked, &mut record.caller).await?;
    let path_model = path_model.as_deref().map(route::decoded).transpose()?;
    let bounds = (&app.limits, &*app.in_flight);
    let waits = (timer, record.accepted);
    let (body, held, files) = if kind.uploads() {
        let form = Box::pin(upload::read(&head.headers, body, bounds, waits)).await?;
        let (fields, files, held) = form;
        (fields, held, Some(Arc::new(files)))
    } else {
        let (body, held) = body::body(&head.headers, body, bounds, waits).await?;
        (body, held, None)
    };
    let held = Held::new(Arc::clone(&app.in_flight), held);
    let headers = std::mem::take(&mut head.headers);
    let call = accepted_call(app, (headers, body), (kind, path_model), record)?;
    if let Some(holder) = &holder {
        admit_model(holder, &call.requested_model, &app.deployments)?;
        if kind != CallKind::Chat && !holder.models().is_empty() {
            record.holder = Some(Box::new((**holder).clone()));
        }
    }
    Ok((call, held, files))
}

/// Makes a call of a body that has arrived. `path_model` is decoded.
pub(super) fn accepted_call(
    app: &App,
    (headers, body): (HeaderMap, Body),
    (kind, path_model): (CallKind, Option<String>),
    record: &Record,
) -> Result<Box<Call>, Failure> {
    refuse_other_spellings(&body)?;
    refuse_credentials(&body)?;
    let named = model(&body)?;
    let forced = app.completion_model.clone().filter(|_| kind == CallKind::Chat);
    let requested_model = forced.or(path_model.map(Into::into)).or(named);
    let Some(requested_model) = requested_model.filter(|name| !name.is_empty()) else {
        return Err(Failure::unknown_model(kind.path(), "None").param("model"));
    };
    // A longer name is ignored, because headers, errors and the log would repeat it.
    if requested_model.len() > limits::MODEL {
        return Err(long_model());
    }
    // Boxed at once, because it is large and every step would move it.
    Ok(Box::new(Call::new(Accepted {
        id: record.id.clone(),
        kind,
        requested_model,
        stream: kind.streams() && stream(&body)?,
        headers,
        path: record.path.clone(),
        key_header: app.key_header.clone(),
        caller: record.caller.clone().unwrap_or_default(),
        accepted: record.accepted,
        body,
    })))
}

/// The client's id for the call if it is valid, otherwise a new one. An id that contains a secret
/// is not valid, because the log, the response and callbacks show it.
pub(super) fn call_id(app: &App, headers: &HeaderMap) -> CallId {
    let tells = |id: &str| {
        let mut keys = sent_keys(headers, app.key_header.as_ref());
        app.masking.mask(id) != id || keys.any(|key| key.len() >= 8 && id.contains(key))
    };
    sane_id(headers).filter(|id| !tells(id)).map_or_else(new_id, CallId::from)
}

fn sane_id(headers: &HeaderMap) -> Option<&str> {
    let sane = |id: &&str| {
        !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    headers.get(CALL_ID).and_then(|id| id.to_str().ok()).filter(sane)
}

/// A random UUID of version 4. It has to be unique, not unguessable.
pub(super) fn new_id() -> CallId {
    let random = fastrand::u128(..).to_be_bytes();
    let id = Builder::from_random_bytes(random).into_uuid();
    CallId::from(&*id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
}

/// Requires what the call is about, after callbacks had the chance to add it.
pub(super) fn require_input(call: &Call) -> Result<(), Failure> {
    for name in call.kind.required() {
        match call.body.member(name).as_deref() {
            None | Some(b"null") => {
                return Err(Failure::missing_parameter(call.kind.path(), name));
            }
            Some(value) if *name == "messages" && value.first() != Some(&b'[') => {
                return Err(Failure::messages_not_array());
            }
            Some(value) if *name == "input" => check_input(value)?,
            Some(_) => {}
        }
    }
    Ok(())
}

/// The time the client allows the upstream for this call, if it sets one.
pub(super) fn timeout(call: &Call) -> Result<Option<Duration>, Failure> {
    let header =
        |name: HeaderName| Some(call.headers.get(name)?.to_str().unwrap_or_default().to_owned());
    let streaming =
        call.stream.then(|| header(STREAM_TIMEOUT).or_else(|| member(call, "stream_timeout")));
    let general = || {
        header(TIMEOUT)
            .or_else(|| member(call, "timeout"))
            .or_else(|| member(call, "request_timeout"))
    };
    let Some(wish) = streaming.flatten().or_else(general) else { return Ok(None) };
    wish.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(Some)
        .ok_or_else(Failure::malformed_timeout)
}

/// The text of a member, cut if it is long.
fn member(call: &Call, name: &str) -> Option<String> {
    const LONGEST: usize = 64;
    let json = call.body.member(name).filter(|json| **json != *b"null")?;
    let json = String::from_utf8_lossy(json.get(..LONGEST).unwrap_or(&json));
    Some(json.trim_matches('"').to_owned())
}

/// Checks every request, on every path, before anything else: the size of its head, whether a
/// foreign web page may have sent it, and the key that the route needs. Returns the key's holder,
/// if it needs one, and notes the caller. `None` stands for a path that is not served.
pub(super) async fn admit<'a>(
    app: &'a App,
    from @ (head, ..): (&Parts, Option<&str>, Instant),
    asked: Option<Route<'_>>,
    caller: &mut Option<Arc<Caller>>,
) -> Result<Option<Holder<'a>>, Failure> {
    check_size(app, &head.headers)?;
    app.web.admit(head)?;
    let Some(route) = asked else { return Ok(None) };
    if let Route::Call(..) = route {
        // Before the key: a call that loops back carries an upstream's key, not a client's.
        refuse_loop(app, &head.headers)?;
    }
    auth::admit(app, route.access(), from, caller).await
}

/// Refuses a head over `callgate.limits.max_header_bytes`.
fn check_size(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let size: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size <= app.limits.max_header_bytes {
        return Ok(());
    }
    Err(Failure::headers_too_large(app.limits.max_header_bytes))
}

fn refuse_loop(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let returns = || hops(headers).any(|hop| hop == &*app.hop);
    if headers.contains_key(HOP) && (returns() || depth(app, headers) > limits::DEPTH) {
        return Err(Failure::loop_detected());
    }
    Ok(())
}

fn hops(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(HOP).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// How many calls that callbacks made have led to this request: 0, unless a callback of this
/// process sent it.
pub(super) fn depth(app: &App, headers: &HeaderMap) -> u32 {
    if !headers.contains_key(HOP) {
        return 0;
    }
    let own = |hop: &str| hop.strip_prefix(&*app.hop)?.strip_prefix('/')?.parse().ok();
    hops(headers).filter_map(own).max().unwrap_or_default()
}

/// Refuses other spellings of known members: an upstream that ignores case would take them for the
/// members that were checked.
fn refuse_other_spellings(body: &Body) -> Result<(), Failure> {
    check_case(body.names()).map_err(Failure::from)
}

/// Refuses credentials in the body: a client must not choose where the operator's calls go, nor
/// with which key.
fn refuse_credentials(body: &Body) -> Result<(), Failure> {
    for name in ["api_base", "base_url", "api_key"] {
        if body.member(name).is_some_and(|value| *value != *b"null") {
            return Err(Failure::credentials_in_body(name));
        }
    }
    Ok(())
}

fn long_model() -> Failure {
    Failure::model_too_long(limits::MODEL)
}

fn model(body: &Body) -> Result<Option<Arc<str>>, Failure> {
    // As escapes, which take six bytes each.
    const LONGEST: usize = 6 * limits::MODEL + 2;
    match body.member("model") {
        None => Ok(None),
        Some(json) if *json == *b"null" => Ok(None),
        Some(json) if json.len() > LONGEST && json.starts_with(b"\"") => Err(long_model()),
        Some(json) => match walk::plain(text(&json)) {
            Some(name) => Ok(Some(name.into())),
            None => match serde_json::from_slice::<String>(&json) {
                Ok(name) => Ok(Some(name.into())),
                Err(_) => Err(Failure::model_not_text()),
            },
        },
    }
}

fn stream(body: &Body) -> Result<bool, Failure> {
    match body.member("stream").as_deref() {
        None | Some(b"null" | b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(Failure::stream_not_boolean()),
    }
}

/// Whether the client wants the usage chunk of its stream.
pub(super) fn include_usage(body: &Body) -> Result<bool, Failure> {
    let Some(options) = body.member_text("stream_options").filter(|json| *json != "null") else {
        return Ok(false);
    };
    check_names(options, "stream_options", |_| {})?;
    Ok(walk::value(options, "include_usage") == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4() {
        for _ in 0..100 {
            let id = new_id();
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        }
    }

    #[test]
    fn only_sane_ids_are_echoed() {
        let long = "x".repeat(129);
        for (sent, echoed) in [("abc-1", true), ("", false), ("a b", false), (&*long, false)] {
            let mut headers = HeaderMap::new();
            headers.insert("x-litellm-call-id", sent.parse().unwrap());
            assert_eq!(sane_id(&headers) == Some(sent), echoed, "{sent}");
        }
    }
}
