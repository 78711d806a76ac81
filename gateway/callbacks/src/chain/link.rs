//! One callback of the chain: its instance, its policy, and the state that survives a restart.
//! `dispatch` runs its hooks.

use super::{
    breaker::{Breaker, BreakerAdmission, State},
    filter::CallFilter,
    live_instance::LiveInstance,
    pool::ThreadPool,
    slow::SlowHooks,
    stats::{Counted, HookStats},
    verdict::{Fault, whole_seconds},
};
use crate::{auth_request::AuthInput, payload::within, record::Recorder};
use callgate_call::Call;
use callgate_config::{Grants, Mode, OnError, Streams};
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_host::{Clock, SystemClock};
use callgate_plugin_host::{Hook, Instance, Recipe};
use callgate_secret::{Masking, credentials::sent_keys, mask_one};
use callgate_telemetry::{LogThrottle, counted::counted, one_line};
use plugin_api::FailureKind;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A callback in a chain. Calls that hold the chain keep the instance alive.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) slot: Arc<LinkState>,
    /// Index in the config's list as written, from 0.
    pub(super) position: usize,
    pub(super) living: Arc<LiveInstance>,
    /// By [`Hook`].
    run_modes: [RunMode; Hook::COUNT],
    /// Whether calls survive its faults, so that its edits have to be rolled back.
    rolls_back: bool,
    /// Whether its hooks run on copies, or are recorded.
    is_set_apart: bool,
    recorder: Option<Arc<Recorder>>,
}

/// How a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunMode {
    /// It does not run: the callback lacks it, or the config leaves it out.
    None,
    Inline,
    Async,
    Blocking,
}

/// The state that survives a restart of the instance.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) recipe: Arc<Recipe>,
    pub(super) auth_inputs: Arc<[AuthInput]>,
    restarts: Arc<dyn Restarter>,
    pub(super) breaker: Breaker,
    /// Shared with the callback that replaces this one at a reload.
    pub(super) stats: Arc<HookStats>,
    /// Its threads, with `mode: blocking`.
    pub(super) pool: Option<Arc<ThreadPool>>,
    pub(super) last_fault: Mutex<Option<FaultSeen>>,
    filter: Option<CallFilter>,
    faults: AtomicU64,
    slow: AtomicU64,
    slow_hooks: SlowHooks,
    fault_throttles: [LogThrottle; Hook::COUNT],
    slow_throttle: LogThrottle,
    other_throttle: LogThrottle,
}

/// Restarts a callback whose instance panicked. `supervisor` does, which knows the chain.
pub(super) trait Restarter: fmt::Debug + Send + Sync {
    /// Has `spoiled` replaced, unless that is in progress or done. Never blocks.
    fn ask(self: Arc<Self>, slot: &Arc<LinkState>, spoiled: &LiveInstance);
}

/// The longest fault message that is shown.
const FAULT: usize = 4096;

/// The latest fault, in the plugin's words with secrets masked.
#[derive(Clone, Debug)]
pub(super) struct FaultSeen {
    pub(super) hook: Hook,
    pub(super) message: String,
    pub(super) unix_ms: u64,
}

/// Whether a new call runs this callback's hooks.
pub(super) enum CallAdmission {
    In,
    /// The callback is not for this call, so none of its hooks runs.
    Out,
    /// Its breaker is open, and no call may pass without it.
    Refused(Failure),
}

impl Link {
    pub(super) fn new(
        living: Arc<LiveInstance>,
        recipe: Recipe,
        stats: Arc<HookStats>,
        restarts: Arc<dyn Restarter>,
    ) -> Self {
        let entry = &recipe.entry;
        let run_modes = Hook::ALL.map(|hook| match living.instance() {
            Some(instance) => run_mode(instance, hook, &recipe),
            None => RunMode::None,
        });
        let blocks = run_modes.contains(&RunMode::Blocking);
        let rolls_back = entry.on_error != OnError::Fail || entry.mode == Mode::Shadow;
        let is_set_apart = entry.mode == Mode::Shadow || entry.record.is_some();
        let (breaker, filter) = (Breaker::new(entry.breaker), CallFilter::new(entry));
        let recipe = Arc::new(recipe);
        let recorder = Recorder::for_entry(&recipe);
        let slot = LinkState {
            restarts,
            breaker,
            stats,
            pool: blocks.then(|| ThreadPool::new(Arc::clone(&recipe.name))),
            last_fault: Mutex::default(),
            filter,
            faults: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            slow_hooks: SlowHooks::default(),
            fault_throttles: Default::default(),
            slow_throttle: LogThrottle::default(),
            other_throttle: LogThrottle::default(),
            auth_inputs: AuthInput::all(&recipe.auth_headers),
            recipe,
        };
        Self {
            position: slot.recipe.entry.position,
            slot: Arc::new(slot),
            living,
            run_modes,
            rolls_back,
            is_set_apart,
            recorder,
        }
    }

