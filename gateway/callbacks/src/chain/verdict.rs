//! Turns a verdict and its content into an outcome, and a rejection into the call's failure.

use crate::{call_handle::HookResult, reply_stream::CallbackReply};
use callgate_failure::Failure;
use plugin_api::{FailureKind, Rejection, abi::Verdict};
use std::{sync::Arc, time::Duration};

/// The outcome of one callback's hook.
#[derive(Debug)]
pub(super) enum HookOutcome {
    Continue,
    Reply(CallbackReply),
    Reject(Rejection),
    Fault(Fault),
}

/// A callback's own failure.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) message: String,
    /// The instance may be half changed, so it has to be restarted.
    pub(super) spoiled: bool,
    /// It timed out.
    pub(super) late: bool,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), spoiled: false, late: false }
    }

    pub(super) fn late(message: impl Into<String>) -> Self {
        Self { late: true, ..Self::new(message) }
    }

    /// The hook of an instance that could not be restarted.
    pub(super) fn not_restarted() -> Self {
        Self::spoiled("it panicked and could not be restarted")
    }

    pub(super) fn spoiled(message: impl Into<String>) -> Self {
        Self { spoiled: true, ..Self::new(message) }
    }
}

/// Combines a verdict with its content. An unknown verdict is a fault.
pub(super) fn outcome(verdict: Verdict, given: HookResult) -> HookOutcome {
    match (verdict, given) {
        (Verdict::CONTINUE | Verdict::NOT_IMPLEMENTED, _) => HookOutcome::Continue,
        (Verdict::REPLY, HookResult::Reply(reply)) => HookOutcome::Reply(reply),
        (Verdict::REJECT, HookResult::Rejection(rejection)) => HookOutcome::Reject(rejection),
        (verdict, given) => {
            let message = match given {
                HookResult::Fault(message) => message,
                _ => format!("returned verdict {} without its content", verdict.0),
            };
            let spoiled = verdict == Verdict::PANIC;
            HookOutcome::Fault(Fault { spoiled, ..Fault::new(message) })
        }
    }
}

/// Turns a callback's rejection into the call's failure.
pub(super) fn rejection_failure(
    name: &Arc<str>,
    rejection: Rejection,
    kind: FailureKind,
) -> Failure {
    let valid = (400..600).contains(&rejection.status);
    let status = if valid { rejection.status } else { 500 };
    let mut failure = Failure::of_callback(name, kind, status, rejection.message);
    failure.code = rejection.code.map(Into::into);
    failure.retry_after = rejection.retry_after.map(whole_seconds);
    failure.headers = rejection.headers;
    failure
}

/// `Retry-After` has whole seconds; rounded up, so that a client that waits is not early.
pub(super) fn whole_seconds(wait: Duration) -> String {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn what_does_not_go_together_is_a_fault_and_only_a_panic_spoils() {
        let reply = || {
            let reply = plugin_api::Reply::Text(String::new());
            HookResult::Reply(CallbackReply::Whole(reply))
        };
        let said = || HookResult::Fault("said".to_owned());
        for (verdict, given, message, spoiled) in [
            (Verdict::REPLY, HookResult::Nothing, "returned verdict 1", false),
            (Verdict::REJECT, reply(), "returned verdict 2", false),
            (Verdict::FAULT, HookResult::Nothing, "returned verdict 3", false),
            (Verdict::FAULT, said(), "said", false),
            (Verdict(99), said(), "said", false),
            (Verdict(99), reply(), "returned verdict 99", false),
            (Verdict::PANIC, said(), "said", true),
            (Verdict::PANIC, HookResult::Nothing, "returned verdict 5", true),
        ] {
            let HookOutcome::Fault(fault) = outcome(verdict, given) else {
                panic!("{verdict:?} is not a fault")
            };
            assert!(fault.message.starts_with(message), "{verdict:?}: {}", fault.message);
            assert_eq!(fault.spoiled, spoiled, "{verdict:?}");
        }
    }

    #[test]
    fn a_refusal_without_a_proper_status_is_a_500() {
        for (sent, status) in [(400, 400), (429, 429), (599, 599), (399, 500), (600, 500), (0, 500)]
        {
            let rejection = Rejection::new(sent, "no");
            let failure = rejection_failure(&Arc::from("x"), rejection, FailureKind::REJECTED);
            assert_eq!(failure.status, status);
        }
    }
}
