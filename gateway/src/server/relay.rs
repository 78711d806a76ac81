//! A streamed answer on its way to the client: translated, looked at by callbacks, sent on.
//!
//! What arrived together is sent together; nothing waits for more. A stream that breaks ends in an
//! error frame and no `[DONE]`: the client must never take half an answer for a whole one.

use super::{
    alarm::Alarm,
    error,
    flight::{Flight, shutting_down},
    outbound,
    unreachable::undecodable,
};
use crate::{
    callbacks::{Chunk, Streamed},
    coding::CodingError,
    failure::Failure,
    provider::{ChunkSink, StreamFailure, StreamTranslator, UpstreamError as Said},
    upstream::{Answer, UpstreamError},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use plugin_api::FailureKind;
use std::{collections::VecDeque, convert::Infallible, time::Duration};

/// Enough for one write; the rest of what has arrived goes into the next.
const ENOUGH: usize = 32 * 1024;

/// How long a complete answer may take to end on the wire before its connection is given up.
const RELEASE_TIME: Duration = Duration::from_secs(1);

const DONE: &[u8] = b"data: [DONE]\n\n";

/// See the module.
pub(super) struct Relay {
    /// `None` when the answer is made here.
    answer: Option<Answer>,
    translator: Option<Box<dyn StreamTranslator>>,
    /// How long the upstream may be silent.
    gap: Duration,
    out: Outbox,
    /// What broke the stream, told when the chunks that came before it are sent.
    broken: Option<Failure>,
    ended: Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// More will come.
    No,
    /// The answer is whole: `[DONE]`, and the end hooks.
    Complete,
}

/// Chunks that are translated and not yet sent.
#[derive(Default)]
struct Outbox {
    frames: BytesMut,
    /// Chunks that callbacks have to see first.
    unseen: VecDeque<String>,
    for_callbacks: bool,
    /// What callbacks will want to know at the end.
    streamed: Option<Streamed>,
}

impl ChunkSink for Outbox {
    fn chunk(&mut self, json: &[&[u8]]) {
        if self.for_callbacks {
            self.unseen.push_back(String::from_utf8_lossy(&json.concat()).into_owned());
            return;
        }
        let start = self.frames.len() + b"data: ".len();
        self.frames.extend_from_slice(b"data: ");
        json.iter().for_each(|part| self.frames.extend_from_slice(part));
        keep_on_one_line(&mut self.frames[start..]);
        if let Some(streamed) = &mut self.streamed {
            streamed.add(&self.frames[start..]);
        }
        self.frames.extend_from_slice(b"\n\n");
    }
}

/// A line break would end the event's line, and what follows would be lost to the client. In JSON one
/// can only stand between values, where a blank says the same.
fn keep_on_one_line(json: &mut [u8]) {
    while let Some(at) = memchr::memchr2(b'\n', b'\r', json) {
        json[at] = b' ';
    }
}

impl Relay {
    pub(super) fn new(
        answer: Answer,
        translator: Box<dyn StreamTranslator>,
        gap: Duration,
    ) -> Self {
        Self {
            answer: Some(answer),
            translator: Some(translator),
            gap,
            out: Outbox::default(),
            broken: None,
            ended: Ended::No,
        }
    }

    /// An answer made here.
    pub(super) fn made(chunks: Vec<String>) -> Self {
        let out = Outbox { unseen: chunks.into(), for_callbacks: true, ..Outbox::default() };
        Self {
            answer: None,
            translator: None,
            gap: Duration::ZERO,
            out,
            broken: None,
            ended: Ended::Complete,
        }
    }

    /// Waits for the first chunk: an answer that fails before it is a plain error, with a status.
    pub(super) async fn begin(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let chain = &flight.chain;
        self.out.for_callbacks = chain.wants_tokens();
        self.out.streamed = chain.wants_end().then(Streamed::default);
        while self.ended == Ended::No && self.out.is_empty() {
            self.arrive(&flight.alarm).await?;
        }
        flight.first_token = Some(flight.record.accepted.elapsed());
        Ok(())
    }

    /// The response whose body is this stream.
    pub(super) fn into_response(self: Box<Self>, mut flight: Flight, head: HeaderMap) -> Response {
        flight.sent = true;
        let mut headers = head;
        outbound::duration_headers(&mut headers, &flight.record);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        let streaming = Box::new(Streaming { relay: self, flight: Some(flight) });
        let frames = stream::unfold(streaming, |mut streaming| async move {
            let frame = streaming.next().await?;
            Some((Ok::<Bytes, Infallible>(frame), streaming))
        });
        let mut response = Response::new(Body::from_stream(frames));
        *response.status_mut() = StatusCode::OK;
        *response.headers_mut() = headers;
        response
    }

    /// Takes what the upstream sends next, and everything that came with it. What breaks it after
    /// chunks that were good has to wait until those are sent.
    async fn arrive(&mut self, alarm: &Alarm) -> Result<(), Failure> {
        let arrived = match self.broken.take() {
            Some(failure) => Err(failure),
            None => self.take_arriving(alarm).await,
        };
        match arrived {
            Err(failure) if !self.out.is_empty() => {
                self.broken = Some(failure);
                Ok(())
            }
            arrived => arrived,
        }
    }

    async fn take_arriving(&mut self, alarm: &Alarm) -> Result<(), Failure> {
        let Some(answer) = &mut self.answer else { return Ok(()) };
        let Some(mut next) = alarm.within(self.gap, answer.next()).await else {
            return Err(stalled(self.gap));
        };
        loop {
            match next {
                Some(Ok(bytes)) => self.translate(&bytes)?,
                Some(Err(error)) => return Err(broken(&error)),
                None => return self.closed(),
            }
            let Some(answer) = &mut self.answer else { return Ok(()) };
            if self.ended != Ended::No || self.out.frames.len() >= ENOUGH {
                return Ok(());
            }
            match answer.ready() {
                Some(more) => next = more,
                None => return Ok(()),
            }
        }
    }

    fn translate(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(translator) = &mut self.translator else { return Ok(()) };
        translator.push(bytes, &mut self.out).map_err(failed)?;
        if translator.complete() {
            self.ended = Ended::Complete;
        }
        Ok(())
    }

    fn closed(&mut self) -> Result<(), Failure> {
        let Some(translator) = &mut self.translator else { return Ok(()) };
        // Half an event is not malformed, it is cut off.
        let rest = translator.close(&mut self.out);
        if let Err(told @ (StreamFailure::NoStream(_) | StreamFailure::Upstream(_))) = rest {
            return Err(failed(told));
        }
        if rest.is_err() || !translator.complete_at_close() {
            return Err(cut_off("it closed the stream before the answer was complete"));
        }
        self.ended = Ended::Complete;
        Ok(())
    }

    /// Shows waiting chunks to the callbacks and turns what they leave into frames.
    async fn show(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let Some((app, chain, call)) = flight.parts() else { return Ok(()) };
        while let Some(json) = self.out.unseen.pop_front() {
            let mut chunk = Chunk::new(call.next_chunk(), json);
            chain.token(call, &app.deployments, &mut chunk).await?;
            if chunk.dropped {
                continue;
            }
            self.out.for_callbacks = false;
            self.out.chunk(&[chunk.json.as_bytes()]);
            self.out.for_callbacks = true;
        }
        Ok(())
    }
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.unseen.is_empty()
    }
}

