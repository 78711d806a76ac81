//! A streamed answer on its way to the client: translated, looked at by callbacks, sent on.
//!
//! What arrived together is sent together; nothing waits for more. A stream that breaks ends in an
//! error frame and no `[DONE]`: the client must never take half an answer for a whole one.

mod waits;

pub(super) use waits::Waits;

use super::{
    alarm::{Alarm, End},
    error,
    fault::{self, Form},
    flight::{Flight, shutting_down},
    outbound,
    unreachable::undecodable,
};
use crate::{
    callbacks::{Chunk, Streamed},
    coding::CodingError,
    failure::Failure,
    json::passed,
    provider::{ChunkSink, StreamTranslator},
    upstream::{Answer, UpstreamError},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use std::{collections::VecDeque, convert::Infallible, future::Future, pin::Pin, time::Duration};

/// Enough for one write; the rest of what has arrived goes into the next.
const ENOUGH: usize = 32 * 1024;

/// How long a complete answer may take to end on the wire before its connection is given up.
const RELEASE_TIME: Duration = Duration::from_secs(1);

const DONE: &[u8] = b"data: [DONE]\n\n";

/// A sign of life for clients, and for proxies that close what is silent: a comment, and no event.
const ALIVE: &[u8] = b": keep-alive\n\n";

/// See the module.
pub(super) struct Relay {
    /// The answer's head has not come yet.
    opening: Option<Opening>,
    /// `None` when the answer is made here.
    open: Option<Open>,
    /// How long the upstream took to begin its answer, once that is known.
    upstream: Option<Duration>,
    alive: Alive,
    out: Outbox,
    /// What broke the stream, told when the chunks that came before it are sent.
    broken: Option<Failure>,
    ended: Ended,
}

/// What begins an answer, and how long that took.
pub(super) type Opening = Pin<Box<dyn Future<Output = (Option<Duration>, Opened)> + Send>>;
pub(super) type Opened = Result<(Open, HeaderMap), Failure>;

/// An answer whose body arrives.
pub(super) struct Open {
    pub(super) answer: Answer,
    pub(super) translator: Box<dyn StreamTranslator>,
    /// How long the upstream may be silent.
    pub(super) waits: Waits,
}

/// Signs of life for the client.
#[derive(Debug, Default)]
struct Alive {
    /// `callgate.stream_keepalive`.
    interval: Option<Duration>,
    /// When the next one is due.
    due: End,
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
    /// How much text is kept for them.
    text_limit: usize,
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
            streamed.add_within(&self.frames[start..], self.text_limit);
        }
        self.frames.extend_from_slice(b"\n\n");
    }
}

/// A line break would end the event's line, and what follows would be lost to the client. In JSON
/// one can only stand between values, where a blank says the same.
fn keep_on_one_line(mut json: &mut [u8]) {
    loop {
        let found = memchr::memchr2(b'\n', b'\r', json);
        passed::add(found.map_or(json.len(), |at| at + 1));
        let Some((end, rest)) = found.and_then(|at| json[at..].split_first_mut()) else { return };
        *end = b' ';
        json = rest;
    }
}

impl Relay {
    pub(super) fn new(open: Open) -> Self {
        Self { open: Some(open), ..Self::empty() }
    }

    /// For an answer whose head has not come yet: the client gets the head of its own before.
    pub(super) fn opening(opening: Opening) -> Self {
        Self { opening: Some(opening), ..Self::empty() }
    }

    /// An answer made here.
    pub(super) fn made(chunks: Vec<String>) -> Self {
        let out = Outbox { unseen: chunks.into(), for_callbacks: true, ..Outbox::default() };
        Self { out, ended: Ended::Complete, ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            opening: None,
            open: None,
            upstream: None,
            alive: Alive::default(),
            out: Outbox::default(),
            broken: None,
            ended: Ended::No,
        }
    }

