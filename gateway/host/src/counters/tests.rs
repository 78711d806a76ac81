//! Windows, buckets and counts: exact in any order of calls and with several threads.

use super::{Clock, CounterScope, Counters};
use plugin_api::{
    Admission::{Admitted, Full},
    abi::serve::{CounterService, Page},
};
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

const SECOND: u64 = 1_000_000_000;
const SPAN: Duration = Duration::from_secs(60);

#[derive(Default)]
struct TestClock(AtomicU64);

impl TestClock {
    fn forward(&self, ns: u64) {
        self.0.fetch_add(ns, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn unix_ms(&self) -> u64 {
        0
    }
}

fn scope() -> (Arc<TestClock>, Arc<CounterScope>) {
    let clock = Arc::new(TestClock::default());
    let counters = Counters::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    (clock, counters.scope("rate_limit"))
}

fn admitted(scope: &CounterScope, limit: u64, span: Duration) -> bool {
    matches!(scope.admit("w", limit, span), Admitted(_))
}

#[test]
fn a_place_is_free_again_exactly_one_span_later() {
    let (clock, scope) = scope();
    for _ in 0..3 {
        assert!(admitted(&scope, 3, SPAN));
        clock.forward(SECOND);
    }
    assert_eq!(scope.admit("w", 3, SPAN), Full(Duration::from_secs(57)));
    clock.forward(57 * SECOND - 1);
    assert_eq!(scope.admit("w", 3, SPAN), Full(Duration::from_nanos(1)));
    clock.forward(1);
    assert!(admitted(&scope, 3, SPAN));
    assert_eq!(scope.admit("w", 3, SPAN), Full(Duration::from_secs(1)));
}

#[test]
fn a_limit_of_nothing_never_admits() {
    let (_, scope) = scope();
    assert_eq!(scope.admit("w", 0, SPAN), Full(Duration::MAX));
}

#[test]
fn a_released_place_is_free_at_once_and_only_once() {
    let (clock, scope) = scope();
    let Admitted(first) = scope.admit("w", 2, SPAN) else { panic!("refused") };
    clock.forward(SECOND);
    assert!(admitted(&scope, 2, SPAN));
    for _ in 0..2 {
        scope.release("w", first);
    }
    scope.release("w", 0);
    scope.release("w", u64::MAX);
    scope.release("unknown", first);
    assert!(admitted(&scope, 2, SPAN));
    assert!(!admitted(&scope, 2, SPAN));
}

#[test]
fn a_lowered_limit_waits_until_enough_places_are_free() {
    let (clock, scope) = scope();
    for _ in 0..5 {
        assert!(admitted(&scope, 5, SPAN));
        clock.forward(SECOND);
    }
    // Taken at 0 s … 4 s, now 5 s: with a limit of 2, four have to go; the fourth goes at 63 s.
    assert_eq!(scope.admit("w", 2, SPAN), Full(Duration::from_secs(58)));
}

#[test]
fn two_spans_over_one_window_both_count_exactly() {
    let (clock, scope) = scope();
    for _ in 0..4 {
        assert!(admitted(&scope, 4, SPAN));
        clock.forward(SECOND);
    }
    assert!(admitted(&scope, 1, Duration::from_secs(1)));
    assert_eq!(scope.admit("w", 1, Duration::from_secs(1)), Full(Duration::from_secs(1)));
    assert_eq!(scope.admit("w", 5, SPAN), Full(Duration::from_secs(56)));
}

/// Compares with a list of all events: never more than the limit in any span, never a refusal below
/// the limit, and an exact wait.
#[test]
fn agrees_with_a_complete_record() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..50 {
        let (clock, scope) = scope();
        let (limit, span) = (random.u64(1..8), random.u64(1..40));
        let mut record: Vec<(u64, u64)> = Vec::new();
        for _ in 0..400 {
            clock.forward(random.u64(0..12));
            let now = clock.monotonic_ns();
            if random.u8(0..5) == 0 && !record.is_empty() {
                let (_, ticket) = record.swap_remove(random.usize(0..record.len()));
                scope.release("w", ticket);
                continue;
            }
            let mut inside: Vec<u64> =
                record.iter().map(|(at, _)| *at).filter(|at| at + span > now).collect();
            inside.sort_unstable();
            match scope.admit("w", limit, Duration::from_nanos(span)) {
                Admitted(ticket) => {
                    assert!((inside.len() as u64) < limit);
                    record.push((now, ticket));
                }
                Full(wait) => {
                    assert_eq!(inside.len() as u64, limit);
                    assert_eq!(wait, Duration::from_nanos(inside[0] + span - now));
                }
            }
        }
    }
}

#[test]
fn is_exact_under_64_threads() {
    let (_, scope) = scope();
    let barrier = Barrier::new(64);
    let total: usize = thread::scope(|threads| {
        let (scope, barrier) = (&scope, &barrier);
        let work = move || {
            barrier.wait();
            (0..200).filter(|_| admitted(scope, 1000, SPAN)).count()
        };
        let all: Vec<_> = (0..64).map(|_| threads.spawn(work)).collect();
        all.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(total, 1000);
}

#[test]
fn a_bucket_starts_full_refills_steadily_and_never_beyond_its_burst() {
    let (clock, scope) = scope();
    let take = |tokens| scope.take("b", 2.0, 10.0, tokens);
    assert_eq!(take(10.0), Admitted(1));
    assert_eq!(take(1.0), Full(Duration::from_millis(500)));
    clock.forward(SECOND / 2);
    assert_eq!(take(1.0), Admitted(1));
    clock.forward(3600 * SECOND);
    assert_eq!(take(10.0), Admitted(1));
    assert!(matches!(take(0.1), Full(_)));
    assert_eq!(take(11.0), Full(Duration::MAX));
}

#[test]
fn the_wait_of_a_bucket_is_long_enough() {
    let mut random = fastrand::Rng::with_seed(3);
    let (clock, scope) = scope();
    for _ in 0..2000 {
        let tokens = random.f64() * 5.0;
        if let Full(wait) = scope.take("b", 0.7, 5.0, tokens) {
            clock.forward(u64::try_from(wait.as_nanos()).expect("a wait"));
            assert_eq!(scope.take("b", 0.7, 5.0, tokens), Admitted(1));
        }
    }
}

#[test]
fn a_bucket_survives_nonsense() {
    let (_, scope) = scope();
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::MAX];
    for rate in odd {
        for burst in odd {
            for tokens in odd {
                let _ = scope.take("b", rate, burst, tokens);
            }
        }
    }
}

#[test]
fn numbers_add_up_and_wrap() {
    let (_, scope) = scope();
    assert_eq!(scope.add("n", 5), 5);
    assert_eq!(scope.add("n", -7), -2);
    assert_eq!(scope.add("m", i64::MAX), i64::MAX);
    assert_eq!(scope.add("m", 1), i64::MIN);
}

fn page<'a>(prefix: &'a str, after: &'a str, most: usize) -> Page<'a> {
    Page { prefix, after, most }
}

#[test]
fn a_number_with_a_time_ends_to_the_nanosecond_and_starts_again() {
    let (clock, scope) = scope();
    assert_eq!(scope.add("n", 1), 1);
    assert_eq!(scope.add_for("n", 4, SPAN), 5, "it gets a time");
    clock.forward(59 * SECOND);
    assert_eq!(scope.add_for("n", -5, SPAN), 0, "which later calls do not extend");
    clock.forward(SECOND - 1);
    assert_eq!(scope.add("n", 7), 7, "and which it keeps at 0");
    clock.forward(1);
    assert_eq!(scope.add("n", 1), 1);
    clock.forward(3600 * SECOND);
    assert_eq!(scope.add("n", 1), 2, "now it has none");
    assert_eq!(scope.add_for("m", 1, Duration::ZERO), 1);
    assert_eq!(scope.add_for("m", 1, Duration::ZERO), 1);
    assert_eq!(scope.add_for("l", 1, Duration::MAX), 1);
    assert_eq!(scope.add_for("l", 1, Duration::MAX), 2);
}

#[test]
fn numbers_are_listed_in_order_and_removed() {
    let (clock, scope) = scope();
    for name in ["b/2", "a", "b/1", "b/3", "b/0", "c"] {
        scope.add_for(name, 3, SPAN);
    }
    scope.add("b/0", -3);
    let listed = |page| scope.list(page).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(listed(page("b/", "", 9)), ["b/1", "b/2", "b/3"]);
    assert_eq!(listed(page("b/", "b/1", 1)), ["b/2"]);
    assert_eq!(listed(page("", "b/3", 9)), ["c"]);
    assert_eq!(scope.list(page("a", "", 9)), [("a".to_owned(), 3)]);
    assert_eq!((scope.remove("a"), scope.remove("a"), scope.add("a", 1)), (3, 0, 1));
    clock.forward(60 * SECOND);
    assert_eq!(listed(page("", "", 9)), ["a"]);
    assert_eq!(scope.remove("c"), 0);
}

#[test]
fn numbers_that_expired_do_not_stay_in_memory() {
    let (clock, scope) = scope();
    for name in 0..100_000 {
        clock.forward(SECOND);
        scope.add_for(&name.to_string(), 1, SPAN);
    }
    assert!(scope.numbers.len() < 10_000, "{}", scope.numbers.len());
}

#[test]
fn a_number_with_a_time_counts_exactly_under_64_threads() {
    let (_, scope) = scope();
    let barrier = Barrier::new(64);
    thread::scope(|threads| {
        for _ in 0..64 {
            threads.spawn(|| {
                barrier.wait();
                for _ in 0..200 {
                    scope.add_for("n", 1, SPAN);
                }
            });
        }
    });
    assert_eq!(scope.add("n", 0), 64 * 200);
}

#[test]
fn numbers_of_names_that_clients_make_do_not_grow_without_bound() {
    let (clock, scope) = scope();
    assert_eq!(scope.add("open", 1), 1);
    for name in 0..100_000 {
        clock.forward(1);
        let name = name.to_string();
        assert_eq!((scope.add(&name, 1), scope.add(&name, -1)), (1, 0));
    }
    assert_eq!(scope.add("open", 1), 2);
    assert!(scope.numbers.len() < 10_000, "{}", scope.numbers.len());
    for name in 0..200_000 {
        clock.forward(1);
        scope.add(&name.to_string(), 1);
    }
    assert!(scope.numbers.len() <= 65_536, "{}", scope.numbers.len());
    assert_eq!((scope.add("199999", 1), scope.add("0", 1)), (2, 1));
}

#[test]
fn a_scope_survives_its_instances_and_belongs_to_one_callback() {
    let counters = Counters::new();
    assert_eq!(counters.scope("a").add("n", 1), 1);
    assert_eq!(counters.scope("a").add("n", 1), 2);
    assert_eq!(counters.scope("b").add("n", 1), 1);
}
