//! Runs one hook of one callback, in place, as a future, or on another thread, and decides how the
//! chain goes on.

use super::{
    event::HookEvent,
    hook_timer::HookTimer,
    link::{Link, RunMode},
    pool::PoolError,
    slow::SLOW,
    stats::{Counted, ThreadSlot},
    verdict::{self, Fault, HookOutcome, outcome},
};
use crate::{
    call_handle::{CallHandle, HookResult, Undo},
    offload::offload_hook,
    record::{CallRecord, HookVerdict},
    reply_stream::CallbackReply,
};
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_host::{ExchangeLog, WithExchangeLog, depth};
use callgate_plugin_host::{Hook, RunningHook};
use futures_util::future::poll_immediate;
use plugin_api::{FailureKind, Rejection, abi::Verdict};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// The time limit of a hook that can time out, if the config sets none.
const TIMEOUT: Duration = Duration::from_secs(2);
const TOKEN_TIMEOUT: Duration = Duration::from_millis(50);

/// One walk of a call along the chain.
#[derive(Debug)]
pub(super) struct Dispatcher<'a> {
    deployments: &'a Arc<Deployments>,
    timer: HookTimer,
}

/// What the chain does after a hook.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Goes on with the next callback.
    On,
    /// The callback replied; only in `on_llm_start`.
    Replied(CallbackReply),
    /// The callback rejected the call.
    Refused(Failure),
    /// The callback failed, and its policy fails the call.
    Failed(Failure),
}

/// The result of a hook, before the policy is applied.
pub(super) struct Ran<B> {
    pub(super) outcome: HookOutcome,
    pub(super) place: usize,
    pub(super) undo: Undo,
    pub(super) before: Option<B>,
}

impl NextStep {
    /// What it would have done to the call; `None` if the call goes on.
    pub(super) fn in_words(&self) -> Option<String> {
        match self {
            Self::On => None,
            Self::Replied(_) => Some("have answered the call".to_owned()),
            Self::Refused(failure) | Self::Failed(failure) => {
                Some(format!("have failed the call with status {}", failure.status))
            }
        }
    }
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(deployments: &'a Arc<Deployments>) -> Self {
        Self { deployments, timer: HookTimer::default() }
    }

    /// Runs the link's hook, unless the callback lacks it or skips the call. Returns `None` if the
    /// hook is async or blocking; [`Dispatcher::run_slow`] then runs it. Kept separate so that sync
    /// hooks build no future.
    pub(super) fn try_sync<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> Option<NextStep> {
        let run_mode = link.run_mode(S::HOOK);
        if run_mode == RunMode::None || call.left_out.has(place) || link.skips(S::HOOK, place, call)
        {
            return Some(NextStep::On);
        }
        if link.is_set_apart() {
            return None;
        }
        let in_place = run_mode == RunMode::Inline && !is_large(call, event);
        in_place.then(|| self.run_inline(place, link, call, event))
    }

