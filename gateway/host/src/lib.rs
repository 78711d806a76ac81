//! The services for one callback instance: log, clocks, counters, a store, metrics, and background
//! work.
//!
//! `boot` creates the [`Services`] of the process; `plugin_host` creates one [`CallbackHost`] for
//! each instance and passes it to the plugin as tables (`plugin_api::abi::serve`).

#![forbid(unsafe_code)]

mod answers;
mod background;
mod clock;
mod counters;
mod counting;
pub mod depth;
mod exchanges;
mod http;
mod kv;
mod listing;
pub mod log;
mod masking;
mod metrics;
mod models;
mod permissions;
mod state;
#[cfg(test)]
mod tests;

use self::metrics::{InstanceMetrics, PluginMetrics};
pub use answers::{Asked, HttpAnswers};
use arc_swap::ArcSwap;
use background::{Awaited, Background, DRAIN, Permit};
use callgate_secret::Masking;
use callgate_telemetry::metrics::Exposition;
use callgate_upstream::Connector;
pub use clock::{Clock, SystemClock};
use counters::ShardedMap;
pub use counters::{CounterScope, Counters};
pub use counting::Counting;
pub use exchanges::{Exchange, ExchangeLog, WithExchangeLog};
use kv::KvStore;
use listing::ListingView;
pub use listing::{Listing, ModelNames};
pub use masking::masked_twice;
use models::{ModelAccess, ServedCalls};
pub use models::{ModelCalls, OwnCall};
pub use permissions::{MissingGrant, Needs, Permissions};
use plugin_api::{
    HostError, HostErrorKind, HttpRequest, HttpResponse, Level,
    abi::serve::{
        BoxFuture, CounterService, EntryService, HostAccess, Job, KvService, MetricsService,
    },
};
use smallvec::SmallVec;
pub use state::OpenFolder;
use state::StateFolders;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicUsize},
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, watch};

/// The most background tasks, jobs and requests of a callback at once.
const MAX_TASKS: usize = 1024;
const MAX_JOBS: usize = 64;
const MAX_REQUESTS: usize = 64;
/// The most further requests that wait for their turn.
const MAX_WAITING: usize = 1024;

/// The state that outlives every callback; one for the process.
pub struct Services {
    counters: Counters,
    stores: ShardedMap<Arc<KvStore>>,
    metrics: Arc<PluginMetrics>,
    /// By entry. The entry's instances, tasks and requests keep its background thread alive; it
    /// ends after the last of them. Locked only when an instance is created, and at shutdown.
    backgrounds: Mutex<BTreeMap<Box<str>, Weak<Background>>>,
    /// No background work runs.
    idle: bool,
    state: Arc<StateFolders>,
    /// Of the served config.
    listing: Arc<ArcSwap<Listing>>,
    connector: Arc<ArcSwap<Connector>>,
    masking: Masking,
    /// Answers requests in place of the network.
    answers: Option<Arc<dyn HttpAnswers>>,
    /// Makes the calls of models that callbacks ask for.
    server: Arc<ServedCalls>,
    /// Identifies this process in the hop header of its requests.
    hop: Arc<str>,
}

