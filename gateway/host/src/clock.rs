//! The clock for callbacks and counters: the system's, or a test's.

use std::{
    sync::LazyLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Nanoseconds on a monotonic clock with an arbitrary zero.
    fn monotonic_ns(&self) -> u64;
    /// Milliseconds since 1970, UTC; may jump.
    fn unix_ms(&self) -> u64;
}

/// The system's clocks. All values of one process share one zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);
        u64::try_from(ZERO.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