    /// The same callback, for a list in which its entry is at `position`.
    pub(super) fn at(&self, position: usize) -> Self {
        Self { position, ..self.clone() }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.slot.recipe.name
    }

    pub(super) fn run_mode(&self, hook: Hook) -> RunMode {
        self.run_modes[hook as usize]
    }

    pub(super) fn has(&self, hook: Hook) -> bool {
        self.run_mode(hook) != RunMode::None
    }

    pub(super) fn stats(&self) -> &HookStats {
        &self.slot.stats
    }

    pub(super) fn pool(&self) -> Option<&Arc<ThreadPool>> {
        self.slot.pool.as_ref()
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.slot.recipe.entry.timeout
    }

    /// Whether its manifest says that it reads bodies.
    pub(super) fn reads_bodies(&self) -> bool {
        self.slot.recipe.reads.iter().any(|what| matches!(&**what, "messages" | "params" | "body"))
    }

    /// The operator's grants, and the mask for the secrets among them.
    pub(super) fn grants(&self) -> (&Grants, &Masking) {
        self.slot.recipe.grants()
    }

    /// Whether its manifest asks for the completion that a stream came to.
    pub(super) fn wants_completion(&self) -> bool {
        self.has(Hook::End) && self.slot.recipe.reads.iter().any(|what| what == "completion")
    }

    /// Whether its manifest asks for the upstream's response.
    pub(super) fn reads_responses(&self) -> bool {
        self.slot.recipe.reads.iter().any(|what| what == "upstream_response")
    }

    /// Whether streams are collected for it, so that its end hook can change or reject them.
    pub(super) fn buffers_streams(&self) -> bool {
        let says = || match self.slot.recipe.entry.streams {
            Some(streams) => streams == Streams::Buffered,
            None => self.slot.recipe.writes.iter().any(|what| what == "streamed_reply"),
        };
        self.has(Hook::End) && !self.is_shadow() && says()
    }

    /// Whether its hooks run on copies, or are recorded.
    pub(super) fn is_set_apart(&self) -> bool {
        self.is_set_apart
    }

    pub(super) fn recorder(&self) -> Option<&Arc<Recorder>> {
        self.recorder.as_ref()
    }

    /// The same callback with this recorder, or with none.
    pub(super) fn recorded_by(&self, recorder: Option<Arc<Recorder>>) -> Self {
        let is_set_apart = self.is_shadow() || recorder.is_some();
        Self { is_set_apart, recorder, ..self.clone() }
    }

    /// Whether its hooks run on copies that are dropped.
    pub(super) fn is_shadow(&self) -> bool {
        self.slot.recipe.entry.mode == Mode::Shadow
    }

    /// Counts and logs what a callback in shadow would have done.
    pub(super) fn note_shadow(&self, hook: Hook, would_edit: bool, verdict: Option<&str>) {
        if would_edit {
            self.stats().note(hook, Counted::ShadowEdit);
        }
        let Some(what) = verdict else { return };
        if let Some(left_out) = self.slot.other_throttle.admit() {
            tracing::info!(
                target: "callgate::callback",
                {
                    hook = hook.name(), callback.name = &**self.name(), mode = "shadow",
                    suppressed = left_out
                },
                "callback `{}` would {what} in {}", self.name(), hook.name()
            );
        }
    }

    pub(super) fn rolls_back(&self) -> bool {
        self.rolls_back
    }

