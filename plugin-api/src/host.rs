//! The services the gateway lends a callback.

#![allow(unsafe_code, clippy::allow_attributes)]

use crate::{
    Level,
    abi::{ClockVtRef, CountersVtRef, HostHandle, RawAdmission, View, ViewPair},
};
use std::time::Duration;

/// The host, as one callback instance sees it. Keep it in the instance; it is two words, `Copy`,
/// and valid from `new` until the instance has been dropped. Every service may be used from any
/// thread; none blocks.
#[derive(Clone, Copy)]
pub struct Host {
    raw: HostHandle,
}

// SAFETY: the contract of `abi::host`: any function from any thread.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// # Safety
    /// `raw` stays valid until the last instance that got this host is dropped.
    pub(crate) unsafe fn lent(raw: HostHandle) -> Self {
        Self { raw }
    }

    /// Whether lines of a level are listened to: ask before building an expensive one.
    #[must_use]
    pub fn log_enabled(&self, level: Level) -> bool {
        // SAFETY: the host is valid for as long as the instance.
        unsafe { (self.raw.vt.log_enabled())(self.raw.ctx, level as u32) != 0 }
    }

    /// Writes a line to the gateway's log, under the callback's name. (A plugin's own `tracing`,
    /// `log` or `println!` do not arrive there: a shared object has its own copies.)
    ///
    /// Never log prompts, replies or keys.
    pub fn log(&self, level: Level, message: &str) {
        self.log_with(level, message, &[]);
    }

    /// As [`Host::log`], with named fields.
    ///
    /// ```no_run
    /// # fn log(host: plugin_api::Host) {
    /// host.log_with(plugin_api::Level::Warn, "budget nearly used up", &[("provider", "groq")]);
    /// # }
    /// ```
    pub fn log_with(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if !self.log_enabled(level) {
            return;
        }
        let fields: Vec<ViewPair> = fields
            .iter()
            .map(|(name, value)| ViewPair {
                name: View::of(name.as_bytes()),
                value: View::of(value.as_bytes()),
            })
            .collect();
        // SAFETY: as above; the views live until the call returns.
        unsafe {
            (self.raw.vt.log())(
                self.raw.ctx,
                level as u32,
                View::of(message.as_bytes()),
                fields.as_ptr(),
                fields.len(),
            );
        }
    }

    /// The clocks; `None` only in a gateway that lends none.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        Some(Clock { raw: self.raw, vt: self.raw.vt.clock().into_option()? })
    }

    /// Counters that outlive the instance: one that is made anew after a panic finds them as it
    /// left them. They are kept in this process's memory. The interface is made so that replicas
    /// could share them through a store; no gateway offers that yet.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        Some(Counters { raw: self.raw, vt: self.raw.vt.counters().into_option()? })
    }
}

/// The host's clocks.
#[derive(Clone, Copy)]
pub struct Clock {
    raw: HostHandle,
    vt: ClockVtRef,
}

// SAFETY: as `Host`.
unsafe impl Send for Clock {}
// SAFETY: as `Host`.
unsafe impl Sync for Clock {}

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
    raw: HostHandle,
    vt: CountersVtRef,
}

// SAFETY: as `Host`.
unsafe impl Send for Counters {}
// SAFETY: as `Host`.
unsafe impl Sync for Counters {}

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

    /// Adds to a plain counter and returns its new value. It wraps.
    #[expect(clippy::must_use_candidate, reason = "adding is the point; the value is a bonus")]
    pub fn add(&self, counter: &str, delta: i64) -> i64 {
        // SAFETY: as above.
        unsafe { (self.vt.add())(self.raw.ctx, View::of(counter.as_bytes()), delta) }
    }
}
