//! Health endpoints and the root, answered without asking an upstream.

use super::respond::json;
use crate::app::App;
use axum::{http::StatusCode, response::Response};

/// The process can answer.
pub(super) fn alive() -> Response {
    json(StatusCode::OK, "\"I'm alive!\"")
}

/// Whether this gateway should get new calls. The config is loaded and every callback runs whenever
/// this is served, but workers may be stuck in a hook; with half of them stuck, it is not ready.
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

/// The name and version of the gateway.
pub(super) fn root() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    json(StatusCode::OK, format!(r#"{{"name":"callgate","version":"{version}"}}"#))
}
