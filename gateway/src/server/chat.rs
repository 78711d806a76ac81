//! `POST /v1/chat/completions`: the story of a call, step by step.

use super::{
    AnswerBody, CALLS, RequestBody,
    access_log::{self, Record},
    alarm::Alarm,
    bulk::{Bulk, joined},
    client::ClientAddress,
    completion, error,
    flight::{Flight, refused},
    outbound::{self, Sent},
    read,
    relay::Relay,
    request,
    unreachable::unreachable,
};
use crate::{
    app::App,
    call::Call,
    callbacks::{Reply, Started, Streamed},
    failure::Failure,
    json::{Arriving, BodyError, Slices},
    provider::{Destination, Echo, Outgoing},
    upstream::{self, Answer, Lines, UpstreamError},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Accept → start hooks → choose → translate → send → relay → end or error hooks → record.
/// `path_model` comes from an Azure-style path, still encoded.
pub(super) async fn call(
    app: Arc<App>,
    (alarm, client): (Alarm, ClientAddress),
    request: Request<RequestBody>,
    path_model: Option<String>,
) -> Response<AnswerBody> {
    let accepted = Instant::now();
    let (mut head, mut body) = request.into_parts();
    let id = request::call_id(&head.headers);
    let mut record = Record::new(id.clone(), path(&head.uri), accepted);
    record.client = client.of_request(&app.trusted_proxies, &head.headers);
    let call = request::accept((&app, &alarm), &mut head, &mut body, path_model, &mut record);
    let call = call.await;
    let mut response = match call {
        Err(failure) => {
            let mut response = refused(&app, &record, &failure).map(AnswerBody::Right);
            read::end(&head.headers, &mut body, response.headers_mut()).await;
            response
        }
        Ok(call) => {
            alarm.request_is_whole();
            call.requested_model.clone_into(&mut record.requested_model);
            record.stream = call.stream;
            let flight = Flight::new(app, alarm, record, call);
            answer(flight).await
        }
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(request::CALL_ID, id);
    }
    response
}

/// Borrowed where it names no model.
fn path(uri: &Uri) -> Cow<'static, str> {
    let usual = CALLS.iter().find(|usual| **usual == uri.path());
    let owned = || Cow::Owned(access_log::shortened(uri.path()).into_owned());
    usual.map_or_else(owned, |usual| Cow::Borrowed(*usual))
}

async fn answer(mut flight: Flight) -> Response<AnswerBody> {
    match attempt(&mut flight).await {
        Ok(Attempted::Json(response)) => response.map(AnswerBody::Left),
        Ok(Attempted::Stream(relay, head)) => {
            relay.into_response(flight, head).map(AnswerBody::Right)
        }
        Err(failure) => {
            let failure = flight.told(failure);
            error::response(&flight.failed(failure).await).map(AnswerBody::Right)
        }
    }
}

/// How an attempt went well.
enum Attempted {
    /// Answered; the call has ended.
    Json(Response<Full<Bytes>>),
    /// A stream has begun; the call ends with it.
    Stream(Box<Relay>, HeaderMap),
}

/// One attempt at one deployment; where retries and fallbacks will loop.
async fn attempt(flight: &mut Flight) -> Result<Attempted, Failure> {
    if let Some(done) = start(flight).await? {
        return Ok(done);
    }
    let (sent, outgoing, lines) = prepare(flight)?;
    if let Some(text) = &sent.target.deployment().mock_response {
        let reply = plugin_api::Reply::Text(text.clone());
        return made(flight, &reply, &sent.echo).await;
    }
    let app = Arc::clone(&flight.app);
    if let Some((_, _, call)) = flight.parts() {
        call.asked = true;
    }
    let posting = upstream::post(&outgoing.url, lines, outgoing.body, (&app.tls, app.reuse));
    let end = sent.started.checked_add(sent.timeout);
    let answer = flight.alarm.until(end, posting).await;
    let answer = answer.unwrap_or(Err(UpstreamError::Timeout(sent.timeout)));
    let mut answer = answer.map_err(|error| unreachable(&error, &sent))?;
    flight.record.upstream = Some(sent.started.elapsed());
    if answer.status > 599 {
        return Err(outbound::no_status(answer.status, &sent));
    }
    if !(200..300).contains(&answer.status) {
        return Err(outbound::upstream_error(&app, &flight.alarm, answer, &sent).await);
    }
    let streaming = flight.record.stream;
    if streaming {
        let head = outbound::answer_headers(&flight.app, &sent, &answer.headers);
        let dialect = sent.target.deployment().provider.dialect;
        let translator = dialect.stream(&sent.echo, sent.include_usage);
        let mut relay = Box::new(Relay::new(answer, translator, sent.timeout));
        relay.begin(flight).await?;
        return Ok(Attempted::Stream(relay, head));
    }
    json_reply(flight, &mut answer, &sent).await.map(Attempted::Json)
}

/// The start hooks; a callback's own answer ends the call here.
async fn start(flight: &mut Flight) -> Result<Option<Attempted>, Failure> {
    let Some((app, chain, call)) = flight.parts() else {
        return Err(Failure::internal("ended twice"));
    };
    match chain.start(call, &app.deployments).await {
        Started::Continue => Ok(None),
        Started::Failed(failure) => Err(failure),
        Started::Replied { by, reply } => {
            let echo = echo(call);
            flight.record.callback = Some(by);
            made(flight, &reply, &echo).await.map(Some)
        }
    }
}

