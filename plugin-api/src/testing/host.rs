//! The mock host: it keeps the log, and runs every service on a clock that the test sets. Counters
//! are in `counters`, the store in `memory`, metrics in `metrics`, tasks and requests in
//! `background`.

use super::{
    background::MockBackground, counters::MockCounters, ending::Ending, entry::MockEntry,
    llm::MockModels, memory::MockKv, metrics::MockMetrics,
};
use crate::{
    HostError, HostErrorKind, HttpRequest, HttpResponse, Level, LlmResponse,
    abi::serve::{
        BoxFuture, CounterService, EntryService, HostAccess, Job, KvService, MetricsService,
    },
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// The first value of `unix_ms`: 2026-01-01T00:00:00Z.
const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A line that a callback wrote to the host's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The level.
    pub level: Level,
    /// The message.
    pub message: String,
    /// The named fields, in order.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// Returns the value of a field.
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

/// The host of a [`Tester`](super::Tester)'s callback. Time stands still until
/// [`advance`](MockHost::advance) moves it. A clone is the same host. Nothing runs by itself. Tasks
/// and jobs run in [`run_tasks`](MockHost::run_tasks), on the test's own thread. A sleep ends when
/// the test has advanced the time. The test's [script](MockHost::answer_http) answers requests; all
/// hosts are granted, except those of [`deny_http`](MockHost::deny_http).
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
    denied: Mutex<Vec<String>>,
    models: MockModels,
    entry: MockEntry,
}

impl fmt::Debug for MockHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MockHost").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

impl MockHost {
    /// Creates a host with clocks at their start, an empty log and no counters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every sleep end at once, without moving the clocks, for hooks that sleep in tests that
    /// do not [`advance`](MockHost::advance) the time. The conformance suite uses it.
    pub fn hurry(&self) {
        self.0.background.hurry();
    }

    /// Takes [`hurry`](MockHost::hurry) back.
    pub(super) fn wait(&self) {
        self.0.background.wait();
    }

    /// Moves both clocks forward, and with them every window, bucket, expiry and sleep. Tasks whose
    /// sleep has ended continue in the next [`run_tasks`](MockHost::run_tasks).
    pub fn advance(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = self.0.elapsed_ns.fetch_add(time, SeqCst).saturating_add(time);
        self.0.counters.set_now(now);
        self.0.kv.set_now(now);
        self.0.background.set_now(now);
    }

