//! The steps of a call, in order. Most calls are chats; other kinds take the same way.

use super::{
    AnswerBody, RequestBody,
    access_log::Record,
    body, call_paths, callback_stream,
    client::ClientAddress,
    completion,
    connection_timer::ConnectionTimer,
    error,
    error::ErrorForm,
    flight::{Flight, refused},
    prepared, presence,
    raw_reply::{self, RawReply},
    relay::{self, CallbackStream, OpenStream, Relay, StreamSource, Waits},
    reply::json_reply,
    request, response_headers, served_kinds,
    unreachable::unreachable,
    upload::OutgoingForm,
    upstream_failure,
    upstream_request::{self, Attempt, Sent},
    upstream_token, verdict_gate,
};
use crate::app::App;
use bytes::Bytes;
use callgate_call::ResponseSlot;
use callgate_callbacks::{CallbackReply, DuringHooks, Started};
use callgate_failure::Failure;
use callgate_host::depth::AtDepth;
use callgate_providers::{
    CallKind, Echo, Outgoing, StreamRequest, openai, passed_events,
    reasoning_in_text::ReasoningInText, through_chat,
};
use callgate_upstream::{UpstreamError, UpstreamResponse};
use futures_util::{FutureExt as _, future::Either};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use std::{
    borrow::Cow,
    future::ready,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// Accept → start hooks → choose → translate → send → relay → end or error hooks → record.
/// The kind comes from the path, and so does the model in a path of Azure's form, still encoded.
pub(super) fn call(
    app: Arc<App>,
    (timer, client): (ConnectionTimer, ClientAddress),
    request: Request<RequestBody>,
    (kind, path_model): (CallKind, Option<String>),
) -> impl Future<Output = Response<AnswerBody>> + use<> {
    let accepted = Instant::now();
    // Destructured here, because the future would otherwise hold both the whole and its parts.
    let (mut head, mut body) = request.into_parts();
    let id = request::call_id(&app, &head.headers);
    let mut record = Record::new(id.clone(), path(&head.uri), accepted);
    record.client = client.of_request(&app.trusted_proxies, &head.headers);
    async move {
        let asked = (kind, path_model);
        let call = request::accept((&app, &timer), &mut head, &mut body, asked, &mut record);
        let call = call.await;
        let mut response = match call {
            Err(failure) => {
                let mut response = refused(&app, &record, &failure).map(AnswerBody::Right);
                body::end(&head.headers, &mut body, response.headers_mut()).await;
                response
            }
            Ok((call, held, upload)) => {
                timer.request_is_whole();
                record.requested_model = Some(Arc::clone(&call.requested_model));
                record.stream = call.stream;
                let depth = request::depth(&app, &call.headers);
                let flight = Flight::new(app, timer, record, (call, held, upload));
                match depth {
                    0 => answer(flight).await,
                    // Rare, so it takes no room in every call's future.
                    _ => AtDepth::new(depth, answer(flight)).await,
                }
            }
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(request::CALL_ID, id);
        }
        response
    }
}

/// Runs a call from the start hooks to its end. Not an `async fn`, whose future would have room for
/// the flight twice.
#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` is larger")]
pub(super) fn answer(mut flight: Flight) -> impl Future<Output = Response<AnswerBody>> {
    async move {
        let form = ErrorForm::of(flight.parts().2.kind);
        match attempt(&mut flight).await {
            Ok(Attempted::Json(body, headers)) => match flight.finish_json(body, headers).await {
                Ok(response) => response.map(AnswerBody::Left),
                Err(failure) => error::response(&failure, form).map(AnswerBody::Right),
            },
            Ok(Attempted::Raw(answer)) => match Box::pin(flight.finish_raw(*answer)).await {
                Ok(response) => response.map(AnswerBody::Left),
                Err(failure) => error::response(&failure, form).map(AnswerBody::Right),
            },
            Ok(Attempted::Stream(relay, head)) => {
                relay.into_response(flight, head).map(AnswerBody::Right)
            }
            // Rare futures are boxed where they are awaited, because otherwise every call's future
            // would have room for them.
            Err(failure) => {
                let failure = Box::pin(flight.fail(failure)).await;
                error::response(&failure, form).map(AnswerBody::Right)
            }
        }
    }
}

/// The path as the log shows it; borrowed if it names no model.
fn path(uri: &Uri) -> Cow<'static, str> {
    let owned = || Cow::Owned(crate::refusal_log::shortened(uri.path()).into_owned());
    call_paths::named(uri.path()).map_or_else(owned, |(named, _)| Cow::Borrowed(named))
}

