//! Counters on the mock host's clock. They behave like the gateway's, but are slower.

use crate::{Admission, abi::serve::CounterService};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(super) struct MockCounters(Mutex<State>);

#[derive(Default)]
struct State {
    now: u64,
    last_ticket: u64,
    windows: BTreeMap<String, Window>,
    buckets: BTreeMap<String, Bucket>,
    plain: BTreeMap<String, i64>,
}

/// Admissions within the span, oldest first.
#[derive(Default)]
struct Window {
    span: u64,
    admitted: VecDeque<Admitted>,
}

struct Admitted {
    at: u64,
    ticket: u64,
}

struct Bucket {
    tokens: f64,
    filled_at: u64,
}

impl MockCounters {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_now(&self, now: u64) {
        let mut state = self.state();
        state.now = state.now.max(now);
    }

    pub(super) fn taken(&self, window: &str) -> usize {
        let mut state = self.state();
        let now = state.now;
        state.windows.get_mut(window).map_or(0, |window| window.inside(now))
    }

    pub(super) fn windows(&self) -> Vec<String> {
        self.state().windows.keys().cloned().collect()
    }
}

impl Window {
    /// Drops admissions that have left the span. Returns how many remain.
    fn inside(&mut self, now: u64) -> usize {
        let span = self.span;
        let left = |admitted: &Admitted| admitted.at.saturating_add(span) <= now;
        while self.admitted.front().is_some_and(left) {
            self.admitted.pop_front();
        }
        self.admitted.len()
    }

    /// Returns the time until the next place is free: now, or when enough of the oldest have left.
    fn wait(&mut self, limit: u64, now: u64) -> Duration {
        let inside = self.inside(now);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(excess) = inside.checked_sub(limit) else { return Duration::ZERO };
        match self.admitted.get(excess) {
            Some(last_to_leave) => {
                Duration::from_nanos(last_to_leave.at.saturating_add(self.span) - now)
            }
            None => Duration::MAX,
        }
    }
}

impl CounterService for MockCounters {
    fn admit(&self, name: &str, limit: u64, span: Duration) -> Admission {
        let mut state = self.state();
        let State { now, last_ticket, windows, .. } = &mut *state;
        let window = windows.entry(name.to_owned()).or_default();
        window.span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let wait = window.wait(limit, *now);
        if !wait.is_zero() {
            return Admission::Full(wait);
        }
        *last_ticket += 1;
        window.admitted.push_back(Admitted { at: *now, ticket: *last_ticket });
        Admission::Admitted(*last_ticket)
    }

    fn release(&self, name: &str, ticket: u64) {
        if let Some(window) = self.state().windows.get_mut(name) {
            window.admitted.retain(|admitted| admitted.ticket != ticket);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a test's clock stays far below 2^53 ns")]
    fn take(&self, name: &str, rate: f64, burst: f64, tokens: f64) -> Admission {
        let mut state = self.state();
        let State { now, last_ticket, buckets, .. } = &mut *state;
        let bucket =
            buckets.entry(name.to_owned()).or_insert(Bucket { tokens: burst, filled_at: *now });
        let seconds = (*now - bucket.filled_at) as f64 / 1e9;
        bucket.tokens = (bucket.tokens + seconds * rate).min(burst);
        bucket.filled_at = *now;
        if bucket.tokens >= tokens {
            bucket.tokens -= tokens;
            *last_ticket += 1;
            return Admission::Admitted(*last_ticket);
        }
        let wait = Duration::try_from_secs_f64((tokens - bucket.tokens) / rate);
        Admission::Full(if tokens > burst { Duration::MAX } else { wait.unwrap_or(Duration::MAX) })
    }

    fn add(&self, name: &str, delta: i64) -> i64 {
        let mut state = self.state();
        let value = state.plain.entry(name.to_owned()).or_default();
        *value = value.wrapping_add(delta);
        *value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64, counters: &MockCounters) {
        counters.set_now(seconds * 1_000_000_000);
    }

    #[test]
    fn a_window_waits_for_the_oldest_and_takes_places_back() {
        let counters = MockCounters::default();
        let Admission::Admitted(first) = counters.admit("w", 2, MINUTE) else { panic!("full") };
        at(10, &counters);
        assert!(matches!(counters.admit("w", 2, MINUTE), Admission::Admitted(_)));
        at(20, &counters);
        assert_eq!(counters.admit("w", 2, MINUTE), Admission::Full(Duration::from_secs(40)));
        counters.release("w", first);
        counters.release("w", 999);
        assert!(matches!(counters.admit("w", 2, MINUTE), Admission::Admitted(_)));
        assert_eq!(counters.admit("w", 2, MINUTE), Admission::Full(Duration::from_secs(50)));
        at(70, &counters);
        assert_eq!(counters.taken("w"), 1, "the admission of second 10 has left");
    }

    #[test]
    fn a_lowered_limit_waits_for_as_many_as_are_too_many() {
        let counters = MockCounters::default();
        for second in 0..4 {
            at(second, &counters);
            assert!(matches!(counters.admit("w", 4, MINUTE), Admission::Admitted(_)));
        }
        assert_eq!(counters.admit("w", 2, MINUTE), Admission::Full(Duration::from_secs(59)));
        assert_eq!(counters.admit("w", 0, MINUTE), Admission::Full(Duration::MAX));
    }

    #[test]
    fn a_bucket_refills_up_to_its_burst() {
        let counters = MockCounters::default();
        assert!(matches!(counters.take("b", 1.0, 2.0, 2.0), Admission::Admitted(_)));
        assert_eq!(counters.take("b", 1.0, 2.0, 1.0), Admission::Full(Duration::from_secs(1)));
        at(60, &counters);
        assert!(matches!(counters.take("b", 1.0, 2.0, 2.0), Admission::Admitted(_)));
        assert_eq!(counters.take("b", 1.0, 2.0, 3.0), Admission::Full(Duration::MAX));
    }
}
