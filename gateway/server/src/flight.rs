//! A call on its way, and its one ending.
//!
//! However a call ends, [`Flight`] pays what is owed exactly once: the end or error hooks of the
//! callbacks that let it pass, and its line in the log. Three endings are steps of the story
//! (`finish_json`, `finish_stream`, `fail`); the fourth is the client hanging up, which reaches us
//! only as a drop.

use super::{
    access_log::Record,
    connection_timer::ConnectionTimer,
    detached::detach,
    disclosure::{disclose, mask},
    error,
    inflight::Held,
    response_headers,
};
use crate::app::App;
use axum::body::Body;
use bytes::Bytes;
use callgate_call::{Call, Target};
use callgate_callbacks::{CallStats, Chain, EndPayload, ErrorPayload, StreamedText};
use callgate_failure::Failure;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::Full;
use plugin_api::FailureKind;
use scopeguard::{ScopeGuard, guard};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

/// See the module. Dropped before an ending is done, its client has left.
#[derive(Debug)]
pub(super) struct Flight(ScopeGuard<Ongoing, fn(Ongoing)>);

/// What there is of a call until it ends.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) app: CountedFlight,
    /// What bounds the call's waits.
    pub(super) timer: ConnectionTimer,
    /// The callbacks as they were when the call began.
    pub(super) chain: Arc<Chain>,
    pub(super) record: Record,
    /// What was streamed so far; filled only when a callback will want it.
    pub(super) streamed: StreamedText,
    /// Whether the client has the head of the answer.
    pub(super) sent: bool,
    pub(super) first_token: Option<Duration>,
    /// What the call is meant for, once that is decided.
    pub(super) target: Option<Target>,
    call: Box<Call>,
    /// Given back when this ends.
    _held: Held,
}

/// The app, with a call counted as in flight for as long as this lives.
#[derive(Debug)]
pub(super) struct CountedFlight(Arc<App>);

impl CountedFlight {
    fn new(app: Arc<App>) -> Self {
        app.metrics.entered();
        Self(app)
    }

    pub(super) fn shared(&self) -> Arc<App> {
        Arc::clone(&self.0)
    }
}

impl Deref for CountedFlight {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl Drop for CountedFlight {
    fn drop(&mut self) {
        self.0.metrics.left();
    }
}

impl Deref for Flight {
    type Target = Ongoing;

    fn deref(&self) -> &Ongoing {
        &self.0
    }
}

impl DerefMut for Flight {
    fn deref_mut(&mut self) -> &mut Ongoing {
        &mut self.0
    }
}

impl Flight {
    pub(super) fn new(
        app: Arc<App>,
        timer: ConnectionTimer,
        record: Record,
        call: Box<Call>,
        held: Held,
    ) -> Self {
        let ongoing = Ongoing {
            chain: app.callbacks.chain(),
            app: CountedFlight::new(app),
            timer,
            record,
            streamed: StreamedText::default(),
            sent: false,
            first_token: None,
            target: None,
            call,
            _held: held,
        };
        Self(guard(ongoing, Ongoing::client_left))
    }

    /// Ends a call with a JSON reply: end hooks, the log, and the response. What a hook refuses
    /// fails the call; the failure is what the client gets.
    #[expect(clippy::manual_async_fn, reason = "the future of an `async fn` is larger")]
    pub(super) fn finish_json(
        mut self,
        body: Bytes,
        mut headers: HeaderMap,
    ) -> impl Future<Output = Result<Response<Full<Bytes>>, Failure>> {
        async move {
            let said = StreamedText::default();
            let mut reply = EndPayload::new(200, Some(body), &said);
            if let Err(failure) = self.run_end_hooks(&mut reply).await {
                return Err(Box::pin(self.fail(failure)).await);
            }
            let Ongoing { mut record, app, .. } = self.done();
            record.log_answer(&app, 200);
            for (name, value) in reply.headers {
                headers.insert(name, response_headers::without_secrets(&app, value));
            }
            response_headers::duration_headers(&mut headers, &record);
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let mut response = Response::new(Full::new(reply.json.unwrap_or_default()));
            *response.headers_mut() = headers;
            Ok(response)
        }
    }