/// How an attempt succeeded.
pub(super) enum Attempted {
    /// A JSON reply, with the headers that come from its deployment; the end hooks come next.
    Json(Bytes, HeaderMap),
    /// An answer of another kind.
    Raw(Box<RawReply>),
    /// A stream that has begun. The call ends when the stream does.
    Stream(Box<Relay>, HeaderMap),
}

/// Makes one attempt at one deployment.
async fn attempt(flight: &mut Flight) -> Result<Attempted, Failure> {
    if let Some(done) = start(flight).await? {
        return Ok(done);
    }
    let attempt = prepare(flight).await?;
    answered(flight, attempt).await
}

/// Gets the answer to a prepared request. Not an `async fn`, whose future would have room for the
/// attempt twice; all but the usual way is boxed.
fn answered<'a>(
    flight: &'a mut Flight,
    attempt: Attempt,
) -> impl Future<Output = Result<Attempted, Failure>> + 'a {
    if attempt.sent.target.deployment().mock_response.is_some() {
        return Either::Right(mocked(flight, attempt.sent).boxed());
    }
    flight.parts().2.asked = true;
    let (app, chain, call) = flight.parts();
    let hooks = chain.during(call, &app.deployments);
    if flight.record.stream {
        return Either::Right(stream(flight, attempt, hooks).boxed());
    }
    match hooks {
        None => Either::Left(json(flight.halves().0, attempt)),
        Some(hooks) => Either::Right(json_beside(flight, attempt, hooks).boxed()),
    }
}

/// Sends the request and returns the whole reply. Not an `async fn`, as [`answer`].
#[expect(clippy::manual_async_fn, reason = "the future of an `async fn` is larger")]
pub(super) fn json<'a>(
    (app, timer, record): (&'a App, &'a ConnectionTimer, &'a mut Record),
    Attempt { sent, outgoing, form, lines }: Attempt,
) -> impl Future<Output = Result<Attempted, Failure>> + 'a {
    async move {
        let (took, answer) = send(app, timer, &sent, (outgoing, form), lines).await;
        record.upstream = took;
        let mut answer = answer?;
        if sent.kind.is_raw() && raw_reply::is_raw(&answer) {
            let reading = raw_reply::read((app, timer, record), &mut answer, &sent);
            return Box::pin(reading).await.map(|raw| Attempted::Raw(Box::new(raw)));
        }
        let (body, headers) = json_reply((app, timer, record), &mut answer, &sent).await?;
        Ok(Attempted::Json(body, headers))
    }
}

/// The same beside hooks.
async fn json_beside(
    flight: &mut Flight,
    attempt: Attempt,
    mut hooks: DuringHooks,
) -> Result<Attempted, Failure> {
    let ((app, timer, record), (chain, call)) = flight.halves();
    let mut reply = pin!(json((app, timer, record), attempt));
    let verdicts = chain.during_verdicts(&mut hooks, call);
    match verdict_gate::passed(timer, verdicts, reply.as_mut(), Result::is_err).await? {
        Some(reply) => reply,
        None => reply.await,
    }
}

