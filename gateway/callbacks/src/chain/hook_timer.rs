//! The time hooks take. A read of the system's clock costs as much as a whole hook, so the
//! processor's counter is read, and once at each boundary between two hooks, not twice per hook.

use super::stats::ThreadSlot;
use quanta::Clock;
use std::{sync::OnceLock, thread, time::Instant};

/// More than a sync hook may take, in ns: every call on its thread waits for it.
pub(super) const SLOW: u64 = 1_000_000;

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
pub(super) struct HookTimer(Option<(ClockReading, ThreadSlot)>);

#[derive(Clone, Copy, Debug)]
enum ClockReading {
    Count(&'static Clock, u64),
    Time(Instant),
}

impl HookTimer {
    /// Before a hook.
    pub(super) fn begin(&mut self) {
        if self.0.is_none() {
            self.0 = Some((ClockReading::now(), ThreadSlot::current()));
        }
    }

    /// After a hook: the thread it began on, and what it took in ns.
    pub(super) fn end(&mut self) -> (ThreadSlot, u64) {
        let Some((begun, thread)) = &mut self.0 else { return (ThreadSlot::current(), 0) };
        let (now, ns) = match *begun {
            ClockReading::Count(clock, begun) => {
                let now = clock.raw();
                (ClockReading::Count(clock, now), clock.delta_as_nanos(begun, now))
            }
            ClockReading::Time(begun) => {
                let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
                (ClockReading::now(), ns)
            }
        };
        *begun = now;
        (*thread, ns)
    }

    /// Something was waited for: the next lap begins when its hook does, on whatever thread.
    pub(super) fn pause(&mut self) {
        self.0 = None;
    }
}

impl ClockReading {
    fn now() -> Self {
        match COUNTER.get() {
            Some(clock) => Self::Count(clock, clock.raw()),
            None => Self::Time(Instant::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Busy for at least `time`, by the system's clock.
    fn spin(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {}
    }

    /// By either clock a lap is no shorter than what happened in it; the counter may be off by a
    /// thousandth.
    fn laps_hold_what_happened_in_them() {
        let time = Duration::from_millis(2);
        let least = u64::try_from(time.as_nanos()).unwrap() * 99 / 100;
        let mut timer = HookTimer::default();
        timer.begin();
        spin(time);
        timer.begin();
        assert!(timer.end().1 > least, "a lap that has begun goes on");
        spin(time);
        assert!(timer.end().1 > least, "the end of one lap begins the next");
        timer.pause();
        assert_eq!(timer.end().1, 0, "what has not begun takes no time");
    }

    #[test]
    fn laps_are_measured_by_either_clock() {
        laps_hold_what_happened_in_them();
        calibrate();
        let _ = COUNTER.wait();
        laps_hold_what_happened_in_them();
    }
}
