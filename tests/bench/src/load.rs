//! The load generator: keep-alive connections that send one request over and over and check
//! every reply to its last byte, so that a proxy which fails or cuts replies short cannot look
//! fast. Called by `measure`; what to send comes from `workload`.

use crate::{
    upstream::{ANSWER, COUNTS_PATH, Counts},
    wire::{Wire, WireError},
    workload::Workload,
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Much longer than any workload takes with a healthy proxy.
const RUN_LIMIT: Duration = Duration::from_secs(300);
const DONE: &[u8] = b"data: [DONE]\n\n";
const MAX_SHOWN: usize = 400;
/// For each connection, before counting starts.
const WARM_UP_REQUESTS: u64 = 8;

/// The key every request carries; the gateway is started with it as its master key.
pub const CLIENT_KEY: &str = "sk-bench-client";

/// Why a run is invalid.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("connection failed")]
    Wire(#[from] WireError),
    #[error("expected status 200, found {status}: {body}")]
    Status { status: u16, body: String },
    #[error("expected {expected} stream events closed by `[DONE]`, found {found}")]
    Events { expected: u64, found: u64 },
    #[error("expected a reply of {expected} bytes like the first one, found {found}")]
    Length { expected: u64, found: u64 },
    #[error("reply does not carry the upstream's answer: {0}")]
    Answer(String),
    #[error("a connection task broke off")]
    Task(#[from] tokio::task::JoinError),
    #[error("run did not end within {} s", RUN_LIMIT.as_secs())]
    Stuck,
}

/// Open connections to one proxy, warmed up.
#[derive(Debug)]
pub struct Session {
    address: SocketAddr,
    request: Arc<[u8]>,
    expected: Expected,
    stagger: Duration,
    wires: Vec<Wire>,
}

/// The properties of every reply of a workload.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Events(u64),
    Length(u64),
}

impl Session {
    /// Connects, reads one reply word for word, and has the connections exchange a few more, so
    /// that both sides of the proxy are open before anything is counted.
    ///
    /// # Errors
    /// If the proxy does not relay the upstream's answer.
    pub async fn open(address: SocketAddr, workload: &Workload) -> Result<Self, LoadError> {
        let request: Arc<[u8]> = chat_request(&workload.body()).into();
        let mut first = connect(address).await?;
        let mut reply = Vec::new();
        let events = workload.events();
        let count = exchange(&mut first, &request, |piece| reply.extend_from_slice(piece)).await?;
        let expected = if events > 0 {
            Expected::Events(events)
        } else {
            check_answer(&reply)?;
            Expected::Length(count.bytes)
        };
        expected.check(&count)?;
        let mut session =
            Self { address, request, expected, stagger: workload.stagger(), wires: vec![first] };
        while session.wires.len() < workload.connections {
            session.wires.push(connect(address).await?);
        }
        session.warm_up(workload).await?;
        Ok(session)
    }

    /// Sends `requests` requests over all connections; returns how long that took.
    ///
    /// # Errors
    /// At the first reply that is not as expected.
    pub async fn run(&mut self, requests: u64) -> Result<Duration, LoadError> {
        let request = Arc::clone(&self.request);
        self.exchange_all(request, self.expected, requests).await
    }

    /// Always with JSON replies, because a paced stream would make the warm-up slow.
    async fn warm_up(&mut self, workload: &Workload) -> Result<(), LoadError> {
        let plain = workload.with_json_replies();
        let request: Arc<[u8]> = chat_request(&plain.body()).into();
        let Some(wire) = self.wires.first_mut() else { return Ok(()) };
        let reply = exchange(wire, &request, |_| {}).await?;
        let requests = WARM_UP_REQUESTS * self.wires.len() as u64;
        self.exchange_all(request, Expected::Length(reply.bytes), requests).await.map(drop)
    }

    async fn exchange_all(
        &mut self,
        request: Arc<[u8]>,
        expected: Expected,
        requests: u64,
    ) -> Result<Duration, LoadError> {
        let tickets = Arc::new(AtomicU64::new(requests));
        let mut connections = JoinSet::new();
        let begun = Instant::now();
        for (index, wire) in std::mem::take(&mut self.wires).into_iter().enumerate() {
            let turn = Turn {
                address: self.address,
                request: Arc::clone(&request),
                expected,
                tickets: Arc::clone(&tickets),
                delay: self.stagger * u32::try_from(index).unwrap_or(u32::MAX),
            };
            connections.spawn(turn.take(wire));
        }
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                self.wires.push(ended??);
            }
            Ok(begun.elapsed())
        };
        timeout(RUN_LIMIT, all_ended).await.map_err(|_| LoadError::Stuck)?
    }
}

/// One connection's share of a run.
struct Turn {
    address: SocketAddr,
    request: Arc<[u8]>,
    expected: Expected,
    tickets: Arc<AtomicU64>,
    delay: Duration,
}

