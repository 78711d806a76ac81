//! Reloads as clients and metrics see them: `POST /admin/reload` asks for one, `GET /admin/reload`
//! shows how the last one ended. The reload itself is the program's work (`boot`).

use crate::{app::App, respond::json};
use axum::{http::StatusCode, response::Response};
use callgate_failure::Failure;
use callgate_telemetry::metrics::Exposition;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};
use tokio::sync::oneshot;

/// Requests that may wait for their turn. All that wait are answered by one reload.
const MAX_WAITING: usize = 64;

/// How the last attempt to load the config ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// Whether the config that was read serves now.
    pub applied: bool,
    /// The number of the config that serves: 1 from the start, 1 more after each reload that was
    /// applied.
    pub generation: u64,
    /// The time of the attempt, in ms since 1970.
    pub unix_ms: u64,
    /// The changes that the reload brought, or would have brought.
    pub changes: Vec<String>,
    /// The changes among them that only a restart brings.
    pub needs_restart: Vec<String>,
    /// Every error and warning, as the log has them.
    pub problems: Vec<String>,
}

/// A request for a reload, and where its report goes.
#[derive(Debug)]
pub struct ReloadRequest {
    /// Who asked, for the log: `SIGHUP`, `POST /admin/reload`, `callgate.watch`.
    pub by: &'static str,
    report: Option<oneshot::Sender<Arc<ReloadReport>>>,
}

impl ReloadRequest {
    /// Answers whoever waits for it.
    pub fn answer(self, report: &Arc<ReloadReport>) {
        if let Some(waiting) = self.report {
            // A client that has left needs no answer.
            let _ = waiting.send(Arc::clone(report));
        }
    }
}

/// Why no reload was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReload {
    /// Too many wait already; one of them reads the config as it is now.
    #[error("{MAX_WAITING} requests for a reload wait already")]
    Busy,
    /// The gateway is shutting down, or runs without reloads.
    #[error("the gateway is shutting down")]
    Ending,
}

/// The way from whoever wants a reload to the thread that reloads. One for the process.
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
    /// The way, and its far end. `unix_ms` is the time of the start.
    #[must_use]
    pub fn new(unix_ms: u64) -> (Arc<Self>, Receiver<ReloadRequest>) {
        let (requests, received) = sync_channel(MAX_WAITING);
        let report = ReloadReport { applied: true, generation: 1, unix_ms, ..Default::default() };
        let last = Counted { report: Arc::new(report), applied: 0, refused: 0 };
        (Arc::new(Self { requests: Mutex::new(Some(requests)), last: Mutex::new(last) }), received)
    }

    /// Asks for a reload and does not wait for it.
    ///
    /// # Errors
    /// When there will be none because of this request.
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

    /// Takes no request from now on: the gateway is shutting down.
    pub fn close(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How the last attempt ended.
    #[must_use]
    pub fn last(&self) -> Arc<ReloadReport> {
        Arc::clone(&self.counted().report)
    }

    /// Notes how an attempt ended.
    pub fn note(&self, report: &Arc<ReloadReport>) {
        let mut last = self.counted();
        last.report = Arc::clone(report);
        if report.applied { last.applied += 1 } else { last.refused += 1 }
    }

    fn counted(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the families.
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
pub(super) fn last(app: &App) -> Response {
    answer(StatusCode::OK, &app.reloads.last())
}

/// `POST /admin/reload`: reloads, and answers when that is done. 200 when the config serves, 422
/// when it was refused and nothing has changed.
pub(super) async fn ask(app: &App) -> Result<Response, Failure> {
    let reported =
        app.reloads.ask_for_report("POST /admin/reload").map_err(|error| match error {
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
