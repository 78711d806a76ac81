//! The HTTP server: paths, authentication, and the response to every request. The only package that
//! knows axum.
//!
//! `listen` accepts connections, `connection` serves one, `client_io` is the client's socket,
//! `host` checks the `Host` header, `route` knows the paths, `web` decides which web pages may
//! call, `auth` authenticates clients, `chat` runs a call, `relay` streams its response, `models`,
//! `callbacks`, `health` and `admin` are the small endpoints, `error` turns failures into HTTP,
//! `disclosure` decides what a failure discloses, `access_log` writes one log line for each
//! request.

#![forbid(unsafe_code)]

mod access_log;
mod admin;
mod answer_alone;
pub mod app;
mod attempt;
mod attempted;
mod auth;
mod body;
mod call_metrics;
mod call_paths;
mod call_totals;
mod callback_stream;
mod callbacks;
mod chat;
mod client;
mod client_io;
mod codings;
mod completion;
mod connection;
mod connection_timer;
mod current_app;
mod decode;
pub mod descriptors;
mod detached;
mod disclosure;
mod error;
mod fault;
mod flight;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod health_check;
mod host;
mod inflight;
mod keyring;
mod listen;
mod made_answer;
mod metrics;
mod model_info;
mod models;
mod multipart;
mod occupancy;
mod own_call;
mod phase;
mod pool;
mod prepared;
mod presence;
mod raw_reply;
mod refusal_log;
mod relay;
mod reload;
mod reply;
mod request;
mod respond;
mod response_headers;
mod route;
mod serve;
mod served_kinds;
mod spool;
mod unreachable;
mod upload;
mod upstream_failure;
mod upstream_request;
mod upstream_token;
mod usable_input;
mod verdict_gate;
mod web;
mod whole_body;
mod worker;

pub use current_app::{CurrentApp, WeakCurrentApp};
pub(crate) use inflight::InFlight;
pub use listen::{Listener, Server, Stop};
pub use own_call::OwnCalls;
pub use reload::{NoReload, ReloadReport, ReloadRequest, Reloads, RunningReload};
pub(crate) use web::WebRules;

use crate::app::App;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use callgate_call::KeyHolder;
use callgate_failure::Failure;
use client::ClientAddress;
use connection_timer::ConnectionTimer;
use error::ErrorForm;
use futures_util::future::{Either, FutureExt as _};
use http_body_util::{Either as EitherBody, Full};
use hyper::body::Incoming;
use route::Route;
use std::{convert::Infallible, future::ready, sync::Arc, time::Instant};

/// The body of a request.
type RequestBody = Incoming;

/// The body of a response: in one piece, or of any other kind.
type AnswerBody = EitherBody<Full<Bytes>, Body>;

/// The sender of a request: its connection's timer and its client's address.
type Sender = (ConnectionTimer, ClientAddress);

/// Answers the requests of a connection.
#[derive(Clone, Debug)]
struct Surface {
    current: CurrentApp,
    client: ClientAddress,
}

impl Surface {
    fn new(current: &CurrentApp) -> Self {
        Self { current: current.clone(), client: ClientAddress::default() }
    }

    /// The same for the connection of `client`.
    fn for_client(&self, client: ClientAddress) -> Self {
        Self { client, ..self.clone() }
    }

