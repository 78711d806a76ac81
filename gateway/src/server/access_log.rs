//! The one line each request gets. Never in it: keys, prompts, replies.

use crate::{app::App, failure::Failure, metrics::Ended, provider::Usage};
use axum::{http::Method, response::Response};
use plugin_api::FailureKind;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// What the line of a call will say.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) path: Cow<'static, str>,
    pub(super) accepted: Instant,
    pub(super) requested_model: String,
    pub(super) provider: Option<Arc<str>>,
    pub(super) upstream_model: String,
    pub(super) stream: bool,
    /// How long the upstream took to begin its answer.
    pub(super) upstream: Option<Duration>,
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
            requested_model: String::new(),
            provider: None,
            upstream_model: String::new(),
            stream: false,
            upstream: None,
            usage: None,
            took: None,
            callback: None,
        }
    }

    /// How long the call took, or has taken so far.
    pub(super) fn took(&self) -> Duration {
        self.took.unwrap_or_else(|| self.accepted.elapsed())
    }

    fn count(&self, app: &App, status: u16, duration: Duration) {
        app.metrics.ended(&Ended {
            model: &self.requested_model,
            provider: self.provider.as_deref(),
            status,
            duration,
            usage: self.usage,
        });
    }

    /// Counts a call that was answered, and writes its line.
    pub(super) fn answered(&mut self, app: &App, status: u16) {
        let took = self.took();
        self.took = Some(took);
        self.count(app, status, took);
        let usage =
            self.usage.unwrap_or(Usage { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
        tracing::info!(
            target: "callgate::access",
            status,
            call.id = &*self.id,
            path = &*self.path,
            model.requested = &*self.requested_model,
            deployment.model = &*self.upstream_model,
            provider = self.provider.as_deref().unwrap_or_default(),
            stream = self.stream,
            duration_ms = millis(took),
            upstream.duration_ms = self.upstream.map(millis),
            tokens.prompt = usage.prompt_tokens,
            tokens.completion = usage.completion_tokens,
            callback = self.callback.as_deref(),
            "call"
        );
    }

    /// Counts a call that failed, and writes its line. `status` is what the client has, when that is not
    /// the failure's own: a stream that broke had begun with 200, a client that left gets none.
    pub(super) fn failed(&self, app: &App, failure: &Failure, status: u16) {
        let took = self.took();
        self.count(app, status, took);
        // Whose fault it is decides how loud it is.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "callgate::access",
                    status,
                    call.id = &*self.id,
                    path = &*self.path,
                    model.requested = &*self.requested_model,
                    deployment.model = &*self.upstream_model,
                    provider = self.provider.as_deref().unwrap_or_default(),
                    stream = self.stream,
                    duration_ms = millis(took),
                    upstream.duration_ms = self.upstream.map(millis),
                    callback = failure.callback.as_deref().or(self.callback.as_deref()),
                    error.code = failure.code_text(),
                    error.message = told(failure),
                    error.cause = failure.cause.as_deref(),
                    "call failed"
                )
            };
        }
        if crate::call::is_clients(failure.kind) {
            line!(info);
        } else {
            line!(warn);
        }
    }
}

/// What the log says of a failure: never an upstream's own words, which may repeat a prompt or a
/// key, and no more of any text than a line can bear.
fn told(failure: &Failure) -> &str {
    const ENOUGH: usize = 500;
    if failure.kind == FailureKind::UPSTREAM_STATUS {
        return "the upstream refused; its words went to the client only";
    }
    &failure.message[..failure.message.floor_char_boundary(ENOUGH)]
}

/// The line of a request that was no call, or none that could be one.
pub(super) fn small_endpoint(
    method: &Method,
    path: &str,
    response: &Response,
    accepted: Instant,
    failure: Option<&Failure>,
) {
    let code = failure.map(|failure| failure.code_text().to_owned());
    tracing::info!(
        target: "callgate::access",
        path = &*shortened(path),
        method = &*shortened(method.as_str()),
        status = response.status().as_u16(),
        duration_ms = millis(accepted.elapsed()),
        error.code = code.as_deref(),
        error.message = failure.map(told),
        "request"
    );
}

/// As much of what a client made up as a line can bear.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const ENOUGH: usize = 200;
    if text.len() <= ENOUGH {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{}…", &text[..text.floor_char_boundary(ENOUGH)]))
}

/// The line of what was no request; of what was sent nothing is repeated.
pub(super) fn refused(status: u16, why: &str) {
    tracing::info!(target: "callgate::access", status, error.message = why, "request refused");
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