/// Sends the request and turns a response with an error status into a failure. Returns the time
/// until the upstream's response began, or for an error until it had come.
fn send<'a>(
    app: &'a App,
    timer: &'a ConnectionTimer,
    sent: &'a Sent,
    (outgoing, form): (Outgoing, Option<Box<OutgoingForm>>),
    lines: Bytes,
) -> impl Future<Output = (Option<Duration>, Result<UpstreamResponse, Failure>)> + 'a {
    let by = (sent.connector(app), app.reuse);
    // Made here, because this large future would otherwise take room twice.
    let posting = match form {
        None => Either::Left(callgate_upstream::post(&sent.url, lines, outgoing.body, by)),
        Some(mut form) => Either::Right(Box::pin(async move {
            let body = (form.length(), &mut *form);
            callgate_upstream::upload(&sent.url, lines, body, by).await
        })),
    };
    async move {
        let limit = sent.first_content.unwrap_or(sent.timeout);
        let answer = timer.until(sent.started.checked_add(limit), pin!(posting)).await;
        let answer = answer.unwrap_or(Err(UpstreamError::Timeout(limit)));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return (None, Err(unreachable(&error, sent))),
        };
        let took = Some(sent.started.elapsed());
        if let Some(facts) = &sent.facts {
            facts.get_or_init(|| response_headers::facts(app, sent, &answer));
        }
        if answer.status > 599 {
            return (took, Err(upstream_failure::no_status(answer.status, sent)));
        }
        if !(200..300).contains(&answer.status) {
            let failure =
                Box::pin(upstream_failure::upstream_error(app, timer, answer, sent)).await;
            return (Some(sent.started.elapsed()), Err(failure));
        }
        (took, Ok(answer))
    }
}

/// Sends the request and waits for the first chunk of its response; with
/// `callgate.stream_keepalive`, only until the client's first keep-alive comment is due. The client
/// gets nothing before the hooks beside the request have let the call pass.
async fn stream(
    flight: &mut Flight,
    attempt: Attempt,
    hooks: Option<DuringHooks>,
) -> Result<Attempted, Failure> {
    let Attempt { sent, outgoing, lines, .. } = attempt;
    let (app, started) = (flight.app.shared(), sent.started);
    let (mut relay, head) = if hooks.is_some() || flight.keepalive().is_some() {
        let (early, keepalive) = (response_headers::early_headers(&app, &sent), flight.keepalive());
        let mut opening = opening(app, flight.timer.clone(), sent, outgoing, lines);
        let mut opened = None;
        if let Some(mut hooks) = hooks {
            let ((_, timer, _), (chain, call)) = flight.halves();
            let verdicts = chain.during_verdicts(&mut hooks, call);
            let failed = |(_, opened): &(_, relay::Opened)| opened.is_err();
            opened = verdict_gate::passed(timer, verdicts, opening.as_mut(), failed).await?;
        }
        if opened.is_none() {
            opened = match keepalive {
                Some(interval) => {
                    let left = interval.saturating_sub(started.elapsed());
                    flight.timer.within(left, &mut opening).await
                }
                None => Some(opening.as_mut().await),
            };
        }
        match opened {
            Some((took, opened)) => {
                flight.record.upstream = took;
                let (open, head) = opened?;
                (Relay::new(open, started), head)
            }
            None if flight.timer.is_cut() => return Err(Failure::shutting_down()),
            None => (Relay::opening(opening, started), early),
        }
    } else {
        let (took, answer) = send(&app, &flight.timer, &sent, (outgoing, None), lines).await;
        flight.record.upstream = took;
        let (open, head) = open(&app, answer?, &sent);
        (Relay::new(open, started), head)
    };
    relay.begin(flight).await?;
    Ok(Attempted::Stream(Box::new(relay), head))
}

/// The same as an owned future, for a client that may get the head of its response first.
fn opening(
    app: Arc<App>,
    timer: ConnectionTimer,
    sent: Sent,
    outgoing: Outgoing,
    lines: Bytes,
) -> relay::Opening {
    Box::pin(async move {
        let (took, answer) = send(&app, &timer, &sent, (outgoing, None), lines).await;
        (took, answer.map(|answer| open(&app, answer, &sent)))
    })
}

