//! Limits log lines about a callback: a hook that fails in every call must not fill the disk.

use callgate_host::{Clock, SystemClock};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SECOND: u64 = 1_000_000_000;

/// Admits one line a second and counts the rest.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    /// When the next line is admitted, on the process's monotonic clock in ns.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl LogThrottle {
    /// `Some` if a line may be written now, with the number suppressed since the last one.
    pub(super) fn admit(&self) -> Option<u64> {
        self.admit_at(SystemClock.monotonic_ns())
    }

    fn admit_at(&self, now: u64) -> Option<u64> {
        let next = self.next.load(Relaxed);
        let passes =
            now >= next && self.next.compare_exchange(next, now + SECOND, Relaxed, Relaxed).is_ok();
        if passes {
            return Some(self.left_out.swap(0, Relaxed));
        }
        self.left_out.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_passes_and_counts_the_others() {
        let throttle = LogThrottle::default();
        let start = 77;
        for (now, expected) in [
            (start, Some(0)),
            (start, None),
            (start + SECOND - 1, None),
            (start + SECOND, Some(2)),
            (start + SECOND + 1, None),
            (start + 9 * SECOND, Some(1)),
            (start + 10 * SECOND, Some(0)),
        ] {
            assert_eq!(throttle.admit_at(now), expected, "at {now}");
        }
    }
}
