//! The one line each request gets. Never in it: keys, prompts, replies; an upstream's error may quote
//! a part of a prompt.

use crate::{
    app::App,
    deployments::Deployment,
    failure::{Failure, type_of},
    metrics::{Ended, Outcome},
    provider::Usage,
    telemetry::cut,
};
use axum::{http::Method, response::Response};
use plugin_api::FailureKind;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// As many characters of a name or a path as a line shows.
const NAME: usize = 200;

/// As many of a message.
const MESSAGE: usize = 1000;

/// What the line of a call will say.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) path: Cow<'static, str>,
    pub(super) accepted: Instant,
    /// The client's address.
    pub(super) client: Option<Arc<str>>,
    /// Whether the client has shown a key that is one, or needs none.
    pub(super) admitted: bool,
    pub(super) requested_model: String,
    /// What was chosen.
    pub(super) deployment: Option<Arc<Deployment>>,
    pub(super) upstream_model: String,
    pub(super) stream: bool,
    /// How long the upstream took to begin its answer.
    pub(super) upstream: Option<Duration>,
    /// When the first chunk of a stream was there.
    pub(super) first_token: Option<Duration>,
    pub(super) usage: Option<Usage>,
    /// How long the call took; set when it was answered.
    took: Option<Duration>,
    /// The callback that answered, refused or broke.
    pub(super) callback: Option<Arc<str>>,
}

impl Record {
    pub(super) fn new(id: String, path: Cow<'static, str>, accepted: Instant) -> Self {
        Self {
            id,
            path,
            accepted,
            client: None,
            admitted: false,
            requested_model: String::new(),
            deployment: None,
            upstream_model: String::new(),
            stream: false,
            upstream: None,
            first_token: None,
            usage: None,
            took: None,
            callback: None,
        }
    }

    /// How long the call took, or has taken so far.
    pub(super) fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.accepted.elapsed())
    }

    fn count(&self, app: &App, (status, outcome): (u16, Outcome), duration: Duration) {
        app.metrics.ended(&Ended {
            model: &self.requested_model,
            deployment: self.deployment.as_deref(),
            status,
            outcome,
            duration,
            upstream: self.upstream,
            first_token: self.first_token,
            usage: self.usage,
        });
    }

    /// Counts a call that was answered, and writes its line.
    pub(super) fn answered(&mut self, app: &App, status: u16) {
        let took = self.took();
        self.took = Some(took);
        self.count(app, (status, Outcome::Ok), took);
        let deployment = self.deployment.as_deref();
        let usage =
            self.usage.unwrap_or(Usage { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
        tracing::info!(
            target: "callgate::access",
            status,
            outcome = Outcome::Ok.name(),
            call.id = &*self.id,
            client.address = self.client.as_deref(),
            key.id = self.admitted.then_some(&*app.key_id),
            path = &*shortened(&self.path),
            model.requested = &*shortened(&self.requested_model),
            deployment.id = deployment.map(|it| &*it.id),
            deployment.model = &*shortened(&self.upstream_model),
            provider = deployment.map_or("", |it| &*it.label),
            stream = self.stream,
            duration_ms = millis(took),
            upstream.duration_ms = self.upstream.map(millis),
            first_token_ms = self.first_token.map(millis),
            tokens.prompt = usage.prompt_tokens,
            tokens.completion = usage.completion_tokens,
            callback = self.callback.as_deref(),
            "call"
        );
    }

    /// Counts a call that failed, and writes its line. `begun` says whether the client had the head of
    /// an answer by then.
    pub(super) fn failed(&self, app: &App, failure: &Failure, begun: bool) {
        let outcome = match failure.kind {
            FailureKind::CLIENT_GONE => Outcome::ClientGone,
            _ if begun => Outcome::Cut,
            _ => Outcome::Error,
        };
        let status = if begun { 200 } else { failure.status };
        let took = self.took();
        self.count(app, (status, outcome), took);
        let deployment = self.deployment.as_deref();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "callgate::access",
                    status,
                    outcome = outcome.name(),
                    call.id = &*app.masking.mask(&self.id),
                    client.address = self.client.as_deref(),
                    key.id = self.admitted.then_some(&*app.key_id),
                    path = &*named(app, &self.path),
                    model.requested = &*named(app, &self.requested_model),
                    deployment.id = deployment.map(|it| &*it.id),
                    deployment.model = &*named(app, &self.upstream_model),
                    provider = deployment.map_or("", |it| &*it.label),
                    stream = self.stream,
                    duration_ms = millis(took),
                    upstream.duration_ms = self.upstream.map(millis),
                    first_token_ms = self.first_token.map(millis),
                    tokens.prompt = self.usage.map(|usage| usage.prompt_tokens),
                    tokens.completion = self.usage.map(|usage| usage.completion_tokens),
                    callback = failure.callback.as_deref().or(self.callback.as_deref()),
                    error.code = &*shortened(failure.code_text()),
                    "error.type" = &*shortened(&failure.error_type),
                    error.message = &*app.masking.mask(&told(failure, app.logs_upstream_errors)),
                    upstream.request_id = failure.upstream_request_id.as_deref(),
                    error.cause = cause(failure).as_deref(),
                    "call failed"
                )
            };
        }
        if is_clients(failure, begun) { line!(info) } else { line!(warn) }
    }
}