/// A stream whose body arrives, and the head of the client's response.
fn open(app: &App, answer: UpstreamResponse, sent: &Sent) -> (OpenStream, HeaderMap) {
    let head = response_headers::answer_headers(app, sent, &answer.headers);
    let deployment = sent.target.deployment();
    let mut translator = match sent.kind {
        CallKind::Chat => deployment.provider.dialect.stream(&sent.echo, sent.asked),
        kind => passed_events::stream(kind, &sent.echo, sent.asked),
    };
    if sent.kind != sent.asked_kind {
        translator = through_chat::stream(sent.asked_kind, translator, (&sent.echo, &sent.echoed));
    } else if deployment.merges_reasoning && sent.kind == CallKind::Chat {
        translator = Box::new(ReasoningInText::new(translator));
    }
    let waits = Waits::new(sent.started, sent.timeout, sent.first_content);
    (OpenStream { answer: StreamSource::Upstream(answer), translator, waits }, head)
}

/// Runs the start hooks. A reply from a callback ends the call here.
async fn start(flight: &mut Flight) -> Result<Option<Attempted>, Failure> {
    let (app, chain, call) = flight.parts();
    match chain.start(call, &app.deployments).await {
        Started::Continue => Ok(None),
        Started::Failed(failure) => Err(failure),
        Started::Replied { by, reply } => {
            let (echo, usage) = (completion::echo(call), prepared::usage(call).await?);
            flight.record.callback = Some(Arc::clone(&by));
            let done = match reply {
                CallbackReply::Whole(reply) => Box::pin(made(flight, &reply, &echo, usage)).await,
                CallbackReply::Stream(reader) => {
                    let stream = CallbackStream { by, reader };
                    Box::pin(streamed(flight, stream, &echo, usage)).await
                }
            };
            done.map(Some)
        }
    }
}

/// Chooses the deployment and translates the request for it.
async fn prepare(flight: &mut Flight) -> Result<Attempt, Failure> {
    let (app, _, call) = flight.parts();
    prepared::settle(call).await?;
    request::require_input(call)?;
    let Some(target) = call.planned(&app.deployments).cloned() else {
        return Err(Failure::unknown_model(call.kind.path(), call.model()));
    };
    flight.target = Some(target.clone());
    let kind = served_kinds::check(flight, &target)?;
    let (_, _, call) = flight.parts();
    let deployment = target.deployment();
    if deployment.mock_response.is_none() {
        if let Some(reason) = &deployment.unserved {
            return Err(Failure::model_not_served(call.model(), reason));
        }
        if let Some(variable) = target.unset_variable() {
            return Err(Failure::missing_variable(call.model(), variable));
        }
    }
    let configured = if call.stream { deployment.stream_timeout } else { deployment.timeout };
    let wish = request::timeout(call)?;
    let timeout = wish.unwrap_or(configured);
    let first_content = deployment.first_content_timeout.filter(|_| call.stream && wish.is_none());
    let started = Instant::now();
    call.deadline = started.checked_add(timeout);
    let (usage, outgoing) = prepared::outgoing(call, &target, kind).await?;
    let asked = StreamRequest { usage, choices: outgoing.choices };
    let (asked_kind, base64) = (call.kind, outgoing.base64);
    let echoed = prepared::echoed(call, kind);
    let url = prepared::url(&target, kind);
    let echo = completion::echo(call);
    let (_, chain, call) = flight.parts();
    let facts = chain.reads_responses().then(ResponseSlot::default);
    call.upstream_response.clone_from(&facts);
    flight.record.deployment = Some(Arc::clone(deployment));
    flight.record.upstream_model = Some(Arc::clone(target.upstream_model()));
    let token = match target.token_source().filter(|_| deployment.mock_response.is_none()) {
        // Boxed, because it is rare and every call's future would have room for it.
        Some(source) => Some(Box::pin(upstream_token::token(flight, &target, source)).await?),
        None => None,
    };
    let form = match flight.upload.take() {
        Some(upload) => Some(Box::new(OutgoingForm::of(&outgoing, upload)?)),
        None => None,
    };
    let (app, _, call) = flight.parts();
    let lines = upstream_request::request_lines(
        &app.hop,
        call,
        (&target, token.as_ref()),
        (&url, kind),
        outgoing.headers,
    );
    let sent = Sent {
        kind,
        asked_kind,
        echoed,
        target,
        url,
        echo,
        asked,
        base64,
        timeout,
        first_content,
        started,
        facts,
    };
    let is_sent = sent.target.deployment().mock_response.is_none();
    if is_sent && started.saturating_duration_since(flight.record.accepted) > presence::LONG {
        presence::still_there(&flight.timer).await?;
    }
    Ok(Attempt { sent, outgoing, form, lines })
}

