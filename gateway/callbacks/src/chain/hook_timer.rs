//! Measures hooks. Reading the system's clock costs as much as a whole hook, so the processor's
//! counter is read instead, and once between two hooks, not twice for each.

use super::stats::ThreadSlot;
use quanta::Clock;
use std::{sync::OnceLock, thread, time::Instant};

/// The processor's counter with its frequency, once known.
static COUNTER: OnceLock<Clock> = OnceLock::new();

/// Measures the counter's frequency during the rest of the start: it takes 1 ms, and up to 200 ms
/// on a busy machine. Until then the system's clock is read.
pub(super) fn calibrate() {
    if COUNTER.get().is_none() {
        let work = || drop(COUNTER.set(Clock::new()));
        // Without a thread, the system's clock stays in use.
        let _ = thread::Builder::new().name("calibration".to_owned()).spawn(work);
    }
}

/// The laps of one walk along the chain. The walk's own work between two hooks counts for the later
/// hook.
#[derive(Debug, Default)]
pub(super) struct HookTimer(Option<(ClockReading, ThreadSlot)>);

#[derive(Clone, Copy, Debug)]
enum ClockReading {
    Count(&'static Clock, u64),
    Time(Instant),
}

impl HookTimer {
    /// Called before a hook.
    pub(super) fn begin(&mut self) {
        if self.0.is_none() {
            self.0 = Some((ClockReading::now(), ThreadSlot::current()));
        }
    }

    /// Called after a hook: returns the thread it began on, and its duration in ns.
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

    /// Called after a wait: the next lap begins with its hook, on any thread.
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

    /// Spins for at least `time`, by the system's clock.
    fn spin(time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {}
    }

    /// With either clock a lap is at least as long as the work in it; the counter may be off by a
    /// thousandth.
    fn laps_hold_what_happened_in_them() {
        let time = Duration::from_millis(2);
        let least = u64::try_from(time.as_nanos()).unwrap() * 99 / 100;
        let mut timer = HookTimer::default();
        timer.begin();
        spin(time);
        timer.begin();
        assert!(timer.end().1 > least, "a lap continues until its hook ends");
        spin(time);
        assert!(timer.end().1 > least, "the end of one lap begins the next");
        timer.pause();
        assert_eq!(timer.end().1, 0, "a lap that has not begun takes no time");
    }

    #[test]
    fn laps_are_measured_by_either_clock() {
        laps_hold_what_happened_in_them();
        calibrate();
        let _ = COUNTER.wait();
        laps_hold_what_happened_in_them();
    }
}
