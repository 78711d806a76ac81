//! Limits a log line that may be due very often: one a second is written, and it counts the others.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

const SECOND: u64 = 1_000_000_000;

/// The origin of the times below.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Admits one line a second and counts the rest.
#[derive(Debug, Default)]
pub struct LogThrottle {
    /// When the next line is admitted, in ns since [`START`].
    next: AtomicU64,
    left_out: AtomicU64,
}

impl LogThrottle {
    /// `Some` if a line may be written now, with the number suppressed since the last one.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn admit_at(&self, now: u64) -> Option<u64> {
        let next = self.next.load(Relaxed);
        let passes = now >= next
            && self
                .next
                .compare_exchange(next, now.saturating_add(SECOND), Relaxed, Relaxed)
                .is_ok();
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
