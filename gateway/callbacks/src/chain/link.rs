//! One callback of the chain: its instance, its policy, and what is kept of it from one instance to
//! the next. Running its hooks is `run`'s work.

use super::{
    breaker::{Admission, Breaker, State},
    ledger::{Event, Ledger},
    only::Audience,
    pace::Pace,
    pool::Pool,
    renewal::{Living, Renewals},
    verdict::{Fault, whole_seconds},
};
use crate::answer::within;
use callgate_call::Call;
use callgate_config::{Grants, Mode, OnError};
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_host::{Clock, SystemClock};
use callgate_plugin_host::{Hook, Instance, Recipe};
use callgate_secret::Masking;
use callgate_secret::{credentials::sent_keys, mask_one};
use callgate_telemetry::{counted::counted, one_line};
use plugin_api::FailureKind;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A callback as a chain has it: calls that hold the chain keep the instance.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) slot: Arc<Slot>,
    pub(super) living: Arc<Living>,
    /// By [`Hook`].
    ways: [Way; 4],
    /// Whether its faults are survived: then its edits have to be rolled back.
    rolls_back: bool,
}

/// How a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Not at all: it has no such hook, or the config leaves it out.
    None,
    Inline,
    Async,
    Blocking,
}

/// What outlives the instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) place: usize,
    pub(super) recipe: Recipe,
    pub(super) renewals: Renewals,
    pub(super) breaker: Breaker,
    pub(super) ledger: Ledger,
    /// Its threads, under `mode: blocking`.
    pub(super) pool: Option<Arc<Pool>>,
    pub(super) last_fault: Mutex<Option<FaultSeen>>,
    audience: Option<Audience>,
    faults: AtomicU64,
    slow: AtomicU64,
    fault_lines: [Pace; 4],
    slow_lines: Pace,
    other_lines: Pace,
}

/// More of a fault's words is shown nowhere.
const FAULT: usize = 4096;

/// The latest fault, in the plugin's words without secrets.
#[derive(Clone, Debug)]
pub(super) struct FaultSeen {
    pub(super) hook: Hook,
    pub(super) message: String,
    pub(super) unix_ms: u64,
}

/// Whether a call that begins is one for this callback.
pub(super) enum Welcome {
    In,
    /// Not one of its calls: no hook of it runs.
    Out,
    /// It is left alone, and nothing may pass without it.
    Refused(Failure),
}

impl Link {
    pub(super) fn new(
        place: usize,
        instance: Instance,
        recipe: Recipe,
        renewals: Renewals,
    ) -> Self {
        let entry = &recipe.entry;
        let ways = Hook::ALL.map(|hook| way(&instance, hook, &recipe));
        let blocks = ways.contains(&Way::Blocking);
        let rolls_back = entry.on_error != OnError::Fail;
        let slot = Slot {
            place,
            renewals,
            breaker: Breaker::new(entry.breaker),
            ledger: Ledger::new(),
            pool: blocks.then(|| Pool::new(Arc::clone(&recipe.name))),
            last_fault: Mutex::default(),
            audience: Audience::new(&entry.only),
            faults: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            fault_lines: Default::default(),
            slow_lines: Pace::default(),
            other_lines: Pace::default(),
            recipe,
        };
        let living = Arc::new(Living::new(Some(instance)));
        Self { slot: Arc::new(slot), living, ways, rolls_back }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.slot.recipe.name
    }

    pub(super) fn way(&self, hook: Hook) -> Way {
        self.ways[hook as usize]
    }

    pub(super) fn has(&self, hook: Hook) -> bool {
        self.way(hook) != Way::None
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.slot.ledger
    }

    pub(super) fn pool(&self) -> Option<&Arc<Pool>> {
        self.slot.pool.as_ref()
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.slot.recipe.entry.timeout
    }

    /// Whether its manifest says that it looks into the body.
    pub(super) fn reads_bodies(&self) -> bool {
        self.slot.recipe.reads.iter().any(|what| matches!(&**what, "messages" | "params" | "body"))
    }

    /// What the operator grants it, and what of it must not be repeated.
    pub(super) fn grants(&self) -> (&Grants, &Masking) {
        self.slot.recipe.grants()
    }

    pub(super) fn rolls_back(&self) -> bool {
        self.rolls_back
    }

    /// Asked once for each call, before its start hook. What has begun with a callback goes on with
    /// it: its last hook is owed.
    pub(super) fn welcome(
        &self,
        place: usize,
        call: &mut Call,
        deployments: &Deployments,
    ) -> Welcome {
        if let Some(audience) = &self.slot.audience
            && !audience.has(call, deployments)
        {
            self.skip_call();
            return Welcome::Out;
        }
        if self.slot.breaker.is_closed() {
            return Welcome::In;
        }
        match self.slot.breaker.admit(now()) {
            Admission::Pass => return Welcome::In,
            Admission::Probe => {
                call.trying.add(place);
                return Welcome::In;
            }
            Admission::Open | Admission::Off => {}
        }
        self.skip_call();
        if self.rolls_back {
            return Welcome::Out;
        }
        let mut failure = Failure::callback_left_alone(self.name());
        failure.retry_after = Some(whole_seconds(self.slot.breaker.left(now())));
        Welcome::Refused(failure)
    }

    /// Counts the call at the first hook there is.
    fn skip_call(&self) {
        let first = Hook::ALL.into_iter().find(|hook| self.has(*hook));
        self.ledger().skip(first.unwrap_or(Hook::Start));
    }