/// A deployment's fixed answer, once the hooks beside the request that is not sent have passed it.
async fn mocked(flight: &mut Flight, sent: Sent) -> Result<Attempted, Failure> {
    let text = sent.target.deployment().mock_response.clone().unwrap_or_default();
    let reply = plugin_api::Reply::Text(text);
    let ((app, timer, _), (chain, call)) = flight.halves();
    if let Some(mut hooks) = chain.during(call, &app.deployments) {
        let verdicts = chain.during_verdicts(&mut hooks, call);
        verdict_gate::passed(timer, verdicts, pin!(ready(())), |()| false).await?;
    }
    made(flight, &reply, &sent.echo, sent.asked.usage).await
}

/// Returns a completion made by the gateway, as JSON or as a stream.
async fn made(
    flight: &mut Flight,
    reply: &plugin_api::Reply,
    echo: &Echo,
    include_usage: bool,
) -> Result<Attempted, Failure> {
    let (_, _, call) = flight.parts();
    let (kind, echoed) = (call.kind, prepared::echoed(call, CallKind::Chat));
    let echo = (echo, &echoed);
    let body = completion::whole(kind, reply, echo.0)?;
    flight.record.usage = openai::counted(&body);
    if flight.record.stream {
        let chunks = completion::chunks(kind, &body, echo, include_usage)?;
        let mut relay = Box::new(Relay::made(chunks));
        relay.begin(flight).await?;
        return Ok(Attempted::Stream(relay, HeaderMap::new()));
    }
    let body = match reply {
        plugin_api::Reply::Text(_) => completion::answer(kind, body.into(), echo)?,
        _ => body.into(),
    };
    Ok(Attempted::Json(body, HeaderMap::new()))
}

/// Relays the stream that a callback answers with, or puts it together.
async fn streamed(
    flight: &mut Flight,
    stream: CallbackStream,
    echo: &Echo,
    include_usage: bool,
) -> Result<Attempted, Failure> {
    let timeout = callback_stream::timeout(flight)?;
    if flight.record.stream {
        let started = Instant::now();
        let (_, _, call) = flight.parts();
        let form = (call.kind, prepared::echoed(call, CallKind::Chat));
        let waits = Waits::new(started, timeout, None);
        let open = callback_stream::open(stream, (echo, &form), include_usage, waits);
        let mut relay = Box::new(Relay::new(open, started));
        relay.begin(flight).await?;
        return Ok(Attempted::Stream(relay, HeaderMap::new()));
    }
    let limit = flight.app.limits.max_reply_bytes;
    let (body, usage) =
        callback_stream::whole(stream, echo, (&flight.timer, timeout), limit).await?;
    flight.record.usage = usage;
    let (_, _, call) = flight.parts();
    let (kind, echoed) = (call.kind, prepared::echoed(call, CallKind::Chat));
    let body = completion::answer(kind, body, (echo, &echoed))?;
    Ok(Attempted::Json(body, HeaderMap::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future of an async function with four arguments.
    fn future_of<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Every connection has room for one such future for as long as it is open.
    #[test]
    fn the_future_of_a_call_is_small() {
        let size = future_of(call);
        assert!(size < 4096, "expected less than 4096 bytes, found {size}");
    }
}
