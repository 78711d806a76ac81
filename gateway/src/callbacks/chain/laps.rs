//! The time sync hooks take. A read of the system's clock costs as much as a whole hook, so the
//! processor's counter is read, and once at each boundary between two hooks, not twice per hook.

use quanta::Clock;
use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

/// More than a sync hook may take: every call on its thread waits for it.
pub(super) const SLOW: Duration = Duration::from_millis(1);

/// The processor's counter with its frequency, once that is known.
static COUNTER: OnceLock<Clock> = OnceLock::new();

/// Finds out the counter's frequency, beside the rest of the start: that takes 1 ms, and on a busy
/// machine up to 200 ms. Until then the system's clock is read.
pub(super) fn calibrate() {
    if COUNTER.get().is_none() {
        let work = || drop(COUNTER.set(Clock::new()));
        // Without a thread the system's clock goes on being read.
        let _ = thread::Builder::new().name("calibration".to_owned()).spawn(work);
    }
}

/// The laps of one walk along the chain. What the walk itself does between two hooks counts for the
/// later one.
#[derive(Debug, Default)]
pub(super) struct Laps(Option<Mark>);

#[derive(Clone, Copy, Debug)]
enum Mark {
    Count(u64),
    Time(Instant),
}

impl Laps {
    /// Before a sync hook.
    pub(super) fn begin(&mut self) {
        if self.0.is_none() {
            self.0 = Some(COUNTER.get().map_or_else(Mark::now, |clock| Mark::Count(clock.raw())));
        }
    }

    /// After a sync hook: what it took.
    pub(super) fn end(&mut self) -> Duration {
        let Some(begun) = self.0 else { return Duration::ZERO };
        let (now, took) = match (begun, COUNTER.get()) {
            (Mark::Count(begun), Some(clock)) => {
                let now = clock.raw();
                (Mark::Count(now), Duration::from_nanos(clock.delta_as_nanos(begun, now)))
            }
            (Mark::Time(begun), _) => (Mark::now(), begun.elapsed()),
            (Mark::Count(_), None) => (Mark::now(), Duration::ZERO),
        };
        self.0 = Some(now);
        took
    }

    /// Something was waited for: the next lap begins when its hook does.
    pub(super) fn pause(&mut self) {
        self.0 = None;
    }
}

impl Mark {
    fn now() -> Self {
        Self::Time(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Busy for at least `time`, by the system's clock.
    fn spin(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {}
    }

    /// By either clock a lap is no shorter than what happened in it; the counter may be off by a
    /// thousandth.
    fn laps_hold_what_happened_in_them() {
        let time = Duration::from_millis(2);
        let mut laps = Laps::default();
        laps.begin();
        spin(time);
        laps.begin();
        assert!(laps.end() > time * 99 / 100, "a lap that has begun goes on");
        spin(time);
        assert!(laps.end() > time * 99 / 100, "the end of one lap begins the next");
        laps.pause();
        assert_eq!(laps.end(), Duration::ZERO, "what has not begun takes no time");
    }

    #[test]
    fn laps_are_measured_by_either_clock() {
        laps_hold_what_happened_in_them();
        calibrate();
        let _ = COUNTER.wait();
        laps_hold_what_happened_in_them();
    }
}
