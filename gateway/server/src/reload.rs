//! Reloads for clients and metrics: `POST /admin/reload` requests one, `GET /admin/reload` shows
//! the result of the last one. The program (`boot`) does the reload.

use crate::respond::json;
use axum::{http::StatusCode, response::Response};
use callgate_failure::Failure;
use callgate_telemetry::metrics::Exposition;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};
use tokio::sync::oneshot;

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
    /// The changes in the new config, even if it was refused.
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
    last: Mutex<Counted>,
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
        (Arc::new(Self { requests: Mutex::new(Some(requests)), last: Mutex::new(last) }), received)
    }

    /// Requests a reload without waiting for it.
    ///
    /// # Errors
    /// If the request is refused.
    pub fn ask(&self, by: &'static str) -> Result<(), NoReload> {
        self.send(ReloadRequest { by, report: None })
    }

    fn ask_for_report(
        &self,
        by: &'static str,
    ) -> Result<oneshot::Receiver<Arc<ReloadReport>>, NoReload> {
        let (report, reported) = oneshot::channel();
        self.send(ReloadRequest { by, report: Some(report) })?;
        Ok(reported)
    }

    fn send(&self, request: ReloadRequest) -> Result<(), NoReload> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.as_ref().ok_or(NoReload::Ending)?;
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => NoReload::Busy,
            TrySendError::Disconnected(_) => NoReload::Ending,
        })
    }

    /// Refuses further requests, because the gateway is shutting down.
    pub fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The result of the last attempt.
    #[must_use]
    pub fn last(&self) -> Arc<ReloadReport> {
        Arc::clone(&self.counted().report)
    }

    /// Records the result of an attempt.
    pub fn note(&self, report: &Arc<ReloadReport>) {
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
    }
}

/// `GET /admin/reload`.
pub(super) fn last(reloads: &Reloads) -> Response {
    answer(StatusCode::OK, &reloads.last())
}

/// `POST /admin/reload`: reloads, and responds when that is done: 200 if the new config serves, 422
/// if it was refused and nothing has changed.
pub(super) async fn ask(reloads: &Reloads) -> Result<Response, Failure> {
    let reported = reloads.ask_for_report("POST /admin/reload").map_err(|error| match error {
        NoReload::Busy => Failure::too_many_reloads(),
        NoReload::Ending => Failure::shutting_down(),
    })?;
    let report = reported.await.map_err(|_| Failure::shutting_down())?;
    let status = if report.applied { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(answer(status, &report))
}

fn answer(status: StatusCode, report: &ReloadReport) -> Response {
    json(status, serde_json::to_vec(report).unwrap_or_default())
}
