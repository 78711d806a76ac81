//! The header lines of a request to an upstream, and what the gateway remembers of the request once
//! it is sent.

use super::{request::HOP, upload::OutgoingForm};
use crate::app::App;
use bytes::Bytes;
use callgate_call::{Call, ResponseSlot, Target};
use callgate_config::HttpUrl;
use callgate_deployments::Setting;
use callgate_providers::{CallKind, Echo, KeyHeader, Outgoing, StreamRequest};
use callgate_secret::Secret;
use callgate_upstream::{Connector, HeaderLines, Origin};
use http::{HeaderValue, header::CONTENT_TYPE};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The headers that choose the version and the experiments of Anthropic's API, as the client sends
/// them; and the version if it sends none.
const ANTHROPIC: [(&str, Option<&[u8]>); 2] =
    [("anthropic-version", Some(b"2023-06-01")), ("anthropic-beta", None)];

/// The facts about a sent request that its response needs.
#[derive(Clone)]
pub(super) struct Sent {
    /// The kind of the request, which may be a chat for a call of another kind.
    pub(super) kind: CallKind,
    /// The kind of the call, and so of its answer.
    pub(super) asked_kind: CallKind,
    /// What an answer of that kind repeats of the request, if a chat stands for it.
    pub(super) echoed: Bytes,
    pub(super) target: Target,
    pub(super) url: Arc<str>,
    pub(super) echo: Echo,
    /// The options of a stream that the client asked for.
    pub(super) asked: StreamRequest,
    /// Whether the gateway has to write embeddings as base64.
    pub(super) base64: bool,
    /// The limit for a whole JSON reply, or between the events of a stream.
    pub(super) timeout: Duration,
    /// The limit for a stream's first content, if it has its own.
    pub(super) first_content: Option<Duration>,
    pub(super) started: Instant,
    /// Where the status and headers of the response go, if a callback may ask for them.
    pub(super) facts: Option<ResponseSlot>,
}

impl Sent {
    /// How the upstream is reached. A server of a callback's choice gets no settings that were made
    /// for the deployment's own.
    pub(super) fn connector<'a>(&'a self, app: &'a App) -> &'a Connector {
        match self.target.is_foreign() {
            true => app.deployments.connector(),
            false => &self.target.deployment().connector,
        }
    }

    /// The address of the proxy that read the request and its response, if one did.
    pub(super) fn reading_proxy<'a>(&'a self, app: &'a App) -> Option<&'a str> {
        let url = HttpUrl::parse(&self.url).ok().filter(|url| !url.is_tls())?;
        self.connector(app).proxies().proxy_for(&url).map(|proxy| proxy.address())
    }
}

/// An attempt to get a response: a deployment, and the request to it, ready to be sent.
pub(super) struct Attempt {
    pub(super) sent: Sent,
    pub(super) outgoing: Outgoing,
    /// The body in place of that of `outgoing`, if it is a form.
    pub(super) form: Option<Box<OutgoingForm>>,
    pub(super) lines: Bytes,
}

/// Headers that the dialect sets for one request.
type RequestHeaders = &'static [(&'static str, &'static str)];

/// The header lines of a request.
pub(super) fn request_lines(
    hop: &str,
    call: &Call,
    (target, token): (&Target, Option<&Secret>),
    (url, kind): (&str, CallKind),
    of_request: RequestHeaders,
) -> Bytes {
    let before = call.headers.get(HOP);
    let made = || {
        let mut lines = deployment_lines(call, (target, token), (url, kind), of_request);
        match before {
            Some(before) => lines.add(HOP.as_str(), &[before.as_bytes(), b",", hop.as_bytes()]),
            None => lines.add(HOP.as_str(), &[hop.as_bytes()]),
        }
        lines.finish()
    };
    let configured = call.upstream_headers.is_empty()
        && target.callback_base().is_none()
        && target.callback_key().is_none()
        && token.is_none()
        && of_request.is_empty();
    match before {
        None if configured && kind == CallKind::Chat => {
            target.deployment().request_lines.get_or_init(made).clone()
        }
        _ => made(),
    }
}

/// The header in which the key is sent. A callback's key is none of Entra ID's tokens.
fn key_header(target: &Target) -> KeyHeader {
    let deployment = target.deployment();
    match target.callback_key() {
        Some(_) => (deployment.provider.key_header)(target.api_base()),
        None => deployment.key_header,
    }
}

/// The header lines for every request to this deployment. A callback's headers win over the
/// config's, and those over the gateway's own.
fn deployment_lines(
    call: &Call,
    (target, token): (&Target, Option<&Secret>),
    (url, kind): (&str, CallKind),
    of_request: RequestHeaders,
) -> HeaderLines {
    let mut lines = HeaderLines::new();
    let set_by_callback =
        |name: &str| call.upstream_headers.iter().any(|(set, _)| set.as_str() == name);
    let extra = target.extra_headers();
    let set_by_config = |name: &str| extra.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    let is_set = |name: &str| set_by_callback(name) || set_by_config(name);
    // First, because `upstream` looks for it there.
    if let Some((_, Setting::Set(host))) =
        extra.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        lines.add(callgate_upstream::HOST, &[host.expose().as_bytes()]);
    }
    let of_form = call.headers.get(CONTENT_TYPE).filter(|_| call.kind.uploads());
    let own: [(&str, &[u8]); 3] = [
        ("content-type", of_form.map_or(b"application/json", HeaderValue::as_bytes)),
        ("accept", b"*/*"),
        ("user-agent", callgate_upstream::USER_AGENT.as_bytes()),
    ];
    let is_replaced = |name: &str| of_request.iter().any(|(of, _)| *of == name);
    let own = own.into_iter().filter(|(name, _)| !is_replaced(name));
    let of_request = of_request.iter().map(|(name, value)| (*name, value.as_bytes()));
    for (name, value) in own.chain(of_request) {
        if !is_set(name) || (of_form.is_some() && name == "content-type") {
            lines.add(name, &[value]);
        }
    }
    let (key_name, scheme) = key_header(target).name_and_scheme();
    // A callback's key is for this call alone.
    if let Some(key) = token.or_else(|| target.api_key())
        && (target.callback_key().is_some() || !set_by_config(key_name))
    {
        lines.add(key_name, &[scheme.as_bytes(), key.expose().as_bytes()]);
    }
    let passes = matches!(kind, CallKind::Messages | CallKind::CountTokens);
    let is_translated =
        kind == CallKind::Chat && target.deployment().provider.dialect.speaks_anthropic();
    if passes || is_translated {
        for (name, usual) in ANTHROPIC {
            // A client of another API does not mean this one.
            let sent = call.headers.get(name).map(HeaderValue::as_bytes).filter(|_| passes);
            if let Some(value) = sent.or(usual).filter(|_| !is_set(name)) {
                lines.add(name, &[value]);
            }
        }
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
            // The boundary of a form is in its own.
            || (lower == "content-type" && of_form.is_some())
            || (target.callback_key().is_some() && (lower == "authorization" || lower == key_name));
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
