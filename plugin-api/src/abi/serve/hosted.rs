//! The host's services as tables, for types that implement the traits here. The safety of every
//! unsafe block in the tables rests on two facts: `ctx` was made by [`HostTables::handle`] for a
//! table of the same `T`, and the views of the arguments are valid until the function returns.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the module comment gives the reason for all functions"
)]

mod entry;
mod memory;
mod services;

use crate::{
    Admission, HostError, HttpRequest, HttpResponse, Level, MetricKind,
    abi::{
        ApiVersion, ClockVt, ClockVtRef, CountersVt, CountersVtRef, EntryVtRef, HostHandle, HostVt,
        HostVtRef, HttpVtRef, KvVtRef, LlmVtRef, MetricsVtRef, RawAdmission, RawJob, RawVisitor,
        SecretsVtRef, TaskVtRef, TimerVtRef, View, ViewPair,
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
    /// The callback's entry of the config.
    fn entry(&self) -> &dyn EntryService;
    /// The metrics.
    fn metrics(&self) -> &dyn MetricsService;
    /// Sends a request.
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, HostError>>;
    /// Whether a request to this URL would be sent.
    ///
    /// # Errors
    /// Returns the error with which it would be refused.
    fn permits(&self, url: &str) -> Result<(), HostError>;
    /// Makes a chat completion of this body.
    fn chat(
        &self,
        body: Vec<u8>,
        timeout: Option<Duration>,
    ) -> BoxFuture<Result<HttpResponse, HostError>>;
    /// Whether a call of this model would be made.
    ///
    /// # Errors
    /// Returns the error with which it would be refused.
    fn permits_model(&self, model: &str) -> Result<(), HostError>;
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
    /// Completes when the instance's shutdown begins.
    fn shutdown(&self) -> BoxFuture<()>;
    /// Whether a variable is granted and set.
    fn has_secret(&self, name: &str) -> bool;
    /// The value of a granted variable.
    ///
    /// # Errors
    /// Returns an error if it is not granted or not set.
    fn secret(&self, name: &str) -> Result<String, HostError>;
}

/// The callback's entry of the config, and what surrounds it.
pub trait EntryService: Send + Sync {
    /// The name that the plugin exports the callback by.
    fn name(&self) -> &str;
    /// The instance's name, unique in the list.
    fn instance(&self) -> &str;
    /// The index in the config's list, if it is known.
    fn position(&self) -> Option<usize>;
    /// Whether the config serves a model name, if that is known.
    fn has_model(&self, name: &str) -> Option<bool>;
    /// The public names and the wildcards of the models, if they are known.
    fn models(&self) -> Option<Vec<String>>;
    /// The entry's own folder for what must survive a restart.
    fn state_dir(&self) -> Option<String>;
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
    /// Sets a value that may make room for others that are set like this.
    ///
    /// # Errors
    /// Returns an error if it does not fit.
    fn set_evicting(
        &self,
        key: &str,
        value: &[u8],
        live: Option<Duration>,
    ) -> Result<(), HostError>;
    /// Lists keys with the lengths of their values.
    fn list(&self, page: Page<'_>) -> Vec<(String, i64)>;
}

/// A part of all names, in their order.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The names begin like this.
    pub prefix: &'a str,
    /// They come after this one.
    pub after: &'a str,
    /// There are at most this many.
    pub most: usize,
}

impl Page<'_> {
    /// The most names of a page.
    pub const MOST: usize = 1000;

    /// Whether a name may be in it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        name.starts_with(self.prefix) && (self.after.is_empty() || name > self.after)
    }

    /// Sorts and cuts the names that it may have.
    #[must_use]
    pub fn cut(&self, mut names: Vec<(String, i64)>) -> Vec<(String, i64)> {
        names.sort_unstable();
        names.truncate(self.most);
        names
    }
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
    /// Registers a metric with labels if it is new, and returns its id for
    /// [`MetricsService::series`].
    ///
    /// # Errors
    /// See [`MetricsService::register`].
    fn register_labeled(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> Result<u64, HostError>;
    /// Returns the id of the series with these labels. If there are too many, it is the one that
    /// all others share.
    ///
    /// # Errors
    /// Returns an error if the metric does not exist or has another number of labels.
    fn series(&self, metric: u64, values: &[&str]) -> Result<u64, HostError>;
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
    /// Adds to a plain counter that is forgotten after a time, which counts from the first such
    /// call.
    fn add_for(&self, name: &str, delta: i64, live: Duration) -> i64;
    /// Removes a plain counter. Returns its last value.
    fn remove(&self, name: &str) -> i64;
    /// Lists plain counters other than 0.
    fn list(&self, page: Page<'_>) -> Vec<(String, i64)>;
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

unsafe extern "C" fn add_for<T: HostAccess>(
    ctx: *const (),
    counter: View,
    delta: i64,
    live_ns: u64,
) -> i64 {
    let live = Duration::from_nanos(live_ns);
    unsafe { host::<T>(ctx).counters().add_for(name(counter), delta, live) }
}

unsafe extern "C" fn remove<T: HostAccess>(ctx: *const (), counter: View) -> i64 {
    unsafe { host::<T>(ctx).counters().remove(name(counter)) }
}

unsafe extern "C" fn list<T: HostAccess>(
    ctx: *const (),
    prefix: View,
    after: View,
    most: usize,
    visitor: RawVisitor,
) {
    unsafe { visit(host::<T>(ctx).counters().list(page(prefix, after, most)), visitor) }
}

unsafe fn page<'a>(prefix: View, after: View, most: usize) -> Page<'a> {
    let most = most.min(Page::MOST);
    unsafe { Page { prefix: name(prefix), after: name(after), most } }
}

unsafe fn visit(names: Vec<(String, i64)>, visitor: RawVisitor) {
    for (name, number) in names {
        unsafe { (visitor.visit)(visitor.arg, View::of(name.as_bytes()), number) }
    }
}

/// Returns the texts of a list of views; one that is not UTF-8 is empty.
unsafe fn names<'a>(views: *const View, len: usize) -> Vec<&'a str> {
    if views.is_null() || len == 0 {
        return Vec::new();
    }
    // SAFETY: the slice is valid until the function returns.
    let views = unsafe { std::slice::from_raw_parts(views, len) };
    views.iter().map(|view| unsafe { name(*view) }).collect()
}

impl<T: HostAccess> Table<T> {
    staticref! {
        const CLOCK: WithMetadata<ClockVt> = WithMetadata::new(ClockVt {
            monotonic_ns: monotonic_ns::<T>, unix_ms: unix_ms::<T>,
        });
        const COUNTERS: WithMetadata<CountersVt> = WithMetadata::new(CountersVt {
            admit: admit::<T>, release: release::<T>, take: take::<T>, add: add::<T>,
            add_for: add_for::<T>, remove: remove::<T>, list: list::<T>,
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
            entry: RSome(EntryVtRef(Self::ENTRY.as_prefix())),
            llm: RSome(LlmVtRef(Self::LLM.as_prefix())),
        });
    }

    #[cfg(feature = "testing")]
    staticref! { const LOG_ONLY: WithMetadata<HostVt> = WithMetadata::new(HostVt {
        api: ApiVersion::CURRENT,
        log_enabled: log_enabled::<T>,
        log: log::<T>,
        clock: RNone, counters: RNone,
        kv: RNone, metrics: RNone, http: RNone, timer: RNone, task: RNone, secrets: RNone,
        entry: RNone, llm: RNone,
    }) }
}
