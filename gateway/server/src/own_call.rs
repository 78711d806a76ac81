//! Calls that callbacks make. They take the same way as a client's from the start hooks on; there
//! is no connection, and the caller is the callback.

use super::{
    AnswerBody,
    access_log::Record,
    body, chat,
    connection_timer::ConnectionTimer,
    flight::{Flight, refused},
    inflight::Held,
    request,
};
use crate::{CurrentApp, app::App, current_app::WeakCurrentApp};
use callgate_call::{Call, Caller};
use callgate_failure::Failure;
use callgate_host::{ModelCalls, OwnCall};
use callgate_json::Body;
use callgate_providers::CallKind;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use plugin_api::{HostError, HostErrorKind, HttpResponse, abi::serve::BoxFuture};
use std::{borrow::Cow, sync::Arc, time::Instant};

/// The path that the log shows.
const PATH: &str = "/v1/chat/completions";

/// Makes callbacks' calls with the app that is current at the time.
#[derive(Debug)]
pub struct OwnCalls(WeakCurrentApp);

impl OwnCalls {
    /// The calls end with the server.
    #[must_use]
    pub fn new(current: &CurrentApp) -> Self {
        Self(current.downgrade())
    }
}

impl ModelCalls for OwnCalls {
    fn chat(&self, call: OwnCall) -> BoxFuture<Result<HttpResponse, HostError>> {
        let app = self.0.upgrade().map(|current| current.load());
        Box::pin(async move {
            let ending = || HostError::new(HostErrorKind::ENDING, "the gateway is ending");
            Ok(as_http(answered(app.ok_or_else(ending)?, call).await).await)
        })
    }
}

async fn answered(app: Arc<App>, own: OwnCall) -> hyper::Response<AnswerBody> {
    let headers = HeaderMap::new();
    let id = request::call_id(&app, &headers);
    let mut record = Record::new(id, Cow::Borrowed(PATH), Instant::now());
    record.caller = Some(Arc::new(Caller::with_key_id(&format!("callback:{}", own.by))));
    match accepted(&app, own, headers, &mut record) {
        Ok((call, held)) => {
            record.requested_model = Some(Arc::clone(&call.requested_model));
            let flight = Flight::new(app, ConnectionTimer::default(), record, (call, held, None));
            chat::answer(flight).await
        }
        Err(failure) => refused(&app, &record, &failure).map(AnswerBody::Right),
    }
}

/// The call, after the checks that a client's body gets.
fn accepted(
    app: &Arc<App>,
    own: OwnCall,
    headers: HeaderMap,
    record: &mut Record,
) -> Result<(Box<Call>, Held), Failure> {
    let (length, max) = (own.body.len(), app.limits.max_body_bytes);
    if length > max {
        return Err(Failure::body_too_large(max));
    }
    let mut share = app.in_flight.share();
    share.reach(length, length)?;
    let body = Body::parse(own.body.into()).map_err(body::unfit)?;
    let held = Held::new(Arc::clone(&app.in_flight), share.keep(length));
    let mut call = request::accepted_call(app, (headers, body), (CallKind::Chat, None), record)?;
    call.made_by = Some(own.by);
    Ok((call, held))
}

/// The response as the callback gets it.
async fn as_http(response: hyper::Response<AnswerBody>) -> HttpResponse {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return HttpResponse::new(500);
    };
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let mut answer = HttpResponse::new(head.status.as_u16()).with_body(body.to_bytes());
    answer.headers = head.headers.iter().filter_map(text).collect();
    answer
}