impl Services {
    /// Services that use the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with(false)
    }

    /// Services for a check of the config: tasks are accepted but never run, and nothing is sent.
    #[must_use]
    pub fn idle() -> Self {
        Self::with(true)
    }

    fn with(idle: bool) -> Self {
        Self {
            counters: Counters::new(),
            stores: ShardedMap::default(),
            metrics: Arc::default(),
            backgrounds: Mutex::default(),
            idle,
            state: Arc::new(StateFolders::temporary()),
            listing: Arc::default(),
            connector: Arc::default(),
            masking: Masking::default(),
            answers: None,
            server: Arc::default(),
            hop: format!("{:016x}", fastrand::u64(..)).into(),
        }
    }

    /// Has requests answered by `answers`; nothing is sent.
    pub fn with_answers(self, answers: Arc<dyn HttpAnswers>) -> Self {
        Self { answers: Some(answers), ..self }
    }

    /// Uses another clock. Call it before anything else: counters start anew.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { counters: Counters::with_clock(clock), ..self }
    }

    /// Adds the gateway's own secrets, which no callback may reveal.
    pub fn with_masking(self, masking: Masking) -> Self {
        Self { masking, ..self }
    }

    pub fn masking(&self) -> &Masking {
        &self.masking
    }

    /// Keeps the callbacks' state below this folder; without this call, it is in a temporary one.
    pub fn with_state(self, folder: Option<PathBuf>, open: OpenFolder) -> Self {
        Self { state: Arc::new(StateFolders::below(folder, open)), ..self }
    }

    /// From now on, callbacks can call models.
    pub fn serve_calls(&self, calls: impl ModelCalls + 'static) {
        self.server.set(Box::new(calls));
    }

    /// Identifies this process in its requests, so that one that comes back is recognised.
    pub fn hop(&self) -> &Arc<str> {
        &self.hop
    }

    /// From now on, all instances see the models and callbacks of this config.
    pub fn serve(&self, listing: Arc<Listing>) {
        self.listing.store(listing);
    }

    /// From now on, requests go through the proxies of this connector, with its TLS settings.
    pub fn connect_by(&self, connector: &Arc<Connector>) {
        self.connector.store(Arc::clone(connector));
    }

    /// The background thread of an entry, the same for all its instances.
    fn background(&self, entry: &str) -> Arc<Background> {
        let mut all = self.backgrounds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = all.get(entry).and_then(Weak::upgrade) {
            return running;
        }
        all.retain(|_, background| background.strong_count() > 0);
        let fresh = Arc::new(Background::new(entry, self.idle, &self.connector));
        all.insert(entry.into(), Arc::downgrade(&fresh));
        fresh
    }

    /// Adds the callbacks' metrics to `text`.
    pub fn write_metrics(&self, text: &mut Exposition) {
        self.metrics.write(text);
    }

    /// Waits a bounded time for callbacks' background work, and aborts the rest. Call it after the
    /// shutdown was announced to the callbacks. Blocks.
    pub fn shutdown(&self) {
        let all: Vec<_> = {
            let all = self.backgrounds.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().filter_map(Weak::upgrade).collect()
        };
        let ends = Instant::now() + DRAIN;
        for background in all {
            let left = background.end(ends.saturating_duration_since(Instant::now()));
            if left > 0 {
                tracing::warn!(
                    target: "callgate::host",
                    { callback.name = background.name(), tasks = left },
                    "tasks of the callback were still running after {} s and are aborted",
                    DRAIN.as_secs()
                );
            }
        }
    }
}

impl Default for Services {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("backgrounds", &self.backgrounds).finish_non_exhaustive()
    }
}

/// The host of one instance.
pub struct CallbackHost {
    name: Arc<str>,
    /// The name that the plugin exports the callback by.
    callback: Box<str>,
    listing: ListingView,
    state: Arc<StateFolders>,
    clock: Arc<dyn Clock>,
    counters: Arc<dyn CounterService>,
    kv: Arc<KvStore>,
    metrics: InstanceMetrics,
    permissions: Arc<Permissions>,
    /// The gateway's secrets.
    masking: Masking,
    answers: Option<Arc<dyn HttpAnswers>>,
    models: ModelAccess,
    hop: Arc<str>,
    background: Arc<Background>,
    tasks: Arc<AtomicUsize>,
    jobs: Arc<AtomicUsize>,
    /// The requests that run or wait.
    requests: Arc<AtomicUsize>,
    /// The permits of the requests that run.
    turns: Arc<Semaphore>,
    /// True once the instance's shutdown begins.
    ending: watch::Sender<bool>,
    /// True if the instance's background work is to be dropped.
    cut: Arc<watch::Sender<bool>>,
}

