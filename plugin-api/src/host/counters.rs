//! Counters: sliding windows, token buckets, plain numbers.

use crate::abi::{CountersVtRef, HostHandle, RawAdmission, View};
use std::time::Duration;

/// What became of an attempt to enter a window or take from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Admitted; the ticket gives the place back with [`Counters::release`]. Never 0.
    Admitted(u64),
    /// Full: how long until the next place is free.
    Full(Duration),
}

impl From<RawAdmission> for Admission {
    fn from(raw: RawAdmission) -> Self {
        match raw.ticket {
            0 => Self::Full(Duration::from_nanos(raw.wait_ns)),
            ticket => Self::Admitted(ticket),
        }
    }
}

impl From<Admission> for RawAdmission {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Admitted(ticket) => Self { ticket, wait_ns: 0 },
            Admission::Full(wait) => {
                Self { ticket: 0, wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) }
            }
        }
    }
}

/// Counters in the gateway. Names are free text, shared by all instances of one callback and
/// invisible to other callbacks. A counter costs memory until the gateway ends: do not make names
/// from what clients send.
#[derive(Clone, Copy)]
pub struct Counters {
    pub(super) raw: HostHandle,
    pub(super) vt: CountersVtRef,
}

impl Counters {
    /// Takes one place in an exact sliding window: never more than `limit` admissions in any span
    /// of `span`, never a refusal while there were fewer. Costs 16 bytes per admission in the span.
    #[must_use]
    pub fn admit(&self, window: &str, limit: u64, span: Duration) -> Admission {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: as in `Host`; the view lives until the call returns.
        unsafe { (self.vt.admit())(self.raw.ctx, View::of(window.as_bytes()), limit, span) }.into()
    }

    /// Gives a place back. A ticket that has left the window by itself is ignored.
    pub fn release(&self, window: &str, ticket: u64) {
        // SAFETY: as above.
        unsafe { (self.vt.release())(self.raw.ctx, View::of(window.as_bytes()), ticket) }
    }

    /// Takes `tokens` from a bucket that holds `burst` and is refilled at `rate` per second.
    #[must_use]
    pub fn take(&self, bucket: &str, rate: f64, burst: f64, tokens: f64) -> Admission {
        // SAFETY: as above.
        unsafe { (self.vt.take())(self.raw.ctx, View::of(bucket.as_bytes()), rate, burst, tokens) }
            .into()
    }

    /// Adds to a plain counter and returns its new value. It wraps. A callback has 65 536 of them;
    /// beyond, those that were not added to for longest begin at 0 again.
    #[expect(clippy::must_use_candidate, reason = "adding is the point; the value is a bonus")]
    pub fn add(&self, counter: &str, delta: i64) -> i64 {
        // SAFETY: as above.
        unsafe { (self.vt.add())(self.raw.ctx, View::of(counter.as_bytes()), delta) }
    }
}
