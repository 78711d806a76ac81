//! A call while the server answers it, and its one end.
//!
//! However a call ends, [`Flight`] runs exactly once the end or error hooks of the callbacks that
//! let it pass, and writes its log line. Three endings are methods (`finish_json`, `finish_stream`,
//! `fail`); the fourth is a client that disconnects, which arrives only as a drop.

use super::{
    access_log::Record,
    completion,
    connection_timer::ConnectionTimer,
    detached::detach,
    disclosure::{disclose, mask},
    error,
    error::ErrorForm,
    inflight::Held,
    raw_reply::RawReply,
    response_headers,
    upload::Upload,
};
use crate::app::App;
use axum::body::Body;
use bytes::Bytes;
use callgate_call::{Call, Target};
use callgate_callbacks::{CallStats, Chain, EndPayload, ErrorPayload, StreamedText};
use callgate_failure::Failure;
use callgate_providers::CompletionBuilder;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body_util::Full;
use plugin_api::FailureKind;
use scopeguard::{ScopeGuard, guard};
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

/// The interval of keep-alives for a client whose stream is collected, if the config sets none.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A call in flight. If it is dropped before another ending, the client has left.
#[derive(Debug)]
pub(super) struct Flight(ScopeGuard<Ongoing, fn(Ongoing)>);

