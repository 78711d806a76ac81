//! Serves one client's connection from its first byte to its last: bounds the time without a call,
//! and notices a client that leaves.
//!
//! Hyper notices the end of a connection only while it has no bytes of a next request. Bytes sent
//! after a request would hide that the client left, so [`Departure`] then watches the socket
//! itself. `client_io` is the socket as hyper sees it; `listen` accepts connections.

use super::{
    Surface, client::ClientAddress, client_io::ClientIo, connection_timer::ConnectionTimer,
    listen::Phase,
};
use callgate_config::Limits;
use hyper::{rt::Timer, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::Interest,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::Instant,
};

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

/// The origin of the times below.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The state that a connection's task shares with its socket, its timer, and other threads that may
/// close it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: OwnedWriteHalf,
    pub(super) client: ClientAddress,
    pub(super) timer: ConnectionTimer,
    header_timeout: Duration,
    keepalive_timeout: Duration,
    /// When it began to wait for a call, in milliseconds since [`START`] plus 1; 0 during a call.
    waiting: AtomicU64,
    /// It is to close, because another connection needs its place.
    evicted: AtomicBool,
    /// It has received a request.
    used: AtomicBool,
    /// It has received bytes since it began to wait for a head.
    heard: AtomicBool,
    /// In this turn hyper found nothing to read and waits for more.
    reads: AtomicBool,
    /// In this turn the client's socket had no room for hyper's bytes.
    blocked: AtomicBool,
    /// Bytes after the current request are dropped; hyper does not read them any more.
    forgets: AtomicBool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, limits: &Limits) -> (Arc<Self>, OwnedReadHalf) {
        let client = ClientAddress::new(stream.peer_addr().ok());
        let (incoming, socket) = stream.into_split();
        let connection = Self {
            socket,
            client,
            timer: ConnectionTimer::default(),
            header_timeout: limits.header_timeout,
            keepalive_timeout: limits.keepalive_timeout,
            waiting: AtomicU64::new(moment(Instant::now())),
            evicted: AtomicBool::new(false),
            used: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            reads: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            forgets: AtomicBool::new(false),
        };
        (Arc::new(connection), incoming)
    }

    /// When it began to wait for a request, as a number that grows with time; `None` during a call.
    pub(super) fn waiting(&self) -> Option<u64> {
        let since = self.waiting.load(Relaxed);
        (since != 0 && !self.evicted.load(Relaxed)).then_some(since)
    }

    /// Closes it, unless a call has begun meanwhile. May be called from any thread.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Relaxed);
        self.timer.wake();
    }

    /// Closes the socket for the client although the worker's thread is stuck. The thread keeps the
    /// descriptor.
    pub(super) fn hang_up(&self) {
        let _ = rustix::net::shutdown(self.socket.as_ref(), rustix::net::Shutdown::Both);
    }

    pub(super) fn note_read(&self, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Pending => self.reads.store(true, Relaxed),
            Poll::Ready(Ok(length)) if *length > 0 => self.heard.store(true, Relaxed),
            Poll::Ready(_) => {}
        }
    }

    pub(super) fn note_write<T>(&self, polled: &Poll<T>) {
        if polled.is_pending() {
            self.blocked.store(true, Relaxed);
        }
    }

    pub(super) fn forgets(&self) -> bool {
        self.forgets.load(Relaxed)
    }

    fn begin_turn(&self) {
        self.reads.store(false, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    /// Whether hyper itself will notice that the client leaves, judged by what it waits for.
    fn is_watched(&self) -> bool {
        self.reads.load(Relaxed) || self.blocked.load(Relaxed)
    }

    fn begin_call(&self) {
        self.waiting.store(0, Relaxed);
    }
}

/// A point in time in the form of [`Connection::waiting`].
pub(super) fn moment(at: Instant) -> u64 {
    let millis = at.saturating_duration_since(*START).as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1)
}

/// The timer that hyper sets when it begins to wait for a head. Hyper has one limit for that; here
/// the connection counts as idle until the head's first byte, and the head's own limit starts then.
struct HeadTimer(Arc<Connection>);

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(std::time::Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let connection = Arc::clone(&self.0);
        let end = Instant::from_std(deadline);
        let now = end.checked_sub(connection.header_timeout).unwrap_or(end);
        connection.evicted.store(false, Relaxed);
        connection.heard.store(false, Relaxed);
        connection.timer.begin_request();
        connection.waiting.store(moment(now), Relaxed);
        let is_idle = connection.used.swap(true, Relaxed);
        // A limit beyond the clock's range is no limit.
        let end = if is_idle { now.checked_add(connection.keepalive_timeout) } else { Some(end) };
        Box::pin(Wait { connection, end, is_idle })
    }
}

struct Wait {
    connection: Arc<Connection>,
    end: Option<Instant>,
    /// No byte of the head has arrived, and the connection may still be idle for a while.
    is_idle: bool,
}

impl hyper::rt::Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.connection.evicted.load(Relaxed) {
            return Poll::Ready(());
        }
        if self.is_idle && self.connection.heard.load(Relaxed) {
            self.is_idle = false;
            self.end = Instant::now().checked_add(self.connection.header_timeout);
        }
        let far = || Instant::now() + Duration::from_secs(86400 * 365);
        let end = self.end.unwrap_or_else(far);
        self.connection.timer.poll(end, context)
    }
}

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
        self.connection.forgets.store(true, Relaxed);
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
