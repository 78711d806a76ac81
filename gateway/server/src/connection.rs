//! The state of one client's connection, and the limits of the time without a call. `serve` runs
//! it; `client_io` is the socket as hyper sees it; `listen` accepts connections.

use super::{client::ClientAddress, connection_timer::ConnectionTimer};
use callgate_config::Limits;
use hyper::rt::Timer;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

/// The origin of the times below.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The state that a connection's task shares with its socket, its timer, and other threads that may
/// close it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: OwnedWriteHalf,
    pub(super) client: ClientAddress,
    pub(super) timer: ConnectionTimer,
    pub(super) header_timeout: Duration,
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

    /// Drops the bytes that come after the current request.
    pub(super) fn forget_the_rest(&self) {
        self.forgets.store(true, Relaxed);
    }

    pub(super) fn begin_turn(&self) {
        self.reads.store(false, Relaxed);
        self.blocked.store(false, Relaxed);
    }

    /// Whether hyper itself will notice that the client leaves, judged by what it waits for.
    pub(super) fn is_watched(&self) -> bool {
        self.reads.load(Relaxed) || self.blocked.load(Relaxed)
    }

    pub(super) fn begin_call(&self) {
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
pub(super) struct HeadTimer(pub(super) Arc<Connection>);

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
