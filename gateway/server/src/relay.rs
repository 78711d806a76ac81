//! A streamed response on its way to the client: translated, shown to callbacks, sent on.
//!
//! Chunks that arrive together are sent together; nothing waits for more. A stream that breaks ends
//! with an error frame and without `[DONE]`, so that the client never takes half a response for a
//! whole one.

mod beside;
mod buffered;
mod outbox;
mod source;
mod waits;

use super::{
    connection_timer::{ConnectionTimer, WaitEnd},
    error,
    error::ErrorForm,
    fault,
    flight::Flight,
    response_headers,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use beside::Beside;
use buffered::Collected;
use bytes::Bytes;
use callgate_callbacks::StreamedText;
use callgate_failure::{Failure, Form};
use callgate_json::LARGE;
use callgate_providers::{CallKind, ChunkSink as _, CompletionBuilder, StreamTranslator};
use futures_util::stream;
use outbox::Outbox;
use source::release;
pub(super) use source::{CallbackStream, StreamSource};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::task::{coop::consume_budget, yield_now};
pub(super) use waits::Waits;

/// Bytes for one write; the rest of what has arrived goes into the next.
const ENOUGH: usize = 32 * 1024;

/// The bytes taken from a fast upstream before other tasks have their turn.
const STRETCH: usize = 64 * 1024;

const DONE: &[u8] = b"data: [DONE]\n\n";

/// The keep-alive for clients, and for proxies that close silent connections: a comment, not an
/// event.
const ALIVE: &[u8] = b": keep-alive\n\n";

/// The relay of one stream.
pub(super) struct Relay {
    kind: CallKind,
    /// The upstream's response while its head has not arrived.
    opening: Option<Opening>,
    /// `None` if the gateway makes the response itself, and while a part of it is translated
    /// outside the worker.
    open: Option<OpenStream>,
    beside: Option<(Beside, Untranslated)>,
    /// The bytes taken since other tasks had their turn.
    at_a_stretch: usize,
    /// When the request was sent; `None` if the gateway makes the response itself.
    started: Option<Instant>,
    /// The time until the upstream's response began, once known.
    upstream: Option<Duration>,
    /// The time until the upstream's response was complete.
    took: Option<Duration>,
    alive: Alive,
    out: Outbox,
    /// The failure that broke the stream; reported after the chunks that came before it are sent.
    broken: Option<Failure>,
    ended: Ended,
    /// The stream so far, if the client gets nothing before the end hooks have run.
    collected: Option<Box<Collected>>,
}

/// Opens the upstream's response; returns it with the time until it began.
pub(super) type Opening = Pin<Box<dyn Future<Output = (Option<Duration>, Opened)> + Send>>;
pub(super) type Opened = Result<(OpenStream, HeaderMap), Failure>;

/// An answer whose body arrives.
pub(super) struct OpenStream {
    pub(super) answer: StreamSource,
    pub(super) translator: Box<dyn StreamTranslator>,
    /// Bounds the upstream's silence.
    pub(super) waits: Waits,
}

/// An open stream without its translator, which is in use.
struct Untranslated {
    answer: StreamSource,
    waits: Waits,
}

/// Keep-alives for the client.
#[derive(Debug, Default)]
struct Alive {
    /// `callgate.stream_keepalive`.
    interval: Option<Duration>,
    /// When the next one is due.
    due: WaitEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// More chunks will come.
    No,
    /// The response is complete: `[DONE]` and the end hooks come next.
    Complete,
}

impl Relay {
    pub(super) fn new(open: OpenStream, started: Instant) -> Self {
        Self { open: Some(open), started: Some(started), ..Self::empty() }
    }

    /// For a response whose head has not arrived: the client gets its own head first.
    pub(super) fn opening(opening: Opening, started: Instant) -> Self {
        Self { opening: Some(opening), started: Some(started), ..Self::empty() }
    }

    /// For a response made by the gateway.
    pub(super) fn made(chunks: Vec<String>) -> Self {
        let mut out = Outbox { for_callbacks: true, ..Outbox::default() };
        chunks.into_iter().for_each(|chunk| out.unseen.push(chunk));
        Self { out, ended: Ended::Complete, ..Self::empty() }
    }

    fn empty() -> Self {
        Self {
            kind: CallKind::Chat,
            opening: None,
            open: None,
            beside: None,
            at_a_stretch: 0,
            started: None,
            upstream: None,
            took: None,
            alive: Alive::default(),
            out: Outbox::default(),
            broken: None,
            ended: Ended::No,
            collected: None,
        }
    }

    /// Waits for the first chunk: a response that fails before it becomes a plain error with a
    /// status. With `callgate.stream_keepalive` it waits only until the first keep-alive is due.
    pub(super) async fn begin(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        self.kind = flight.parts().2.kind;
        self.out.are_named = !self.kind.is_completion();
        let chain = &flight.chain;
        self.out.for_callbacks |= chain.wants_tokens();
        self.out.streamed = chain.wants_end().then(StreamedText::default);
        self.out.text_limit = flight.app.limits.max_stream_text_bytes;
        let limit = self.out.text_limit;
        let assembled = || Box::new(CompletionBuilder::within(limit));
        let is_chat = self.kind == CallKind::Chat;
        self.out.assembled = (is_chat && chain.wants_completion()).then(assembled);
        self.alive.interval = flight.keepalive();
        if flight.buffers_stream() {
            return Box::pin(self.collect(flight)).await;
        }
        while self.ended == Ended::No && self.out.is_empty() && self.opening.is_none() {
            let arrived = self.arrive_or_be_due(&flight.timer).await?;
            if !arrived {
                return Ok(());
            }
        }
        if !self.out.is_empty() {
            flight.first_token = Some(flight.record.accepted.elapsed());
        }
        Ok(())
    }

    /// Collects the stream until it is complete, or the client's first keep-alive is due. Until
    /// then, a failure has a status of its own.
    async fn collect(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        self.collected = Some(Box::new(Collected::new(flight.app.limits.max_reply_bytes)));
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

    /// Collects the chunks that are ready for the client. The last ones are replaced by the result
    /// of the end hooks.
    async fn take_shown(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let Some(collected) = &mut self.collected else { return Ok(()) };
        collected.add(&self.out.frames.split(), flight)?;
        let unseen = &self.out.unseen;
        if self.ended != Ended::Complete || !unseen.is_empty() || unseen.holds_text() {
            return Ok(());
        }
        if let Some(open) = &self.open {
            flight.record.usage = open.translator.usage();
        }
        flight.record.upstream = flight.record.upstream.map(|head| self.took.unwrap_or(head));
        let Some(collected) = self.collected.take() else { return Ok(()) };
        let chunks = collected.finish(flight).await?;
        // The end hooks are done, so nobody needs the text any more.
        (self.out.for_callbacks, self.out.streamed) = (false, None);
        chunks.iter().for_each(|chunk| self.out.chunk(&[chunk.as_bytes()]));
        Ok(())
    }

    /// The response whose body is this stream.
    pub(super) fn into_response(self: Box<Self>, mut flight: Flight, head: HeaderMap) -> Response {
        flight.sent = true;
        let mut headers = head;
        let (app, _, call) = flight.parts();
        response_headers::add_reply_headers(app, call, &mut headers);
        response_headers::duration_headers(&mut headers, &flight.record);
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

    /// As [`Relay::arrive`]; `false` if a keep-alive is due first. The wait continues at the next
    /// call.
    async fn arrive_or_be_due(&mut self, timer: &ConnectionTimer) -> Result<bool, Failure> {
        let Some(interval) = self.alive.interval else {
            return self.arrive(timer).await.map(|()| true);
        };
        let mut due = self.alive.due;
        let arrived = timer.within_what_is_left(&mut due, interval, self.arrive(timer)).await;
        self.alive.due = due;
        match arrived {
            Some(arrived) => arrived.map(|()| true),
            None if timer.is_cut() => Err(Failure::shutting_down()),
            None => Ok(false),
        }
    }

    /// Takes the upstream's next bytes, and everything that came with them. A failure after good
    /// chunks is kept until those are sent. Cancel-safe.
    async fn arrive(&mut self, timer: &ConnectionTimer) -> Result<(), Failure> {
        if let Some(opening) = &mut self.opening {
            let (upstream, opened) = opening.await;
            (self.upstream, self.opening) = (upstream, None);
            // The client already has a head.
            let (open, _) = opened?;
            self.open = Some(open);
        }
        let arrived = match self.broken.take() {
            Some(failure) => Err(failure),
            None => self.take_arriving(timer).await,
        };
        if self.ended == Ended::Complete && self.took.is_none() {
            self.took = self.started.map(|started| started.elapsed());
        }
        match arrived {
            Err(failure) if !self.out.is_empty() || self.out.unseen.holds_text() => {
                self.broken = Some(failure);
                Ok(())
            }
            arrived => arrived,
        }
    }

    async fn take_arriving(&mut self, timer: &ConnectionTimer) -> Result<(), Failure> {
        if self.beside.is_none() {
            self.take_what_is_there(timer).await?;
        }
        let Some((work, _)) = &mut self.beside else { return Ok(()) };
        let done = work.await;
        let Some((_, Untranslated { answer, waits })) = self.beside.take() else { return Ok(()) };
        let beside::Done { translator, out, outcome, closed } = done?;
        self.out.add(out);
        let open = self.open.insert(OpenStream { answer, translator, waits });
        outcome.map_err(|fault| open.answer.failure(fault))?;
        if closed || open.translator.complete() {
            self.ended = Ended::Complete;
        } else if !open.waits.go_on(&*open.translator) {
            return Err(open.answer.late(&open.waits));
        }
        Ok(())
    }

    /// Takes the upstream's next bytes; large events are translated outside the worker.
    async fn take_what_is_there(&mut self, timer: &ConnectionTimer) -> Result<(), Failure> {
        if self.at_a_stretch > STRETCH {
            self.at_a_stretch = 0;
            yield_now().await;
        }
        let Some(OpenStream { answer, translator, waits }) = &mut self.open else { return Ok(()) };
        let Some(mut next) = waits.within(timer, answer.next()).await else {
            return Err(answer.late(waits));
        };
        loop {
            let next_bytes = match &next {
                Some(Ok(bytes)) => Some(bytes),
                Some(Err(error)) => return Err(fault::broken(error, Form::Stream)),
                None => None,
            };
            if beside::is_large(&**translator, next_bytes) {
                self.translate_beside(next.and_then(Result::ok));
                return Ok(());
            }
            let Some(bytes) = next_bytes else {
                let closed = translator.close(&mut self.out);
                closed.map_err(|fault| answer.failure(fault))?;
                self.ended = Ended::Complete;
                return Ok(());
            };
            self.at_a_stretch += bytes.len();
            let translated = translator.push(bytes, &mut self.out);
            translated.map_err(|fault| answer.failure(fault))?;
            if translator.complete() {
                self.ended = Ended::Complete;
            }
            if !waits.go_on(&**translator) {
                return Err(answer.late(waits));
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

    /// The last frame of a stream that failed.
    fn error_frame(&self, failure: &Failure) -> Vec<u8> {
        error::frame(failure, ErrorForm::of(self.kind))
    }

    /// Whether the response is complete, shown and framed.
    fn is_done(&self) -> bool {
        let unseen = &self.out.unseen;
        self.ended == Ended::Complete
            && unseen.is_empty()
            && !unseen.holds_text()
            && self.collected.is_none()
    }

    #[cold]
    fn translate_beside(&mut self, next: Option<Bytes>) {
        let Some(OpenStream { answer, translator, waits }) = self.open.take() else { return };
        let work = beside::translate(translator, next, self.out.another());
        self.beside = Some((work, Untranslated { answer, waits }));
    }

    /// Shows waiting chunks to the callbacks and turns the results into frames.
    async fn show(&mut self, flight: &mut Flight) -> Result<(), Failure> {
        let (app, chain, call) = flight.parts();
        let is_ending = self.ended == Ended::Complete || self.broken.is_some();
        while self.out.frames.len() < ENOUGH
            && let Some(next) = self.out.unseen.next(is_ending)
        {
            // Many chunks that arrive together must not hold up other calls with all their hooks.
            consume_budget().await;
            let sent = chain.token(call, &app.deployments, next, &mut self.out.unseen).await?;
            let Some(chunk) = sent else { continue };
            if chunk.json.len() > LARGE {
                let mut out = self.out.another();
                out.for_callbacks = false;
                self.out.add(beside::framed(chunk.json, out).await?);
                continue;
            }
            self.out.for_callbacks = false;
            self.out.chunk(&[chunk.json.as_bytes()]);
            self.out.for_callbacks = true;
        }
        Ok(())
    }
}

/// A relay and its call. If it is dropped before its end, the client has left.
struct Streaming {
    relay: Box<Relay>,
    /// Taken when the call ends.
    flight: Option<Flight>,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        // The flight's own drop ends the call and needs the streamed text.
        drop(self.ending());
    }
}

impl Streaming {
    /// Returns the flight to be ended, with the streamed text and the times.
    fn ending(&mut self) -> Option<Flight> {
        let mut flight = self.flight.take()?;
        flight.streamed = self.relay.out.streamed.take().unwrap_or_default();
        if flight.streamed.left_out > 0 {
            tracing::warn!(
                target: "callgate::server::relay", { call.id = &*flight.record.id, left_out_bytes = flight.streamed.left_out },
            "callbacks see a part of this stream's text at its end: it is longer than \
                 `callgate.limits.max_stream_text_bytes`"
            );
        }
        if flight.record.upstream.is_some() {
            let until_now = || self.relay.started.map(|started| started.elapsed());
            flight.record.upstream = self.relay.took.or_else(until_now);
        }
        flight.assembled = self.relay.out.assembled.take();
        if let Some(open) = &self.relay.open {
            flight.record.usage = open.translator.usage();
        }
        Some(flight)
    }

    /// The next bytes for the client; `None` when all are sent.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let flight = self.flight.as_mut()?;
            // A stream that never waits has to be aborted here, too.
            let cut = self.relay.ended == Ended::No && flight.timer.is_cut();
            let stepped = if cut {
                Err(Failure::shutting_down())
            } else {
                step(&mut self.relay, flight).await
            };
            match stepped {
                Err(failure) => {
                    let failure = Box::pin(self.ending()?.fail(failure)).await;
                    self.relay.out.frames.extend_from_slice(&self.relay.error_frame(&failure));
                }
                Ok(()) if self.relay.is_done() => {
                    self.ending()?.finish_stream();
                    let open = self.relay.open.take();
                    if let Some(StreamSource::Upstream(answer)) = open.map(|open| open.answer) {
                        release(answer);
                    }
                    if self.relay.kind.is_completion() {
                        self.relay.out.frames.extend_from_slice(DONE);
                    }
                }
                Ok(()) => {}
            }
            // A callback may have dropped all chunks that came.
            if !self.relay.out.frames.is_empty() {
                self.relay.alive.due = WaitEnd::default();
                return Some(self.relay.out.frames.split().freeze());
            }
        }
    }
}

/// Runs until the outbox has something to send, or the stream ends.
async fn step(relay: &mut Relay, flight: &mut Flight) -> Result<(), Failure> {
    if relay.out.is_empty() && relay.ended == Ended::No {
        let arrived = relay.arrive_or_be_due(&flight.timer).await;
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
    if relay.collected.is_some() {
        Box::pin(relay.take_shown(flight)).await?;
    }
    Ok(())
}
