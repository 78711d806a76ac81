//! A call on its way, and its one ending.
//!
//! However a call ends, [`Flight`] pays what is owed exactly once: the end or error hooks of the
//! callbacks that let it pass, and its line in the log. Three endings are steps of the story
//! (`answered`, `streamed`, `failed`); the fourth is the client hanging up, which reaches us only
//! as a drop.

use super::{
    access_log::Record,
    alarm::Alarm,
    disclosure::{disclose, mask},
    error,
    inflight::Held,
};
use crate::app::App;
use axum::response::Response;
use callgate_call::{Call, Target};
use callgate_callbacks::{CallStats, Chain, EndPayload, ErrorPayload, StreamedText};
use callgate_failure::Failure;
use plugin_api::FailureKind;
use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};
use tokio::sync::watch;

/// See the module.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) app: Arc<App>,
    /// What bounds the call's waits.
    pub(super) alarm: Alarm,
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
    /// Taken by the ending.
    call: Option<Box<Call>>,
    /// Given back when this ends.
    _held: Held,
}

impl Flight {
    pub(super) fn new(
        app: Arc<App>,
        alarm: Alarm,
        record: Record,
        call: Box<Call>,
        held: Held,
    ) -> Self {
        app.metrics.entered();
        Self {
            chain: app.callbacks.chain(),
            app,
            alarm,
            record,
            streamed: StreamedText::default(),
            sent: false,
            first_token: None,
            target: None,
            call: Some(call),
            _held: held,
        }
    }

    /// The app, the chain and the call; `None` only after its ending.
    pub(super) fn parts(&mut self) -> Option<(&App, &Chain, &mut Call)> {
        Some((&self.app, &self.chain, self.call.as_deref_mut()?))
    }

    /// Ends a call with a JSON reply: end hooks, then the log. What a hook refuses is the failure,
    /// and has yet to be ended as one.
    pub(super) async fn answered(
        &mut self,
        status: u16,
        reply: &mut EndPayload<'_>,
    ) -> Result<(), Failure> {
        let figures = self.figures();
        let Some(call) = self.call.as_deref_mut() else { return Ok(()) };
        reply.figures = figures;
        reply.from_callback = self.record.callback.is_some();
        self.chain.end(call, &self.app.deployments, reply).await?;
        self.call = None;
        self.record.answered(&self.app, status);
        Ok(())
    }

    /// Ends a call whose stream is complete. Nobody waits for the hooks: what they do can no
    /// longer change what the client has.
    pub(super) fn streamed(mut self) {
        detach(async move {
            let figures = self.figures();
            let Some(mut call) = self.call.take() else { return };
            let said = std::mem::take(&mut self.streamed);
            let mut reply = EndPayload::new(200, None, &said);
            reply.figures = figures;
            reply.from_callback = self.record.callback.is_some();
            let ended = self.chain.end(&mut call, &self.app.deployments, &mut reply).await;
            if let Err(mut failure) = ended {
                disclose(&mut failure, &self.app, &call, self.target.as_ref());
                let mut failing = failing(failure, true, &said.text, figures);
                self.chain.error(&mut call, &self.app.deployments, &mut failing).await;
            }
            self.record.first_token = self.first_token;
            self.record.answered(&self.app, 200);
        });
    }

    /// Ends a failed call: error hooks, then the log. Returns what the client gets.
    pub(super) async fn failed(&mut self, mut failure: Failure) -> Failure {
        let figures = self.figures();
        // Taken only when the hooks are done: a client that leaves before is the other ending.
        if let Some(call) = self.call.as_deref_mut() {
            disclose(&mut failure, &self.app, call, self.target.as_ref());
            let mut failing = failing(failure, self.sent, &self.streamed.text, figures);
            self.chain.error(call, &self.app.deployments, &mut failing).await;
            failure = failing.failure;
            // An error hook has words of its own.
            mask(&mut failure, &self.app, call, self.target.as_ref());
        }
        self.call = None;
        self.record.first_token = self.first_token;
        self.record.failed(&self.app, &failure, self.sent);
        failure
    }

    /// What `failure` is called once the gateway has stopped waiting for its calls: then a wait
    /// that ended was cut short.
    pub(super) fn told(&self, failure: Failure) -> Failure {
        if self.alarm.is_cut() && failure.kind == FailureKind::TIMEOUT {
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

/// Not an ending of its own: a drop with the call still here is how a client's leaving arrives,
/// and how a call is cut off that could not be told so.
/// The hooks run at once; what is not done at once goes on as a task.
impl Drop for Flight {
    fn drop(&mut self) {
        self.app.metrics.left();
        let Some(mut call) = self.call.take() else { return };
        call.client_gone = true;
        let (app, chain) = (Arc::clone(&self.app), Arc::clone(&self.chain));
        let (streamed, figures) = (std::mem::take(&mut self.streamed), self.figures());
        let mut record = std::mem::replace(
            &mut self.record,
            Record::new(String::new(), Cow::default(), call.accepted),
        );
        let failure =
            if self.alarm.is_cut() { Failure::shutting_down() } else { Failure::client_gone() };
        record.first_token = self.first_token;
        let sent = self.sent;
        detach(async move {
            let mut failing = failing(failure, true, &streamed.text, figures);
            chain.error(&mut call, &app.deployments, &mut failing).await;
            record.failed(&app, &failing.failure, sent);
        });
    }
}

fn failing(failure: Failure, sent: bool, streamed: &str, figures: CallStats) -> ErrorPayload<'_> {
    ErrorPayload { failure, sent, streamed: streamed.into(), figures }
}

/// Runs to the first wait here and now, so that sync hooks cost no task; the rest as a task of
/// this thread.
fn detach(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    let polled = Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop()));
    if polled.is_pending()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        let counted = UnderWay::begin();
        runtime.spawn(async move {
            work.await;
            drop(counted);
        });
    }
}

thread_local! {
    /// How many endings of this thread's calls wait for their hooks.
    static UNDER_WAY: watch::Sender<usize> = watch::Sender::new(0);
}

/// Waits until no call of this thread waits for its last hooks. They have no connection any more,
/// so the end of all connections is not theirs.
pub(super) async fn all_ended() {
    let mut under_way = UNDER_WAY.with(watch::Sender::subscribe);
    let _ = under_way.wait_for(|count| *count == 0).await;
}

/// Counts an ending for as long as it lives.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.with(|count| count.send_modify(|count| *count += 1));
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // A thread that has ended has nobody who waits.
        let _ = UNDER_WAY.try_with(|count| count.send_modify(|count| *count -= 1));
    }
}

/// The response of a call that failed before it was one.
pub(super) fn refused(app: &App, record: &Record, failure: &Failure) -> Response {
    record.failed(app, failure, false);
    error::response(failure)
}
