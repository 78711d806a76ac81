//! The hooks that run beside the upstream call, all at once: `on_llm_during`.
//!
//! Each works on its own copy of the call. What it sets there is committed when it ends. The server
//! holds the answer until all have their verdicts.

use super::{
    Chain,
    dispatch::{NextStep, Ran, limit, noted, wait},
    event::{DuringEvent, HookEvent as _},
    link::Link,
    slow::SLOW,
    stats::ThreadSlot,
    verdict::{Fault, HookOutcome, outcome},
};
use crate::{
    call_handle::{CallHandle, Undo},
    record::{Begun, CallRecord, EventImage},
};
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_host::{Exchange, ExchangeLog, WithExchangeLog};
use callgate_plugin_host::Hook;
use plugin_api::abi::Verdict;
use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

/// The hooks of one call that have no verdict yet. Dropping it cancels them.
pub struct DuringHooks(Vec<RunningDuring>);

struct RunningDuring {
    place: usize,
    hook: Pin<Box<dyn Future<Output = DuringRun> + Send>>,
}

/// A hook that has ended, and its copy of the call.
struct DuringRun {
    copy: Call,
    undo: Undo,
    outcome: HookOutcome,
    ns: u64,
    /// Whether it was ready at once, so that its time was its thread's.
    at_once: bool,
    noted: Option<Box<Noted>>,
}

/// A hook of a callback whose calls are recorded, before its verdict is applied.
struct Noted {
    record: Arc<CallRecord>,
    begun: Begun,
    http: Vec<Exchange>,
    deployments: Arc<Deployments>,
}

impl Noted {
    /// Adds the hook to the record. `copy` is the call as the hook left it.
    fn end(self, copy: &Call, step: &NextStep) {
        let Self { record, begun, http, deployments } = self;
        record.end(begun, copy, &deployments, (EventImage::Nothing, noted(step), http));
    }
}

impl Chain {
    /// Prepares `on_llm_during` of every callback that let the call pass. They begin with the first
    /// poll of [`Chain::during_verdicts`]. `None` if there are none.
    pub fn during(&self, call: &mut Call, deployments: &Arc<Deployments>) -> Option<DuringHooks> {
        if !self.wants_during {
            return None;
        }
        let mut running = Vec::new();
        for (place, link) in self.links.iter().enumerate().take(call.passed) {
            if !link.has(Hook::During)
                || call.left_out.has(place)
                || link.skips(Hook::During, place, call)
            {
                continue;
            }
            let record = link.recorder().and_then(|it| it.record_of(place, call, deployments));
            let hook = run(place, link, call.clone(), Arc::clone(deployments));
            let hook: Pin<Box<dyn Future<Output = DuringRun> + Send>> = match record {
                None => Box::pin(hook),
                Some(record) => Box::pin(record_run(record, call, deployments, hook)),
            };
            running.push(RunningDuring { place, hook });
        }
        (!running.is_empty()).then_some(DuringHooks(running))
    }