/// Whether a failure is the client's own, and no business of the operator's: it left, or it was refused
/// (4xx). A broken answer is not, nor what an upstream holds against the gateway's own key.
fn is_clients(failure: &Failure, begun: bool) -> bool {
    if failure.kind == FailureKind::CLIENT_GONE {
        return true;
    }
    let of_our_key = failure.kind == FailureKind::UPSTREAM_STATUS
        && matches!(failure.status, 401 | 402 | 403 | 407 | 429);
    failure.status < 500 && !begun && !of_our_key
}

/// What only the operator is told.
fn cause(failure: &Failure) -> Option<Cow<'_, str>> {
    failure.cause.as_deref().map(|cause| cut(cause, MESSAGE))
}

/// What the log says of a failure: no more of any text than a line can bear. An upstream's own
/// words may repeat a part of a prompt, so the operator may keep them out.
fn told(failure: &Failure, words_of_upstreams: bool) -> Cow<'_, str> {
    if failure.kind == FailureKind::UPSTREAM_STATUS && !words_of_upstreams {
        return "the upstream refused; its words are not logged (`callgate.log.upstream_errors`)"
            .into();
    }
    cut(&failure.message, MESSAGE)
}

/// The line of a request that was no call, or none that could be one. `client` and `key` are as in
/// [`Record`].
pub(super) fn small_endpoint(
    app: &App,
    (method, path): (&Method, &str),
    (client, key): (Option<&str>, Option<&str>),
    response: &Response,
    accepted: Instant,
    failure: Option<&Failure>,
) {
    let status = response.status().as_u16();
    let outcome = if status < 400 { Outcome::Ok } else { Outcome::Error };
    let message = failure.map(|failure| told(failure, true));
    let message = message.as_deref().map(|message| app.masking.mask(message));
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "callgate::access",
                status,
                outcome = outcome.name(),
                client.address = client,
                key.id = key,
                path = &*named(app, path),
                method = &*named(app, method.as_str()),
                duration_ms = millis(accepted.elapsed()),
                error.code = failure.map(|failure| shortened(failure.code_text())).as_deref(),
                "error.type" = failure.map(|failure| shortened(&failure.error_type)).as_deref(),
                error.message = message.as_deref(),
                error.cause = failure.and_then(cause).as_deref(),
                "request"
            )
        };
    }
    if status < 500 { line!(info) } else { line!(warn) }
}

/// What a client gave as a name or a path, which may be a key in the wrong place.
fn named<'t>(app: &App, text: &'t str) -> Cow<'t, str> {
    match app.masking.mask(text) {
        Cow::Borrowed(text) => shortened(text),
        Cow::Owned(text) => Cow::Owned(shortened(&text).into_owned()),
    }
}

/// As much of a name or a path as a line shows.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    cut(text, NAME)
}

/// The line of what was no request; of what was sent nothing is repeated.
pub(super) fn refused(client: Option<&str>, status: u16, why: &str) {
    tracing::info!(
        target: "callgate::access",
        status,
        outcome = Outcome::Error.name(),
        client.address = client,
        error.code = &*status.to_string(),
        "error.type" = type_of(status),
        error.message = why,
        "request refused"
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_goes_by_the_status_and_by_whose_fault_it_is() {
        let upstream = FailureKind::UPSTREAM_STATUS;
        for (kind, status, begun, clients) in [
            (FailureKind::INVALID, 400, false, true),
            (FailureKind::INVALID, 401, false, true),
            // A variable that the config lacks.
            (FailureKind::INVALID, 500, false, false),
            (FailureKind::REJECTED, 429, false, true),
            (FailureKind::INTERNAL, 503, false, false),
            (upstream, 400, false, true),
            (upstream, 401, false, false),
            (upstream, 429, false, false),
            (upstream, 500, false, false),
            (upstream, 400, true, false),
            (FailureKind::BROKEN_STREAM, 502, true, false),
            (FailureKind::CLIENT_GONE, 499, false, true),
            (FailureKind::CLIENT_GONE, 499, true, true),
        ] {
            let failure = Failure::new(kind, status, "");
            assert_eq!(is_clients(&failure, begun), clients, "{kind:?} {status} {begun}");
        }
    }
}