    pub(super) async fn run_slow<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        // All but the last are large and rare, so they are boxed; otherwise every call's future
        // would have room for them.
        match link.run_mode(S::HOOK) {
            _ if link.is_shadow() => Box::pin(self.run_shadow(place, link, call, event)).await,
            _ if link.is_set_apart() => Box::pin(self.run_noted(place, link, call, event)).await,
            RunMode::Blocking => Box::pin(self.run_blocking(place, link, call, event)).await,
            RunMode::Inline => Box::pin(self.run_offloaded(place, link, call, event)).await,
            _ => self.run_async_hook(place, link, call, event).await,
        }
    }

    /// Runs the hook, and records it if the entry says so.
    #[cold]
    async fn run_noted<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        self.timer.pause();
        let recorder = link.recorder();
        let record = recorder.and_then(|it| it.record_of(place, call, self.deployments));
        let Some(record) = record else {
            return self.run_plain(place, link, call, event).await;
        };
        let (deployments, log) = (self.deployments, ExchangeLog::default());
        let begun = record.begin(S::HOOK, call, deployments, event.image());
        let step = WithExchangeLog::new(self.run_plain(place, link, call, event), &log).await;
        self.timer.pause();
        let noted = (event.image(), noted(&step), log.take());
        record.end(begun, call, deployments, noted);
        step
    }

    /// Runs the hook on the call itself, in the way that its mode says.
    async fn run_plain<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        match link.run_mode(S::HOOK) {
            RunMode::Blocking => Box::pin(self.run_blocking(place, link, call, event)).await,
            RunMode::Inline if is_large(call, event) => {
                Box::pin(self.run_offloaded(place, link, call, event)).await
            }
            RunMode::Inline => self.run_inline(place, link, call, event),
            _ => self.run_async_hook(place, link, call, event).await,
        }
    }

    fn run_inline<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        let Some(instance) = link.living.instance() else {
            return link.judge(call, event, missing(place));
        };
        let rolls_back = link.rolls_back();
        let before = rolls_back.then(|| event.before());
        let mut handle = CallHandle::new(call, self.deployments, place, S::HOOK, rolls_back)
            .with_grants(link.grants());
        self.timer.begin();
        let verdict = event.run(instance, &mut handle);
        let (thread, ns) = self.timer.end();
        link.stats().ran(thread, S::HOOK, ns);
        if ns > SLOW {
            link.was_slow(S::HOOK, ns);
        }
        // The usual case.
        if continues(verdict) && !handle.found_unreadable() {
            return NextStep::On;
        }
        self.timer.pause();
        let (given, undo) = handle.into_parts();
        link.judge(call, event, Ran { outcome: outcome(verdict, given), place, undo, before })
    }

    async fn run_async_hook<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        let Some(instance) = link.living.instance() else {
            return link.judge(call, event, missing(place));
        };
        let rolls_back = link.rolls_back();
        let before = rolls_back.then(|| event.before());
        let mut handle = CallHandle::new(call, self.deployments, place, S::HOOK, rolls_back)
            .with_grants(link.grants());
        self.timer.begin();
        let waited = match event.run_async(instance, &mut handle) {
            Some(hook) => wait(hook, limit(link, S::HOOK)).await,
            None => Ok((Verdict::NOT_IMPLEMENTED, true)),
        };
        let (thread, ns) = self.timer.end();
        if let Ok((verdict, true)) = waited {
            link.stats().ran(thread, S::HOOK, ns);
            if ns > SLOW {
                link.was_slow(S::HOOK, ns);
            }
            if continues(verdict) && !handle.found_unreadable() {
                return NextStep::On;
            }
        } else {
            // The task may have moved to another thread while it waited.
            link.stats().ran(ThreadSlot::current(), S::HOOK, ns);
        }
        self.timer.pause();
        let (given, undo) = handle.into_parts();
        let outcome = match waited {
            Ok((verdict, _)) => outcome(verdict, given),
            Err(fault) => HookOutcome::Fault(fault),
        };
        link.judge(call, event, Ran { outcome, place, undo, before })
    }

    /// Runs the hook on its own copy of the call, which is committed if the hook ends in time.
    /// Later changes are dropped.
    async fn run_blocking<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        self.timer.pause();
        let (Some(pool), Some(_)) = (link.pool(), link.living.instance()) else {
            return link.judge(call, event, missing(place));
        };
        let work = self.copied(place, link, call, event.to_owned());
        let begun = Instant::now();
        let done = pool.run(limit(link, S::HOOK), work).await.map_err(|error| match error {
            PoolError::Late { .. } => Fault::late(error.to_string()),
            _ => Fault::new(error.to_string()),
        });
        link.judge_copy(place, call, event, begun, done)
    }

    /// As `run_blocking`, for a sync hook on a call or reply so large that the other calls of this
    /// thread would have to wait. It has no time limit.
    #[cold]
    async fn run_offloaded<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        self.timer.pause();
        if link.living.instance().is_none() {
            return link.judge(call, event, missing(place));
        }
        if Handle::try_current().is_err() {
            return self.run_inline(place, link, call, event);
        }
        let lent = if link.rolls_back() { event.to_owned() } else { event.lend() };
        let work = self.copied(place, link, call, lent);
        let begun = Instant::now();
        let done = offload_hook(work).await.map_err(Fault::new);
        link.judge_copy(place, call, event, begun, done)
    }

    /// Runs the hook on copies of the call and the event, and drops them. Of all that the hook did,
    /// only the callback's own note is kept, for its later hooks.
    #[cold]
    async fn run_shadow<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        self.timer.pause();
        let (mut copy, mut owned) = (call.clone(), event.to_owned());
        let step = self.run_noted(place, link, &mut copy, &mut owned).await;
        // Its later hooks go into the same record.
        call.records.clone_from(&copy.records);
        self.timer.pause();
        let would_edit = call.is_changed_by(&copy) || event.is_changed_by(&owned);
        link.note_shadow(S::HOOK, would_edit, step.in_words().as_deref());
        // A note that a hook could set is within the limit.
        let _ = call.set_note(place, copy.note(place));
        NextStep::On
    }

    /// The hook with its own copy of the call.
    fn copied<S: HookEvent + Send + 'static>(
        &self,
        place: usize,
        link: &Link,
        call: &Call,
        mut event: S,
    ) -> impl FnOnce() -> CopiedRun<S> + Send + 'static + use<S> {
        let mut call = call.clone();
        let (living, deployments) = (Arc::clone(&link.living), Arc::clone(self.deployments));
        let slot = Arc::clone(&link.slot);
        // The hook runs on another thread.
        let depth = depth::current();
        move || {
            depth::at(depth, move || {
                let mut handle = CallHandle::new(&mut call, &deployments, place, S::HOOK, false)
                    .with_grants(slot.recipe.grants());
                let run = |instance| event.run(instance, &mut handle);
                let verdict = living.instance().map_or(Verdict::FAULT, run);
                let (given, _) = handle.into_parts();
                CopiedRun { call, event, verdict, given }
            })
        }
    }
}

