//! Health and the root: answered without touching an upstream.

use super::respond::json;
use crate::app::App;
use axum::{http::StatusCode, response::Response};

/// The process answers.
pub(super) fn alive() -> Response {
    json(StatusCode::OK, "\"I'm alive!\"")
}

/// The config is loaded and every callback runs: that is so whenever this is served. What may be
/// amiss is that workers do not come back from a hook: with half of them, this gateway should get
/// no new calls.
pub(super) fn ready(app: &App) -> Response {
    let (stuck, workers) = app.occupancy.stuck();
    if stuck == 0 {
        return json(StatusCode::OK, r#"{"status":"healthy","db":"Not connected"}"#);
    }
    let (status, word) = if 2 * stuck >= workers {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    } else {
        (StatusCode::OK, "degraded")
    };
    let text = format!(
        r#"{{"status":"{word}","db":"Not connected","workers":{workers},"workers_stuck":{stuck}}}"#
    );
    json(status, text)
}

/// Who this is.
pub(super) fn root() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    json(StatusCode::OK, format!(r#"{{"name":"callgate","version":"{version}"}}"#))
}
