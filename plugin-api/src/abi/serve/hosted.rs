//! The host's services as tables, for types that implement the traits here. The safety of every
//! unsafe block in the tables rests on two facts: `ctx` was made by [`HostTables::handle`] for a
//! table of the same `T`, and the views of the arguments are valid until the function returns.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the module comment gives the reason for all functions"
)]

mod services;

use crate::{
    Admission, HostError, HttpRequest, HttpResponse, Level, MetricKind,
    abi::{
        ApiVersion, ClockVt, ClockVtRef, CountersVt, CountersVtRef, HostHandle, HostVt, HostVtRef,
        HttpVtRef, KvVtRef, MetricsVtRef, RawAdmission, RawJob, SecretsVtRef, TaskVtRef,
        TimerVtRef, View, ViewPair,
    },
};
#[cfg(feature = "testing")]
use abi_stable::std_types::RNone;
use abi_stable::{prefix_type::WithMetadata, staticref, std_types::RSome};
use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

/// A future that may be polled on any thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The services that a host offers one callback instance.
pub trait HostAccess: Send + Sync + 'static {
    /// Whether lines of a level are kept.
    fn log_enabled(&self, level: Level) -> bool;
    /// Writes a line with fields.
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]);
    /// Nanoseconds on a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
    /// Milliseconds since 1970.
    fn unix_ms(&self) -> u64;
    /// The counters.
    fn counters(&self) -> &dyn CounterService;
    /// The key-value store.
    fn kv(&self) -> &dyn KvService;
    /// The metrics.
    fn metrics(&self) -> &dyn MetricsService;
    /// Sends a request.
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, HostError>>;
    /// Sleeps, from this call on.
    fn sleep(&self, time: Duration) -> BoxFuture<()>;
    /// Runs a plugin's future, which keeps the host alive itself.
    ///
    /// # Errors
    /// Returns an error if the limit is reached or the gateway is shutting down.
    fn spawn(&self, work: BoxFuture<()>) -> Result<(), HostError>;
    /// Runs a plugin's job on a thread that may block. The job keeps the host alive itself.
    ///
    /// # Errors
    /// See [`HostAccess::spawn`].
    fn spawn_blocking(&self, job: Job) -> Result<(), HostError>;
    /// The value of a granted variable.
    ///
    /// # Errors
    /// Returns an error if it is not granted or not set.
    fn secret(&self, name: &str) -> Result<String, HostError>;
}

/// A key-value store with expiry.
pub trait KvService: Send + Sync {
    /// Returns a copy of the value.
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Sets a value, without expiry or for this long.
    ///
    /// # Errors
    /// Returns an error if it does not fit.
    fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError>;
    /// Removes a value. Returns whether there was one.
    fn delete(&self, key: &str) -> bool;
}

/// Metrics of one instance.
pub trait MetricsService: Send + Sync {
    /// Registers a metric if it is new, and returns its id.
    ///
    /// # Errors
    /// Returns an error if the name or the bounds are not valid, or if there are too many metrics.
    fn register(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<u64, HostError>;
    /// Adds, sets or records a value. An unknown id is ignored.
    fn record(&self, id: u64, value: f64);
}

/// A plugin's job. Run it, or drop it to cancel it.
pub struct Job {
    raw: Option<RawJob>,
    /// Dropped last, because the job may use its host until it has ended.
    _host: Arc<dyn Send + Sync>,
}

// SAFETY: the plugin's side makes jobs from `Send` closures only.
unsafe impl Send for Job {}

impl Job {
    /// Runs the job.
    pub fn run(mut self) {
        if let Some(raw) = self.raw.take() {
            unsafe { (raw.run)(raw.arg) }
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            unsafe { (raw.cancel)(raw.arg) }
        }
    }
}

/// Counters that outlive the instance. The interface does not say where a host keeps them.
pub trait CounterService: Send + Sync {
    /// Takes a place in the sliding window `name`, with at most `limit` in `span`.
    fn admit(&self, name: &str, limit: u64, span: Duration) -> Admission;
    /// Gives a place back.
    fn release(&self, name: &str, ticket: u64);
    /// Takes `tokens` from the bucket `name`, refilled at `rate` per second up to `burst`.
    fn take(&self, name: &str, rate: f64, burst: f64, tokens: f64) -> Admission;
    /// Adds to a plain counter.
    fn add(&self, name: &str, delta: i64) -> i64;
}

/// The tables for one instance, with a host of type `T`. It must live as long as the instance.
#[derive(Debug)]
pub struct HostTables<T: HostAccess>(Arc<T>);

impl<T: HostAccess> HostTables<T> {
    /// Creates the tables of `host`.
    #[must_use]
    pub fn new(host: Arc<T>) -> Self {
        Self(host)
    }