    /// Returns how far the clocks have been moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.elapsed_ns.load(SeqCst))
    }

    /// Returns all log lines so far, of every level.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the value of a plain counter, 0 if nothing was added to it.
    #[must_use]
    pub fn counter(&self, name: &str) -> i64 {
        self.0.counters.add(name, 0)
    }

    /// Returns how many places of a sliding window are taken now.
    #[must_use]
    pub fn taken(&self, window: &str) -> usize {
        self.0.counters.taken(window)
    }

    /// Returns the names of all sliding windows that ever admitted something.
    #[must_use]
    pub fn windows(&self) -> Vec<String> {
        self.0.counters.windows()
    }

    /// Returns a value of the key-value store, unless it has expired.
    #[must_use]
    pub fn kv(&self, key: &str) -> Option<Vec<u8>> {
        self.0.kv.get(key)
    }

    /// Returns the number of a metric: the sum of a counter, the value of a gauge, or the number of
    /// values in a histogram. `None` if no metric has this name. A series has its labels in its
    /// name: `tokens_total{team="blue"}`.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.0.metrics.value(name)
    }

    /// Returns all values that a histogram recorded, in order.
    #[must_use]
    pub fn observations(&self, histogram: &str) -> Vec<f64> {
        self.0.metrics.observations(histogram)
    }

    /// Grants and sets a variable.
    pub fn set_secret(&self, name: &str, value: &str) {
        let mut secrets = self.0.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(name.to_owned(), value.to_owned());
    }

    /// Sets the models of the config: public names, and wildcards such as `groq/*`. Until then they
    /// are not known, as in a probe.
    pub fn set_models(&self, names: &[&str]) {
        self.0.entry.set_models(names);
    }

    /// Sets the entry's state folder, which the test makes. Until then there is none.
    pub fn set_state_dir(&self, folder: impl Into<String>) {
        self.0.entry.set_state_dir(folder.into());
    }

    /// Withholds the grant for all URLs that begin like this, such as `https://api.example.com/`.
    pub fn deny_http(&self, url: &str) {
        let mut denied = self.0.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.push(url.to_owned());
    }

    fn permits(&self, url: &str) -> Result<(), HostError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let text = "expected an `http://` or `https://` URL, found something else";
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        let denied = self.0.denied.lock().unwrap_or_else(PoisonError::into_inner);
        if denied.iter().any(|denied| url.starts_with(denied)) {
            return Err(HostError::new(HostErrorKind::NOT_GRANTED, "the test denied this URL"));
        }
        Ok(())
    }

    /// Answers every request from now on with this function. Without a function, every request
    /// fails as unreachable.
    pub fn answer_http(
        &self,
        script: impl FnMut(&HttpRequest) -> Result<HttpResponse, HostError> + Send + 'static,
    ) {
        self.0.background.script(Box::new(script));
    }

    /// Answers no request from now on. Each waits until its future is dropped.
    pub fn hang_http(&self) {
        self.0.background.hang();
    }

    /// Returns all requests so far, in order.
    #[must_use]
    pub fn http_requests(&self) -> Vec<HttpRequest> {
        self.0.background.requests()
    }

    /// Answers every call of [`Llm::chat`](crate::Llm::chat) from now on with this function, which
    /// gets the body. Without a function, every call fails as unreachable.
    ///
    /// ```
    /// use plugin_api::{LlmResponse, testing::MockHost};
    ///
    /// let host = MockHost::new();
    /// host.answer_llm(|_| Ok(LlmResponse::completion("4")));
    /// assert!(host.llm_requests().is_empty());
    /// ```
    pub fn answer_llm(
        &self,
        script: impl FnMut(&Value) -> Result<LlmResponse, HostError> + Send + 'static,
    ) {
        self.0.models.script(Box::new(script));
    }

    /// Returns the bodies of all calls so far, in order.
    #[must_use]
    pub fn llm_requests(&self) -> Vec<Value> {
        self.0.models.requests()
    }

    /// Takes the grant of this model away.
    pub fn deny_model(&self, model: &str) {
        self.0.models.deny(model);
    }

    /// Runs jobs and tasks until each has ended or waits for time to pass. Returns how many still
    /// wait. Panics go to the log, as in production.
    #[expect(clippy::must_use_candidate, reason = "often called for the effect alone")]
    pub fn run_tasks(&self) -> usize {
        self.0.background.run()
    }

    /// Drops the tasks that still wait, as a gateway does when their time to end has passed.
    pub fn drop_tasks(&self) {
        self.0.background.drop_all();
    }
}

/// The host as one instance sees it across the boundary.
#[derive(Debug)]
pub(super) struct Lent(pub(super) MockHost, pub(super) Ending);

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

    fn entry(&self) -> &dyn EntryService {
        &self.0.0.entry
    }

    fn metrics(&self) -> &dyn MetricsService {
        &self.0.0.metrics
    }

    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, HostError>> {
        let host = self.0.clone();
        // The request is sent when the future is first polled.
        Box::pin(async move {
            host.permits(request.url())?;
            match host.0.background.answer(request) {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }

    fn permits(&self, url: &str) -> Result<(), HostError> {
        self.0.permits(url)
    }

    fn chat(
        &self,
        body: Vec<u8>,
        _timeout: Option<Duration>,
    ) -> BoxFuture<Result<HttpResponse, HostError>> {
        let host = self.0.clone();
        Box::pin(async move { host.0.models.answer(&body) })
    }

    fn permits_model(&self, model: &str) -> Result<(), HostError> {
        self.0.0.models.permits(model)
    }

    fn shutdown(&self) -> BoxFuture<()> {
        Box::pin(self.1.clone())
    }

    fn has_secret(&self, name: &str) -> bool {
        self.secret(name).is_ok()
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
