//! One hook of one callback: run in place, awaited, or on a thread of the callback's own, and what
//! the chain does next.

use super::{
    laps::{Laps, SLOW},
    ledger::{Event, Thread},
    link::{Link, Way},
    pool::PoolError,
    subject::Subject,
    verdict::{self, Fault, Outcome, outcome},
};
use crate::{
    offload::offload_hook,
    scope::{Given, Scope, Undo},
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
pub(super) struct Walk<'a> {
    deployments: &'a Arc<Deployments>,
    laps: Laps,
}

/// What the chain does after a hook.
#[derive(Debug)]
pub(super) enum Step {
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
    outcome: Outcome,
    place: usize,
    undo: Undo,
    before: Option<B>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(deployments: &'a Arc<Deployments>) -> Self {
        Self { deployments, laps: Laps::default() }
    }

    /// Runs the link's hook, unless it has none or leaves the call alone. `None` when it may have
    /// to be waited for: then [`Walk::waited`] runs it. Apart, because most hooks need no future.
    pub(super) fn at_once<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Option<Step> {
        let way = link.way(S::HOOK);
        if way == Way::None || call.left_out.has(place) || link.sits_out(S::HOOK, place, call) {
            return Some(Step::On);
        }
        // A chunk is looked at by itself; all other hooks may pass all of the call.
        let large = subject.is_large() || S::HOOK != Hook::NewToken && call.is_large();
        let in_place = way == Way::Inline && !large;
        in_place.then(|| self.in_place(place, link, call, subject))
    }

    pub(super) async fn waited<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Step {
        // The first two are boxed: they are large and seldom, and every call would carry them.
        match link.way(S::HOOK) {
            Way::Blocking => Box::pin(self.on_own_thread(place, link, call, subject)).await,
            Way::Inline => Box::pin(self.beside(place, link, call, subject)).await,
            _ => self.awaited(place, link, call, subject).await,
        }
    }

    fn in_place<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Step {
        let Some(instance) = link.living.instance() else {
            return link.judge(call, subject, missing(place));
        };
        let rolls_back = link.rolls_back();
        let before = rolls_back.then(|| subject.before());
        let mut scope = Scope::new(call, self.deployments, place, S::HOOK, rolls_back)
            .with_grants(link.grants());
        self.laps.begin();
        let verdict = subject.run(instance, &mut scope);
        let (thread, ns) = self.laps.end();
        link.ledger().ran(thread, S::HOOK, ns);
        if ns > SLOW {
            link.was_slow(S::HOOK, ns);
        }
        // Almost always.
        if goes_on(verdict) && !scope.found_unreadable() {
            return Step::On;
        }
        self.laps.pause();
        let (given, undo) = scope.into_parts();
        link.judge(call, subject, Ran { outcome: outcome(verdict, given), place, undo, before })
    }

    async fn awaited<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Step {
        let Some(instance) = link.living.instance() else {
            return link.judge(call, subject, missing(place));
        };
        let rolls_back = link.rolls_back();
        let before = rolls_back.then(|| subject.before());
        let mut scope = Scope::new(call, self.deployments, place, S::HOOK, rolls_back)
            .with_grants(link.grants());
        self.laps.begin();
        let waited = match subject.run_async(instance, &mut scope) {
            Some(hook) => wait(hook, limit(link, S::HOOK)).await,
            None => Ok((Verdict::NOT_IMPLEMENTED, true)),
        };
        let (thread, ns) = self.laps.end();
        if let Ok((verdict, true)) = waited {
            link.ledger().ran(thread, S::HOOK, ns);
            if ns > SLOW {
                link.was_slow(S::HOOK, ns);
            }
            if goes_on(verdict) && !scope.found_unreadable() {
                return Step::On;
            }
        } else {
            // Another thread may have taken over while it waited.
            link.ledger().ran(Thread::current(), S::HOOK, ns);
        }
        self.laps.pause();
        let (given, undo) = scope.into_parts();
        let outcome = match waited {
            Ok((verdict, _)) => outcome(verdict, given),
            Err(fault) => Outcome::Fault(fault),
        };
        link.judge(call, subject, Ran { outcome, place, undo, before })
    }

    /// The thread gets a call of its own, which is taken over when it is done in time. What it does
    /// afterwards, nobody sees.
    async fn on_own_thread<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Step {
        self.laps.pause();
        let (Some(pool), Some(_)) = (link.pool(), link.living.instance()) else {
            return link.judge(call, subject, missing(place));
        };
        let work = self.copied(place, link, call, subject.to_owned());
        let begun = Instant::now();
        let done = pool.run(limit(link, S::HOOK), work).await.map_err(|error| match error {
            PoolError::Late { .. } => Fault::late(error.to_string()),
            _ => Fault::new(error.to_string()),
        });
        link.judge_copy(place, call, subject, begun, done)
    }

