//! A stream that is collected before its client gets any of it, because the end hooks of a callback
//! may change or reject it. Meanwhile the client gets comments.

use super::{super::completion, Ended, Relay};
use crate::{fault, flight::Flight, prepared};
use bytes::Bytes;
use callgate_callbacks::{EndPayload, StreamedText, is_completion, offload::offload};
use callgate_failure::{Failure, Form};
use callgate_json::LARGE;
use callgate_providers::{ChunkSink as _, CompletionBuilder, Echo};

/// What has come of a collected stream.
pub(super) struct Collected {
    whole: CompletionBuilder,
    /// The bytes of its chunks.
    bytes: usize,
}

impl Relay {
    /// Collects the stream until it is complete, or the client's first keep-alive is due. Until
    /// then, a failure has a status of its own.
    pub(super) async fn collect(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let limit = flight.app.limits.max_reply_bytes;
        let whole = CompletionBuilder::within(limit);
        self.collected = Some(Box::new(Collected { whole, bytes: 0 }));
        // The callbacks' chunks are collected here.
        self.out.assembled = None;
        while self.collected.is_some() && self.opening.is_none() {
            let waits = self.out.is_empty() && self.ended == Ended::No;
            if waits && !self.arrive_or_be_due(&flight.timer).await? {
                return Ok(());
            }
            if flight.first_token.is_none() && !self.out.is_empty() {
                flight.first_token = Some(flight.record.accepted.elapsed());
            }
            if self.out.for_callbacks {
                self.show(flight).await?;
            }
            self.take_shown(flight).await?;
        }
        Ok(())
    }

    /// Collects the chunks that are ready for the client. At the end, runs the end hooks and puts
    /// their result in place.
    pub(super) async fn take_shown(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let limit = flight.app.limits.max_reply_bytes;
        let frames = self.out.frames.split();
        let Some(collected) = &mut self.collected else { return Ok(()) };
        collected.bytes += frames.len();
        if collected.bytes > limit {
            return Err(Failure::reply_too_large(&source_of(flight), limit));
        }
        for frame in frames[..].split(|byte| *byte == b'\n') {
            if let Some(json) = frame.strip_prefix(b"data: ") {
                collected.whole.chunk(&[json]);
            }
        }
        let unseen = &self.out.unseen;
        if self.ended != Ended::Complete || !unseen.is_empty() || unseen.holds_text() {
            return Ok(());
        }
        let Some(collected) = self.collected.take() else { return Ok(()) };
        if let Some(open) = &self.open {
            flight.record.usage = open.translator.usage();
        }
        if flight.record.upstream.is_some() {
            flight.record.upstream = self.took.or(flight.record.upstream);
        }
        let (_, _, call) = flight.parts();
        let (echo, include_usage) = (completion::echo(call), prepared::usage(call).await?);
        let body = work(collected.bytes, {
            let echo = echo.clone();
            move || completed(*collected, &echo)
        });
        let body = judged(flight, body.await??).await?;
        let length = body.len();
        let chunks = work(length, move || completion::chunks(&body, &echo, include_usage)).await?;
        // The end hooks are done: nobody needs the text any more.
        (self.out.for_callbacks, self.out.streamed) = (false, None);
        chunks.iter().for_each(|chunk| self.out.chunk(&[chunk.as_bytes()]));
        Ok(())
    }
}

fn completed(collected: Collected, echo: &Echo) -> Result<Bytes, Failure> {
    let whole = collected.whole;
    whole.judge().map_err(|fault| fault::failure(fault, Form::Stream))?;
    Ok(whole.completion(echo).into())
}

/// Runs the end hooks, and returns the completion as they left it. Headers that they set are sent
/// if the client does not have the head of its response.
async fn judged(flight: &mut Flight, body: Bytes) -> Result<Bytes, Failure> {
    let said = StreamedText::default();
    let mut reply = EndPayload::new(200, Some(body), &said);
    flight.run_end_hooks(&mut reply).await?;
    let (headers, json) = (reply.headers, reply.json.unwrap_or_default());
    let (_, _, call) = flight.parts();
    for (name, value) in headers {
        call.reply_headers.retain(|(known, _)| *known != name);
        call.reply_headers.push((name, value));
    }
    match std::str::from_utf8(&json).is_ok_and(is_completion) {
        true => Ok(json),
        false => Err(Failure::callbacks_reply_is_no_completion()),
    }
}

/// Large data is worked on outside the worker, whose other calls would have to wait.
async fn work<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes > LARGE { offload(work).await } else { Ok(work()) }
}

/// Who sent the stream, for a message.
fn source_of(flight: &Flight) -> String {
    let label = flight.target.as_ref().map(|target| target.deployment().label.to_string());
    let by = flight.record.callback.as_ref().map(ToString::to_string);
    by.or(label).unwrap_or_default()
}
