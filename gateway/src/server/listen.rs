//! Accepting connections and ending well.
//!
//! One acceptor deals connections to worker threads in turn; each worker is a runtime of one
//! thread, so that a call, its upstream connection and its hooks stay on one core and share
//! nothing. (A listener per worker would let two gateways share a port without a word.)

use super::{Surface, alarm::Alarm, flight};
use crate::app::App;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    num::NonZero,
    sync::Arc,
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

/// What a connection reads at most at once, and a head's hard limit: hyper would grow to 400 KiB a
/// connection and keep it.
const READ_BUFFER: usize = 64 * 1024;

/// What the hooks of calls that are cut off have to end in.
const LAST_HOOKS: Duration = Duration::from_secs(1);

/// A bound address.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// The worker threads of a running gateway.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    workers: Vec<Worker>,
    /// Set to true when no new call is taken.
    draining: watch::Sender<bool>,
    /// Told when the calls that still run are cut off.
    cutting: Arc<Notify>,
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
        TcpListener::bind(address).await.map(Self)
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
        let (draining, _) = watch::channel(false);
        let cutting = Arc::new(Notify::new());
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..count)
            .map(|index| Worker::start(index, app, &draining, &cutting))
            .collect::<io::Result<_>>()?;
        Ok(Self { listener, workers, draining, cutting })
    }

    /// Accepts connections until `stop` is done; then closes the listener and waits for the calls
    /// that run, at most `limit`. Says whether all of them ended.
    pub async fn run(self, stop: impl Future<Output = ()>, limit: Duration) -> bool {
        let Self { listener: Listener(listener), workers, draining, cutting } = self;
        let accepting = accept(&listener, &workers);
        tokio::select! {
            () = stop => {}
            () = accepting => {}
        }
        drop(listener);
        tracing::info!("draining: no new connection is taken");
        let _ = draining.send(true);
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        // Workers end by themselves when their last connection is done.
        let mut ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        if tokio::time::timeout(limit, &mut ended).await.is_ok() {
            return true;
        }
        // What still runs is cut off on its own thread, so that every call has its ending.
        cutting.notify_waiters();
        let _ = tokio::time::timeout(2 * LAST_HOOKS, ended).await;
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
    fn start(
        index: usize,
        app: &Arc<App>,
        draining: &watch::Sender<bool>,
        cutting: &Arc<Notify>,
    ) -> io::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        let app = Arc::clone(app);
        let draining = draining.subscribe();
        let cutting = Arc::clone(cutting);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || runtime.block_on(work(app, incoming, draining, &cutting)))?;
        Ok(Self { connections, thread })
    }
}

async fn work(
    app: Arc<App>,
    mut incoming: mpsc::UnboundedReceiver<std::net::TcpStream>,
    mut draining: watch::Receiver<bool>,
    cutting: &Notify,
) {
    let mut cut = std::pin::pin!(cutting.notified());
    // From here on the notice is not missed.
    cut.as_mut().enable();
    let surface = Surface::new(&app);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = begins(&mut draining) => break,
            stream = incoming.recv() => {
                let Some(stream) = stream else { break };
                if let Ok(stream) = TcpStream::from_std(stream) {
                    let limit = app.limits.header_timeout;
                    open.spawn(serve(stream, surface.clone(), limit, draining.clone()));
                }
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    let all = async {
        while open.join_next().await.is_some() {}
        flight::all_ended().await;
    };
    tokio::select! {
        () = all => return,
        () = cut => {}
    }
    // Dropping a call ends it; hooks that wait go on as tasks of this thread.
    open.shutdown().await;
    let _ = tokio::time::timeout(LAST_HOOKS, flight::all_ended()).await;
}

/// Waits until no new call is to be taken.
async fn begins(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

/// One connection, until it closes; while draining, until its current call is answered.
async fn serve(
    stream: TcpStream,
    surface: Surface,
    header_timeout: Duration,
    mut draining: watch::Receiver<bool>,
) {
    let alarm = Alarm::default();
    let connection = http1::Builder::new()
        .timer(alarm.clone())
        .header_read_timeout(header_timeout)
        .max_buf_size(READ_BUFFER)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| surface.answer(&alarm, request)),
        );
    let mut connection = std::pin::pin!(connection);
    let probe = draining.clone();
    let mut draining = std::pin::pin!(begins(&mut draining));
    let (mut asked, mut told) = (false, false);
    let ended = poll_fn(|context| {
        let ended = connection.as_mut().poll(context);
        // Once asked for, the news wakes this task. To ask again at every chunk of a stream would
        // cost more than to look whether it has come.
        if told || ended.is_ready() || (asked && !probe.has_changed().unwrap_or(true)) {
            return ended;
        }
        asked = true;
        if draining.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        told = true;
        connection.as_mut().graceful_shutdown();
        connection.as_mut().poll(context)
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