    /// Calls bypass the generic path: boxing and matching them twice would cost a tenth of a
    /// small call.
    fn answer(
        &self,
        timer: &ConnectionTimer,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<hyper::Response<AnswerBody>, Infallible>> + use<> {
        let app = self.current.load();
        let framed = codings::check(request.body(), request.headers());
        if let Err(failure) =
            framed.and_then(|()| host::check(request.version(), request.headers()))
        {
            let client = self.client.of_request(&app.trusted_proxies, request.headers());
            let form = ErrorForm::of_path(request.uri().path());
            let mut refused = host::refused(client.as_deref(), &failure, form);
            add_call_id(&app, &request, &mut refused);
            if request.headers().contains_key(header::ORIGIN) {
                let origin = web::origin(request.headers());
                app.web.mark(origin.as_ref(), refused.headers_mut());
            }
            let refused = refused.map(EitherBody::Right);
            return Either::Right(Either::Left(ready(Ok(refused))));
        }
        let from = (timer.clone(), self.client.clone());
        if request.method() == Method::POST
            && let Some((_, kind)) = call_paths::named(request.uri().path())
            && !request.headers().contains_key(header::ORIGIN)
        {
            // Mapped, because an `async` block would keep room for the call twice.
            return Either::Left(chat::call(app, from, request, (kind, None)).map(Ok));
        }
        let marked = async { Ok(marked(app, from, request).await) };
        Either::Right(Either::Right(Box::pin(marked)))
    }
}

/// Adds an id to every response on the path of a call.
fn add_call_id<B>(app: &App, request: &hyper::Request<B>, response: &mut Response) {
    if let Some(Route::Call(..)) = Route::of(request.uri().path())
        && let Ok(id) = HeaderValue::from_str(&request::call_id(app, request.headers()))
    {
        response.headers_mut().insert(request::CALL_ID, id);
    }
}

/// Answers any request, and marks the response as readable for the page that sent it, if allowed
/// (CORS).
async fn marked(
    app: Arc<App>,
    from: Sender,
    request: hyper::Request<Incoming>,
) -> hyper::Response<AnswerBody> {
    if !request.headers().contains_key(header::ORIGIN) {
        return routed(app, from, request).await;
    }
    let origin = web::origin(request.headers());
    let mut response = routed(Arc::clone(&app), from, request).await;
    app.web.mark(origin.as_ref(), response.headers_mut());
    response
}

async fn routed(
    app: Arc<App>,
    from: Sender,
    request: hyper::Request<Incoming>,
) -> hyper::Response<AnswerBody> {
    let route = Route::of(request.uri().path());
    if let Some(Route::Call(kind, model)) = route
        && request.method() == Method::POST
    {
        let model = model.map(str::to_owned);
        return chat::call(app, from, request, (kind, model)).await;
    }
    small(app, from.1, request).await.map(EitherBody::Right)
}

/// Answers everything except calls, and logs it.
async fn small(
    app: Arc<App>,
    client: ClientAddress,
    request: hyper::Request<Incoming>,
) -> Response {
    let accepted = Instant::now();
    let (head, mut body) = request.into_parts();
    let path = head.uri.path();
    let route = Route::of(path);
    let asked = route.filter(|route| route.takes(&head.method));
    let client = client.of_request(&app.trusted_proxies, &head.headers);
    let mut caller = None;
    let from = (&head, client.as_deref(), accepted);
    let admitted = request::admit(&app, from, asked, &mut caller).await;
    let answered = match admitted {
        Ok(_) if route == Some(Route::Reload) && head.method == Method::POST => {
            admin::ask(&app, head.uri.query()).await.map_err(Refused::from)
        }
        Ok(holder) => respond((&app, holder.as_deref()), &head, route).await,
        Err(failure) => Err(failure.into()),
    };
    let (mut response, failure) = match answered {
        Ok(response) => (response, None),
        Err(Refused { failure, detail }) => {
            (error::with_detail(&failure, detail, ErrorForm::of_path(path)), Some(failure))
        }
    };
    let headers = response.headers_mut();
    if let Some(route) = route
        && (head.method == Method::OPTIONS || !route.takes(&head.method))
    {
        headers.insert(header::ALLOW, HeaderValue::from_static(route.allow()));
    }
    if let Some(Route::Call(..)) = route
        && let Ok(id) = HeaderValue::from_str(&request::call_id(&app, &head.headers))
    {
        headers.insert(request::CALL_ID, id);
    }
    body::end(&head.headers, &mut body, headers).await;
    let key = match &caller {
        Some(caller) => Some(&*caller.key_id),
        None => auth::key_id(&app, &head.headers),
    };
    access_log::small_endpoint(
        &app,
        (&head.method, path),
        (client.as_deref(), key),
        &response,
        accepted,
        failure.as_ref(),
    );
    response
}

/// A refused request, and LiteLLM's `detail` for it.
struct Refused {
    failure: Failure,
    detail: Option<&'static str>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, detail: None }
    }
}

/// Answers an admitted request of a small endpoint; `holder` is the one of its key.
async fn respond(
    (app, holder): (&App, Option<&KeyHolder>),
    head: &http::request::Parts,
    route: Option<Route<'_>>,
) -> Result<Response, Refused> {
    let headers = &head.headers;
    if head.method == Method::OPTIONS && headers.contains_key(header::ORIGIN) {
        let origin = web::origin(headers);
        return Ok(empty(StatusCode::OK, app.web.preflight(headers, origin.as_ref())?));
    }
    let Some(route) = route else { return elsewhere(head) };
    if head.method == Method::OPTIONS {
        return Ok(empty(StatusCode::NO_CONTENT, HeaderMap::new()));
    }
    Ok(match route {
        _ if !route.takes(&head.method) => return Err(wrong_method(route, &head.method)),
        // Calls never come here.
        Route::Call(..) => return Err(wrong_method(route, &head.method)),
        Route::Reload => admin::last(app),
        Route::Models => Box::pin(models::list(app, holder)).await?,
        Route::Model(name) => Box::pin(models::one(app, holder, name)).await?,
        Route::ModelInfo => Box::pin(model_info::list(app, holder, head.uri.query())).await?,
        Route::Health => Box::pin(model_info::health(app, holder, head.uri.query())).await?,
        Route::Callbacks => callbacks::list(app),
        Route::ActiveCallbacks => callbacks::active(app),
        Route::Alive => health::alive(),
        Route::Ready => health::ready(app),
        Route::Metrics => metrics::all(app),
        Route::Root => health::root(),
    })
}

fn empty(status: StatusCode, headers: HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Answers an unknown path: redirects it if it is known without its trailing slash.
fn elsewhere(head: &http::request::Parts) -> Result<Response, Refused> {
    let path = head.uri.path();
    if let Some(trimmed) = route::without_slash(path) {
        let location = match head.uri.query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(location) = HeaderValue::from_str(&location) {
            let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
            return Ok(empty(StatusCode::TEMPORARY_REDIRECT, headers));
        }
    }
    let path = refusal_log::shortened(path);
    let failure = Failure::unknown_path(&path);
    Err(Refused { failure, detail: Some("Not Found") })
}

fn wrong_method(route: Route<'_>, method: &Method) -> Refused {
    let method = refusal_log::shortened(method.as_str());
    let failure = Failure::wrong_method(route.allow(), &method);
    Refused { failure, detail: Some("Method Not Allowed") }
}