impl CallbackHost {
    /// The services of the entry `name`, which its log lines show.
    #[must_use]
    pub fn new(
        name: Arc<str>,
        counting: Counting<'_>,
        permissions: &Arc<Permissions>,
        services: &Arc<Services>,
    ) -> Self {
        let clock = services.counters.clock();
        let store = || Arc::new(KvStore::new(Arc::clone(clock)));
        let scope = counting.scope(&name);
        let served = Arc::clone(&services.listing);
        Self {
            callback: counting.callback.into(),
            listing: ListingView { own: served.load_full(), served },
            state: Arc::clone(&services.state),
            clock: Arc::clone(clock),
            counters: services.counters.scope(&scope),
            kv: services.stores.with(&scope, store, Arc::clone),
            metrics: InstanceMetrics::new(&services.metrics, counting.callback, &name),
            permissions: Arc::clone(permissions),
            masking: services.masking.clone(),
            answers: services.answers.clone(),
            models: ModelAccess::new(&name, &services.server),
            hop: Arc::clone(&services.hop),
            background: services.background(&name),
            tasks: Arc::default(),
            jobs: Arc::default(),
            requests: Arc::default(),
            turns: Arc::new(Semaphore::new(MAX_REQUESTS)),
            ending: watch::Sender::new(false),
            cut: Arc::new(watch::Sender::new(false)),
            name,
        }
    }

    /// The host of an instance that is created for this config, which is not served yet.
    #[must_use]
    pub fn listed_in(mut self, listing: &Arc<Listing>) -> Self {
        self.listing.own = Arc::clone(listing);
        self
    }

    /// Masks the callback's own secrets and the gateway's in a text.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        masked_twice(self.permissions.masking(), &self.masking, text)
    }

    /// The instance's name in logs.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Called when the instance's shutdown begins: tells its tasks.
    pub fn announce_end(&self) {
        self.ending.send_replace(true);
    }

    /// Called when the instance is shut down: its background work has a bounded time to end.
    pub fn ends(&self) {
        self.announce_end();
        self.background.cut_later(&self.cut);
    }
}

fn full(what: &str, limit: usize) -> HostError {
    HostError::new(HostErrorKind::FULL, format!("{limit} {what} of this callback are not done yet"))
}