    /// Returns the handle for `create`, valid as long as `self`.
    #[must_use]
    pub fn handle(&self) -> HostHandle {
        HostHandle { ctx: Arc::as_ptr(&self.0).cast(), vt: HostVtRef(Table::<T>::HOST.as_prefix()) }
    }

    /// Returns the handle of a host that has only a log. See [`HostTables::handle`].
    #[cfg(feature = "testing")]
    #[must_use]
    pub(super) fn log_only_handle(&self) -> HostHandle {
        HostHandle { vt: HostVtRef(Table::<T>::LOG_ONLY.as_prefix()), ..self.handle() }
    }
}

struct Table<T>(PhantomData<T>);

unsafe fn host<'a, T>(ctx: *const ()) -> &'a T {
    // SAFETY: `HostTables::handle` made it for the same `T`, which outlives the instance.
    unsafe { &*ctx.cast::<T>() }
}

unsafe fn name<'a>(view: View) -> &'a str {
    // SAFETY: views of arguments are valid until the function returns.
    unsafe { view.text() }.unwrap_or_default()
}

unsafe extern "C" fn log_enabled<T: HostAccess>(ctx: *const (), level: u32) -> u32 {
    u32::from(unsafe { host::<T>(ctx) }.log_enabled(Level::from_number(level)))
}

unsafe extern "C" fn log<T: HostAccess>(
    ctx: *const (),
    level: u32,
    message: View,
    fields: *const ViewPair,
    len: usize,
) {
    let fields = if fields.is_null() {
        &[]
    } else {
        // SAFETY: the slice is valid until the function returns.
        unsafe { std::slice::from_raw_parts(fields, len) }
    };
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|pair| unsafe { (name(pair.name), name(pair.value)) }).collect();
    unsafe { host::<T>(ctx).log(Level::from_number(level), name(message), &fields) }
}

unsafe extern "C" fn monotonic_ns<T: HostAccess>(ctx: *const ()) -> u64 {
    unsafe { host::<T>(ctx) }.monotonic_ns()
}

unsafe extern "C" fn unix_ms<T: HostAccess>(ctx: *const ()) -> u64 {
    unsafe { host::<T>(ctx) }.unix_ms()
}

unsafe extern "C" fn admit<T: HostAccess>(
    ctx: *const (),
    window: View,
    limit: u64,
    span_ns: u64,
) -> RawAdmission {
    let span = Duration::from_nanos(span_ns);
    unsafe { host::<T>(ctx).counters().admit(name(window), limit, span) }.into()
}

unsafe extern "C" fn release<T: HostAccess>(ctx: *const (), window: View, ticket: u64) {
    unsafe { host::<T>(ctx).counters().release(name(window), ticket) }
}

unsafe extern "C" fn take<T: HostAccess>(
    ctx: *const (),
    bucket: View,
    rate: f64,
    burst: f64,
    tokens: f64,
) -> RawAdmission {
    unsafe { host::<T>(ctx).counters().take(name(bucket), rate, burst, tokens) }.into()
}

unsafe extern "C" fn add<T: HostAccess>(ctx: *const (), counter: View, delta: i64) -> i64 {
    unsafe { host::<T>(ctx).counters().add(name(counter), delta) }
}

impl<T: HostAccess> Table<T> {
    staticref! {
        const CLOCK: WithMetadata<ClockVt> = WithMetadata::new(ClockVt {
            monotonic_ns: monotonic_ns::<T>, unix_ms: unix_ms::<T>,
        });
        const COUNTERS: WithMetadata<CountersVt> = WithMetadata::new(CountersVt {
            admit: admit::<T>, release: release::<T>, take: take::<T>, add: add::<T>,
        });
        const HOST: WithMetadata<HostVt> = WithMetadata::new(HostVt {
            api: ApiVersion::CURRENT,
            log_enabled: log_enabled::<T>,
            log: log::<T>,
            clock: RSome(ClockVtRef(Self::CLOCK.as_prefix())),
            counters: RSome(CountersVtRef(Self::COUNTERS.as_prefix())),
            kv: RSome(KvVtRef(Self::KV.as_prefix())),
            metrics: RSome(MetricsVtRef(Self::METRICS.as_prefix())),
            http: RSome(HttpVtRef(Self::HTTP.as_prefix())),
            timer: RSome(TimerVtRef(Self::TIMER.as_prefix())),
            task: RSome(TaskVtRef(Self::TASK.as_prefix())),
            secrets: RSome(SecretsVtRef(Self::SECRETS.as_prefix())),
        });
    }

    #[cfg(feature = "testing")]
    staticref! { const LOG_ONLY: WithMetadata<HostVt> = WithMetadata::new(HostVt {
        api: ApiVersion::CURRENT,
        log_enabled: log_enabled::<T>,
        log: log::<T>,
        clock: RNone, counters: RNone,
        kv: RNone, metrics: RNone, http: RNone, timer: RNone, task: RNone, secrets: RNone,
    }) }
}