    /// Runs the hooks until all have let the call pass, or one fails it. Cancel-safe.
    ///
    /// # Errors
    /// The rejection of a callback, or its fault if its faults fail calls.
    pub async fn during_verdicts(
        &self,
        hooks: &mut DuringHooks,
        call: &mut Call,
    ) -> Result<(), Failure> {
        poll_fn(|context| {
            let mut failed = None;
            hooks.0.retain_mut(|running| {
                if failed.is_some() {
                    return true;
                }
                let Poll::Ready(run) = running.hook.as_mut().poll(context) else { return true };
                if let Some(link) = self.links.get(running.place) {
                    failed = link.judge_during(running.place, call, run);
                }
                false
            });
            match failed {
                Some(failure) => Poll::Ready(Err(failure)),
                None if hooks.0.is_empty() => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }
}

/// The hook on its own copy of the call.
fn run(
    place: usize,
    link: &Link,
    mut copy: Call,
    deployments: Arc<Deployments>,
) -> impl Future<Output = DuringRun> + Send + use<> {
    let (living, slot) = (Arc::clone(&link.living), Arc::clone(&link.slot));
    let limit = limit(link, Hook::During);
    async move {
        let begun = Instant::now();
        let mut handle = CallHandle::new(&mut copy, &deployments, place, Hook::During, true)
            .with_grants(slot.recipe.grants());
        let waited = match living.instance() {
            None => Err(Fault::not_restarted()),
            Some(instance) => match DuringEvent.run_async(instance, &mut handle) {
                Some(hook) => wait(hook, limit).await,
                None => Ok((Verdict::NOT_IMPLEMENTED, true)),
            },
        };
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (given, undo) = handle.into_parts();
        let at_once = matches!(waited, Ok((_, true)));
        let outcome = match waited.map(|(verdict, _)| outcome(verdict, given)) {
            Ok(HookOutcome::Reply(_)) => {
                let text = "it answered, which only on_llm_start may; reject the call instead";
                HookOutcome::Fault(Fault::new(text))
            }
            Ok(outcome) => outcome,
            Err(fault) => HookOutcome::Fault(fault),
        };
        DuringRun { copy, undo, outcome, ns, at_once, noted: None }
    }
}

/// The same, recorded.
fn record_run<F: Future<Output = DuringRun> + Send + 'static>(
    record: Arc<CallRecord>,
    call: &Call,
    deployments: &Arc<Deployments>,
    hook: F,
) -> impl Future<Output = DuringRun> + Send + use<F> {
    let begun = record.begin(Hook::During, call, deployments, EventImage::Nothing);
    let deployments = Arc::clone(deployments);
    async move {
        let log = ExchangeLog::default();
        let mut run = WithExchangeLog::new(hook, &log).await;
        run.noted = Some(Box::new(Noted { record, begun, http: log.take(), deployments }));
        run
    }
}

impl Link {
    /// Counts a hook, commits its changes and applies the callback's policy. Returns the call's
    /// failure.
    fn judge_during(&self, place: usize, call: &mut Call, run: DuringRun) -> Option<Failure> {
        self.stats().ran(ThreadSlot::current(), Hook::During, run.ns);
        if run.at_once && run.ns > SLOW {
            self.was_slow(Hook::During, run.ns);
        }
        if self.is_shadow() {
            self.judge_in_shadow(place, call, run);
            return None;
        }
        let DuringRun { copy, undo, outcome, noted, .. } = run;
        if matches!(outcome, HookOutcome::Fault(_)) {
            call.learn(&copy);
        } else if let Some(before) = undo.hook_state()
            && call.adopt_hook_state(&copy, before).is_err()
        {
            self.warn(Hook::During, "set metadata for which there is no room left");
        }
        let step = self.step(place, call, outcome);
        if let Some(noted) = noted {
            noted.end(&copy, &step);
        }
        match step {
            NextStep::Refused(failure) | NextStep::Failed(failure) => Some(failure),
            NextStep::On | NextStep::Replied(_) => None,
        }
    }

    /// Of all that the hook did, only the callback's own note is kept, for its later hooks.
    #[cold]
    fn judge_in_shadow(&self, place: usize, call: &mut Call, run: DuringRun) {
        let DuringRun { mut copy, undo, outcome, noted, .. } = run;
        let would_edit =
            undo.hook_state().is_some_and(|before| copy.metadata_since(before).next().is_some());
        let step = self.step(place, &mut copy, outcome);
        self.note_shadow(Hook::During, would_edit, step.in_words().as_deref());
        if let Some(noted) = noted {
            noted.end(&copy, &step);
        }
        // A note that a hook could set is within the limit.
        let _ = call.set_note(place, copy.note(place));
    }

    fn step(&self, place: usize, call: &mut Call, outcome: HookOutcome) -> NextStep {
        // The hook's own copy needs no undoing.
        let ran = Ran { outcome, place, undo: Undo::default(), before: None };
        self.judge(call, &mut DuringEvent, ran)
    }
}

impl fmt::Debug for DuringHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuringHooks").field("running", &self.0.len()).finish()
    }
}

impl fmt::Debug for RunningDuring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningDuring").field("place", &self.place).finish_non_exhaustive()
    }
}