impl HostAccess for CallbackHost {
    fn log_enabled(&self, level: Level) -> bool {
        log::enabled(level)
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        if !log::enabled(level) {
            return;
        }
        let values: SmallVec<[Cow<'_, str>; 8]> =
            fields.iter().map(|(_, value)| self.mask(value)).collect();
        let masked = fields.iter().zip(&values).map(|((name, _), value)| (*name, &**value));
        let fields: SmallVec<[(&str, &str); 8]> = masked.collect();
        log::write(&self.name, level, &self.mask(message), &fields);
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    fn counters(&self) -> &dyn CounterService {
        &*self.counters
    }

    fn kv(&self) -> &dyn KvService {
        &*self.kv
    }

    fn entry(&self) -> &dyn EntryService {
        self
    }

    fn metrics(&self) -> &dyn MetricsService {
        &self.metrics
    }

    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, HostError>> {
        if let Some(answers) = &self.answers {
            let mask = |text: &str| self.mask(text).into_owned();
            let asking = (&*self.name, &*self.permissions);
            let answered = answers::answered(&**answers, asking, &mask, &request);
            return Box::pin(std::future::ready(answered));
        }
        let log = ExchangeLog::current();
        let noted = log.as_ref().map(|_| request.clone());
        let sent = || {
            // If it comes back to this gateway, the call is that much deeper.
            let hop = format!("{}/{}", self.hop, depth::current() + 1);
            let checked = self::http::check(request, &hop, &self.permissions)?;
            let most = MAX_REQUESTS + MAX_WAITING;
            let place = Permit::take(&self.requests, most).ok_or_else(|| full("requests", most))?;
            let (client, turns) = (Arc::clone(self.background.http()), Arc::clone(&self.turns));
            let handle = self.background.handle()?;
            Ok(Awaited::new(handle, async move {
                let answer = client.send(checked, &turns).await;
                drop(place);
                answer
            }))
        };
        let sent: Result<_, HostError> = sent();
        Box::pin(async move {
            let ended = || HostError::new(HostErrorKind::ENDING, "the gateway is ending");
            let answer = match sent {
                Ok(sent) => sent.await.ok_or_else(ended).flatten(),
                Err(error) => Err(error),
            };
            if let (Some(log), Some(request)) = (log, noted) {
                log.add(request, &answer);
            }
            answer
        })
    }

    fn permits(&self, url: &str) -> Result<(), HostError> {
        self::http::permitted(url, &self.permissions).map(drop)
    }

    fn chat(
        &self,
        body: Vec<u8>,
        timeout: Option<Duration>,
    ) -> BoxFuture<Result<HttpResponse, HostError>> {
        self.models.chat((body, timeout), (&self.permissions, &self.background), &self.metrics)
    }

    fn permits_model(&self, model: &str) -> Result<(), HostError> {
        self.permissions.call(model)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<()> {
        // Without a background thread no time passes, so a sleep would last forever.
        if self.background.is_idle() {
            return Box::pin(std::future::ready(()));
        }
        // A timer belongs to the runtime in which it is created, so it is created inside the task.
        let slept = self
            .background
            .handle()
            .ok()
            .map(|handle| Awaited::new(handle, async move { tokio::time::sleep(time).await }));
        Box::pin(async move {
            let done = match slept {
                Some(slept) => slept.await,
                None => None,
            };
            if done.is_none() {
                // The thread has ended. Returning success would let a loop spin.
                std::future::pending::<()>().await;
            }
        })
    }

    fn spawn(&self, work: BoxFuture<()>) -> Result<(), HostError> {
        let place = Permit::take(&self.tasks, MAX_TASKS).ok_or_else(|| full("tasks", MAX_TASKS))?;
        let work: BoxFuture<()> = match depth::current() {
            0 => work,
            depth => Box::pin(depth::AtDepth::new(depth, work)),
        };
        self.background.spawn(work, place, self.cut.subscribe())
    }

    fn spawn_blocking(&self, job: Job) -> Result<(), HostError> {
        let place = Permit::take(&self.jobs, MAX_JOBS).ok_or_else(|| full("jobs", MAX_JOBS))?;
        let depth = depth::current();
        self.background.spawn_blocking(move || depth::at(depth, || job.run()), place)
    }

    fn shutdown(&self) -> BoxFuture<()> {
        let mut ending = self.ending.subscribe();
        // Without the sender the instance is gone, so its shutdown has begun.
        Box::pin(async move { drop(ending.wait_for(|has_begun| *has_begun).await) })
    }

    fn has_secret(&self, name: &str) -> bool {
        self.permissions.has_secret(name)
    }

    fn secret(&self, name: &str) -> Result<String, HostError> {
        let secret = self.permissions.secret(name)?;
        // The value may come back as a model name or in a base URL, which others read.
        self.masking.learn(&secret);
        Ok(secret)
    }
}

impl EntryService for CallbackHost {
    fn name(&self) -> &str {
        &self.callback
    }

    fn instance(&self) -> &str {
        &self.name
    }

    fn position(&self) -> Option<usize> {
        self.listing.get().position(&self.name)
    }

    fn has_model(&self, name: &str) -> Option<bool> {
        self.listing.get().models.as_ref().map(|models| models.has(name))
    }

    fn models(&self) -> Option<Vec<String>> {
        self.listing.get().models.as_ref().map(|models| models.listed())
    }

    fn state_dir(&self) -> Option<String> {
        self.state.of(&self.name)
    }
}

impl fmt::Debug for CallbackHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackHost").field("name", &self.name).finish_non_exhaustive()
    }
}
