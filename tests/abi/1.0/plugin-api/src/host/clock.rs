//! The clocks.

use crate::abi::{ClockVtRef, HostHandle};
use std::time::Duration;

/// The host's clocks.
#[derive(Clone, Copy)]
pub struct Clock {
    pub(super) raw: HostHandle,
    pub(super) vt: ClockVtRef,
}

impl Clock {
    /// Time on a clock that never goes back; its zero means nothing.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        // SAFETY: as in `Host`.
        Duration::from_nanos(unsafe { (self.vt.monotonic_ns())(self.raw.ctx) })
    }

    /// Milliseconds since 1970, UTC. May jump: never measure with it.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        // SAFETY: as in `Host`.
        unsafe { (self.vt.unix_ms())(self.raw.ctx) }
    }
}