    /// Whether a hook of a call that it has begun with is left out: when it is switched off, and
    /// for chunks when nothing is lost but time.
    pub(super) fn sits_out(&self, hook: Hook, place: usize, call: &Call) -> bool {
        if self.slot.breaker.is_closed() {
            return false;
        }
        let out = match self.slot.breaker.state(now()) {
            State::Off => true,
            State::Open | State::HalfOpen => {
                hook == Hook::NewToken && self.rolls_back && !call.trying.has(place)
            }
            State::Closed => false,
        };
        if out {
            self.ledger().skip(hook);
        }
        out
    }

    /// The call is over for this callback.
    pub(super) fn over(&self, place: usize, call: &mut Call) {
        if call.trying.remove(place) {
            self.recovered();
        }
    }

    /// Counts and logs a fault and sees to a spoiled instance; the failure of the call, if this
    /// callback's faults fail calls.
    pub(super) fn faulted(
        &self,
        hook: Hook,
        fault: &Fault,
        place: usize,
        call: &mut Call,
        kind: FailureKind,
    ) -> Option<Failure> {
        let name = self.name();
        let count = self.slot.faults.fetch_add(1, Relaxed) + 1;
        self.ledger().note(hook, Event::Fault);
        if fault.late {
            self.ledger().note(hook, Event::Timeout);
        }
        let mut message = self.without_secrets(&fault.message);
        for key in sent_keys(&call.headers, call.key_header.as_ref()) {
            mask_one(&mut message, key);
        }
        self.remember(hook, &message);
        if let Some(left_out) = self.slot.fault_lines[hook as usize].admit() {
            tracing::warn!(
                target: "callgate::callback", { hook = hook.name(), callback.name = &**name, call.id = %call.id, faults = count, suppressed = left_out },
            "callback `{name}` failed in {}: {}", hook.name(), one_line(&message)
            );
        }
        let on_error = self.slot.recipe.entry.on_error;
        if on_error == OnError::Disable {
            if self.slot.breaker.switch_off() {
                tracing::warn!(
                    target: "callgate::callback",
                    faults = count, callback.name = &**name,
                    "callback `{name}` is switched off until the next start (`on_error: disable`)"
                );
            }
            return None;
        }
        if fault.spoiled {
            self.slot.renewals.ask(&self.slot, &self.living);
        }
        self.tell_breaker(hook, call.trying.remove(place));
        if on_error == OnError::Ignore {
            return None;
        }
        Some(Failure::callback_failed(self.name(), kind))
    }

    fn remember(&self, hook: Hook, message: &str) {
        let message = within(message, FAULT).to_owned();
        let seen = FaultSeen { hook, message, unix_ms: SystemClock.unix_ms() };
        *self.slot.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    fn tell_breaker(&self, hook: Hook, probe: bool) {
        let Some(limits) = self.slot.recipe.entry.breaker else { return };
        let runs = self.ledger().tally(hook).calls();
        if !self.slot.breaker.fault(hook, runs, probe, now()) {
            return;
        }
        let name = self.name();
        let calls = if self.rolls_back() { "calls go on without it" } else { "calls get 503" };
        tracing::warn!(
            target: "callgate::callback", { breaker = "open", hook = hook.name(), callback.name = &**name },
        "callback `{name}` failed {} in {} and is left alone for {} s: {calls}",
            counted(limits.faults, "time"), hook.name(), limits.open.as_secs_f64()
        );
    }

    /// A call that was tried went well.
    #[cold]
    fn recovered(&self) {
        self.slot.breaker.close();
        let name = self.name();
        tracing::info!(
            target: "callgate::callback", breaker = "closed", callback.name = &**name,
            "callback `{name}` works again"
        );
    }

    /// A plugin's words without secrets.
    pub(super) fn without_secrets(&self, message: &str) -> String {
        self.slot.recipe.without_secrets(message)
    }

    /// Counts and logs a sync hook that held up its thread.
    #[cold]
    pub(super) fn was_slow(&self, hook: Hook, ns: u64) {
        let count = self.slot.slow.fetch_add(1, Relaxed) + 1;
        self.ledger().note(hook, Event::Slow);
        let Some(left_out) = self.slot.slow_lines.admit() else { return };
        let milliseconds = ns as f64 / 1e6;
        tracing::warn!(
            target: "callgate::callback", { hook = hook.name(), callback.name = &**self.name(), milliseconds, slow = count, suppressed = left_out },
        "callback `{}` took {milliseconds:.1} ms in {} and held up every call on its thread; \
             a hook may hold it for 1 ms; a sync one can run with `mode: blocking`",
            self.name(), hook.name()
        );
    }

    /// Logs what a callback does against the contract and nobody suffers from.
    pub(super) fn odd(&self, hook: Hook, what: &str) {
        if let Some(left_out) = self.slot.other_lines.admit() {
            tracing::warn!(
                target: "callgate::callback", { hook = hook.name(), callback.name = &**self.name(), suppressed = left_out },
            "callback `{}` {what} in {}", self.name(), hook.name()
            );
        }
    }
}

fn way(instance: &Instance, hook: Hook, recipe: &Recipe) -> Way {
    let (is_sync, is_async) = match hook {
        Hook::Start => (instance.has_start(), instance.has_start_async()),
        Hook::NewToken => (instance.has_new_token(), instance.has_new_token_async()),
        Hook::End => (instance.has_end(), instance.has_end_async()),
        Hook::Error => (instance.has_error(), instance.has_error_async()),
    };
    if !recipe.chosen_hooks.iter().any(|chosen| chosen == hook.name()) {
        return Way::None;
    }
    match recipe.entry.mode {
        Mode::Inline if is_sync => Way::Inline,
        Mode::Blocking if is_sync => Way::Blocking,
        _ if is_async => Way::Async,
        _ => Way::None,
    }
}

fn now() -> u64 {
    SystemClock.monotonic_ns()
}