    /// Ends a call whose stream is complete. Nobody waits for the hooks: what they do can no
    /// longer change what the client has.
    pub(super) fn finish_stream(self) {
        // The client has everything, and can no longer leave.
        let mut ongoing = self.done();
        detach(async move {
            let said = std::mem::take(&mut ongoing.streamed);
            let mut reply = EndPayload::new(200, None, &said);
            if let Err(mut failure) = ongoing.run_end_hooks(&mut reply).await {
                disclose(&mut failure, &ongoing.app, &ongoing.call, ongoing.target.as_ref());
                let mut failing = failing(failure, true, &said.text, reply.figures);
                let deployments = &ongoing.app.deployments;
                ongoing.chain.error(&mut ongoing.call, deployments, &mut failing).await;
            }
            ongoing.record.first_token = ongoing.first_token;
            ongoing.record.log_answer(&ongoing.app, 200);
        });
    }

    /// Ends a failed call: error hooks, then the log. Returns what the client gets.
    pub(super) async fn fail(mut self, failure: Failure) -> Failure {
        let ongoing = &mut *self;
        let mut failure = ongoing.cut_short(failure);
        disclose(&mut failure, &ongoing.app, &ongoing.call, ongoing.target.as_ref());
        let figures = ongoing.figures();
        let mut failing = failing(failure, ongoing.sent, &ongoing.streamed.text, figures);
        let deployments = &ongoing.app.deployments;
        ongoing.chain.error(&mut ongoing.call, deployments, &mut failing).await;
        let mut failure = failing.failure;
        // An error hook has words of its own.
        mask(&mut failure, &ongoing.app, &ongoing.call, ongoing.target.as_ref());
        // Only when the hooks are done: a client that leaves before is the other ending.
        let Ongoing { mut record, app, sent, first_token, .. } = self.done();
        record.first_token = first_token;
        record.log_failure(&app, &failure, sent);
        failure
    }

    /// Nothing ends it any more but what calls this.
    fn done(self) -> Ongoing {
        ScopeGuard::into_inner(self.0)
    }
}

impl Ongoing {
    /// The app, the chain and the call.
    pub(super) fn parts(&mut self) -> (&App, &Chain, &mut Call) {
        (&self.app, &self.chain, &mut self.call)
    }

    /// The hooks of a whole answer.
    async fn run_end_hooks(&mut self, reply: &mut EndPayload<'_>) -> Result<(), Failure> {
        reply.figures = self.figures();
        reply.from_callback = self.record.callback.is_some();
        self.chain.end(&mut self.call, &self.app.deployments, reply).await
    }

    /// A client's leaving arrives as a drop, and so does the end of a call that is cut off and
    /// could not be told so. The hooks run at once; what is not done at once goes on as a task.
    fn client_left(self) {
        let figures = self.figures();
        let Self { app: counted, timer, chain, mut record, streamed, sent, mut call, .. } = self;
        call.client_gone = true;
        let app = counted.shared();
        drop(counted);
        let failure =
            if timer.is_cut() { Failure::shutting_down() } else { Failure::client_gone() };
        record.first_token = self.first_token;
        detach(async move {
            let mut failing = failing(failure, true, &streamed.text, figures);
            chain.error(&mut call, &app.deployments, &mut failing).await;
            record.log_failure(&app, &failing.failure, sent);
        });
    }

    /// What `failure` is called once the gateway has stopped waiting for its calls: then a wait
    /// that ended was cut short.
    fn cut_short(&self, failure: Failure) -> Failure {
        if self.timer.is_cut() && failure.kind == FailureKind::TIMEOUT {
            return Failure::shutting_down();
        }
        failure
    }

    fn figures(&self) -> CallStats {
        CallStats {
            usage: self.record.usage,
            elapsed: self.record.accepted.elapsed(),
            upstream: self.record.upstream,
            first_token: self.first_token,
        }
    }
}

fn failing(failure: Failure, sent: bool, streamed: &str, figures: CallStats) -> ErrorPayload<'_> {
    ErrorPayload { failure, sent, streamed: streamed.into(), figures }
}

/// The response of a call that failed before it was one.
pub(super) fn refused(app: &App, record: &Record, failure: &Failure) -> Response<Body> {
    record.log_failure(app, failure, false);
    error::response(failure)
}
