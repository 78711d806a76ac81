//! A scripted upstream: one loopback server that speaks the wire formats of OpenAI, Groq and
//! Ollama, and misbehaves on request. It writes to raw sockets on purpose: a reset, half a frame or
//! a split in the middle of an event must reach the gateway exactly as scripted. It checks nothing
//! (no keys, no model list), and never waits for a clock: a test holds an answer with a [`Gate`].
//! Used by `callgate demo` and the end-to-end tests.

#![forbid(unsafe_code)]

mod answer;
mod connection;
mod connection_step;
mod gate;
mod gzip;
mod journal;
mod ollama;
mod openai;
mod other_calls;
mod prompt;
mod script;

pub use answer::{Answer, ToolCall};
use connection::{AnswerOutcome, ScriptedConnection};
pub use gate::Gate;
pub use journal::{Journal, Received};
pub use script::Script;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The scripted upstream could not start.
#[derive(Debug, thiserror::Error)]
#[error("scripted upstream: cannot listen on `{address}`: {source}")]
pub struct StartError {
    address: SocketAddr,
    source: io::Error,
}

/// A running scripted upstream. Dropping it closes the listener and every open connection.
#[derive(Debug)]
pub struct ScriptedUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<Script>,
    journal: watch::Sender<Journal>,
}

/// Tests make many calls at once. The library's limit for connections that wait would have most of
/// them wait for seconds, until the kernel tries again.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

impl ScriptedUpstream {
    /// Listens on a free loopback port.
    ///
    /// # Errors
    /// If no loopback port can be bound.
    pub async fn start(script: Script) -> Result<Self, StartError> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), script).await
    }

    /// Listens on `address`, for an upstream that has to come back at the same address.
    ///
    /// # Errors
    /// If `address` cannot be bound.
    pub async fn start_on(address: SocketAddr, script: Script) -> Result<Self, StartError> {
        let failed = |source| StartError { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (journal, _) = watch::channel(Journal::default());
        let shared = Arc::new(Shared { script: Mutex::new(script), journal });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `api_base` of an OpenAI deployment: `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn openai_base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// `api_base` of a Groq deployment: `http://127.0.0.1:PORT/openai/v1`.
    #[must_use]
    pub fn groq_base(&self) -> String {
        format!("http://{}/openai/v1", self.address)
    }

    /// `api_base` of an Ollama deployment: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn ollama_base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds `answer` to the queue, which comes before all other rules of the script.
    pub fn push(&self, answer: Answer) {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
    }

    /// Every request read so far, oldest first, whatever its outcome.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.shared.journal.borrow().requests.clone()
    }

    /// The counts so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.shared.journal.borrow().clone()
    }

    /// Waits until `count` requests were read completely.
    pub async fn received(&self, count: usize) {
        self.until(|journal| journal.requests.len() >= count).await;
    }

    /// Waits until `count` answers were written to their end, faults included.
    pub async fn answered(&self, count: usize) {
        self.until(|journal| journal.answered >= count).await;
    }

    /// Waits until `count` clients left before the end of their answer.
    pub async fn hung_up(&self, count: usize) {
        self.until(|journal| journal.hang_ups >= count).await;
    }

    /// Waits until no more than `count` connections are open.
    pub async fn open_connections_at_most(&self, count: usize) {
        self.until(|journal| journal.open_connections <= count).await;
    }

    async fn until(&self, reached: impl Fn(&Journal) -> bool) {
        // The sender lives in `shared`, so the channel cannot close while this waits.
        let _ = self.shared.journal.subscribe().wait_for(|journal| reached(journal)).await;
    }
}

impl Drop for ScriptedUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Owns every connection, so that aborting this task closes them all.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.opened();
    let mut connection = ScriptedConnection::new(stream);
    while let Some(mut request) = connection.request().await {
        request.connection = number;
        let close = request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        let serial = shared.record(request.clone());
        let answer = shared.script.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
        let outcome = connection.perform(answer.steps(&request, serial)).await;
        shared.ended(outcome);
        if close || outcome != AnswerOutcome::KeepAlive {
            break;
        }
    }
    drop(connection);
    shared.journal.send_modify(|journal| journal.open_connections -= 1);
}

impl Shared {
    fn opened(&self) -> usize {
        let mut number = 0;
        self.journal.send_modify(|journal| {
            number = journal.connections;
            journal.connections += 1;
            journal.open_connections += 1;
        });
        number
    }

    fn record(&self, request: Received) -> usize {
        let mut serial = 0;
        self.journal.send_modify(|journal| {
            journal.requests.push(request);
            serial = journal.requests.len();
        });
        serial
    }

    fn ended(&self, outcome: AnswerOutcome) {
        self.journal.send_modify(|journal| match outcome {
            AnswerOutcome::KeepAlive | AnswerOutcome::Closed => journal.answered += 1,
            AnswerOutcome::ClientLeft => journal.hang_ups += 1,
        });
    }
}

#[cfg(test)]
mod tests;