/// The state of a call until it ends.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) app: CountedFlight,
    /// Bounds the call's waits.
    pub(super) timer: ConnectionTimer,
    /// The callbacks as they were when the call began.
    pub(super) chain: Arc<Chain>,
    pub(super) record: Record,
    /// The text streamed so far; recorded only if a callback will read it.
    pub(super) streamed: StreamedText,
    /// The completion that a stream came to, if a callback asks for it.
    pub(super) assembled: Option<Box<CompletionBuilder>>,
    /// Whether the client has the head of the answer.
    pub(super) sent: bool,
    pub(super) first_token: Option<Duration>,
    /// The deployment of the call, once chosen.
    pub(super) target: Option<Target>,
    /// The files of a call that is a form, until they are sent.
    pub(super) upload: Option<Arc<Upload>>,
    call: Box<Call>,
    /// The body's share of the bytes in flight; returned on drop.
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
        (call, held, upload): (Box<Call>, Held, Option<Arc<Upload>>),
    ) -> Self {
        let ongoing = Ongoing {
            chain: app.callbacks.chain(),
            app: CountedFlight::new(app),
            timer,
            record,
            streamed: StreamedText::default(),
            assembled: None,
            sent: false,
            first_token: None,
            target: None,
            upload,
            call,
            _held: held,
        };
        Self(guard(ongoing, Ongoing::client_left))
    }

    /// Ends a call with a JSON reply: end hooks, the log line, and the response. If a hook rejects
    /// the reply, the call fails, and the client gets that failure.
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
            let Ongoing { mut record, app, mut call, .. } = self.done();
            record.log_answer(&app, 200);
            response_headers::add_reply_headers(&app, &mut call, &mut headers);
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

    /// Ends a call with an answer that is no JSON: end hooks, which see its text if it is one, the
    /// log line, and the response.
    pub(super) async fn finish_raw(
        mut self,
        answer: RawReply,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let RawReply { body, content_type, mut headers } = answer;
        let text = content_type.as_bytes().starts_with(b"text/").then(|| body.clone());
        let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let mut said = StreamedText::default();
        said.text = text.unwrap_or_default();
        let mut reply = EndPayload::new(200, None, &said);
        if let Err(failure) = self.run_end_hooks(&mut reply).await {
            return Err(Box::pin(self.fail(failure)).await);
        }
        let Ongoing { mut record, app, mut call, .. } = self.done();
        record.log_answer(&app, 200);
        response_headers::add_reply_headers(&app, &mut call, &mut headers);
        response_headers::duration_headers(&mut headers, &record);
        headers.insert(header::CONTENT_TYPE, content_type);
        let mut response = Response::new(Full::new(body));
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Ends a call whose stream is complete. Nobody waits for the hooks, because they can no longer
    /// change what the client received.
    pub(super) fn finish_stream(self) {
        // The client has everything, so a disconnect no longer counts.
        let mut ongoing = self.done();
        detach(async move {
            let said = std::mem::take(&mut ongoing.streamed);
            let assembled = ongoing.assembled.take();
            let echo = assembled.as_ref().map(|_| completion::echo(&ongoing.call));
            let mut reply = EndPayload::new(200, None, &said);
            if let (Some(assembled), Some(echo)) = (assembled, echo) {
                let whole = assembled.judge().ok().map(|()| assembled.completion(&echo).into());
                reply.completion = whole;
            }
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
        response_headers::add_reply_headers_to_failure(&ongoing.call, &mut failure, false);
        let figures = ongoing.figures();
        let mut failing = failing(failure, ongoing.sent, &ongoing.streamed.text, figures);
        let deployments = &ongoing.app.deployments;
        ongoing.chain.error(&mut ongoing.call, deployments, &mut failing).await;
        let mut failure = failing.failure;
        // A hook's rejection may have taken the failure's place.
        response_headers::add_reply_headers_to_failure(&ongoing.call, &mut failure, true);
        // An error hook may have set a text of its own.
        mask(&mut failure, &ongoing.app, &ongoing.call, ongoing.target.as_ref());
        // Only after the hooks: if the client leaves during them, the drop has to end the call.
        let Ongoing { mut record, app, sent, first_token, .. } = self.done();
        record.first_token = first_token;
        record.log_failure(&app, &failure, sent);
        failure
    }

    /// Disarms the drop; the caller ends the call.
    fn done(self) -> Ongoing {
        ScopeGuard::into_inner(self.0)
    }
}

impl Ongoing {
    /// The parts for an upstream call that hooks run beside: the first three for the upstream call,
    /// the last two for the hooks.
    pub(super) fn halves(
        &mut self,
    ) -> ((&App, &ConnectionTimer, &mut Record), (&Chain, &mut Call)) {
        let Self { app, timer, record, chain, call, .. } = self;
        ((app, timer, record), (chain, call))
    }

    /// The app, the chain and the call.
    pub(super) fn parts(&mut self) -> (&App, &Chain, &mut Call) {
        (&self.app, &self.chain, &mut self.call)
    }

    /// The hooks of a whole answer.
    pub(super) async fn run_end_hooks(
        &mut self,
        reply: &mut EndPayload<'_>,
    ) -> Result<(), Failure> {
        reply.figures = self.figures();
        reply.from_callback = self.record.callback.is_some();
        self.chain.end(&mut self.call, &self.app.deployments, reply).await
    }

    /// Ends a call whose flight was dropped: the client left, or the drain deadline aborted the
    /// call before its waits could be cut short. The hooks start at once; if they wait, a task runs
    /// the rest.
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

    /// Turns a timeout into `shutting_down` once the drain deadline has passed, because the wait
    /// was cut short, not exceeded.
    fn cut_short(&self, failure: Failure) -> Failure {
        if self.timer.is_cut() && failure.kind == FailureKind::TIMEOUT {
            return Failure::shutting_down();
        }
        failure
    }

    /// Whether the client of a stream gets nothing before the end hooks have run.
    pub(super) fn buffers_stream(&self) -> bool {
        self.chain.buffers_stream_of(&self.call)
    }

    /// How long the client of a stream may hear nothing before it gets a keep-alive.
    pub(super) fn keepalive(&self) -> Option<Duration> {
        let default = || self.buffers_stream().then_some(KEEPALIVE);
        self.app.stream_keepalive.or_else(default)
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

/// The response to a request that failed before it became a call.
pub(super) fn refused(app: &App, record: &Record, failure: &Failure) -> Response<Body> {
    record.log_failure(app, failure, false);
    error::response(failure, ErrorForm::of_path(&record.path))
}
