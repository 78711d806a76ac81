//! Accepts connections and shuts down gracefully.
//!
//! One acceptor distributes connections to worker threads in turn (`pool`, `worker`). With a
//! listener for each worker, two gateways could share a port without noticing.

use super::{
    phase::Phase,
    pool::WorkerPool,
    worker::{AcceptedConnection, LAST_WORDS, Worker},
};
use crate::{CurrentApp, descriptors};
use callgate_telemetry::{
    LogThrottle,
    counted::{counted, counted_as},
};
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
};
use std::{
    io,
    net::SocketAddr,
    num::NonZero,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

/// The pause after a connection could not be accepted, and while there is no room for one.
const PAUSE: Duration = Duration::from_millis(50);

/// How often threads that end are asked whether they have.
const JOIN_LOOK: Duration = Duration::from_millis(2);

/// The pause is split into so many parts; after each, room is checked again.
const PAUSES: u32 = 10;

/// The most connections that wait to be accepted; the system may allow fewer. Beyond it the kernel
/// drops a client's first packet, which the client repeats only after a second. The library's
/// default of 128 is less than the clients that come at once after a restart.
const WAITING: i32 = 4096;

/// A bound address.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// The stop requests: the first starts draining, the second ends it early.
#[derive(Debug)]
pub struct Stop(mpsc::UnboundedReceiver<()>);

impl Stop {
    /// A sender of stop requests, and their receiver.
    #[must_use]
    pub fn new() -> (mpsc::UnboundedSender<()>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// Waits for the next stop request; forever, if the sender is gone.
    pub async fn asked(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The worker threads of a running gateway.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    pool: Arc<WorkerPool>,
    threads: Vec<JoinHandle<()>>,
    current: CurrentApp,
    phase: watch::Sender<Phase>,
    /// The number of connections that the limit of open files allows.
    room: usize,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address is in use, does not belong to this machine, or needs privileges.
    pub async fn bind(address: (&str, u16)) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        rustix::net::listen(&listener, WAITING)?;
        Ok(Self::watching(listener))
    }

    /// A socket that is already listening and non-blocking.
    ///
    /// # Errors
    /// If the runtime cannot poll it.
    pub fn inherited(socket: std::net::TcpListener) -> io::Result<Self> {
        Ok(Self::watching(TcpListener::from_std(socket)?))
    }

    fn watching(listener: TcpListener) -> Self {
        if let Err(error) = look_for_lost_clients(&listener) {
            tracing::debug!(
                target: "callgate::server::listen",
                %error, "TCP keep-alive is off: clients that vanish are not noticed"
            );
        }
        Self(listener)
    }

    /// The address that was bound.
    ///
    /// # Errors
    /// If the system does not report it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Server {
    /// Starts one worker for each core, or the configured number.
    ///
    /// # Errors
    /// If threads cannot be started.
    pub fn start(
        listener: Listener,
        current: &CurrentApp,
        workers: Option<NonZero<usize>>,
    ) -> io::Result<Self> {
        let (phase, _) = watch::channel(Phase::Serving);
        let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        let count = workers.unwrap_or_else(cores).get();
        let started = (0..count)
            .map(|index| Worker::start(index, current, phase.subscribe()))
            .collect::<io::Result<Vec<_>>>()?;
        let (workers, threads) = started.into_iter().unzip();
        let pool = Arc::new(WorkerPool::new(workers, &current.load().occupancy));
        let room = descriptors::room_for_clients();
        if let Some(most) = current.load().limits.max_connections
            && most > room
        {
            tracing::warn!(
                target: "callgate::server::listen",
                "`callgate.limits.max_connections` is {most}, and the limit of open files leaves room \
                 for {} whose calls can all reach an upstream",
                counted(room, "connection")
            );
        }
        Ok(Self { listener, pool, threads, current: current.clone(), phase, room })
    }

    /// Accepts connections until the first stop request; then closes the listener and waits for
    /// running calls, until `callgate.limits.drain_timeout` is over or the second stop request.
    /// Returns how many calls were aborted, if any.
    pub async fn run(self, stop: &mut Stop) -> Option<i64> {
        let Self { listener: Listener(listener), pool, threads, current, phase, room } = self;
        let watched = Arc::clone(&pool);
        let watching = tokio::spawn(async move { watched.watch().await });
        tokio::select! {
            () = stop.asked() => {}
            () = accept(&listener, &pool, &current, room) => {}
        }
        drop(listener);
        let app = current.load();
        app.reloads.close();
        let limit = app.limits.drain_timeout;
        drop(app);
        let cut_off = drain(threads, &current, &phase, stop, limit).await;
        watching.abort();
        cut_off
    }
}

/// Drains the workers; see [`Server::run`].
async fn drain(
    threads: Vec<JoinHandle<()>>,
    current: &CurrentApp,
    phase: &watch::Sender<Phase>,
    stop: &mut Stop,
    limit: Duration,
) -> Option<i64> {
    tracing::info!(
        target: "callgate::server::listen",
        "draining: no new connections are accepted; a second stop signal aborts running calls"
    );
    phase.send_replace(Phase::Draining);
    // Workers end when their last connection closes.
    let mut ended = std::pin::pin!(joined(threads));
    tokio::select! {
        ended = timeout(limit, &mut ended) => match ended {
            Ok(()) => return None,
            Err(_) => tracing::warn!(
                target: "callgate::server::listen",
                "calls were still running after {} s and are aborted",
                limit.as_secs_f64()
            ),
        },
        () = stop.asked() => tracing::warn!(
            target: "callgate::server::listen",
            "second stop signal: running calls are aborted"
        ),
    }
    // Calls are aborted on their own threads, so that each has its ending.
    let calls = current.load().metrics.in_flight();
    phase.send_replace(Phase::Cutting);
    let _ = timeout(3 * LAST_WORDS, ended).await;
    Some(calls)
}

/// Waits for the threads to end. It asks them, because a thread that waits might not start while a
/// plugin hangs in the dynamic linker.
async fn joined(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        while !thread.is_finished() {
            sleep(JOIN_LOOK).await;
        }
        drop(thread.join());
    }
}

/// Accepts connections within the limit and gives them to the workers. A connection that cannot be
/// accepted affects only its client.
async fn accept(listener: &TcpListener, pool: &WorkerPool, current: &CurrentApp, room: usize) {
    let (full, failing) = (LogThrottle::default(), LogThrottle::default());
    loop {
        let most = current.load().limits.max_connections.unwrap_or(room);
        make_room(pool, most, &full).await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(left_out) = failing.admit() {
                    let times = left_out + 1;
                    tracing::warn!(
                        target: "callgate::server::listen",
                        %error, times, "connections could not be accepted"
                    );
                }
                // Out of descriptors: without a pause this loop would spin until some are free.
                if callgate_upstream::lacks_descriptors(&error) {
                    pool.close_idle();
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        let open = pool.occupancy.open();
        let Ok(stream) = stream.set_nodelay(true).and_then(|()| stream.into_std()) else {
            continue;
        };
        pool.deal(AcceptedConnection { stream, open });
    }
}

/// Waits until there is room for another connection. Connections without a call are closed to make
/// room; if all have a call, new ones wait.
async fn make_room(pool: &WorkerPool, most: usize, full: &LogThrottle) {
    while pool.occupancy.connections() >= most {
        let closed = pool.close_idle();
        if let Some(left_out) = full.admit() {
            let times = left_out + 1;
            let then = if closed > 0 {
                "those that were idle for longest are closed"
            } else {
                "none of them is idle, so new ones wait"
            };
            tracing::warn!(
                target: "callgate::server::listen", { times },
            "{} open, as many as this gateway accepts (`callgate.limits.max_connections`): {then}",
                counted_as(most, "connection is", "connections are")
            );
        }
        for _ in 0..PAUSES {
            sleep(PAUSE / PAUSES).await;
            if pool.occupancy.connections() < most {
                return;
            }
        }
    }
}

/// Turns on TCP keep-alive: a client whose machine or network is gone never closes its connection.
/// Accepted sockets inherit it.
fn look_for_lost_clients(listener: &TcpListener) -> rustix::io::Result<()> {
    set_tcp_keepidle(listener, Duration::from_secs(30))?;
    set_tcp_keepintvl(listener, Duration::from_secs(10))?;
    set_tcp_keepcnt(listener, 3)?;
    set_socket_keepalive(listener, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    /// Nothing accepts here, so a client beyond the limit would wait in vain.
    #[tokio::test]
    async fn a_burst_of_clients_finds_room() {
        let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let clients = limit.trim().parse::<usize>().unwrap().min(500);
        let listener = Listener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.address().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(30));
        let connected: Vec<_> = (0..clients).map(connect).collect();
        assert!(connected.iter().all(Result::is_ok));
    }
}