/// A hook that has run on its own copy of the call.
struct CopiedRun<S> {
    call: Call,
    event: S,
    verdict: Verdict,
    given: HookResult,
}

impl<O> CopiedRun<O> {
    /// Commits the hook's changes to the live call, unless the hook failed.
    fn take_over<S: HookEvent<Owned = O>>(self, call: &mut Call, event: &mut S) -> HookOutcome {
        let outcome = outcome(self.verdict, self.given);
        if matches!(outcome, HookOutcome::Fault(_)) {
            call.learn(&self.call);
        } else {
            *call = self.call;
            event.take_over(self.event);
        }
        outcome
    }
}

impl Link {
    /// Counts a hook that has run on its own copy since `begun`, commits its changes, and judges
    /// it.
    fn judge_copy<S: HookEvent>(
        &self,
        place: usize,
        call: &mut Call,
        event: &mut S,
        begun: Instant,
        done: Result<CopiedRun<S::Owned>, Fault>,
    ) -> NextStep {
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.stats().ran(ThreadSlot::current(), S::HOOK, ns);
        let outcome = match done {
            Err(fault) => HookOutcome::Fault(fault),
            Ok(done) => done.take_over(call, event),
        };
        self.judge(call, event, Ran { outcome, place, undo: Undo::default(), before: None })
    }