/// A relay and the call it answers; dropped before its end, the client has left.
struct Streaming {
    relay: Box<Relay>,
    /// Taken by the ending.
    flight: Option<Flight>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // The flight's own drop ends the call; it should know what was said.
        drop(self.ending());
    }
}

impl Streaming {
    /// The flight, to be ended, with what was streamed and what it took.
    fn ending(&mut self) -> Option<Flight> {
        let mut flight = self.flight.take()?;
        flight.streamed = self.relay.out.streamed.take().unwrap_or_default();
        if let Some(translator) = &self.relay.translator {
            flight.record.usage = translator.usage();
        }
        Some(flight)
    }

    /// The next bytes for the client; `None` when all are sent.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let flight = self.flight.as_mut()?;
            // One that never waits is cut off too.
            let cut = self.relay.ended == Ended::No && flight.alarm.is_cut();
            let stepped =
                if cut { Err(shutting_down()) } else { step(&mut self.relay, flight).await };
            match stepped {
                Err(failure) => {
                    let mut flight = self.ending()?;
                    let failure = flight.told(failure);
                    let failure = flight.failed(failure).await;
                    self.relay.out.frames.extend_from_slice(&error::frame(&failure));
                }
                Ok(()) if self.relay.ended == Ended::Complete => {
                    self.ending()?.streamed();
                    if let Some(answer) = self.relay.answer.take() {
                        release(answer);
                    }
                    self.relay.out.frames.extend_from_slice(DONE);
                }
                Ok(()) => {}
            }
            // A callback may have dropped everything that came.
            if !self.relay.out.frames.is_empty() {
                return Some(self.relay.out.frames.split().freeze());
            }
        }
    }
}

/// Brings the outbox to where something can be sent, or the stream to its end.
async fn step(relay: &mut Relay, flight: &mut Flight) -> Result<(), Failure> {
    if relay.out.is_empty() && relay.ended == Ended::No {
        relay.arrive(&flight.alarm).await?;
    }
    if relay.out.for_callbacks {
        relay.show(flight).await?;
    }
    Ok(())
}

/// Reads a complete answer to its end on the wire, so that its connection can be used again. One
/// that goes on talking or stays open is closed instead.
fn release(mut answer: Answer) {
    if let Some(None | Some(Err(_))) = answer.ready() {
        return;
    }
    tokio::spawn(async move {
        let _ = tokio::time::timeout(RELEASE_TIME, answer.next()).await;
    });
}

fn stalled(gap: Duration) -> Failure {
    let text = format!("the upstream sent nothing for {} s", gap.as_secs_f64());
    Failure::new(FailureKind::TIMEOUT, 504, text).code("timeout")
}

fn broken(error: &UpstreamError) -> Failure {
    match error {
        UpstreamError::Coding(error @ CodingError::Unsupported(_)) => {
            return undecodable(error, "the upstream");
        }
        UpstreamError::Coding(error) => return cut_off(&format!("it has {error}")),
        _ => {}
    }
    cut_off("the connection to it broke").cause(error.to_string())
}

fn cut_off(how: &str) -> Failure {
    let text = format!("the upstream's answer is incomplete: {how}");
    Failure::new(FailureKind::BROKEN_STREAM, 502, text).code("incomplete_stream")
}

fn failed(failure: StreamFailure) -> Failure {
    match failure {
        StreamFailure::Malformed(what) => {
            let text = "the upstream sent something that is no stream of chunks";
            Failure::new(FailureKind::BROKEN_STREAM, 500, text).code("malformed_stream").cause(what)
        }
        StreamFailure::NoStream(what) => {
            let text = format!("the upstream was asked for a stream and sent {what}");
            Failure::new(FailureKind::BROKEN_STREAM, 500, text).code("malformed_stream")
        }
        StreamFailure::Upstream(said) => upstream_said(said),
    }
}

/// An error frame: its status is in its code when that is one.
fn upstream_said(said: Said) -> Failure {
    let status = said
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .filter(|status| (400..600).contains(status))
        .unwrap_or(500);
    Failure::of_upstream(status, said)
}
