//! A callback's breaker: N faults of one hook within a time open it; after a while one call probes
//! whether it can close. It also switches a callback off for good.
//!
//! `link` decides what an open breaker means for a call. The caller passes the time in.

use callgate_config::BreakerLimits;
use callgate_plugin_host::Hook;
use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Values of `until`: closed, and switched off.
const CLOSED: u64 = 0;
const OFF: u64 = u64::MAX;

/// The state of one callback's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Until when it is open, in ns on the process's monotonic clock. Hooks of a healthy callback
    /// read only this; it is written only when the state changes.
    until: AtomicU64,
    limits: Option<BreakerLimits>,
    /// For each hook, the times of its latest faults, and the number of its runs by then.
    recent: Mutex<[VecDeque<(u64, u64)>; Hook::COUNT]>,
}

/// Whether a new call runs the callback's hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreakerAdmission {
    Pass,
    /// Yes, as the probe that decides whether the breaker closes.
    Probe,
    /// The breaker is open.
    Open,
    /// The callback is switched off until the next start.
    Off,
}

/// The state as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Open,
    /// The next call is the probe, or a probe is running.
    HalfOpen,
    Off,
}

impl Breaker {
    pub(super) fn new(limits: Option<BreakerLimits>) -> Self {
        Self { until: AtomicU64::new(CLOSED), limits, recent: Mutex::default() }
    }

    /// Whether all calls are admitted.
    pub(super) fn is_closed(&self) -> bool {
        self.until.load(Relaxed) == CLOSED
    }

    /// Admits or skips a new call. If a probe has no result after the time the breaker was open,
    /// another call becomes the probe.
    pub(super) fn admit(&self, now: u64) -> BreakerAdmission {
        match self.until.load(Relaxed) {
            CLOSED => BreakerAdmission::Pass,
            OFF => BreakerAdmission::Off,
            until if now < until => BreakerAdmission::Open,
            until => {
                let next = self.opened(now);
                match self.until.compare_exchange(until, next, Relaxed, Relaxed) {
                    Ok(_) => BreakerAdmission::Probe,
                    Err(CLOSED) => BreakerAdmission::Pass,
                    Err(_) => BreakerAdmission::Open,
                }
            }
        }
    }

    /// Counts a fault of a hook that has run `runs` times. Returns whether it opened the breaker.
    ///
    /// A rare fault must not block the many good calls in between: at least half of the hook's runs
    /// since the oldest counted fault must have failed.
    pub(super) fn fault(&self, hook: Hook, runs: u64, probe: bool, now: u64) -> bool {
        let Some(limits) = self.limits else { return false };
        if probe {
            let until = self.until.load(Relaxed);
            if until != OFF {
                let _ = self.until.compare_exchange(until, self.opened(now), Relaxed, Relaxed);
            }
            return false;
        }
        let within = nanos(limits.within);
        let mut all = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = &mut all[hook as usize];
        recent.push_back((now, runs));
        let wanted = limits.faults as usize;
        while recent.len() > wanted
            || recent.front().is_some_and(|(at, _)| now.saturating_sub(*at) > within)
        {
            recent.pop_front();
        }
        let Some((_, runs_before)) = recent.front() else { return false };
        let between = runs.saturating_sub(*runs_before) + 1;
        if recent.len() < wanted || between > 2 * u64::from(limits.faults) {
            return false;
        }
        recent.clear();
        self.until.compare_exchange(CLOSED, self.opened(now), Relaxed, Relaxed).is_ok()
    }

    /// Closes the breaker after a successful probe.
    pub(super) fn close(&self) {
        let until = self.until.load(Relaxed);
        if until != OFF {
            let _ = self.until.compare_exchange(until, CLOSED, Relaxed, Relaxed);
        }
    }

    /// Switches the callback off; returns whether it was on.
    pub(super) fn switch_off(&self) -> bool {
        self.until.swap(OFF, Relaxed) != OFF
    }

