//! The way from whoever wants a reload to the thread that reloads, and what is known of the last
//! one. The reload itself is the program's work (`boot`); `admin` has the paths for clients.

use callgate_plugin_host::{PluginLocation, Whereabouts};
use callgate_telemetry::metrics::Exposition;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::{oneshot, watch};

/// The most requests that may wait. One reload answers all of them.
const MAX_WAITING: usize = 64;

/// The result of the last attempt to load the config.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Whether the new config serves now.
    pub applied: bool,
    /// The number of the serving config: 1 at the start, plus 1 for each applied reload.
    pub generation: u64,
    /// The time of the attempt, in ms since 1970.
    pub unix_ms: u64,
    /// The changes that the reload brought; empty when it was refused.
    pub changes: Vec<String>,
    /// The changes among them that need a restart.
    pub needs_restart: Vec<String>,
    /// All errors and warnings, as in the log.
    pub problems: Vec<String>,
}

/// A request for a reload, with the channel for its report.
#[derive(Debug)]
pub struct ReloadRequest {
    /// The source of the request, for the log: `SIGHUP`, `POST /admin/reload`, `callgate.watch`.
    pub by: &'static str,
    report: Option<oneshot::Sender<Arc<ReloadReport>>>,
    _counted: Unanswered,
}

/// Counts a request until it is answered.
#[derive(Debug)]
struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl ReloadRequest {
    /// Sends the report to the waiting client, if there is one.
    pub fn answer(self, report: &Arc<ReloadReport>) {
        if let Some(waiting) = self.report {
            // The client may have left.
            let _ = waiting.send(Arc::clone(report));
        }
    }
}

/// Why a reload request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReload {
    /// Too many requests are waiting; one of them will load the current config.
    #[error("{MAX_WAITING} requests for a reload wait already")]
    Busy,
    /// The gateway is shutting down, or runs without reloads.
    #[error("the gateway is shutting down")]
    Ending,
}

/// Passes reload requests to the thread that reloads. One for the process.
#[derive(Debug)]
pub struct Reloads {
    requests: Mutex<Option<SyncSender<ReloadRequest>>>,
    /// Whether the gateway is shutting down.
    ending: watch::Sender<bool>,
    last: Mutex<Counted>,
    /// When the reload that runs began.
    began: Mutex<Option<Instant>>,
    /// The thread that reloads.
    whereabouts: Whereabouts,
    unanswered: Arc<AtomicUsize>,
}

/// A reload that runs.
#[derive(Clone, Debug)]
pub struct RunningReload {
    pub since: Instant,
    /// The plugin whose code it waits for.
    pub place: Option<PluginLocation>,
}

impl RunningReload {
    /// A phrase for the step that the reload is at.
    #[must_use]
    pub fn doing(&self) -> String {
        match &self.place {
            Some(place) => format!("it is {place}"),
            None => "it reads files or tries plugins in processes of their own".to_owned(),
        }
    }
}

#[derive(Debug)]
struct Counted {
    report: Arc<ReloadReport>,
    applied: u64,
    refused: u64,
}

impl Reloads {
    /// The sender and the receiver of requests. `unix_ms` is the time of the start.
    #[must_use]
    pub fn new(unix_ms: u64) -> (Arc<Self>, Receiver<ReloadRequest>) {
        let (requests, received) = sync_channel(MAX_WAITING);
        let report = ReloadReport { applied: true, generation: 1, unix_ms, ..Default::default() };
        let last = Counted { report: Arc::new(report), applied: 0, refused: 0 };
        let reloads = Self {
            requests: Mutex::new(Some(requests)),
            ending: watch::Sender::new(false),
            last: Mutex::new(last),
            began: Mutex::new(None),
            whereabouts: Whereabouts::unknown(),
            unanswered: Arc::default(),
        };
        (Arc::new(reloads), received)
    }

    /// Requests a reload without waiting for it.
    ///
    /// # Errors
    /// If the request is refused.
    pub fn ask(&self, by: &'static str) -> Result<(), NoReload> {
        self.send(by, None)
    }

    pub(crate) fn ask_for_report(
        &self,
        by: &'static str,
    ) -> Result<oneshot::Receiver<Arc<ReloadReport>>, NoReload> {
        let (report, reported) = oneshot::channel();
        self.send(by, Some(report))?;
        Ok(reported)
    }

    fn send(
        &self,
        by: &'static str,
        report: Option<oneshot::Sender<Arc<ReloadReport>>>,
    ) -> Result<(), NoReload> {
        let request = ReloadRequest { by, report, _counted: Unanswered::new(&self.unanswered) };
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.as_ref().ok_or(NoReload::Ending)?;
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => NoReload::Busy,
            TrySendError::Disconnected(_) => NoReload::Ending,
        })
    }

    /// Refuses further requests, because the gateway is shutting down.
    pub fn close(&self) {
        self.ending.send_replace(true);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether the gateway is shutting down, so that no config may take effect any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.ending.borrow()
    }

    /// Waits until the gateway shuts down.
    pub(crate) async fn closed(&self) {
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    /// The position of the thread that reloads, which assigns it to itself.
    pub fn whereabouts(&self) -> &Whereabouts {
        &self.whereabouts
    }

    /// Notes that a reload begins; [`Reloads::note`] must follow.
    pub fn begin(&self) {
        *self.began() = Some(Instant::now());
    }

    /// The reload that runs now.
    #[must_use]
    pub fn running(&self) -> Option<RunningReload> {
        let since = (*self.began())?;
        Some(RunningReload { since, place: self.whereabouts.ask() })
    }

    /// The number of requests that have had no answer yet, those of the running reload included.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Relaxed)
    }

    fn began(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the last attempt ended.
    #[must_use]
    pub fn last(&self) -> Arc<ReloadReport> {
        Arc::clone(&self.counted().report)
    }

    /// Records the result of an attempt.
    pub fn note(&self, report: &Arc<ReloadReport>) {
        *self.began() = None;
        let mut last = self.counted();
        last.report = Arc::clone(report);
        if report.applied { last.applied += 1 } else { last.refused += 1 }
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the metric families to `text`.
    pub(crate) fn write(&self, text: &mut Exposition) {
        let last = self.counted();
        let name = "callgate_config_last_reload_successful";
        text.family(name, "gauge", "1 if the last attempt to load the config was applied, else 0.");
        text.sample(name, &[], f64::from(u8::from(last.report.applied)));
        let name = "callgate_config_last_reload_timestamp_seconds";
        text.family(name, "gauge", "Unix time of the last attempt to load the config.");
        text.sample(name, &[], last.report.unix_ms as f64 / 1e3);
        let name = "callgate_config_generation";
        text.family(name, "gauge", "The number of the config that serves: 1 since the start.");
        text.sample(name, &[], last.report.generation as f64);
        let name = "callgate_config_reloads_total";
        text.family(name, "counter", "Reloads, by what came of them.");
        for (result, count) in [("applied", last.applied), ("refused", last.refused)] {
            text.sample(name, &[("result", result)], count as f64);
        }
        drop(last);
        let name = "callgate_config_reload_running_seconds";
        text.family(name, "gauge", "The age of the reload that runs; 0 when none does.");
        let age = self.began().map_or(Duration::ZERO, |since| since.elapsed());
        text.sample(name, &[], age.as_secs_f64());
    }
}
