//! The HTTP surface: which path is what, and what every answer carries. The only room that knows axum.
//!
//! `listen` accepts connections, `auth` knows callers, `chat` tells the story of a call, `relay`
//! streams, `wire` is the client's socket, `models`, `callbacks` and `health` are the small endpoints, `error` is the only place where a
//! failure becomes HTTP, `access_log` writes the one line each request gets.

mod access_log;
mod alarm;
mod auth;
mod bulk;
mod callbacks;
mod chat;
mod completion;
mod error;
mod flight;
mod health;
mod listen;
mod metrics;
mod models;
mod outbound;
mod read;
mod relay;
mod request;
mod respond;
mod wire;

pub use listen::{Listener, Server, Stop};

use crate::app::App;
use alarm::Alarm;
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use bytes::Bytes;
use futures_util::future::Either;
use http_body_util::{Either as EitherBody, Full};
use hyper::body::Incoming;
use std::{convert::Infallible, sync::Arc};
use tower::ServiceExt as _;

/// The body of a request: straight from the connection, or behind the router.
type RequestBody = EitherBody<Incoming, Body>;

/// The body of an answer: in one piece, or whatever else there is.
type AnswerBody = EitherBody<Full<Bytes>, Body>;

/// What a connection's requests are answered by.
#[derive(Clone, Debug)]
struct Surface {
    app: Arc<App>,
    router: Router,
}

impl Surface {
    fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), router: router(Arc::clone(app)) }
    }

    /// The usual calls go straight to their story: matching, boxing and extracting for the router
    /// would cost them a tenth of what they take. Everything else is the router's.
    fn answer(
        &self,
        alarm: &Alarm,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<hyper::Response<AnswerBody>, Infallible>> + use<> {
        if request.method() == Method::POST && CALLS.contains(&request.uri().path()) {
            let (app, alarm) = (Arc::clone(&self.app), alarm.clone());
            let call = chat::call(app, alarm, request.map(EitherBody::Left), None);
            return Either::Left(async { Ok(call.await) });
        }
        let mut request = request;
        request.extensions_mut().insert(alarm.clone());
        let routed = self.router.clone().oneshot(request);
        Either::Right(Box::pin(async { Ok(routed.await?.map(EitherBody::Right)) }))
    }
}

/// The paths of a call that name no model.
const CALLS: [&str; 3] = ["/v1/chat/completions", "/chat/completions", "/cursor/chat/completions"];

/// Every path.
fn router(app: Arc<App>) -> Router {
    // A post to one of these has been answered before it comes here.
    let named =
        CALLS.iter().fold(Router::new(), |router, path| router.route(path, MethodRouter::new()));
    let calls = named
        .route("/engines/{model}/chat/completions", post(chat_with_model))
        .route("/openai/deployments/{model}/chat/completions", post(chat_with_model))
        .method_not_allowed_fallback(method_not_allowed);
    let rest = Router::new()
        .route("/v1/models", get(models::list))
        .route("/models", get(models::list))
        .route("/v1/models/{id}", get(models::one))
        .route("/models/{id}", get(models::one))
        .route("/callbacks", get(callbacks::list))
        .route("/active/callbacks", get(callbacks::active))
        .route("/health/liveliness", get(health::alive))
        .route("/health/liveness", get(health::alive))
        .route("/health/readiness", get(health::ready))
        .route("/metrics", get(metrics::all))
        .route("/metrics/", get(metrics::all))
        .route("/", get(health::root))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), limit_head))
        .layer(middleware::from_fn(access_log::small_endpoint));
    calls.merge(rest).with_state(app)
}

async fn chat_with_model(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    mut request: Request,
) -> Response {
    let alarm = request.extensions_mut().remove::<Alarm>().unwrap_or_default();
    let request = request.map(EitherBody::Right);
    chat::call(app, alarm, request, Some(model)).await.map(Body::new)
}

/// Calls check their head in `request::accept`, where their failure gets its line in the log; this is
/// for everything else.
async fn limit_head(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match request::check_head(&app, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(failure) => error::response(&failure),
    }
}

/// Preflights are answered for any path, as LiteLLM does: browsers ask before they call.
async fn method_not_allowed(
    State(app): State<Arc<App>>,
    method: Method,
    request: Request,
) -> Response {
    if let Err(failure) = request::check_head(&app, request.headers()) {
        return error::response(&failure);
    }
    if method == Method::OPTIONS && request.headers().contains_key(header::ORIGIN) {
        let headers = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS")),
            (header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                request
                    .headers()
                    .get(header::ACCESS_CONTROL_REQUEST_HEADERS)
                    .cloned()
                    .unwrap_or(HeaderValue::from_static("*")),
            ),
        ];
        return (StatusCode::OK, headers).into_response();
    }
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
}

async fn not_found(request: Request) -> Response {
    let path = request.uri().path();
    let trimmed = path.trim_end_matches('/');
    // `//host` would lead elsewhere: only a plain path is sent back.
    if trimmed.len() < path.len() && !trimmed.is_empty() && !trimmed.starts_with("//") {
        let location = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(location) = HeaderValue::from_str(&location) {
            let headers = [(header::LOCATION, location)];
            return (StatusCode::TEMPORARY_REDIRECT, headers).into_response();
        }
    }
    detail(StatusCode::NOT_FOUND, "Not Found")
}

fn detail(status: StatusCode, text: &str) -> Response {
    respond::json(status, serde_json::json!({ "detail": text }).to_string())
}
