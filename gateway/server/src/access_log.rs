//! Writes one log line for each request. The line never holds keys, prompts or replies; only an
//! upstream's error message may quote a part of a prompt.

use crate::{
    app::App,
    call_totals::{CallOutcome, Ended},
    refusal_log::{ACCESS, shortened},
};
use axum::{http::Method, response::Response};
use callgate_call::{CallId, Caller, KeyHolder};
use callgate_deployments::Deployment;
use callgate_failure::Failure;
use callgate_providers::Usage;
use callgate_telemetry::{Fields, cut, key, prepared, write_line};
use plugin_api::FailureKind;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::Level;

/// The longest message in a line, in characters.
const MESSAGE: usize = 1000;

/// The fields of a call's line, collected while the call runs.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: CallId,
    pub(super) path: Cow<'static, str>,
    pub(super) accepted: Instant,
    /// The client's address.
    pub(super) client: Option<Arc<str>>,
    /// The caller, once the client has shown a valid key, or needs none.
    pub(super) caller: Option<Arc<Caller>>,
    /// The holder of a key for some models only; set for other kinds of calls than chats, whose
    /// failures may name models.
    pub(super) holder: Option<Box<KeyHolder>>,
    pub(super) requested_model: Option<Arc<str>>,
    /// The chosen deployment.
    pub(super) deployment: Option<Arc<Deployment>>,
    pub(super) upstream_model: Option<Arc<str>>,
    pub(super) stream: bool,
    /// The time that the upstream's response took, head and body; until it is complete, the time
    /// until it began.
    pub(super) upstream: Option<Duration>,
    /// The time until the first chunk of a stream.
    pub(super) first_token: Option<Duration>,
    pub(super) usage: Option<Usage>,
    /// The duration of the call; set when it is answered.
    took: Option<Duration>,
    /// The callback that replied, rejected the call or failed.
    pub(super) callback: Option<Arc<str>>,
}

impl Record {
    pub(super) fn new(id: CallId, path: Cow<'static, str>, accepted: Instant) -> Self {
        Self {
            id,
            path,
            accepted,
            client: None,
            caller: None,
            holder: None,
            requested_model: None,
            deployment: None,
            upstream_model: None,
            stream: false,
            upstream: None,
            first_token: None,
            usage: None,
            took: None,
            callback: None,
        }
    }

