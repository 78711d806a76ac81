//! The mock host: keeps the log, and runs every service on a time the test sets.
//! The counters' arithmetic is in `counters`, store and metrics in `memory`, what waits in
//! `background`.

use super::{
    background::MockBackground,
    counters::MockCounters,
    memory::{MockKv, MockMetrics},
};
use crate::{
    HostError, HostErrorKind, HttpRequest, HttpResponse, Level,
    abi::serve::{BoxFuture, CounterService, HostAccess, Job, KvService, MetricsService},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// What `unix_ms` starts at: 2026-01-01T00:00:00Z.
const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A line a callback wrote to the host's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The named fields, in order.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {}", self.level, self.message)?;
        self.fields.iter().try_for_each(|(name, value)| write!(out, " {name}={value}"))
    }
}

/// The host a [`Tester`](super::Tester) lends its callback. Time stands still until
/// [`advance`](MockHost::advance); clones are the same host.
///
/// Nothing runs by itself: tasks and jobs run in [`run_tasks`](MockHost::run_tasks), on the test's
/// own thread; a sleep is over when the test has advanced the time; requests are answered by the
/// test's [script](MockHost::answer_http), and every host counts as granted.
///
/// ```
/// use plugin_api::testing::MockHost;
/// use std::time::Duration;
///
/// let host = MockHost::new();
/// host.set_secret("API_KEY", "k-1");
/// host.advance(Duration::from_secs(61));
/// assert!(host.log().is_empty());
/// assert_eq!(host.run_tasks(), 0);
/// ```
#[derive(Clone, Default)]
pub struct MockHost(Arc<Shared>);

#[derive(Default)]
struct Shared {
    elapsed_ns: AtomicU64,
    lines: Mutex<Vec<LogLine>>,
    counters: MockCounters,
    kv: MockKv,
    metrics: MockMetrics,
    background: MockBackground,
    secrets: Mutex<BTreeMap<String, String>>,
}

impl fmt::Debug for MockHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MockHost").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

impl MockHost {
    /// A host whose clock is at 0, with an empty log and no counters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has every sleep end at once, without a clock moving: for tests of hooks that sleep and have
    /// nobody to [`advance`](MockHost::advance) the time for them. The conformance suite does so.
    pub fn hurry(&self) {
        self.0.background.hurry();
    }

    /// Moves both clocks on, and with them every window, bucket, expiry and sleep. Tasks that have
    /// slept long enough go on in the next [`run_tasks`](MockHost::run_tasks).
    pub fn advance(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = self.0.elapsed_ns.fetch_add(time, SeqCst).saturating_add(time);
        self.0.counters.set_now(now);
        self.0.kv.set_now(now);
        self.0.background.set_now(now);
    }

    /// How far the clocks have been moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.elapsed_ns.load(SeqCst))
    }

    /// All lines so far, of every level.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of a plain counter; 0 when it was never added to.
    #[must_use]
    pub fn counter(&self, name: &str) -> i64 {
        self.0.counters.add(name, 0)
    }

    /// How many places of a sliding window are taken now.
    #[must_use]
    pub fn taken(&self, window: &str) -> usize {
        self.0.counters.taken(window)
    }

    /// The names of all sliding windows anything was ever admitted to.
    #[must_use]
    pub fn windows(&self) -> Vec<String> {
        self.0.counters.windows()
    }

    /// A value of the key-value store, unless its time is over.
    #[must_use]
    pub fn kv(&self, key: &str) -> Option<Vec<u8>> {
        self.0.kv.get(key)
    }

    /// A metric's number: a counter's sum, a gauge's value, how many a histogram has seen. `None`
    /// when none of that name is registered.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.0.metrics.value(name)
    }

    /// All that a histogram has seen, in order.
    #[must_use]
    pub fn observations(&self, histogram: &str) -> Vec<f64> {
        self.0.metrics.observations(histogram)
    }

    /// Gives the callback a variable, as the config's `grants` would.
    pub fn set_secret(&self, name: &str, value: &str) {
        let mut secrets = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(name.to_owned(), value.to_owned());
    }

    /// Answers every request from now on by this function. Without one, nothing can be reached.
    pub fn answer_http(
        &self,
        script: impl FnMut(&HttpRequest) -> Result<HttpResponse, HostError> + Send + 'static,
    ) {
        self.0.background.script(Box::new(script));
    }

    /// Answers no request from now on: each waits until it is given up.
    pub fn hang_http(&self) {
        self.0.background.hang();
    }

    /// All requests so far, in order.
    #[must_use]
    pub fn http_requests(&self) -> Vec<HttpRequest> {
        self.0.background.requests()
    }

    /// Runs jobs and tasks until each has ended or waits for time to pass; returns how many still
    /// wait. A panic of one is in the log, as in production.
    #[expect(clippy::must_use_candidate, reason = "running them is the point")]
    pub fn run_tasks(&self) -> usize {
        self.0.background.run()
    }

    /// Drops the tasks that still wait, as a gateway does whose patience at its end is over.
    pub fn drop_tasks(&self) {
        self.0.background.drop_all();
    }
}

/// What crosses: one host, seen by one instance.
#[derive(Debug)]
pub(super) struct Lent(pub(super) MockHost);

impl HostAccess for Lent {
    fn log_enabled(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let line = LogLine {
            level,
            message: message.to_owned(),
            fields: fields.iter().map(owned).collect(),
        };
        self.0.0.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.0.elapsed_ns.load(SeqCst)
    }

    fn unix_ms(&self) -> u64 {
        START_UNIX_MS + self.monotonic_ns() / 1_000_000
    }

    fn counters(&self) -> &dyn CounterService {
        &self.0.0.counters
    }
    fn kv(&self) -> &dyn KvService {
        &self.0.0.kv
    }

    fn metrics(&self) -> &dyn MetricsService {
        &self.0.0.metrics
    }

    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, HostError>> {
        let host = self.0.clone();
        // Nothing is sent before the future is awaited.
        Box::pin(async move {
            match host.0.background.answer(request) {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<()> {
        self.0.0.background.sleep(time)
    }

    fn spawn(&self, work: BoxFuture<()>) -> Result<(), HostError> {
        self.0.0.background.spawn(work)
    }

    fn spawn_blocking(&self, job: Job) -> Result<(), HostError> {
        self.0.0.background.spawn_blocking(job)
    }

    fn secret(&self, name: &str) -> Result<String, HostError> {
        let secrets = self.0.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let missing =
            || HostError::new(HostErrorKind::NOT_GRANTED, format!("`{name}` is not granted"));
        let value = secrets.get(name).cloned().ok_or_else(missing)?;
        if value.trim().is_empty() {
            return Err(HostError::new(HostErrorKind::NOT_SET, format!("`{name}` is not set")));
        }
        Ok(value)
    }
}
