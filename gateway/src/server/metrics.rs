//! `GET /metrics`: the gateway's numbers and the callbacks', as Prometheus reads them.

use super::{auth, error};
use crate::{app::App, metrics::Exposition};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use std::sync::Arc;

const TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// All of them. Needs the key unless the config says otherwise.
pub(super) async fn all(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if app.metrics_auth
        && let Err(failure) = auth::check(&app, &headers)
    {
        return error::response(&failure);
    }
    let mut text = Exposition::default();
    app.metrics.write(&mut text);
    app.services.write_metrics(&mut text);
    let mut response = Response::new(Body::from(text.finish()));
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}