    /// Called once for each call, before its start hook. A call that passed this callback's start
    /// hook keeps it, because its end hook is still owed.
    pub(super) fn admit(
        &self,
        place: usize,
        call: &mut Call,
        deployments: &Deployments,
    ) -> CallAdmission {
        if call.made_by.as_deref().is_some_and(|by| *by == **self.name()) {
            return CallAdmission::Out;
        }
        if let Some(filter) = &self.slot.filter
            && !filter.admits(call, deployments)
        {
            self.skip_call();
            return CallAdmission::Out;
        }
        if self.slot.breaker.is_closed() {
            return CallAdmission::In;
        }
        match self.slot.breaker.admit(now()) {
            BreakerAdmission::Pass => return CallAdmission::In,
            BreakerAdmission::Probe => {
                call.trying.add(place);
                return CallAdmission::In;
            }
            BreakerAdmission::Open | BreakerAdmission::Off => {}
        }
        self.skip_call();
        if self.rolls_back {
            return CallAdmission::Out;
        }
        let mut failure = Failure::callback_left_alone(self.name());
        failure.retry_after = Some(whole_seconds(self.slot.breaker.left(now())));
        CallAdmission::Refused(failure)
    }

    /// Counts a skipped call at the callback's first hook.
    fn skip_call(&self) {
        let first = Hook::ALL.into_iter().find(|hook| self.has(*hook));
        self.stats().skip(first.unwrap_or(Hook::Start));
    }