    /// The duration of the call, so far if it still runs.
    pub(super) fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.accepted.elapsed())
    }

    /// The model name as logged. Names from the config are not masked either.
    fn model<'t>(&'t self, app: &App, name: Option<&'t str>) -> Cow<'t, str> {
        let name = name.unwrap_or_default();
        match &self.deployment {
            Some(it) if *it.model_name == *name || *it.upstream_model == *name => shortened(name),
            _ => named(app, name),
        }
    }

    fn count(&self, app: &App, (status, outcome): (u16, CallOutcome), duration: Duration) {
        app.metrics.ended(&Ended {
            model: self.requested_model.as_deref().unwrap_or_default(),
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
    pub(super) fn log_answer(&mut self, app: &App, status: u16) {
        let took = self.took();
        self.took = Some(took);
        self.count(app, (status, CallOutcome::Ok), took);
        let usage =
            self.usage.unwrap_or(Usage { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
        write_line((Level::INFO, ACCESS), "call", |line| {
            self.write(app, (status, CallOutcome::Ok), (took, Some(usage)), line);
            line.maybe_text(key!("callback"), self.callback.as_deref());
        });
    }

    /// The fields that name the deployment and its model.
    fn name(&self, app: &App, line: &mut Fields<'_>) {
        let deployment = self.deployment.as_deref();
        line.maybe_text(key!("deployment.id"), deployment.map(|it| &*it.id));
        line.text(key!("deployment.model"), &self.model(app, self.upstream_model.as_deref()));
        line.text(key!("provider"), deployment.map_or("", |it| &*it.label));
    }

    /// The fields that every call has.
    fn write(
        &self,
        app: &App,
        (status, outcome): (u16, CallOutcome),
        (took, usage): (Duration, Option<Usage>),
        line: &mut Fields<'_>,
    ) {
        let deployment = self.deployment.as_deref();
        line.number(key!("status"), status.into());
        line.literal(key!("outcome"), outcome.name());
        line.text(key!("call.id"), &named(app, &self.id));
        line.maybe_text(key!("client.address"), self.client.as_deref());
        line.maybe_text(key!("key.id"), self.caller.as_ref().map(|it| &*it.key_id));
        // The gateway's own paths cannot hold a secret.
        match self.path {
            Cow::Borrowed(path) => line.literal(key!("path"), path),
            Cow::Owned(ref path) => line.text(key!("path"), &named(app, path)),
        }
        line.text(key!("model.requested"), &self.model(app, self.requested_model.as_deref()));
        match deployment {
            // Always, except for a wildcard's match or a callback's choice.
            Some(it) if self.upstream_model.as_deref() == Some(&*it.upstream_model) => {
                let fields = it.log_fields.get_or_init(|| prepared(|line| self.name(app, line)));
                line.add_prepared(fields);
            }
            _ => self.name(app, line),
        }
        line.truth(key!("stream"), self.stream);
        line.millis(key!("duration_ms"), took);
        line.maybe_millis(key!("upstream.duration_ms"), self.upstream);
        line.maybe_millis(key!("first_token_ms"), self.first_token);
        line.maybe_number(key!("tokens.prompt"), usage.map(|usage| usage.prompt_tokens));
        line.maybe_number(key!("tokens.completion"), usage.map(|usage| usage.completion_tokens));
    }

    /// Counts a call that failed, and writes its line. `begun` says whether the client already had
    /// the head of a response.
    pub(super) fn log_failure(&self, app: &App, failure: &Failure, begun: bool) {
        let outcome = match failure.kind {
            FailureKind::CLIENT_GONE => CallOutcome::ClientGone,
            _ if begun => CallOutcome::Cut,
            _ => CallOutcome::Error,
        };
        let status = if begun { 200 } else { failure.status };
        let took = self.took();
        self.count(app, (status, outcome), took);
        let level = if is_clients(failure, begun) { Level::INFO } else { Level::WARN };
        write_line((level, ACCESS), "call failed", |line| {
            self.write(app, (status, outcome), (took, self.usage), line);
            let callback = failure.callback.as_deref().or(self.callback.as_deref());
            line.maybe_text(key!("callback"), callback);
            line.text(key!("error.code"), &shortened(failure.code_text()));
            line.text(key!("error.type"), &shortened(&failure.error_type));
            let message = shown_message(failure, app.logs_upstream_errors);
            line.text(key!("error.message"), &app.masking.mask(&message));
            let request_id = failure.upstream_request_id.as_deref();
            line.maybe_text(key!("upstream.request_id"), request_id);
            line.maybe_text(key!("error.cause"), cause(failure).as_deref());
        });
    }
}

/// Whether a failure concerns only the client: it left, or its request was refused (4xx). A
/// response that broke off and an upstream's refusal of the gateway's own key concern the operator.
fn is_clients(failure: &Failure, begun: bool) -> bool {
    if failure.kind == FailureKind::CLIENT_GONE {
        return true;
    }
    let of_our_key = failure.kind == FailureKind::UPSTREAM_STATUS
        && matches!(failure.status, 401 | 402 | 403 | 407 | 429);
    failure.status < 500 && !begun && !of_our_key
}

/// The cause of a failure, which only the log shows.
fn cause(failure: &Failure) -> Option<Cow<'_, str>> {
    failure.cause.as_deref().map(|cause| cut(cause, MESSAGE))
}

/// The failure's message, shortened to fit a line. Upstreams' own messages may repeat a part of a
/// prompt, so the operator can keep them out of the log.
fn shown_message(failure: &Failure, words_of_upstreams: bool) -> Cow<'_, str> {
    if failure.kind == FailureKind::UPSTREAM_STATUS && !words_of_upstreams {
        return "the upstream returned an error; its text is not logged (`callgate.log.upstream_errors`)"
            .into();
    }
    cut(&failure.message, MESSAGE)
}

/// Logs a request that is not a call, or cannot become one. `client` and `key` are as in
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
    let outcome = if status < 400 { CallOutcome::Ok } else { CallOutcome::Error };
    let level = if status < 500 { Level::INFO } else { Level::WARN };
    write_line((level, ACCESS), "request", |line| {
        line.number(key!("status"), status.into());
        line.text(key!("outcome"), outcome.name());
        line.maybe_text(key!("client.address"), client);
        line.maybe_text(key!("key.id"), key);
        line.text(key!("path"), &named(app, path));
        line.text(key!("method"), &named(app, method.as_str()));
        line.millis(key!("duration_ms"), accepted.elapsed());
        let Some(failure) = failure else { return };
        line.text(key!("error.code"), &shortened(failure.code_text()));
        line.text(key!("error.type"), &shortened(&failure.error_type));
        line.text(key!("error.message"), &app.masking.mask(&shown_message(failure, true)));
        line.maybe_text(key!("error.cause"), cause(failure).as_deref());
    });
}

/// Masks a name or a path from a client, because it may be a key in the wrong place.
fn named<'t>(app: &App, text: &'t str) -> Cow<'t, str> {
    match app.masking.mask(text) {
        Cow::Borrowed(text) => shortened(text),
        Cow::Owned(text) => Cow::Owned(shortened(&text).into_owned()),
    }
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
            // A variable that the environment lacks.
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
            let failure = Failure::of_callback(&"x".into(), kind, status, "");
            assert_eq!(is_clients(&failure, begun), clients, "{kind:?} {status} {begun}");
        }
    }
}