    pub(super) fn state(&self, now: u64) -> State {
        match self.until.load(Relaxed) {
            CLOSED => State::Closed,
            OFF => State::Off,
            until if now < until => State::Open,
            _ => State::HalfOpen,
        }
    }

    /// The time until it is no longer open.
    pub(super) fn left(&self, now: u64) -> Duration {
        Duration::from_nanos(self.until.load(Relaxed).saturating_sub(now))
    }

    fn opened(&self, now: u64) -> u64 {
        let open = self.limits.map_or(0, |limits| nanos(limits.open));
        now.saturating_add(open).clamp(CLOSED + 1, OFF - 1)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn breaker(faults: u32) -> Breaker {
        let (within, open) = (Duration::from_secs(30), Duration::from_secs(10));
        Breaker::new(Some(BreakerLimits { faults, within, open }))
    }

    /// Whether faults at these seconds, after so many runs of the hook, open the breaker.
    fn opens(faults: &[(u64, u64)]) -> bool {
        let breaker = breaker(3);
        faults.iter().any(|(at, runs)| breaker.fault(Hook::End, *runs, false, at * SECOND))
    }

    #[test]
    fn so_many_faults_within_the_time_open_it_when_half_the_runs_broke() {
        for (faults, expected) in [
            (&[(1, 1), (2, 2), (3, 3)][..], true),
            (&[(1, 1), (2, 2)], false),
            (&[(1, 1), (20, 2), (32, 3)], false),
            (&[(1, 1), (20, 2), (31, 3)], true),
            (&[(1, 1), (20, 2), (32, 3), (33, 4)], true),
            (&[(1, 1), (1, 3), (1, 6)], true),
            (&[(1, 1), (1, 3), (1, 7)], false),
            (&[(1, 1), (1, 500), (1, 1000), (1, 1001), (1, 1002)], true),
        ] {
            assert_eq!(opens(faults), expected, "{faults:?}");
        }
    }

    #[test]
    fn hooks_are_counted_apart() {
        let breaker = breaker(2);
        assert!(!breaker.fault(Hook::Start, 1, false, SECOND));
        assert!(!breaker.fault(Hook::End, 1, false, SECOND));
        assert!(breaker.fault(Hook::End, 2, false, SECOND));
    }

    #[test]
    fn after_its_time_one_probe_decides() {
        let breaker = breaker(1);
        let state = |at: u64| breaker.state(at * SECOND);
        let admit = |at: u64| breaker.admit(at * SECOND);
        assert_eq!((admit(1), state(1)), (BreakerAdmission::Pass, State::Closed));
        assert!(breaker.fault(Hook::Start, 1, false, SECOND));
        assert_eq!((admit(10), state(10)), (BreakerAdmission::Open, State::Open));
        assert_eq!(breaker.left(4 * SECOND).as_secs(), 7);
        assert_eq!(state(11), State::HalfOpen);
        assert_eq!((admit(11), admit(11)), (BreakerAdmission::Probe, BreakerAdmission::Open));
        assert!(!breaker.fault(Hook::Start, 2, true, 12 * SECOND), "it was open");
        assert_eq!((admit(21), admit(22)), (BreakerAdmission::Open, BreakerAdmission::Probe));
        // That probe had no result.
        assert_eq!((admit(31), admit(32)), (BreakerAdmission::Open, BreakerAdmission::Probe));
        breaker.close();
        assert_eq!((admit(32), state(32)), (BreakerAdmission::Pass, State::Closed));
    }

    #[test]
    fn off_is_for_good_and_none_never_opens() {
        let off = breaker(1);
        assert!(off.switch_off() && !off.switch_off());
        off.close();
        assert!(!off.fault(Hook::Start, 1, true, SECOND));
        assert_eq!((off.admit(u64::MAX), off.state(SECOND)), (BreakerAdmission::Off, State::Off));
        let never = Breaker::new(None);
        for at in 0..100 {
            assert!(!never.fault(Hook::Start, at, false, at));
        }
        assert!(never.is_closed());
    }
}
