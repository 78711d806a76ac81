//! Health and the root: open, and answered without touching an upstream.

use super::respond::json;
use axum::{http::StatusCode, response::Response};

/// The process answers.
pub(super) async fn alive() -> Response {
    json(StatusCode::OK, "\"I'm alive!\"")
}

/// The config is loaded and every callback runs: that is so whenever this is served.
pub(super) async fn ready() -> Response {
    json(StatusCode::OK, r#"{"status":"healthy","db":"Not connected"}"#)
}

/// Who this is.
pub(super) async fn root() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    json(StatusCode::OK, format!(r#"{{"name":"callgate","version":"{version}"}}"#))
}