    /// The same for a hook that would run in place, were the call or its answer not so large that
    /// all others of this thread would wait. It is waited for as long as it takes.
    #[cold]
    async fn beside<S: Subject>(
        &mut self,
        place: usize,
        link: &Link,
        call: &mut Call,
        subject: &mut S,
    ) -> Step {
        self.laps.pause();
        if link.living.instance().is_none() {
            return link.judge(call, subject, missing(place));
        }
        if Handle::try_current().is_err() {
            return self.in_place(place, link, call, subject);
        }
        let lent = if link.rolls_back() { subject.to_owned() } else { subject.lend() };
        let work = self.copied(place, link, call, lent);
        let begun = Instant::now();
        let done = offload_hook(work).await.map_err(Fault::new);
        link.judge_copy(place, call, subject, begun, done)
    }

    /// The hook on a call of its own.
    fn copied<S: Subject + Send + 'static>(
        &self,
        place: usize,
        link: &Link,
        call: &Call,
        mut subject: S,
    ) -> impl FnOnce() -> Done<S> + Send + 'static + use<S> {
        let mut call = call.clone();
        let (living, deployments) = (Arc::clone(&link.living), Arc::clone(self.deployments));
        let slot = Arc::clone(&link.slot);
        move || {
            let mut scope = Scope::new(&mut call, &deployments, place, S::HOOK, false)
                .with_grants(slot.recipe.grants());
            let run = |instance| subject.run(instance, &mut scope);
            let verdict = living.instance().map_or(Verdict::FAULT, run);
            let (given, _) = scope.into_parts();
            Done { call, subject, verdict, given }
        }
    }
}

/// A hook that has run on a call of its own.
struct Done<S> {
    call: Call,
    subject: S,
    verdict: Verdict,
    given: Given,
}

impl<O> Done<O> {
    /// Commits the hook's changes to the live call, unless the hook failed.
    fn take_over<S: Subject<Owned = O>>(self, call: &mut Call, subject: &mut S) -> Outcome {
        let outcome = outcome(self.verdict, self.given);
        if matches!(outcome, Outcome::Fault(_)) {
            call.learn(&self.call);
        } else {
            *call = self.call;
            subject.take_over(self.subject);
        }
        outcome
    }
}

impl Link {
    /// Counts a hook that has run on a call of its own since `begun`, takes over what it did, and
    /// judges it.
    fn judge_copy<S: Subject>(
        &self,
        place: usize,
        call: &mut Call,
        subject: &mut S,
        begun: Instant,
        done: Result<Done<S::Owned>, Fault>,
    ) -> Step {
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.ledger().ran(Thread::current(), S::HOOK, ns);
        let outcome = match done {
            Err(fault) => Outcome::Fault(fault),
            Ok(done) => done.take_over(call, subject),
        };
        self.judge(call, subject, Ran { outcome, place, undo: Undo::default(), before: None })
    }

    /// What a hook's outcome means for the call, by this callback's policy.
    #[cold]
    fn judge<S: Subject>(&self, call: &mut Call, subject: &mut S, ran: Ran<S::Before>) -> Step {
        let hook = S::HOOK;
        let (refused, broke) = subject.failures();
        // What a client can cause is no fault of a callback, and nobody gets past one by it.
        let excuse = match &ran.outcome {
            Outcome::Reject(_) => None,
            Outcome::Fault(_) => call.excuse(),
            _ if hook == Hook::Start => call.found_unreadable(),
            _ => None,
        };
        if let Some(failure) = excuse {
            self.ledger().note(hook, Event::Rejection);
            if hook == Hook::Start {
                self.over(ran.place, call);
            }
            return Step::Refused(failure);
        }
        match ran.outcome {
            Outcome::Continue => Step::On,
            Outcome::Reply(reply) if hook == Hook::Start => {
                self.ledger().note(hook, Event::Reply);
                Step::Replied(reply)
            }
            Outcome::Reply(_) => {
                self.odd(hook, "answered, which only on_llm_start may, so the answer is left out,");
                Step::On
            }
            Outcome::Reject(rejection) => {
                self.ledger().note(hook, Event::Rejection);
                if hook == Hook::Start {
                    self.over(ran.place, call);
                }
                Step::Refused(self.refusal(hook, rejection, refused))
            }
            Outcome::Fault(fault) => {
                if let Some(failure) = self.faulted(hook, &fault, ran.place, call, broke) {
                    return Step::Failed(failure);
                }
                ran.undo.apply(call);
                if let Some(before) = ran.before {
                    subject.restore(before);
                }
                Step::On
            }
        }
    }

    fn refusal(&self, hook: Hook, rejection: Rejection, kind: FailureKind) -> Failure {
        if !(400..600).contains(&rejection.status) {
            let status = rejection.status;
            let what =
                format!("refused with status {status}, not one from 400 to 599, so 500 is sent,");
            self.odd(hook, &what);
        }
        let mut rejection = rejection;
        let Rejection { message, code, headers, .. } = &mut rejection;
        let headers = headers.iter_mut().map(|(_, value)| value);
        for text in std::iter::once(message).chain(code).chain(headers) {
            *text = self.without_secrets(text);
        }
        verdict::refusal(self.name(), rejection, kind)
    }
}

fn goes_on(verdict: Verdict) -> bool {
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
    Ran { outcome: Outcome::Fault(fault), place, undo: Undo::default(), before: None }
}
