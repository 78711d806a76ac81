//! `POST /admin/reload` asks for a reload, `GET /admin/reload` shows how the last one ended.

use crate::{
    app::App,
    reload::{NoReload, ReloadReport},
    respond::json,
};
use axum::{http::StatusCode, response::Response};
use callgate_failure::Failure;
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// How long a request waits for its reload unless it says otherwise, and at most.
const WAIT: Duration = Duration::from_secs(60);
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// The response: the last report, and the reload that runs now.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a ReloadReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Progress>,
    /// The requests for a reload without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
}

#[derive(Serialize)]
struct Progress {
    seconds: f64,
    doing: String,
}

/// `GET /admin/reload`.
pub(super) fn last(app: &App) -> Response {
    let running = app
        .reloads
        .running()
        .map(|it| Progress { seconds: it.since.elapsed().as_secs_f64(), doing: it.doing() });
    answer(
        StatusCode::OK,
        &Shown { report: &app.reloads.last(), running, waiting: Some(app.reloads.unanswered()) },
    )
}

/// `POST /admin/reload`: reloads, and answers when that is done. 200 when the config serves, 422
/// when it was refused and nothing has changed, 504 when it takes longer than the request waits.
pub(super) async fn ask(app: &App, query: Option<&str>) -> Result<Response, Failure> {
    let wait = wait(query)?;
    let reported =
        app.reloads.ask_for_report("POST /admin/reload").map_err(|error| match error {
            NoReload::Busy => Failure::too_many_reloads(),
            NoReload::Ending => Failure::shutting_down(),
        })?;
    let report = tokio::select! {
        biased;
        report = reported => report.map_err(|_| Failure::shutting_down())?,
        () = app.reloads.closed() => return Err(Failure::shutting_down()),
        () = sleep(wait) => return Err(takes_long(app, wait)),
    };
    let status = if report.applied { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(answer(status, &Shown { report: &report, running: None, waiting: None }))
}

fn takes_long(app: &App, wait: Duration) -> Failure {
    let running = app.reloads.running();
    let doing = running.map_or_else(|| "it is about to end".to_owned(), |it| it.doing());
    Failure::reload_running(wait, &doing)
}

/// The time that a request waits: `?wait=SECONDS`.
fn wait(query: Option<&str>) -> Result<Duration, Failure> {
    let parameters = query.into_iter().flat_map(|query| query.split('&'));
    let Some(given) = parameters.filter_map(|it| it.strip_prefix("wait=")).next_back() else {
        return Ok(WAIT);
    };
    let seconds = given.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
    seconds.filter(|wait| *wait <= MAX_WAIT).ok_or_else(|| {
        let most = MAX_WAIT.as_secs();
        Failure::invalid(format!("expected `wait` to be 0 to {most} seconds, found another value"))
    })
}

fn answer(status: StatusCode, shown: &Shown<'_>) -> Response {
    json(status, serde_json::to_vec(shown).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_waits() {
        for (query, expected) in [
            (None, Some(60.0)),
            (Some(""), Some(60.0)),
            (Some("a=b&wait=2.5"), Some(2.5)),
            (Some("wait=0"), Some(0.0)),
            (Some("wait=3601"), None),
            (Some("wait=-1"), None),
            (Some("wait=NaN"), None),
            (Some("wait="), None),
        ] {
            let found = wait(query).ok().map(|it| it.as_secs_f64());
            assert_eq!(found, expected, "{query:?}");
        }
    }
}
