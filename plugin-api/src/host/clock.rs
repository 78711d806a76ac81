//! The clocks.

use crate::abi::{ClockVtRef, HostHandle};
use std::time::Duration;

/// The host's clocks. The mock host's clocks stand still until a test advances them.
#[derive(Clone, Copy)]
pub struct Clock {
    pub(super) raw: HostHandle,
    pub(super) vt: ClockVtRef,
}

impl Clock {
    /// Returns the time on a clock that never goes back. Only differences of two values have a
    /// meaning.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        // SAFETY: as in `Host`.
        Duration::from_nanos(unsafe { (self.vt.monotonic_ns())(self.raw.ctx) })
    }

    /// Returns the milliseconds since 1970-01-01 UTC. This clock may jump, so do not measure with
    /// it.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        // SAFETY: as in `Host`.
        unsafe { (self.vt.unix_ms())(self.raw.ctx) }
    }
}