    /// Applies this callback's policy to a hook's outcome.
    #[cold]
    pub(super) fn judge<S: HookEvent>(
        &self,
        call: &mut Call,
        event: &mut S,
        ran: Ran<S::Before>,
    ) -> NextStep {
        let hook = S::HOOK;
        let (refused, broke) = event.failures();
        // An error that a client can cause is not the callback's fault. It always fails the call,
        // so that no client can bypass a callback with it.
        let excuse = match &ran.outcome {
            HookOutcome::Reject(_) => None,
            HookOutcome::Fault(_) => call.excuse(),
            _ if hook == Hook::Start => call.found_unreadable(),
            _ => None,
        };
        if let Some(failure) = excuse {
            self.stats().note(hook, Counted::Rejection);
            if hook == Hook::Start {
                self.finished(ran.place, call);
            }
            return NextStep::Refused(failure);
        }
        match ran.outcome {
            HookOutcome::Continue => NextStep::On,
            HookOutcome::Reply(reply) if hook == Hook::Start => {
                self.stats().note(hook, Counted::Reply);
                NextStep::Replied(reply)
            }
            HookOutcome::Reply(_) => {
                self.warn(
                    hook,
                    "answered, which only on_llm_start may, so the answer is left out,",
                );
                NextStep::On
            }
            HookOutcome::Reject(rejection) => {
                self.stats().note(hook, Counted::Rejection);
                if hook == Hook::Start {
                    self.finished(ran.place, call);
                }
                NextStep::Refused(self.rejection_failure(hook, rejection, refused))
            }
            HookOutcome::Fault(fault) => {
                if let Some(record) = CallRecord::of(call, ran.place) {
                    record.note_fault(&fault.message, fault.spoiled);
                }
                if let Some(failure) = self.faulted(hook, &fault, ran.place, call, broke) {
                    return NextStep::Failed(failure);
                }
                ran.undo.apply(call);
                if let Some(before) = ran.before {
                    event.restore(before);
                }
                NextStep::On
            }
        }
    }

    pub(super) fn rejection_failure(
        &self,
        hook: Hook,
        rejection: Rejection,
        kind: FailureKind,
    ) -> Failure {
        if !(400..600).contains(&rejection.status) {
            let status = rejection.status;
            let what =
                format!("refused with status {status}, not one from 400 to 599, so 500 is sent,");
            self.warn(hook, &what);
        }
        let mut rejection = rejection;
        let Rejection { message, code, headers, .. } = &mut rejection;
        let headers = headers.iter_mut().map(|(_, value)| value);
        for text in std::iter::once(message).chain(code).chain(headers) {
            *text = self.without_secrets(text);
        }
        verdict::rejection_failure(self.name(), rejection, kind)
    }
}

/// Whether the hook may read so much that other calls of the thread must not wait. A chunk is
/// small; all other hooks may read the whole call.
fn is_large<S: HookEvent>(call: &Call, event: &S) -> bool {
    event.is_large() || S::HOOK != Hook::NewToken && call.is_large()
}

/// What a record says of a step. It knows of faults already.
pub(super) fn noted(step: &NextStep) -> HookVerdict {
    match step {
        NextStep::On => HookVerdict::Continue,
        NextStep::Replied(CallbackReply::Whole(reply)) => HookVerdict::Reply(reply.clone()),
        NextStep::Replied(CallbackReply::Stream(_)) => HookVerdict::ReplyStream,
        NextStep::Refused(failure) | NextStep::Failed(failure) => {
            HookVerdict::Rejection(failure.clone())
        }
    }
}

fn continues(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::CONTINUE | Verdict::NOT_IMPLEMENTED)
}

pub(super) fn limit(link: &Link, hook: Hook) -> Duration {
    let usual = if hook == Hook::NewToken { TOKEN_TIMEOUT } else { TIMEOUT };
    link.timeout().unwrap_or(usual)
}

/// Waits for an async hook; a hook that is ready at once needs no timer. Returns, with the verdict,
/// whether it was ready at once.
pub(super) async fn wait(
    mut hook: RunningHook<'_>,
    limit: Duration,
) -> Result<(Verdict, bool), Fault> {
    if let Some(verdict) = poll_immediate(&mut hook).await {
        return Ok((verdict, true));
    }
    let late = |_| Fault::late(format!("not done within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, hook).await.map(|verdict| (verdict, false)).map_err(late)
}

/// The hook of an instance that could not be restarted.
fn missing<B>(place: usize) -> Ran<B> {
    let outcome = HookOutcome::Fault(Fault::not_restarted());
    Ran { outcome, place, undo: Undo::default(), before: None }
}
