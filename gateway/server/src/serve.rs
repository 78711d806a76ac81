//! Serves one client's connection from its first byte to its last, and notices a client that
//! leaves.
//!
//! Hyper notices the end of a connection only while it has no bytes of a next request. Bytes sent
//! after a request would hide that the client left, so [`Departure`] then watches the socket
//! itself.

use super::{
    Surface,
    client_io::ClientIo,
    connection::{Connection, HeadTimer},
    phase::Phase,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{io::Interest, net::tcp::OwnedReadHalf, sync::watch, time::Instant};

/// The most bytes a connection reads at once, and so a hard limit on a head. Hyper alone would grow
/// to 400 KiB for each connection and keep it.
const READ_BUFFER: usize = 64 * 1024;

/// A response ready within this time is sent, even if the client has closed its sending side.
const GRACE: Duration = Duration::from_millis(100);

/// How often to look for many bytes after a request.
const LOOK: Duration = Duration::from_millis(250);

/// This many unread bytes may keep the end of a connection from arriving.
const CROWD: u64 = 32 * 1024;

/// The most bytes after a request that are read and dropped before the client is disconnected.
const MAX_FORGOTTEN: usize = 1 << 20;

/// Notices that a client has left where hyper does not look.
struct Departure<'a, F> {
    connection: &'a Connection,
    /// Ready when the client has closed its side of the socket.
    closed: Pin<&'a mut F>,
    is_closed: bool,
    /// Until when a response that needs no waiting may be sent.
    grace: Option<Instant>,
    look: Option<Instant>,
    forgotten: usize,
}

/// What to do about a client.
#[derive(Debug, PartialEq, Eq)]
enum Client {
    Stays,
    /// It sends so much after its request that its end could not be seen. The connection must not
    /// be used again.
    Crowds,
    Left,
}

impl<F: Future> Departure<'_, F> {
    /// Called after every turn in which hyper did not end the connection.
    fn poll(&mut self, context: &mut Context<'_>) -> Client {
        if self.connection.is_watched() && !self.connection.forgets() {
            self.grace = None;
            return Client::Stays;
        }
        if !self.is_closed {
            self.is_closed = self.closed.as_mut().poll(context).is_ready();
        }
        if self.is_closed {
            self.connection.timer.client_left();
            let grace = *self.grace.get_or_insert_with(|| Instant::now() + GRACE);
            let over = self.connection.timer.poll(grace, context).is_ready();
            return if over { Client::Left } else { Client::Stays };
        }
        if self.connection.forgets() {
            return if self.forget(context) { Client::Stays } else { Client::Left };
        }
        self.look_for_crowd(context)
    }

    /// Looks for a client that closed a connection whose end waits behind unread bytes. A request
    /// body never counts as such bytes.
    fn look_for_crowd(&mut self, context: &mut Context<'_>) -> Client {
        if !self.connection.timer.has_whole_request() {
            return Client::Stays;
        }
        let look = *self.look.get_or_insert_with(|| Instant::now() + LOOK);
        if self.connection.timer.poll(look, context).is_pending() {
            return Client::Stays;
        }
        self.look = None;
        let unread = rustix::io::ioctl_fionread(self.connection.socket.as_ref()).unwrap_or(0);
        if unread < CROWD {
            // The timer is polled again, for the next look.
            context.waker().wake_by_ref();
            return Client::Stays;
        }
        self.connection.forget_the_rest();
        context.waker().wake_by_ref();
        Client::Crowds
    }

    /// Reads and drops bytes; `false` if there are too many.
    fn forget(&mut self, context: &mut Context<'_>) -> bool {
        let socket = self.connection.socket.as_ref();
        let mut block = [0; 16 * 1024];
        while self.forgotten < MAX_FORGOTTEN {
            if socket.poll_read_ready(context).is_pending() {
                return true;
            }
            match socket.try_read(&mut block) {
                Ok(0) => return true,
                Ok(length) => self.forgotten += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        false
    }
}

/// Serves a connection until it closes or its client leaves; while draining, until its current call
/// ends.
pub(super) async fn serve(
    connection: Arc<Connection>,
    incoming: OwnedReadHalf,
    surface: Surface,
    phase: watch::Receiver<Phase>,
) {
    let timer = &connection.timer;
    let surface = surface.for_client(connection.client.clone());
    let http = http1::Builder::new()
        .timer(HeadTimer(Arc::clone(&connection)))
        .header_read_timeout(connection.header_timeout)
        .max_buf_size(READ_BUFFER)
        .serve_connection(
            TokioIo::new(ClientIo::new(incoming, Arc::clone(&connection))),
            service_fn(|request| {
                connection.begin_call();
                surface.answer(timer, request)
            }),
        );
    let mut http = pin!(http);
    let mut closed = pin!(connection.socket.ready(Interest::PRIORITY));
    let mut departure = Departure {
        connection: &connection,
        closed: closed.as_mut(),
        is_closed: false,
        grace: None,
        look: None,
        forgotten: 0,
    };
    let (mut drains, mut cuts) = (phase.clone(), phase.clone());
    let mut draining = pin!(Phase::Draining.reached(&mut drains));
    let mut cutting = pin!(Phase::Cutting.reached(&mut cuts));
    let (mut asked, mut told, mut cut) = (false, false, false);
    let ended = poll_fn(|context| {
        connection.begin_turn();
        let ended = http.as_mut().poll(context);
        if ended.is_ready() {
            return ended.map(Some);
        }
        match departure.poll(context) {
            Client::Left => return Poll::Ready(None),
            Client::Crowds => http.as_mut().graceful_shutdown(),
            Client::Stays => {}
        }
        // Registered once, this future wakes the task when the phase changes. Registering again for
        // every chunk of a stream would cost more than polling it.
        if cut || (asked && !phase.has_changed().unwrap_or(true)) {
            return Poll::Pending;
        }
        asked = true;
        if !told && draining.as_mut().poll(context).is_ready() {
            told = true;
            http.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = http.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
        }
        if !told || cutting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        cut = true;
        timer.cancel();
        let ended = ready!(http.as_mut().poll(context));
        Poll::Ready(Some(ended))
    })
    .await;
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(
            target: "callgate::server::connection",
            %error, "connection ended"
        ),
        None => tracing::debug!(
            target: "callgate::server::connection",
            "connection ended: its client has left"
        ),
    }
}
