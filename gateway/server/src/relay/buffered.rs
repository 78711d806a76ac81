//! A stream that is collected before its client gets any of it, because the end hooks of a callback
//! may change or reject it. Meanwhile the client gets comments.

use super::super::{completion, fault, flight::Flight, prepared};
use bytes::Bytes;
use callgate_callbacks::{EndPayload, StreamedText, is_completion, offload::offload};
use callgate_failure::{Failure, Form};
use callgate_json::LARGE;
use callgate_providers::{CallKind, ChunkSink as _, CompletionBuilder, Echo};

/// What has come of a collected stream.
pub(super) struct Collected {
    whole: CompletionBuilder,
    /// The bytes of its chunks.
    bytes: usize,
}

impl Collected {
    pub(super) fn new(limit: usize) -> Self {
        Self { whole: CompletionBuilder::within(limit), bytes: 0 }
    }

    /// Adds frames that would have been sent.
    pub(super) fn add(&mut self, frames: &[u8], flight: &Flight) -> Result<(), Failure> {
        let limit = flight.app.limits.max_reply_bytes;
        self.bytes += frames.len();
        if self.bytes > limit {
            return Err(Failure::reply_too_large(&source_of(flight), limit));
        }
        for frame in frames.split(|byte| *byte == b'\n') {
            if let Some(json) = frame.strip_prefix(b"data: ") {
                self.whole.chunk(&[json]);
            }
        }
        Ok(())
    }

    /// Runs the end hooks on the completion that the stream came to. Returns the chunks for the
    /// client.
    pub(super) async fn finish(self, flight: &mut Flight) -> Result<Vec<String>, Failure> {
        let (_, _, call) = flight.parts();
        let (echo, include_usage) = (completion::echo(call), prepared::usage(call).await?);
        let body = work(self.bytes, {
            let echo = echo.clone();
            move || completed(self, &echo)
        });
        let body = judged(flight, body.await??).await?;
        let length = body.len();
        let chunks = move || {
            completion::chunks(CallKind::Chat, &body, (&echo, &Bytes::new()), include_usage)
        };
        work(length, chunks).await?
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