    /// Whether to skip a hook of a call already admitted: always when the callback is switched off;
    /// for chunks also while the breaker is open, if its faults are ignored anyway.
    pub(super) fn skips(&self, hook: Hook, place: usize, call: &Call) -> bool {
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
            self.stats().skip(hook);
        }
        out
    }

    /// Records that the callback's last hook for this call has ended.
    pub(super) fn finished(&self, place: usize, call: &mut Call) {
        if call.trying.remove(place) {
            self.recovered();
        }
    }

    /// Counts and logs a fault, and restarts a spoiled instance. Returns the call's failure if this
    /// callback's faults fail calls.
    pub(super) fn faulted(
        &self,
        hook: Hook,
        fault: &Fault,
        place: usize,
        call: &mut Call,
        kind: FailureKind,
    ) -> Option<Failure> {
        let keys = sent_keys(&call.headers, call.key_header.as_ref());
        let count = self.note_fault(hook, fault, keys, Some(&call.id));
        if self.switched_off(count) {
            return None;
        }
        if fault.spoiled {
            self.ask_for_restart();
        }
        self.inform_breaker(hook, call.trying.remove(place));
        if self.ignores_faults() {
            return None;
        }
        Some(Failure::callback_failed(self.name(), kind))
    }

    /// Switches the callback off after a fault, under `on_error: disable`.
    pub(super) fn switched_off(&self, faults: u64) -> bool {
        if self.slot.recipe.entry.on_error != OnError::Disable {
            return false;
        }
        let name = self.name();
        if self.slot.breaker.switch_off() {
            tracing::warn!(
                target: "callgate::callback",
                faults, callback.name = &**name,
                "callback `{name}` is switched off until the next start (`on_error: disable`)"
            );
        }
        true
    }

    pub(super) fn ignores_faults(&self) -> bool {
        self.slot.recipe.entry.on_error == OnError::Ignore
    }

    /// Counts and logs a fault; `sent` are the client's secrets. Returns the number of faults.
    pub(super) fn note_fault<'s>(
        &self,
        hook: Hook,
        fault: &Fault,
        sent: impl Iterator<Item = &'s str>,
        call_id: Option<&str>,
    ) -> u64 {
        let name = self.name();
        let count = self.slot.faults.fetch_add(1, Relaxed) + 1;
        self.stats().note(hook, Counted::Fault);
        if fault.late {
            self.stats().note(hook, Counted::Timeout);
        }
        let mut message = self.without_secrets(&fault.message);
        sent.for_each(|secret| mask_one(&mut message, secret));
        self.remember(hook, &message);
        if let Some(left_out) = self.slot.fault_throttles[hook as usize].admit() {
            tracing::warn!(
                target: "callgate::callback", { hook = hook.name(), callback.name = &**name, call.id = call_id, faults = count, suppressed = left_out },
            "callback `{name}` failed in {}: {}", hook.name(), one_line(&message)
            );
        }
        count
    }

    /// Has the spoiled instance replaced.
    pub(super) fn ask_for_restart(&self) {
        Arc::clone(&self.slot.restarts).ask(&self.slot, &self.living);
    }

    fn remember(&self, hook: Hook, message: &str) {
        let message = within(message, FAULT).to_owned();
        let seen = FaultSeen { hook, message, unix_ms: SystemClock.unix_ms() };
        *self.slot.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    fn inform_breaker(&self, hook: Hook, probe: bool) {
        let Some(limits) = self.slot.recipe.entry.breaker else { return };
        let runs = self.stats().totals(hook).calls();
        if !self.slot.breaker.fault(hook, runs, probe, now()) {
            return;
        }
        let name = self.name();
        let calls = if self.rolls_back() { "calls go on without it" } else { "calls get 503" };
        tracing::warn!(
            target: "callgate::callback", { breaker = "open", hook = hook.name(), callback.name = &**name },
        "callback `{name}` failed {} in {}; its breaker is open for {} s: {calls}",
            counted(limits.faults, "time"), hook.name(), limits.open.as_secs_f64()
        );
    }

    /// Records that the probe succeeded.
    #[cold]
    fn recovered(&self) {
        self.slot.breaker.close();
        let name = self.name();
        tracing::info!(
            target: "callgate::callback", breaker = "closed", callback.name = &**name,
            "callback `{name}` works again"
        );
    }

    /// Masks secrets in a plugin's text.
    pub(super) fn without_secrets(&self, message: &str) -> String {
        self.slot.recipe.without_secrets(message)
    }

    /// Counts a hook that held up its thread, and logs it if the callback is the likely cause.
    #[cold]
    pub(super) fn was_slow(&self, hook: Hook, ns: u64) {
        let count = self.slot.slow.fetch_add(1, Relaxed) + 1;
        self.stats().note(hook, Counted::Slow);
        if !self.slot.slow_hooks.note(now(), ns) {
            return;
        }
        let Some(left_out) = self.slot.slow_throttle.admit() else { return };
        let milliseconds = ns as f64 / 1e6;
        tracing::warn!(
            target: "callgate::callback", { hook = hook.name(), callback.name = &**self.name(), milliseconds, slow = count, suppressed = left_out },
        "callback `{}` took {milliseconds:.1} ms in {} and held up every call on its thread; \
             a hook may hold it for 1 ms; a sync one can run with `mode: blocking`",
            self.name(), hook.name()
        );
    }

    /// Logs a harmless violation of the contract by a callback.
    pub(super) fn warn(&self, hook: Hook, what: &str) {
        if let Some(left_out) = self.slot.other_throttle.admit() {
            tracing::warn!(
                target: "callgate::callback", { hook = hook.name(), callback.name = &**self.name(), suppressed = left_out },
            "callback `{}` {what} in {}", self.name(), hook.name()
            );
        }
    }
}

fn run_mode(instance: &Instance, hook: Hook, recipe: &Recipe) -> RunMode {
    let (is_sync, is_async) = match hook {
        Hook::Start => (instance.has_start(), instance.has_start_async()),
        Hook::During => (false, instance.has_during_async()),
        Hook::NewToken => (instance.has_new_token(), instance.has_new_token_async()),
        Hook::End => (instance.has_end(), instance.has_end_async()),
        Hook::Error => (instance.has_error(), instance.has_error_async()),
        Hook::Auth => (instance.has_auth(), instance.has_auth_async()),
        Hook::ListModels => (instance.has_list_models(), instance.has_list_models_async()),
    };
    if !recipe.chosen_hooks.iter().any(|chosen| chosen == hook.name()) {
        return RunMode::None;
    }
    match recipe.entry.mode {
        Mode::Inline | Mode::Shadow if is_sync => RunMode::Inline,
        Mode::Blocking if is_sync => RunMode::Blocking,
        _ if is_async => RunMode::Async,
        _ => RunMode::None,
    }
}

pub(super) fn now() -> u64 {
    SystemClock.monotonic_ns()
}
