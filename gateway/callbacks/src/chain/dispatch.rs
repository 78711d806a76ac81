//! One hook of one callback: run in place, awaited, or on a thread of the callback's own, and what
//! the chain does next.

use super::{
    event::HookEvent,
    hook_timer::{HookTimer, SLOW},
    link::{Link, RunMode},
    pool::PoolError,
    stats::{Counted, ThreadSlot},
    verdict::{self, Fault, HookOutcome, outcome},
};
use crate::{
    call_handle::{CallHandle, HookResult, Undo},
    offload::offload_hook,
};
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_plugin_host::{Hook, RunningHook};
use futures_util::future::poll_immediate;
use plugin_api::{FailureKind, Rejection, abi::Verdict};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// How long a hook may take that can be left behind, when the config does not say.
const TIMEOUT: Duration = Duration::from_secs(2);
const TOKEN_TIMEOUT: Duration = Duration::from_millis(50);

/// One way of a call along the chain.
#[derive(Debug)]
pub(super) struct Dispatcher<'a> {
    deployments: &'a Arc<Deployments>,
    timer: HookTimer,
}

/// What the chain does after a hook.
#[derive(Debug)]
pub(super) enum NextStep {
    /// Goes on.
    On,
    /// The callback answers; only of `on_llm_start`.
    Replied(plugin_api::Reply),
    /// The callback decided against the call.
    Refused(Failure),
    /// The callback broke, and its policy fails the call.
    Failed(Failure),
}

/// A hook that has run, to be judged.
struct Ran<B> {
    outcome: HookOutcome,
    place: usize,
    undo: Undo,
    before: Option<B>,
}

impl<'a> Dispatcher<'a> {
    pub(super) fn new(deployments: &'a Arc<Deployments>) -> Self {
        Self { deployments, timer: HookTimer::default() }
    }

    /// Runs the link's hook, unless it has none or leaves the call alone. `None` when it may have
    /// to be waited for: then [`Dispatcher::run_slow`] runs it. Apart, because most hooks need no
    /// future.
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
        // A chunk is looked at by itself; all other hooks may pass all of the call.
        let large = event.is_large() || S::HOOK != Hook::NewToken && call.is_large();
        let in_place = run_mode == RunMode::Inline && !large;
        in_place.then(|| self.run_inline(place, link, call, event))
    }

    pub(super) async fn run_slow<S: HookEvent>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        event: &mut S,
    ) -> NextStep {
        // The first two are boxed: they are large and seldom, and every call would carry them.
        match link.run_mode(S::HOOK) {
            RunMode::Blocking => Box::pin(self.run_blocking(place, link, call, event)).await,
            RunMode::Inline => Box::pin(self.run_offloaded(place, link, call, event)).await,
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
        // Almost always.
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
            // Another thread may have taken over while it waited.
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

    /// The thread gets a call of its own, which is taken over when it is done in time. What it does
    /// afterwards, nobody sees.
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

    /// The same for a hook that would run in place, were the call or its answer not so large that
    /// all others of this thread would wait. It is waited for as long as it takes.
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

    /// The hook on a call of its own.
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
        move || {
            let mut handle = CallHandle::new(&mut call, &deployments, place, S::HOOK, false)
                .with_grants(slot.recipe.grants());
            let run = |instance| event.run(instance, &mut handle);
            let verdict = living.instance().map_or(Verdict::FAULT, run);
            let (given, _) = handle.into_parts();
            CopiedRun { call, event, verdict, given }
        }
    }
}

/// A hook that has run on a call of its own.
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
    /// Counts a hook that has run on a call of its own since `begun`, takes over what it did, and
    /// judges it.
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

    /// What a hook's outcome means for the call, by this callback's policy.
    #[cold]
    fn judge<S: HookEvent>(&self, call: &mut Call, event: &mut S, ran: Ran<S::Before>) -> NextStep {
        let hook = S::HOOK;
        let (refused, broke) = event.failures();
        // What a client can cause is no fault of a callback, and nobody gets past one by it.
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

    fn rejection_failure(&self, hook: Hook, rejection: Rejection, kind: FailureKind) -> Failure {
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

fn continues(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::CONTINUE | Verdict::NOT_IMPLEMENTED)
}

fn limit(link: &Link, hook: Hook) -> Duration {
    let usual = if hook == Hook::NewToken { TOKEN_TIMEOUT } else { TIMEOUT };
    link.timeout().unwrap_or(usual)
}

/// Waits for an async hook; one that is ready at once never touches a timer. With the verdict,
/// whether it was.
async fn wait(mut hook: RunningHook<'_>, limit: Duration) -> Result<(Verdict, bool), Fault> {
    if let Some(verdict) = poll_immediate(&mut hook).await {
        return Ok((verdict, true));
    }
    let late = |_| Fault::late(format!("not done within {} ms", limit.as_millis()));
    tokio::time::timeout(limit, hook).await.map(|verdict| (verdict, false)).map_err(late)
}

/// A hook of an instance that could not be made anew.
fn missing<B>(place: usize) -> Ran<B> {
    let fault = Fault::spoiled("it panicked and could not be made anew");
    Ran { outcome: HookOutcome::Fault(fault), place, undo: Undo::default(), before: None }
}
