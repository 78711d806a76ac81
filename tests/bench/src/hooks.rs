//! Times hook calls, in nanoseconds. `dry_runs` makes the cases; the driver passes the timings to
//! `report`, which prints and judges them.

use serde::Serialize;
use std::{
    fmt,
    iter::repeat_with,
    time::{Duration, Instant},
};

/// Calls made before the clock starts: few enough to stay in the processor's cache, as a client's
/// call does, and enough that reading the clock twice adds less than a nanosecond to each.
const CALLS_AT_ONCE: usize = 64;
const ROUNDS_PER_BATCH: usize = 32;

/// The chain's own clock is calibrated during the first calls.
const WARM_UP: Duration = Duration::from_millis(300);

/// One hook to be timed.
pub struct HookCase<'a> {
    name: String,
    limit_ns: Option<f64>,
    /// Runs one batch; returns the hook's time for each call, in ns.
    batch: Box<dyn FnMut() -> f64 + 'a>,
}

impl fmt::Debug for HookCase<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HookCase").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The time of one call of a hook, over all batches.
#[derive(Clone, Debug, Serialize)]
pub struct HookTiming {
    pub name: String,
    /// The time in the fastest batch, which nothing else disturbed.
    pub min_ns: f64,
    pub median_ns: f64,
    /// The limit for the median.
    pub limit_ns: Option<f64>,
}

impl<'a> HookCase<'a> {
    /// `call` is timed; `fresh`, which creates its input, is not.
    pub fn new<C>(
        name: String,
        limit_ns: Option<f64>,
        mut fresh: impl FnMut() -> C + 'a,
        mut call: impl FnMut(&mut C) + 'a,
    ) -> Self
    where
        C: 'a,
    {
        let mut calls = Vec::with_capacity(CALLS_AT_ONCE);
        let batch = move || {
            let mut took = Duration::ZERO;
            for _ in 0..ROUNDS_PER_BATCH {
                calls.clear();
                calls.extend(repeat_with(&mut fresh).take(CALLS_AT_ONCE));
                let begun = Instant::now();
                calls.iter_mut().for_each(&mut call);
                took += begun.elapsed();
            }
            took.as_secs_f64() * 1e9 / (CALLS_AT_ONCE * ROUNDS_PER_BATCH) as f64
        };
        Self { name, limit_ns, batch: Box::new(batch) }
    }

    /// Divides the time by the number of `hooks` that a call runs.
    #[must_use]
    pub fn per(self, hooks: usize) -> Self {
        let mut batch = self.batch;
        Self { batch: Box::new(move || batch() / hooks as f64), ..self }
    }
}

/// Times all cases in alternating batches, so that disturbances affect all of them alike.
#[must_use]
pub fn time(cases: &mut [HookCase<'_>], batches: usize) -> Vec<HookTiming> {
    let begun = Instant::now();
    loop {
        for case in &mut *cases {
            let _ = (case.batch)();
        }
        if begun.elapsed() > WARM_UP {
            break;
        }
    }
    let mut times = vec![Vec::with_capacity(batches); cases.len()];
    for _ in 0..batches {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            times.push((case.batch)());
        }
    }
    let timing = |(case, times): (&HookCase<'_>, &Vec<f64>)| HookTiming {
        name: case.name.clone(),
        min_ns: times.iter().copied().fold(f64::INFINITY, f64::min),
        median_ns: crate::report::median(times).unwrap_or(f64::NAN),
        limit_ns: case.limit_ns,
    };
    cases.iter().zip(&times).map(timing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_called_alike_and_each_call_is_fresh() {
        let mut called = [0_usize; 2];
        let [first, second] = &mut called;
        let mut cases = [(first, "first"), (second, "second")].map(|(count, name)| {
            let fresh = || false;
            HookCase::new(name.to_owned(), None, fresh, |used| {
                assert!(!std::mem::replace(used, true));
                *count += 1;
            })
        });
        let timings = time(&mut cases, 3);
        drop(cases);
        assert_eq!(
            timings.iter().map(|timing| &*timing.name).collect::<Vec<_>>(),
            ["first", "second"]
        );
        assert!(timings.iter().all(|timing| timing.min_ns <= timing.median_ns));
        assert_eq!(called[0], called[1]);
        assert!(called[0] >= 3 * CALLS_AT_ONCE * ROUNDS_PER_BATCH);
    }
}
