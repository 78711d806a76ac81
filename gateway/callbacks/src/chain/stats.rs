//! Counts and durations of a callback's hooks. Each thread counts for itself and a reader adds up,
//! so that no two workers write to the same cache line.

use super::percentiles::{BUCKETS, bucket_of, percentile};
use callgate_plugin_host::Hook;
use std::{
    array,
    cell::Cell,
    num::NonZero,
    sync::{
        OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// An event of a hook that is counted, beside the durations of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// It rejected the call.
    Rejection,
    /// It replied to the call.
    Reply,
    /// It failed; timeouts included.
    Fault,
    /// It timed out.
    Timeout,
    /// It held up its thread.
    Slow,
    /// It was skipped: the callback is not for the call, or its breaker is open.
    Skipped,
    /// It edited its copy, in shadow.
    ShadowEdit,
}

const EVENTS: usize = 7;

/// The sum over all threads, of one hook.
#[derive(Clone, Debug)]
pub(super) struct HookTotals {
    events: [u64; EVENTS],
    times: [u64; BUCKETS],
}

/// The counters of one callback.
#[derive(Debug)]
pub(super) struct HookStats {
    /// By [`ThreadSlot`].
    own: Box<[OnceLock<Box<ThreadStats>>]>,
    /// Shared by all further threads.
    shared: Box<ThreadStats>,
}

/// One thread's counters, by [`Hook`]. Aligned so that threads share no cache line.
#[derive(Debug)]
#[repr(align(128))]
struct ThreadStats([HookCounters; Hook::COUNT]);

#[derive(Debug)]
struct HookCounters {
    events: [AtomicU64; EVENTS],
    times: [AtomicU64; BUCKETS],
}

/// The number of a thread, in the order in which threads first asked for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ThreadSlot(usize);

impl ThreadSlot {
    pub(super) fn current() -> Self {
        thread_local! {
            static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NUMBER.with(|number| {
            if number.get() == usize::MAX {
                number.set(NEXT.fetch_add(1, Relaxed));
            }
            Self(number.get())
        })
    }
}

impl HookStats {
    pub(super) fn new() -> Self {
        // Room for every worker, and a few threads that ask before them.
        let threads = thread::available_parallelism().map_or(1, NonZero::get) + 7;
        Self { own: (0..threads).map(|_| OnceLock::new()).collect(), shared: ThreadStats::new() }
    }

    /// Counts a run and its duration.
    pub(super) fn ran(&self, thread: ThreadSlot, hook: Hook, ns: u64) {
        self.add(thread, |page| &page.0[hook as usize].times[bucket_of(ns)]);
    }

    /// Counts another event of a hook.
    #[cold]
    pub(super) fn note(&self, hook: Hook, event: Counted) {
        self.add(ThreadSlot::current(), |page| &page.0[hook as usize].events[event as usize]);
    }

    /// As [`HookStats::note`], for skips, which are no exception.
    pub(super) fn skip(&self, hook: Hook) {
        self.add(ThreadSlot::current(), |page| {
            &page.0[hook as usize].events[Counted::Skipped as usize]
        });
    }

    fn add(&self, thread: ThreadSlot, count: impl Fn(&ThreadStats) -> &AtomicU64) {
        match self.own.get(thread.0) {
            // No other thread writes here, so a load and a store are enough.
            Some(page) => {
                let count = count(page.get_or_init(ThreadStats::new));
                count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
            }
            None => {
                count(&self.shared).fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn totals(&self, hook: Hook) -> HookTotals {
        let mut totals = HookTotals { events: [0; EVENTS], times: [0; BUCKETS] };
        let pages = self.own.iter().filter_map(OnceLock::get).chain([&self.shared]);
        for page in pages {
            let lines = &page.0[hook as usize];
            let add = |sum: &mut u64, count: &AtomicU64| *sum += count.load(Relaxed);
            totals.events.iter_mut().zip(&lines.events).for_each(|(sum, it)| add(sum, it));
            totals.times.iter_mut().zip(&lines.times).for_each(|(sum, it)| add(sum, it));
        }
        totals
    }
}

impl ThreadStats {
    fn new() -> Box<Self> {
        let zeros = || AtomicU64::new(0);
        let lines = || HookCounters {
            events: array::from_fn(|_| zeros()),
            times: array::from_fn(|_| zeros()),
        };
        Box::new(Self(array::from_fn(|_| lines())))
    }
}

impl HookTotals {
    pub(super) fn of(&self, event: Counted) -> u64 {
        self.events[event as usize]
    }

    /// The number of runs, including those that timed out.
    pub(super) fn calls(&self) -> u64 {
        self.times.iter().sum()
    }

    /// In µs; `None` if it never ran.
    pub(super) fn percentile_us(&self, share: f64) -> Option<f64> {
        percentile(&self.times, share).map(|ns| ns / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let stats = HookStats::new();
        let threads = stats.own.len() + 3;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..100 {
                        stats.ran(ThreadSlot::current(), Hook::End, 1000);
                        stats.note(Hook::End, Counted::Fault);
                    }
                    stats.skip(Hook::End);
                });
            }
        });
        let totals = stats.totals(Hook::End);
        let threads = threads as u64;
        assert_eq!((totals.calls(), totals.of(Counted::Fault)), (100 * threads, 100 * threads));
        assert_eq!((totals.of(Counted::Skipped), totals.of(Counted::Slow)), (threads, 0));
        assert!(totals.percentile_us(0.99).is_some_and(|us| (0.9..1.1).contains(&us)));
        assert_eq!(stats.totals(Hook::Start).calls(), 0);
    }

    #[test]
    fn a_thread_keeps_its_number() {
        let own = ThreadSlot::current();
        assert_eq!(own, ThreadSlot::current());
        let other = thread::spawn(ThreadSlot::current).join().unwrap();
        assert_ne!(own, other);
    }
}
