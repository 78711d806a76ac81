//! One attempt at one deployment: choose → translate → send → the beginning of the answer.

use super::{
    access_log::Record,
    attempted::Attempted,
    completion,
    connection_timer::ConnectionTimer,
    flight::Flight,
    made_answer, prepared, presence, raw_reply,
    relay::{self, OpenStream, Relay, StreamSource, Waits},
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
use callgate_callbacks::DuringHooks;
use callgate_failure::Failure;
use callgate_providers::{
    CallKind, Outgoing, StreamRequest, passed_events, reasoning_in_text::ReasoningInText,
    through_chat,
};
use callgate_upstream::{UpstreamError, UpstreamResponse};
use futures_util::{FutureExt as _, future::Either};
use http::HeaderMap;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// Chooses the deployment and translates the request for it.
pub(super) async fn prepare(flight: &mut Flight) -> Result<Attempt, Failure> {
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

/// Gets the answer to a prepared request. Not an `async fn`, whose future would have room for the
/// attempt twice; all but the usual way is boxed.
pub(super) fn answered<'a>(
    flight: &'a mut Flight,
    attempt: Attempt,
) -> impl Future<Output = Result<Attempted, Failure>> + 'a {
    if attempt.sent.target.deployment().mock_response.is_some() {
        return Either::Right(made_answer::mocked(flight, attempt.sent).boxed());
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
