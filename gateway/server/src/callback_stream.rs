//! A stream that a callback answers a call with: opened for the relay, or put together for a client
//! that asked for no stream. It is read as OpenAI's dialect, so it has the checks of an upstream's.

use super::{
    connection_timer::ConnectionTimer,
    flight::Flight,
    relay::{CallbackStream, OpenStream, StreamSource, Waits},
    request,
};
use bytes::Bytes;
use callgate_deployments::DEFAULT_TIMEOUT;
use callgate_failure::Failure;
use callgate_json::joined;
use callgate_providers::{
    CallKind, Dialect, Echo, StreamRequest, Usage, openai::OpenAi,
    stream_as_completion::CompletionFromStream, through_chat,
};
use std::time::{Duration, Instant};

const DIALECT: &dyn Dialect = &OpenAi;

/// How long the callback may keep the client waiting: as the client says, else as the deployment
/// that would have served the call.
pub(super) fn timeout(flight: &mut Flight) -> Result<Duration, Failure> {
    let (app, _, call) = flight.parts();
    if let Some(wish) = request::timeout(call)? {
        return Ok(wish);
    }
    let Some(target) = call.planned(&app.deployments) else { return Ok(DEFAULT_TIMEOUT) };
    let deployment = target.deployment();
    Ok(if call.stream { deployment.stream_timeout } else { deployment.timeout })
}

/// Opens the stream; `kind` is that of the call, and `echoed` what its answer repeats of it.
pub(super) fn open(
    stream: CallbackStream,
    (echo, (kind, echoed)): (&Echo, &(CallKind, Bytes)),
    usage: bool,
    waits: Waits,
) -> OpenStream {
    let usage = usage || *kind != CallKind::Chat;
    let mut translator = DIALECT.stream(echo, StreamRequest { usage, choices: 1 });
    if *kind != CallKind::Chat {
        translator = through_chat::stream(*kind, translator, (echo, echoed));
    }
    OpenStream { answer: StreamSource::Callback(stream), translator, waits }
}

/// Puts the stream together.
pub(super) async fn whole(
    mut stream: CallbackStream,
    echo: &Echo,
    (timer, timeout): (&ConnectionTimer, Duration),
    limit: usize,
) -> Result<(Bytes, Option<Usage>), Failure> {
    let mut together = CompletionFromStream::new(DIALECT, echo, 1);
    let (end, mut length) = (Instant::now().checked_add(timeout), 0);
    loop {
        let Some(next) = timer.until(end, stream.reader.next()).await else {
            return Err(stream.late(timeout));
        };
        let Some(bytes) = next else { break };
        length += bytes.len();
        if length > limit {
            return Err(Failure::reply_too_large(&stream.by, limit));
        }
        if together.push(&bytes) {
            break;
        }
    }
    let ended = together.end(b"").map_err(|fault| stream.failure(fault))?;
    let completion = ended.completion();
    Ok((joined(completion.body), completion.usage))
}
