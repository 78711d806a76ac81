//! Counters on the mock host's clock. They behave like the gateway's, but are slower.

use crate::{
    Admission,
    abi::serve::{CounterService, Page},
};
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
    plain: BTreeMap<String, Number>,
}

/// A plain counter, and when it is forgotten.
#[derive(Default)]
struct Number {
    value: i64,
    ends: Option<u64>,
}

impl State {
    /// Returns a number, which is new if its time has passed.
    fn number(&mut self, name: &str) -> &mut Number {
        let number = self.plain.entry(name.to_owned()).or_default();
        if number.ends.is_some_and(|ends| ends <= self.now) {
            *number = Number::default();
        }
        number
    }
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
        let number = state.number(name);
        number.value = number.value.wrapping_add(delta);
        number.value
    }

    fn add_for(&self, name: &str, delta: i64, live: Duration) -> i64 {
        let mut state = self.state();
        let live = u64::try_from(live.as_nanos()).unwrap_or(u64::MAX);
        let ends = state.now.saturating_add(live);
        let number = state.number(name);
        number.ends.get_or_insert(ends);
        number.value = number.value.wrapping_add(delta);
        number.value
    }

    fn remove(&self, name: &str) -> i64 {
        let mut state = self.state();
        let value = state.number(name).value;
        state.plain.remove(name);
        value
    }

    fn list(&self, page: Page<'_>) -> Vec<(String, i64)> {
        let mut state = self.state();
        let now = state.now;
        state.plain.retain(|_, number| number.ends.is_none_or(|ends| ends > now));
        let in_page = state.plain.iter().filter(|(name, it)| it.value != 0 && page.has(name));
        page.cut(in_page.map(|(name, it)| (name.clone(), it.value)).collect())
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
    fn a_number_with_a_time_is_forgotten_and_listed_until_then() {
        let counters = MockCounters::default();
        assert_eq!(counters.add_for("spent/ann", 5, MINUTE), 5);
        at(59, &counters);
        assert_eq!(counters.add_for("spent/ann", 2, MINUTE), 7, "the time is not extended");
        assert_eq!(counters.add("spent/bob", 1), 1);
        let page = |after| Page { prefix: "spent/", after, most: 9 };
        let (ann, bob) = (("spent/ann".to_owned(), 7), ("spent/bob".to_owned(), 1));
        assert_eq!(counters.list(page("")), [ann, bob.clone()]);
        assert_eq!(counters.list(page("spent/ann")), [bob]);
        at(60, &counters);
        assert_eq!((counters.add("spent/ann", 1), counters.remove("spent/bob")), (1, 1));
        assert_eq!(counters.remove("spent/bob"), 0);
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
