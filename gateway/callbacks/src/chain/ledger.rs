//! What a callback's hooks did and how long they took, counted by each thread for itself and added
//! up when somebody reads: no two workers ever write to the same line of the cache.

use super::histogram::{BUCKETS, bucket_of, percentile};
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

/// What is counted of a hook, beside the times of its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It refused the call.
    Rejection,
    /// It answered the call.
    Reply,
    /// It broke, timeouts included.
    Fault,
    /// It was not done in time.
    Timeout,
    /// It held up its thread.
    Slow,
    /// It did not run, because the call is none of its own or it is left alone.
    Skipped,
}

const EVENTS: usize = 6;

/// The sum over all threads, of one hook.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    events: [u64; EVENTS],
    times: [u64; BUCKETS],
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    /// By [`Thread`].
    own: Box<[OnceLock<Box<Page>>]>,
    /// For threads beyond those, which share it.
    shared: Box<Page>,
}

/// One thread's counts; by [`Hook`]. Aligned so that it shares no line of the cache with another's.
#[derive(Debug)]
#[repr(align(128))]
struct Page([Lines; 4]);

#[derive(Debug)]
struct Lines {
    events: [AtomicU64; EVENTS],
    times: [AtomicU64; BUCKETS],
}

/// The number of a thread, in the order in which threads first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thread(usize);

impl Thread {
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

impl Ledger {
    pub(super) fn new() -> Self {
        // Every worker, and a few that come before them.
        let threads = thread::available_parallelism().map_or(1, NonZero::get) + 7;
        Self { own: (0..threads).map(|_| OnceLock::new()).collect(), shared: Page::new() }
    }

    /// A hook ran for so long.
    pub(super) fn ran(&self, thread: Thread, hook: Hook, ns: u64) {
        self.add(thread, |page| &page.0[hook as usize].times[bucket_of(ns)]);
    }

    /// Something else happened to it.
    #[cold]
    pub(super) fn note(&self, hook: Hook, event: Event) {
        self.add(Thread::current(), |page| &page.0[hook as usize].events[event as usize]);
    }

    /// As [`Ledger::note`] for what is no exception.
    pub(super) fn skip(&self, hook: Hook) {
        self.add(Thread::current(), |page| &page.0[hook as usize].events[Event::Skipped as usize]);
    }

    fn add(&self, thread: Thread, count: impl Fn(&Page) -> &AtomicU64) {
        match self.own.get(thread.0) {
            // Nobody else writes here, so this is no read-modify-write that others could disturb.
            Some(page) => {
                let count = count(page.get_or_init(Page::new));
                count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
            }
            None => {
                count(&self.shared).fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn tally(&self, hook: Hook) -> Tally {
        let mut tally = Tally { events: [0; EVENTS], times: [0; BUCKETS] };
        let pages = self.own.iter().filter_map(OnceLock::get).chain([&self.shared]);
        for page in pages {
            let lines = &page.0[hook as usize];
            let add = |sum: &mut u64, count: &AtomicU64| *sum += count.load(Relaxed);
            tally.events.iter_mut().zip(&lines.events).for_each(|(sum, it)| add(sum, it));
            tally.times.iter_mut().zip(&lines.times).for_each(|(sum, it)| add(sum, it));
        }
        tally
    }
}

impl Page {
    fn new() -> Box<Self> {
        let zeros = || AtomicU64::new(0);
        let lines =
            || Lines { events: array::from_fn(|_| zeros()), times: array::from_fn(|_| zeros()) };
        Box::new(Self(array::from_fn(|_| lines())))
    }
}

impl Tally {
    pub(super) fn of(&self, event: Event) -> u64 {
        self.events[event as usize]
    }

    /// How often it ran to an end or to its time's end.
    pub(super) fn calls(&self) -> u64 {
        self.times.iter().sum()
    }

    /// In µs; `None` when it never ran.
    pub(super) fn percentile_us(&self, share: f64) -> Option<f64> {
        percentile(&self.times, share).map(|ns| ns / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_threads_add_up() {
        let ledger = Ledger::new();
        let threads = ledger.own.len() + 3;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..100 {
                        ledger.ran(Thread::current(), Hook::End, 1000);
                        ledger.note(Hook::End, Event::Fault);
                    }
                    ledger.skip(Hook::End);
                });
            }
        });
        let tally = ledger.tally(Hook::End);
        let threads = threads as u64;
        assert_eq!((tally.calls(), tally.of(Event::Fault)), (100 * threads, 100 * threads));
        assert_eq!((tally.of(Event::Skipped), tally.of(Event::Slow)), (threads, 0));
        assert!(tally.percentile_us(0.99).is_some_and(|us| (0.9..1.1).contains(&us)));
        assert_eq!(ledger.tally(Hook::Start).calls(), 0);
    }

    #[test]
    fn a_thread_keeps_its_number() {
        let own = Thread::current();
        assert_eq!(own, Thread::current());
        let other = thread::spawn(Thread::current).join().unwrap();
        assert_ne!(own, other);
    }
}