/// Chooses the deployment and translates the request for it.
fn prepare(flight: &mut Flight) -> Result<(Sent, Outgoing, Lines), Failure> {
    let Some((app, _, call)) = flight.parts() else { return Err(Failure::internal("ended twice")) };
    call.settle_messages();
    request::require_messages(call)?;
    let Some(target) = call.planned(&app.deployments).cloned() else {
        return Err(request::unknown_model(call.model()));
    };
    flight.target = Some(target.clone());
    let Some((app, _, call)) = flight.parts() else { return Err(Failure::internal("ended twice")) };
    let deployment = target.deployment();
    if deployment.mock_response.is_none()
        && let Some(variable) = target.unset_variable()
    {
        return Err(outbound::missing_variable(call.model(), variable));
    }
    let configured = if call.stream { deployment.stream_timeout } else { deployment.timeout };
    let timeout = request::timeout(call, configured)?;
    let started = Instant::now();
    call.deadline = started.checked_add(timeout);
    let include_usage = call.stream && call.param("stream_options.include_usage") == Some("true");
    let to = Destination {
        model: target.upstream_model(),
        api_base: target.api_base(),
        params: &target.params(),
        drop_params: deployment.drop_params,
        stream: call.stream,
    };
    let outgoing = deployment.provider.dialect.request(&mut call.body, &to)?;
    let lines = outbound::request_lines(&app.hop, call, &target, &outgoing.url);
    let echo = echo(call);
    flight.record.deployment = Some(Arc::clone(deployment));
    target.upstream_model().clone_into(&mut flight.record.upstream_model);
    Ok((Sent { target, echo, include_usage, timeout, started }, outgoing, lines))
}

/// An answer made here, as JSON or as a stream.
async fn made(
    flight: &mut Flight,
    reply: &plugin_api::Reply,
    echo: &Echo,
) -> Result<Attempted, Failure> {
    if flight.record.stream {
        let relay = Box::new(Relay::made(completion::chunks(reply, echo)?));
        return Ok(Attempted::Stream(relay, HeaderMap::new()));
    }
    let body: Bytes = completion::whole(reply, echo)?.into();
    finish_json(flight, [body].into(), HeaderMap::new(), true).await.map(Attempted::Json)
}

/// Reads, translates and sends a JSON reply.
async fn json_reply(
    flight: &mut Flight,
    answer: &mut Answer,
    sent: &Sent,
) -> Result<Response<Full<Bytes>>, Failure> {
    let headers = outbound::answer_headers(&flight.app, sent, &answer.headers);
    let limit = flight.app.limits.max_reply_bytes;
    if answer.announced().is_some_and(|length| length > limit as u64) {
        return Err(outbound::too_large(limit, sent));
    }
    let (mut arriving, mut bulk, mut length) = (Arriving::new(), Bulk::default(), 0);
    let status = answer.status;
    let not_json = |what: String| outbound::no_completion(status, what, sent);
    loop {
        let next = flight.alarm.within(sent.timeout, answer.next()).await;
        let next = next.unwrap_or(Some(Err(UpstreamError::Timeout(sent.timeout))));
        match next {
            None => break,
            Some(Ok(bytes)) if length + bytes.len() <= limit => {
                length += bytes.len();
                let read = bulk.add(bytes, |bytes| arriving.push(bytes));
                read.map_err(|error| not_json(error.to_string()))?;
            }
            Some(Ok(_)) => return Err(outbound::too_large(limit, sent)),
            Some(Err(error)) => return Err(unreachable(&error, sent)),
        }
    }
    if length == 0 {
        return Err(not_json(String::new()));
    }
    let last = bulk.rest().map_or(Ok(()), |bytes| arriving.push(bytes));
    last.map_err(|error| not_json(error.to_string()))?;
    let body = arriving.finish().map_err(|error: BodyError| not_json(error.to_string()))?;
    let dialect = sent.target.deployment().provider.dialect;
    let translated = dialect.reply(body, &sent.echo)?;
    flight.record.usage = translated.usage;
    finish_json(flight, translated.body, headers, false).await
}

/// The end hooks, then the response.
async fn finish_json(
    flight: &mut Flight,
    body: Slices,
    mut headers: HeaderMap,
    from_callback: bool,
) -> Result<Response<Full<Bytes>>, Failure> {
    let said = Streamed::default();
    let mut reply = Reply::new(200, Some(joined(body)), &said);
    reply.from_callback = from_callback;
    flight.answered(200, &mut reply).await?;
    for (name, value) in reply.headers {
        headers.insert(name, value);
    }
    outbound::duration_headers(&mut headers, &flight.record);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = Response::new(Full::new(reply.json.unwrap_or_default()));
    *response.headers_mut() = headers;
    Ok(response)
}

fn echo(call: &Call) -> Echo {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let id = ["chatcmpl-", &call.id].concat();
    Echo { id, created, model: call.requested_model.clone() }
}
