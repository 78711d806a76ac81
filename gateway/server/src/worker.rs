//! The worker threads. Each has a runtime of one thread, so that a call, its upstream connection
//! and its hooks stay on one core and share nothing.
//!
//! Other threads may give a worker a connection, check whether it is stuck, take back connections
//! it has not begun, and close those without a call.

use super::{Surface, connection::Connection, detached::LastHooks, phase::Phase, serve::serve};
use crate::{CurrentApp, occupancy::OpenConnection};
use callgate_plugin_host::Whereabouts;
use rustix::net::sockopt::set_tcp_user_timeout;
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

/// The time an aborted call has to answer its client, and again to run its last hooks.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// An accepted connection that no worker serves yet.
#[derive(Debug)]
pub(super) struct AcceptedConnection {
    pub(super) stream: std::net::TcpStream,
    pub(super) open: OpenConnection,
}

/// A worker as other threads see it.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) index: usize,
    waiting: Mutex<VecDeque<AcceptedConnection>>,
    arrived: Notify,
    /// The connections it serves, by number.
    connections: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
    /// How often it was asked to respond, and has responded.
    asked: AtomicU64,
    answered: AtomicU64,
    ask: Notify,
    is_stuck: AtomicBool,
    has_ended: AtomicBool,
    pub(super) whereabouts: Whereabouts,
}

impl Worker {
    /// Starts a worker and its thread.
    pub(super) fn start(
        index: usize,
        current: &CurrentApp,
        phase: watch::Receiver<Phase>,
    ) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let worker = Arc::new(Self {
            index,
            waiting: Mutex::default(),
            arrived: Notify::new(),
            connections: Mutex::default(),
            next: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            ask: Notify::new(),
            is_stuck: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            whereabouts: Whereabouts::unknown(),
        });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_unpark(callgate_upstream::note_wait)
            .build()?;
        let (current, its) = (current.clone(), Arc::clone(&worker));
        let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let _told = its.whereabouts.tell();
            runtime.block_on(work(&current, &its, phase));
            // Dropping the runtime drops its tasks, including hooks.
            drop(runtime);
            its.has_ended.store(true, Ordering::Release);
        })?;
        Ok((worker, thread))
    }

    /// Gives the worker a connection.
    pub(super) fn take(&self, accepted: AcceptedConnection) {
        lock(&self.waiting).push_back(accepted);
        self.arrived.notify_one();
    }

    /// Takes back the connections that the worker has not begun to serve.
    pub(super) fn untaken(&self) -> VecDeque<AcceptedConnection> {
        std::mem::take(&mut *lock(&self.waiting))
    }

    /// Asks the worker to respond.
    pub(super) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.ask.notify_one();
    }

    /// Whether it has responded since it was last asked, or has ended.
    pub(super) fn has_answered(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
            || self.answered.load(Ordering::Acquire) == self.asked.load(Ordering::Relaxed)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Relaxed)
    }

    pub(super) fn set_stuck(&self, stuck: bool) {
        self.is_stuck.store(stuck, Ordering::Relaxed);
    }

    /// Closes connections without a call although the worker is stuck: a request sent on one would
    /// get no response.
    pub(super) fn hang_up_idle(&self) {
        let connections = lock(&self.connections);
        connections.values().filter(|it| it.waiting().is_some()).for_each(|it| it.hang_up());
    }

    /// Adds its connections that were without a call by then, with the time since when.
    pub(super) fn idle(&self, by: u64, into: &mut Vec<(u64, Arc<Connection>)>) {
        let connections = lock(&self.connections);
        into.extend(connections.values().filter_map(|connection| {
            let since = connection.waiting().filter(|since| *since <= by)?;
            Some((since, Arc::clone(connection)))
        }));
    }

    async fn accepted(&self) -> AcceptedConnection {
        loop {
            if let Some(accepted) = lock(&self.waiting).pop_front() {
                return accepted;
            }
            self.arrived.notified().await;
        }
    }
}

/// Keeps a connection in its worker's list for as long as it lives.
struct Listed {
    worker: Arc<Worker>,
    number: u64,
    _open: OpenConnection,
}

impl Listed {
    fn new(worker: &Arc<Worker>, connection: &Arc<Connection>, open: OpenConnection) -> Self {
        let number = worker.next.fetch_add(1, Ordering::Relaxed);
        lock(&worker.connections).insert(number, Arc::clone(connection));
        Self { worker: Arc::clone(worker), number, _open: open }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.worker.connections).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn work(current: &CurrentApp, worker: &Arc<Worker>, mut phase: watch::Receiver<Phase>) {
    let mut last_hooks = LastHooks::of_this_thread();
    let its = Arc::clone(worker);
    tokio::spawn(async move {
        loop {
            its.ask.notified().await;
            its.answered.store(its.asked.load(Ordering::Relaxed), Ordering::Release);
        }
    });
    let surface = Surface::new(current);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = Phase::Draining.reached(&mut phase) => break,
            accepted = worker.accepted() => {
                if let Ok(stream) = TcpStream::from_std(accepted.stream) {
                    let limits = current.load().limits;
                    bound_writing(&stream, limits.write_timeout);
                    let (connection, incoming) = Connection::new(stream, &limits);
                    let listed = Listed::new(worker, &connection, accepted.open);
                    let served = serve(connection, incoming, surface.clone(), phase.clone());
                    open.spawn(async move {
                        served.await;
                        drop(listed);
                    });
                }
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
    drop(worker.untaken());
    let all = async {
        while open.join_next().await.is_some() {}
        last_hooks.all_ended().await;
    };
    let cut = async {
        Phase::Cutting.reached(&mut phase).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = all => return,
        () = cut => {}
    }
    // Dropping a call ends it; waiting hooks continue as tasks of this thread.
    open.shutdown().await;
    let _ = timeout(LAST_WORDS, LastHooks::of_this_thread().all_ended()).await;
}

/// Lets the system close the connection of a client that reads nothing for `limit`. The system
/// knows what the client has received, where the gateway would see only a full buffer, and no timer
/// is needed.
fn bound_writing(stream: &TcpStream, limit: Duration) {
    // The system expects a signed number.
    let millis = limit.as_millis().clamp(1, i32::MAX as u128);
    let millis = u32::try_from(millis).unwrap_or(u32::MAX);
    if let Err(error) = set_tcp_user_timeout(stream, millis) {
        tracing::debug!(
            target: "callgate::server::worker",
            %error, "`write_timeout` could not be set on a client's connection"
        );
    }
}
