//! The services that the gateway offers a callback. [`Host`] gives access to each; each has a file.
//!
//! `unsafe` in this module calls the host's tables. Each table is valid as long as the instance and
//! its tasks, may be called from any thread, and keeps no view after the call.

#![allow(unsafe_code, clippy::allow_attributes)]

/// Makes handles usable on any thread, and opaque in `Debug`.
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

mod clock;
mod counters;
mod entry;
mod error;
mod http;
mod kv;
mod listing;
mod llm;
mod metrics;
mod secrets;
mod task;
mod timer;

use crate::{
    Level,
    abi::{HostHandle, View, ViewPair},
};
pub use clock::Clock;
pub use counters::{Admission, Counters};
pub use entry::Entry;
pub use error::{HostError, HostErrorKind};
pub use http::{Http, HttpRequest, HttpResponse};
pub use kv::Kv;
pub use llm::{Llm, LlmRequest, LlmResponse};
pub use metrics::{Counter, Gauge, Histogram, Labeled, MetricKind, Metrics};
pub use secrets::{SecretText, Secrets};
use std::fmt;
pub use task::Task;
pub use timer::Timer;

lent!(Host, Clock, Counters, Kv, Metrics, metrics::Recorder, Http, Llm, Timer, Secrets);

/// The gateway's services for one callback instance. Keep the `Host` in the instance: it is `Copy`
/// and two words large.
///
/// It is valid from `new` until the instance has been dropped and its tasks have ended. Threads
/// that a plugin starts itself must end before the instance is dropped. Every service works on any
/// thread, and none blocks. A service that the gateway does not offer is `None`.
///
/// | service | purpose | limits |
/// |---|---|---|
/// | [`log`](Host::log) | the gateway's log | |
/// | [`clock`](Host::clock) | time that tests can set | |
/// | [`counters`](Host::counters) | sliding windows, token buckets, numbers | 65 536 numbers |
/// | [`kv`](Host::kv) | values that may expire | 16 MiB in 65 536 keys; 1 MiB a value, 1 KiB a key |
/// | [`metrics`](Host::metrics) | metrics in `GET /metrics` | 128 metrics; 200 series each |
/// | [`http`](Host::http) | granted hosts | 64 requests at once, 1024 waiting; responses of 8 MiB |
/// | [`llm`](Host::llm) | granted models of the config | 64 calls at once |
/// | [`timer`](Host::timer) | sleeps in async code | |
/// | [`task`](Host::task) | background work | 1024 futures and 64 jobs at once |
/// | [`secrets`](Host::secrets) | granted environment variables | |
/// | [`entry`](Host::entry), [`models`](Host::models) | the entry and the models | |
/// | [`state_dir`](Host::state_dir) | a folder that survives restarts | |
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

    /// Returns whether log lines of this level are kept. Check it before you build an expensive
    /// line.
    #[must_use]
    pub fn log_enabled(&self, level: Level) -> bool {
        // SAFETY: the host is valid for as long as the instance.
        unsafe { (self.raw.vt.log_enabled())(self.raw.ctx, level as u32) != 0 }
    }

    /// Writes a line to the gateway's log, under the callback's name. Never log prompts, replies or
    /// keys. The crate `log` does not reach the gateway's log, because a plugin has its own copy of
    /// it. With the feature `tracing` of this crate, `tracing` events do, with their fields but
    /// without spans, from hooks, tasks and jobs.
    pub fn log(&self, level: Level, message: &str) {
        self.log_with(level, message, &[]);
    }

    /// Writes a line with named fields, which the log shows in the object `callback.fields`. See
    /// [`Host::log`].
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

    /// Returns the clocks.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        Some(Clock { raw: self.raw, vt: self.raw.vt.clock().into_option()? })
    }

    /// Returns the counters. They outlive the instance: a new instance after a panic continues to
    /// count. They live in the memory of this gateway, so two gateways count separately.
    #[must_use]
    pub fn counters(&self) -> Option<Counters> {
        Some(Counters { raw: self.raw, vt: self.raw.vt.counters().into_option()? })
    }

    /// Returns the key-value store. Its values outlive the instance.
    #[must_use]
    pub fn kv(&self) -> Option<Kv> {
        Some(Kv { raw: self.raw, vt: self.raw.vt.kv().into_option()? })
    }

    /// Returns the metrics, which appear in the gateway's `GET /metrics`.
    #[must_use]
    pub fn metrics(&self) -> Option<Metrics> {
        Some(Metrics { raw: self.raw, vt: self.raw.vt.metrics().into_option()? })
    }

    /// Returns the gateway's HTTP client, for granted hosts.
    #[must_use]
    pub fn http(&self) -> Option<Http> {
        Some(Http { raw: self.raw, vt: self.raw.vt.http().into_option()? })
    }

    /// Returns access to the config's models. `None` in a gateway older than 1.1.
    #[must_use]
    pub fn llm(&self) -> Option<Llm> {
        Some(Llm { raw: self.raw, vt: self.raw.vt.llm()?.into_option()? })
    }

    /// Returns the timer, which sleeps in async code without a runtime in the plugin.
    #[must_use]
    pub fn timer(&self) -> Option<Timer> {
        Some(Timer { raw: self.raw, vt: self.raw.vt.timer().into_option()? })
    }

    /// Returns access to the environment variables that are granted to this callback.
    #[must_use]
    pub fn secrets(&self) -> Option<Secrets> {
        Some(Secrets { raw: self.raw, vt: self.raw.vt.secrets().into_option()? })
    }
}