    /// Waits for the first chunk: an answer that fails before it is a plain error, with a status.
    /// Under `callgate.stream_keepalive` it waits no longer than until the first sign of life is
    /// due.
    pub(super) async fn begin(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let chain = &flight.chain;
        self.out.for_callbacks |= chain.wants_tokens();
        self.out.streamed = chain.wants_end().then(Streamed::default);
        self.out.text_limit = flight.app.limits.max_stream_text_bytes;
        self.alive.interval = flight.app.stream_keepalive;
        while self.ended == Ended::No && self.out.is_empty() && self.opening.is_none() {
            let arrived = self.arrive_or_be_due(&flight.alarm).await?;
            if !arrived {
                return Ok(());
            }
        }
        if !self.out.is_empty() {
            flight.first_token = Some(flight.record.accepted.elapsed());
        }
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

    /// As [`Relay::arrive`]; `false` when a sign of life is due before. What is waited for goes on
    /// then.
    async fn arrive_or_be_due(&mut self, alarm: &Alarm) -> Result<bool, Failure> {
        let Some(interval) = self.alive.interval else {
            return self.arrive(alarm).await.map(|()| true);
        };
        let mut due = self.alive.due;
        let arrived = alarm.within_what_is_left(&mut due, interval, self.arrive(alarm)).await;
        self.alive.due = due;
        match arrived {
            Some(arrived) => arrived.map(|()| true),
            None if alarm.is_cut() => Err(shutting_down()),
            None => Ok(false),
        }
    }

    /// Takes what the upstream sends next, and everything that came with it. What breaks it after
    /// chunks that were good has to wait until those are sent. May be dropped and begun again.
    async fn arrive(&mut self, alarm: &Alarm) -> Result<(), Failure> {
        if let Some(opening) = &mut self.opening {
            let (upstream, opened) = opening.await;
            (self.upstream, self.opening) = (upstream, None);
            // The client has a head already.
            let (open, _) = opened?;
            self.open = Some(open);
        }
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
        let Some(Open { answer, translator, waits }) = &mut self.open else { return Ok(()) };
        let Some(mut next) = waits.within(alarm, answer.next()).await else {
            return Err(waits.over());
        };
        loop {
            match next {
                Some(Ok(bytes)) => {
                    let translated = translator.push(&bytes, &mut self.out);
                    translated.map_err(|fault| fault::failure(fault, Form::Stream))?;
                }
                Some(Err(error)) => return Err(broken(&error)),
                None => {
                    let closed = translator.close(&mut self.out);
                    closed.map_err(|fault| fault::failure(fault, Form::Stream))?;
                    self.ended = Ended::Complete;
                    return Ok(());
                }
            }
            if translator.complete() {
                self.ended = Ended::Complete;
            }
            if !waits.go_on(&**translator) {
                return Err(waits.over());
            }
            if self.ended != Ended::No || self.out.frames.len() >= ENOUGH {
                return Ok(());
            }
            match answer.ready() {
                Some(more) => next = more,
                None => return Ok(()),
            }
        }
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
        if flight.streamed.left_out > 0 {
            tracing::warn!(
                call.id = &*flight.record.id,
                left_out_bytes = flight.streamed.left_out,
                "callbacks see a part of this stream's text at its end: it is longer than \
                 `callgate.limits.max_stream_text_bytes`"
            );
        }
        if let Some(open) = &self.relay.open {
            flight.record.usage = open.translator.usage();
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
                    if let Some(open) = self.relay.open.take() {
                        release(open.answer);
                    }
                    self.relay.out.frames.extend_from_slice(DONE);
                }
                Ok(()) => {}
            }
            // A callback may have dropped everything that came.
            if !self.relay.out.frames.is_empty() {
                self.relay.alive.due = End::default();
                return Some(self.relay.out.frames.split().freeze());
            }
        }
    }
}

/// Brings the outbox to where something can be sent, or the stream to its end.
async fn step(relay: &mut Relay, flight: &mut Flight) -> Result<(), Failure> {
    if relay.out.is_empty() && relay.ended == Ended::No {
        let arrived = relay.arrive_or_be_due(&flight.alarm).await;
        flight.record.upstream = flight.record.upstream.or(relay.upstream);
        if !arrived? {
            relay.out.frames.extend_from_slice(ALIVE);
            return Ok(());
        }
        if flight.first_token.is_none() && !relay.out.is_empty() {
            flight.first_token = Some(flight.record.accepted.elapsed());
        }
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

fn broken(error: &UpstreamError) -> Failure {
    match error {
        UpstreamError::Coding(error @ CodingError::Unsupported(_)) => {
            return undecodable(error, "the upstream");
        }
        UpstreamError::Coding(error) => {
            return fault::cut_off(&format!("it has {error}"), Form::Stream);
        }
        _ => {}
    }
    fault::cut_off("the connection to it broke", Form::Stream).cause(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_blanks_in_one_pass() {
        for (json, expected) in
            [("", ""), ("{}", "{}"), ("\n", " "), ("{\n\r\n\"a\":\r1}\n", "{   \"a\": 1} ")]
        {
            let mut json = json.to_owned().into_bytes();
            keep_on_one_line(&mut json);
            assert_eq!(String::from_utf8_lossy(&json), expected);
        }
        for length in [1000, 2000] {
            let before = passed::steps();
            keep_on_one_line(&mut vec![b'\n'; length]);
            assert_eq!(passed::steps() - before, length as u64);
        }
    }
}
