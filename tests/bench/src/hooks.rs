//! Nanoseconds per hook call: the timing harness, and the shape of what it times.
//! A [`HookCase`] is one call through the gateway's callback chain into a loaded plugin; this file
//! knows neither chain nor plugin. The driver gives its timings to `report`, which prints them.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

const BATCHES: usize = 101;
const CALLS_PER_BATCH: u32 = 2_000;

/// One hook call to be timed, everything it needs already built.
pub struct HookCase<'a> {
    pub name: &'static str,
    /// Must do the whole call and nothing besides, and pass its result to `black_box`.
    pub call: Box<dyn FnMut() + 'a>,
}

impl fmt::Debug for HookCase<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HookCase").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What one call of a hook takes, over all batches.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HookTiming {
    pub name: &'static str,
    /// Of the fastest batch: the cost when nothing else disturbs.
    pub min_ns: f64,
    pub median_ns: f64,
}

/// Times all cases in alternating batches, so that what disturbs the machine disturbs all alike.
/// The first batch of each warms up and is not counted.
#[must_use]
pub fn time(cases: &mut [HookCase<'_>]) -> Vec<HookTiming> {
    let mut batches = vec![Vec::with_capacity(BATCHES); cases.len()];
    for batch in 0..=BATCHES {
        for (case, times) in cases.iter_mut().zip(&mut batches) {
            let begun = Instant::now();
            for _ in 0..CALLS_PER_BATCH {
                (case.call)();
            }
            if batch > 0 {
                times.push(begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS_PER_BATCH));
            }
        }
    }
    let timing = |(case, times): (&HookCase<'_>, &Vec<f64>)| HookTiming {
        name: case.name,
        min_ns: times.iter().copied().fold(f64::INFINITY, f64::min),
        median_ns: crate::report::median(times).unwrap_or(f64::NAN),
    };
    cases.iter().zip(&batches).map(timing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_called_alike_and_timed() {
        let (mut first, mut second) = (0_usize, 0_usize);
        let mut cases = [
            HookCase { name: "first", call: Box::new(|| first += 1) },
            HookCase { name: "second", call: Box::new(|| second += 1) },
        ];
        let timings = time(&mut cases);
        assert_eq!(
            timings.iter().map(|timing| timing.name).collect::<Vec<_>>(),
            ["first", "second"]
        );
        assert!(timings.iter().all(|timing| timing.min_ns <= timing.median_ns));
        drop(cases);
        assert_eq!((first, second), ((BATCHES + 1) * CALLS_PER_BATCH as usize, first));
    }
}
