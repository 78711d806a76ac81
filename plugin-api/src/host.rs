//! The services the gateway lends a callback: [`Host`] is the way to each of them, one file a
//! service.
//!
//! `unsafe` here calls the host's tables: each is valid for as long as the instance and its tasks,
//! may be called from any thread, and keeps no view beyond the call.

#![allow(unsafe_code, clippy::allow_attributes)]

mod clock;
mod counters;
mod error;
mod http;
mod kv;
mod metrics;
mod secrets;
mod task;
mod timer;

pub use clock::Clock;
pub use counters::{Admission, Counters};
pub use error::{HostError, HostErrorKind};
pub use http::{Http, HttpRequest, HttpResponse};
pub use kv::Kv;
pub use metrics::{Counter, Gauge, Histogram, MetricKind, Metrics};
pub use secrets::{SecretText, Secrets};
pub use task::Task;
pub use timer::Timer;

use crate::{
    Level,
    abi::{HostHandle, View, ViewPair},
};
use std::fmt;

/// What every way to a service is: for any thread, and with nothing to show.
macro_rules! lent {
    ($($service:ty),*) => {$(
        // SAFETY: the contract of `abi::host`: any function from any thread.
        unsafe impl Send for $service {}
        // SAFETY: as above.
        unsafe impl Sync for $service {}

        impl fmt::Debug for $service {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(stringify!($service))
            }
        }
    )*};
}

lent!(Host, Clock, Counters, Kv, Metrics, metrics::Recorder, Http, Timer, Task, Secrets);

/// The host, as one callback instance sees it. Keep it in the instance; it is two words, `Copy`,
/// and valid from `new` until the instance has been dropped and its tasks have ended (threads a
/// plugin starts by itself must end before the instance does). Every service may be used from any
/// thread; none blocks.
///
/// | service | for | limits per callback |
/// |---|---|---|
/// | [`log`](Host::log) | the gateway's log | |
/// | [`clock`](Host::clock) | time that tests can set | |
/// | [`counters`](Host::counters) | windows, buckets, numbers | |
/// | [`kv`](Host::kv) | values with an expiry | 16 MiB and 65536 keys; a value 1 MiB, a key 1 KiB |
/// | [`metrics`](Host::metrics) | numbers in `GET /metrics` | 128 names |
/// | [`http`](Host::http) | requests to granted hosts | 64 at once, answers to 8 MiB |
/// | [`timer`](Host::timer) | sleeping in async code | |
/// | [`task`](Host::task) | work beside the calls | 1024 futures, 64 jobs |
/// | [`secrets`](Host::secrets) | granted variables of the environment | |
#[derive(Clone, Copy)]
pub struct Host {
    raw: HostHandle,
}

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

    /// Writes a line to the gateway's log, under the callback's name. (A plugin's own `log` does
    /// not arrive there, for a shared object has its own copy; its `tracing` does with the feature
    /// `tracing` of this crate, from hooks, tasks and jobs: events with their fields, no spans.)
    ///
    /// Never log prompts, replies or keys.
    pub fn log(&self, level: Level, message: &str) {
        self.log_with(level, message, &[]);
    }

    /// As [`Host::log`], with named fields: the members of the line's `callback.fields`.
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

    /// Values with an expiry that outlive the instance. `None` in a gateway that lends none.
    #[must_use]
    pub fn kv(&self) -> Option<Kv> {
        Some(Kv { raw: self.raw, vt: self.raw.vt.kv().into_option()? })
    }

    /// Numbers in the gateway's `GET /metrics`. `None` in a gateway that lends none.
    #[must_use]
    pub fn metrics(&self) -> Option<Metrics> {
        Some(Metrics { raw: self.raw, vt: self.raw.vt.metrics().into_option()? })
    }

    /// The gateway's HTTP client, for the hosts that are granted. `None` in a gateway that lends
    /// none.
    #[must_use]
    pub fn http(&self) -> Option<Http> {
        Some(Http { raw: self.raw, vt: self.raw.vt.http().into_option()? })
    }

    /// Sleeping in async code without a runtime of one's own. `None` in a gateway that lends none.
    #[must_use]
    pub fn timer(&self) -> Option<Timer> {
        Some(Timer { raw: self.raw, vt: self.raw.vt.timer().into_option()? })
    }

    /// Work beside the calls: futures, and jobs that block. `None` in a gateway that lends none.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        Some(Task { raw: self.raw, vt: self.raw.vt.task().into_option()? })
    }

    /// The variables of the gateway's environment that are granted to this callback. `None` in a
    /// gateway that lends none.
    #[must_use]
    pub fn secrets(&self) -> Option<Secrets> {
        Some(Secrets { raw: self.raw, vt: self.raw.vt.secrets().into_option()? })
    }
}
