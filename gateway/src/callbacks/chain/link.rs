//! One callback of the chain: its instance, and what is kept of it from one instance to the next.

use super::{
    laps::SLOW,
    pace::Pace,
    renewal::{Living, Renewals},
    verdict::Fault,
};
use crate::{
    call::Call,
    callbacks::{
        hook::Hook,
        loader::{Instance, Recipe, RunningHook},
    },
    config::OnError,
    failure::Failure,
    host::one_line,
};
use futures_util::future::poll_immediate;
use plugin_api::{FailureKind, abi::Verdict};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A callback as a chain has it: calls that hold the chain keep the instance.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) slot: Arc<Slot>,
    pub(super) living: Arc<Living>,
}

/// What outlives the instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) place: usize,
    pub(super) recipe: Recipe,
    pub(super) renewals: Renewals,
    /// The hooks it has, by [`Hook`].
    has: [bool; 4],
    /// Set by a fault under `on_error: disable`; cleared by nothing but a new start.
    disabled: AtomicBool,
    faults: AtomicU64,
    slow: AtomicU64,
    fault_lines: [Pace; 4],
    slow_lines: Pace,
    other_lines: Pace,
}

impl Link {
    pub(super) fn new(
        place: usize,
        instance: Instance,
        recipe: Recipe,
        renewals: Renewals,
    ) -> Self {
        let has = [
            instance.has_start() || instance.has_start_async(),
            instance.has_new_token() || instance.has_new_token_async(),
            instance.has_end() || instance.has_end_async(),
            instance.has_error() || instance.has_error_async(),
        ];
        let slot = Slot {
            place,
            recipe,
            renewals,
            has,
            disabled: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            fault_lines: Default::default(),
            slow_lines: Pace::default(),
            other_lines: Pace::default(),
        };
        Self { slot: Arc::new(slot), living: Arc::new(Living::new(Some(instance))) }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.slot.recipe.name
    }

    pub(super) fn has(&self, hook: Hook) -> bool {
        self.slot.has[hook as usize]
    }

    pub(super) fn active(&self) -> bool {
        !self.slot.disabled.load(Relaxed)
    }

    /// Whether its faults are survived: then its edits have to be rolled back.
    pub(super) fn is_dispensable(&self) -> bool {
        self.slot.recipe.entry.on_error != OnError::Fail
    }

    /// Waits for an async hook; one that is ready at once never touches a timer.
    pub(super) async fn wait(
        &self,
        mut hook: RunningHook<'_>,
        limit: Duration,
    ) -> Result<Verdict, Fault> {
        if let Some(verdict) = poll_immediate(&mut hook).await {
            return Ok(verdict);
        }
        let limit = self.slot.recipe.entry.timeout.unwrap_or(limit);
        let late = |_| Fault::new(format!("not done within {} ms", limit.as_millis()));
        tokio::time::timeout(limit, hook).await.map_err(late)
    }

    /// What a hook of an instance that could not be made anew comes to.
    pub(super) fn missing(&self, hook: Hook) -> Option<Fault> {
        let fault = || Fault {
            message: "it panicked and could not be made anew".to_owned(),
            spoiled: true,
        };
        self.has(hook).then(fault)
    }

    /// Counts and logs a fault and sees to a spoiled instance; the failure of the call, if this
    /// callback's faults fail calls.
    pub(super) fn faulted(
        &self,
        hook: Hook,
        fault: &Fault,
        call: &Call,
        kind: FailureKind,
    ) -> Option<Failure> {
        let name = self.name();
        let count = self.slot.faults.fetch_add(1, Relaxed) + 1;
        if let Some(left_out) = self.slot.fault_lines[hook as usize].admit() {
            tracing::warn!(
                target: "callgate::callback",
                hook = hook.name(), callback.name = &**name, call.id = %call.id,
                faults = count, suppressed = left_out,
                "callback `{name}` failed in {}: {}", hook.name(), one_line(&fault.message)
            );
        }
        let on_error = self.slot.recipe.entry.on_error;
        if on_error == OnError::Disable {
            if !self.slot.disabled.swap(true, Relaxed) {
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
        if on_error == OnError::Ignore {
            return None;
        }
        let text = format!("callback `{name}` failed, so the call was stopped");
        let mut failure = Failure::new(kind, 503, text).code("callback_failed");
        failure.callback = Some(Arc::clone(name));
        Some(failure)
    }

    /// Counts and logs a sync hook that held up its thread.
    pub(super) fn took(&self, hook: Hook, time: Duration) {
        if time > SLOW {
            self.was_slow(hook, time);
        }
    }

    #[cold]
    fn was_slow(&self, hook: Hook, time: Duration) {
        let count = self.slot.slow.fetch_add(1, Relaxed) + 1;
        let Some(left_out) = self.slot.slow_lines.admit() else { return };
        let milliseconds = time.as_secs_f64() * 1e3;
        tracing::warn!(
            target: "callgate::callback",
            hook = hook.name(), callback.name = &**self.name(),
            milliseconds, slow = count, suppressed = left_out,
            "callback `{}` took {milliseconds:.1} ms in {} and held up every call on its thread; \
             a sync hook may take 1 ms",
            self.name(), hook.name()
        );
    }

    /// Logs what a callback does against the contract and nobody suffers from.
    pub(super) fn odd(&self, hook: Hook, what: &str) {
        if let Some(left_out) = self.slot.other_lines.admit() {
            tracing::warn!(
                target: "callgate::callback",
                hook = hook.name(), callback.name = &**self.name(), suppressed = left_out,
                "callback `{}` {what} in {}", self.name(), hook.name()
            );
        }
    }
}
