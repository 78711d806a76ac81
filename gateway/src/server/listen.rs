//! Accepting connections and ending well.
//!
//! One acceptor deals connections to worker threads in turn; each worker is a runtime of one
//! thread, so that a call, its upstream connection and its hooks stay on one core and share
//! nothing. (A listener per worker would let two gateways share a port without a word.)

use super::{
    Surface,
    connection::{Connection, serve},
    flight,
};
use crate::app::App;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_user_timeout,
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
    net::{TcpListener, TcpStream},
    runtime,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

/// What calls that are cut off have to tell their clients in, and then again their hooks to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A bound address.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// Says when to stop, and when not to wait any longer for that.
#[derive(Debug)]
pub struct Stop(mpsc::UnboundedReceiver<()>);

impl Stop {
    /// What is sent to the other end asks to stop.
    #[must_use]
    pub fn new() -> (mpsc::UnboundedSender<()>, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (sender, Self(receiver))
    }

    /// The next time somebody asks; never, when nobody is left who could.
    pub(crate) async fn asked(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

/// The worker threads of a running gateway.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    workers: Vec<Worker>,
    phase: watch::Sender<Phase>,
}

/// Where the gateway is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// No new call is taken.
    Draining,
    /// Calls that still run are cut off.
    Cutting,
}

impl Phase {
    /// Waits until the gateway is there, or further.
    pub(super) async fn reached(self, phase: &mut watch::Receiver<Phase>) {
        let _ = phase.wait_for(|phase| *phase >= self).await;
    }
}

#[derive(Debug)]
struct Worker {
    connections: mpsc::UnboundedSender<std::net::TcpStream>,
    thread: JoinHandle<()>,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken, not ours, or needs privileges.
    pub async fn bind(address: (&str, u16)) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        if let Err(error) = look_for_lost_clients(&listener) {
            tracing::debug!(%error, "clients that vanish are not looked for");
        }
        Ok(Self(listener))
    }

    /// The address in fact bound.
    ///
    /// # Errors
    /// When the system will not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Server {
    /// Starts one worker a core.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn start(listener: Listener, app: &Arc<App>) -> io::Result<Self> {
        let (phase, _) = watch::channel(Phase::Serving);
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..count)
            .map(|index| Worker::start(index, app, phase.subscribe()))
            .collect::<io::Result<_>>()?;
        Ok(Self { listener, workers, phase })
    }

    /// Accepts connections until it is asked to stop; then closes the listener and waits for the
    /// calls that run: at most `limit`, or until it is asked again. Says whether all of them ended.
    pub async fn run(self, stop: &mut Stop, limit: Duration) -> bool {
        let Self { listener: Listener(listener), workers, phase } = self;
        let accepting = accept(&listener, &workers);
        tokio::select! {
            () = stop.asked() => {}
            () = accepting => {}
        }
        drop(listener);
        tracing::info!("draining: no new connection is taken; another signal ends running calls");
        phase.send_replace(Phase::Draining);
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        // Workers end by themselves when their last connection is done.
        let mut ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        tokio::select! {
            ended = timeout(limit, &mut ended) => match ended {
                Ok(_) => return true,
                Err(_) => tracing::warn!(
                    "calls were still running after {} s and are cut off",
                    limit.as_secs_f64()
                ),
            },
            () = stop.asked() => tracing::warn!("told again to stop: running calls are cut off"),
        }
        // What still runs is cut off on its own thread, so that every call has its ending.
        phase.send_replace(Phase::Cutting);
        let _ = timeout(3 * LAST_WORDS, ended).await;
        false
    }
}

/// Deals connections in turn; a connection that fails to be accepted is its client's loss only.
async fn accept(listener: &TcpListener, workers: &[Worker]) {
    let mut turn = workers.iter().cycle();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of file descriptors: without a pause this would spin until some are free.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(stream) = stream.set_nodelay(true).and_then(|()| stream.into_std()) else {
            continue;
        };
        if let Some(worker) = turn.next() {
            let _ = worker.connections.send(stream);
        }
    }
}

impl Worker {
    fn start(index: usize, app: &Arc<App>, phase: watch::Receiver<Phase>) -> io::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let app = Arc::clone(app);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || runtime.block_on(work(app, incoming, phase)))?;
        Ok(Self { connections, thread })
    }
}

async fn work(
    app: Arc<App>,
    mut incoming: mpsc::UnboundedReceiver<std::net::TcpStream>,
    mut phase: watch::Receiver<Phase>,
) {
    let surface = Surface::new(&app);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = Phase::Draining.reached(&mut phase) => break,
            stream = incoming.recv() => {
                let Some(stream) = stream else { break };
                if let Ok(stream) = TcpStream::from_std(stream) {
                    bound_writing(&stream, app.limits.write_timeout);
                    let (connection, incoming) = Connection::new(stream, &app.limits);
                    open.spawn(serve(connection, incoming, surface.clone(), phase.clone()));
                }
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    let all = async {
        while open.join_next().await.is_some() {}
        flight::all_ended().await;
    };
    let cut = async {
        Phase::Cutting.reached(&mut phase).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = all => return,
        () = cut => {}
    }
    // Dropping a call ends it; hooks that wait go on as tasks of this thread.
    open.shutdown().await;
    let _ = timeout(LAST_WORDS, flight::all_ended()).await;
}

/// Lets the system ask clients that say nothing whether they are still there: one whose machine or
/// network is gone never closes its connection. What is accepted inherits it.
fn look_for_lost_clients(listener: &TcpListener) -> rustix::io::Result<()> {
    set_tcp_keepidle(listener, Duration::from_secs(30))?;
    set_tcp_keepintvl(listener, Duration::from_secs(10))?;
    set_tcp_keepcnt(listener, 3)?;
    set_socket_keepalive(listener, true)
}

/// Lets the system close the connection of a client that takes nothing for so long: it sees what
/// the client in fact takes, where here only a full buffer would be seen, and it costs no timer.
fn bound_writing(stream: &TcpStream, limit: Duration) {
    // The system takes a signed number.
    let millis = limit.as_millis().clamp(1, i32::MAX as u128);
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(stream, millis) {
        tracing::debug!(%error, "a client's connection has no `write_timeout`");
    }
}
