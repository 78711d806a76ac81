//! Answers that no upstream gives: a deployment's fixed one, and those of callbacks.

use super::{
    attempted::Attempted,
    callback_stream, completion,
    flight::Flight,
    prepared,
    relay::{CallbackStream, Relay, Waits},
    upstream_request::Sent,
    verdict_gate,
};
use callgate_failure::Failure;
use callgate_providers::{CallKind, Echo, openai};
use http::HeaderMap;
use std::{future::ready, pin::pin, time::Instant};

/// A deployment's fixed answer, once the hooks beside the request that is not sent have passed it.
pub(super) async fn mocked(flight: &mut Flight, sent: Sent) -> Result<Attempted, Failure> {
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
pub(super) async fn made(
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
pub(super) async fn streamed(
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
