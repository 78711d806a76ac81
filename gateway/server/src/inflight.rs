//! Bounds the bytes of all request bodies in memory for the whole gateway: a few large bodies at
//! once must not take the memory that other calls need.
//!
//! Bodies are counted as they arrive, so that announcing a length alone takes no room. A body whose
//! announced length does not fit is refused before it is read. Its bytes stay counted until the
//! call ends, because the call keeps its body for so long.

use callgate_failure::Failure;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The step in which bytes are counted; one step is enough for most bodies.
const STEP: usize = 64 * 1024;

/// The bound if the system does not report its memory.
const UNKNOWN: usize = 1 << 30;

/// The counter of bytes in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: AtomicUsize,
    max: AtomicUsize,
}

/// The bytes counted for one body; returned on drop, unless the call keeps them.
#[derive(Debug)]
pub(super) struct Share<'a> {
    of: &'a InFlight,
    bytes: usize,
}

impl InFlight {
    /// `max` is the configured bound; by default a quarter of the memory, and at least room for two
    /// of the largest bodies.
    pub(crate) fn new(max: Option<usize>, largest_body: usize) -> Self {
        let in_flight = Self { bytes: AtomicUsize::new(0), max: AtomicUsize::new(0) };
        in_flight.set_max(max, largest_body);
        in_flight
    }

    /// Changes the bound for bodies that arrive from now on.
    pub(crate) fn set_max(&self, max: Option<usize>, largest_body: usize) {
        let quarter = || memory().map_or(UNKNOWN, |bytes| bytes / 4);
        let max = max.unwrap_or_else(|| quarter().max(largest_body.saturating_mul(2)));
        self.max.store(max, Relaxed);
    }

    fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    pub(super) fn share(&self) -> Share<'_> {
        Share { of: self, bytes: 0 }
    }

    fn take(&self, bytes: usize) -> Result<(), Failure> {
        // Nothing else is read because of this number, so relaxed order is enough.
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) <= self.max() {
            return Ok(());
        }
        self.give_back(bytes);
        Err(Failure::too_many_bytes_in_flight(self.max()))
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Share<'_> {
    /// Refuses a body of this length if there is no room for it now.
    pub(super) fn announce(&self, bytes: usize) -> Result<(), Failure> {
        let taken = self.of.bytes.load(Relaxed);
        if taken.saturating_add(bytes) <= self.of.max() {
            Ok(())
        } else {
            Err(Failure::too_many_bytes_in_flight(self.of.max()))
        }
    }

    /// Makes sure that `bytes` are counted, of a body that has at most `most` bytes.
    pub(super) fn reach(&mut self, bytes: usize, most: usize) -> Result<(), Failure> {
        let Some(missing) = bytes.checked_sub(self.bytes).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let step = missing.max(STEP.min(most.saturating_sub(self.bytes)));
        self.of.take(step)?;
        self.bytes += step;
        Ok(())
    }

    /// Leaves all bytes that the body takes to the call.
    pub(super) fn keep(mut self, length: usize) -> usize {
        if let Some(spare) = self.bytes.checked_sub(length).filter(|spare| *spare > 0) {
            self.of.give_back(spare);
        }
        self.bytes = 0;
        length
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.of.give_back(self.bytes);
        }
    }
}

/// The bytes that a call's body takes until the call ends.
#[derive(Debug)]
pub(super) struct Held {
    of: Arc<InFlight>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(of: Arc<InFlight>, bytes: usize) -> Self {
        Self { of, bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.of.give_back(self.bytes);
    }
}

/// The memory this process may use: the machine's, or a control group's lower limit.
fn memory() -> Option<usize> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo".into()).and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
    });
    let group = read("/proc/self/cgroup".into()).and_then(|text| {
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let root = PathBuf::from("/sys/fs/cgroup");
        let bound = |at: PathBuf| read(at)?.trim().parse::<usize>().ok();
        bound(root.join(path).join("memory.max")).or_else(|| bound(root.join("memory.max")))
    });
    let older = read("/sys/fs/cgroup/memory/memory.limit_in_bytes".into())
        .and_then(|text| text.trim().parse().ok());
    [machine, group, older].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_and_returned() {
        let all = InFlight::new(Some(100_000), 1);
        let mut first = all.share();
        first.reach(60_000, 60_000).unwrap();
        let mut second = all.share();
        let failure = second.reach(50_000, 50_000).unwrap_err();
        assert_eq!((failure.status, failure.retry_after.as_deref()), (503, Some("1")));
        second.reach(40_000, 40_000).unwrap();
        assert!(all.share().reach(1, 1).is_err());
        drop(second);
        let kept = first.keep(50_000);
        let mut third = all.share();
        third.reach(50_000, 50_000).unwrap();
        drop(third);
        all.give_back(kept);
        assert_eq!(all.bytes.load(Relaxed), 0);
    }

    #[test]
    fn a_length_that_is_only_announced_takes_nothing() {
        let all = InFlight::new(Some(100_000), 1);
        let mut idle: Vec<_> = (0..10).map(|_| all.share()).collect();
        assert!(idle.iter().all(|share| share.announce(100_000).is_ok()));
        assert_eq!(all.bytes.load(Relaxed), 0);
        idle[0].reach(1, 100_000).unwrap();
        assert_eq!(all.bytes.load(Relaxed), STEP);
        assert_eq!(idle[1].announce(100_000).unwrap_err().status, 503);
        idle[1].announce(30_000).unwrap();
        idle[1].reach(1, 30_000).unwrap();
        assert_eq!(all.bytes.load(Relaxed), STEP + 30_000);
    }

    #[test]
    fn unannounced_bytes_are_counted_in_steps() {
        let all = InFlight::new(Some(2 * STEP), 1);
        let mut share = all.share();
        for length in [1, 100, STEP, STEP + 1] {
            share.reach(length, usize::MAX).unwrap();
        }
        assert_eq!(all.bytes.load(Relaxed), 2 * STEP);
        assert!(share.reach(2 * STEP + 1, usize::MAX).is_err());
        assert_eq!(share.keep(STEP + 1), STEP + 1);
        assert_eq!(all.bytes.load(Relaxed), STEP + 1);
    }

    #[test]
    fn without_a_setting_there_is_room_for_two_bodies_at_least() {
        assert!(InFlight::new(None, 1 << 20).max() >= 2 << 20);
        assert_eq!(InFlight::new(None, usize::MAX / 2).max(), usize::MAX - 1);
    }
}