impl Turn {
    async fn take(self, mut wire: Wire) -> Result<Wire, LoadError> {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        let one_less = |left: u64| left.checked_sub(1);
        while self.tickets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            let count = exchange(&mut wire, &self.request, |_| {}).await?;
            self.expected.check(&count)?;
            if count.close {
                wire = connect(self.address).await?;
            }
        }
        Ok(wire)
    }
}

impl Expected {
    fn check(self, count: &ReplyCount) -> Result<(), LoadError> {
        match self {
            Self::Events(expected) if count.events != expected || !count.ended_with(DONE) => {
                Err(LoadError::Events { expected, found: count.events })
            }
            Self::Length(expected) if count.bytes != expected => {
                Err(LoadError::Length { expected, found: count.bytes })
            }
            Self::Events(_) | Self::Length(_) => Ok(()),
        }
    }
}

/// The counts of a reply whose bytes are not kept.
#[derive(Debug, Default)]
struct ReplyCount {
    bytes: u64,
    /// Blank lines, each of which ends an event of a stream.
    events: u64,
    tail: [u8; DONE.len()],
    close: bool,
}

impl ReplyCount {
    fn push(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        for at in memchr::memchr_iter(b'\n', piece) {
            let before = if at == 0 { self.tail[DONE.len() - 1] } else { piece[at - 1] };
            self.events += u64::from(before == b'\n');
        }
        let kept = piece.len().min(DONE.len());
        self.tail.copy_within(kept.., 0);
        self.tail[DONE.len() - kept..].copy_from_slice(&piece[piece.len() - kept..]);
    }

    fn ended_with(&self, end: &[u8]) -> bool {
        self.tail == end
    }
}

async fn connect(address: SocketAddr) -> Result<Wire, WireError> {
    Wire::new(TcpStream::connect(address).await?)
}

async fn exchange(
    wire: &mut Wire,
    request: &[u8],
    mut keep: impl FnMut(&[u8]),
) -> Result<ReplyCount, LoadError> {
    wire.write(request).await?;
    let head = wire.read_response().await?;
    if head.status != 200 {
        let mut body = Vec::new();
        wire.read_body(head.framing, |piece| body.extend_from_slice(piece)).await?;
        return Err(LoadError::Status { status: head.status, body: shown(&body) });
    }
    let mut count = ReplyCount { close: head.close, ..ReplyCount::default() };
    let sink = |piece: &[u8]| {
        count.push(piece);
        keep(piece);
    };
    wire.read_body(head.framing, sink).await?;
    Ok(count)
}

fn chat_request(body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: callgate-bench\r\n\
         accept: application/json\r\nauthorization: Bearer {CLIENT_KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn check_answer(reply: &[u8]) -> Result<(), LoadError> {
    let value: Value = serde_json::from_slice(reply).unwrap_or_default();
    if value["choices"][0]["message"]["content"] == ANSWER && value["usage"].is_object() {
        return Ok(());
    }
    Err(LoadError::Answer(shown(reply)))
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(MAX_SHOWN)]).into_owned()
}

/// Asks the fake upstream, directly, what it has answered so far.
///
/// # Errors
/// If the upstream is gone or gives another answer.
pub async fn upstream_counts(upstream: SocketAddr) -> Result<Counts, LoadError> {
    let mut wire = connect(upstream).await?;
    let mut reply = Vec::new();
    let request = format!("GET {COUNTS_PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    exchange(&mut wire, request.as_bytes(), |piece| reply.extend_from_slice(piece)).await?;
    serde_json::from_slice(&reply).map_err(|_| LoadError::Answer(shown(&reply)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(reply: &[u8], step: usize) -> ReplyCount {
        let mut count = ReplyCount::default();
        reply.chunks(step).for_each(|piece| count.push(piece));
        count
    }

    #[test]
    fn events_are_counted_across_reads() {
        let cases: [(&[u8], u64, bool); 4] = [
            (b"data: {\"a\":1}\n\ndata: [DONE]\n\n", 2, true),
            (b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\n", 2, false),
            (b"data: {\"a\":1}\ndata: [DONE]\n\n", 1, true),
            (b"[DONE]", 0, false),
        ];
        for (reply, events, done) in cases {
            for step in 1..=reply.len() {
                let count = count(reply, step);
                assert_eq!(count.bytes, reply.len() as u64);
                assert_eq!((count.events, count.ended_with(DONE)), (events, done), "{step}");
            }
        }
    }

    #[test]
    fn a_reply_cut_short_is_not_accepted() {
        let whole = count(b"data: {}\n\ndata: [DONE]\n\n", 3);
        assert!(Expected::Events(2).check(&whole).is_ok());
        assert!(Expected::Events(3).check(&whole).is_err());
        let cut = count(b"data: {}\n\n", 3);
        assert!(Expected::Events(1).check(&cut).is_err());
        assert!(Expected::Length(9).check(&cut).is_err());
    }
}
