//! A callback's background thread, for its tasks, sleeps and requests. The first of them starts it,
//! so a callback without any has no such thread. Each entry of the config has its own: a task that
//! blocks holds up only that entry's work.
//!
//! Workers are single-threaded runtimes; a task on one of them would hold up its calls.

use super::http::HttpClient;
use arc_swap::ArcSwap;
use callgate_upstream::Connector;
use plugin_api::{HostError, HostErrorKind, abi::serve::BoxFuture};
use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::{Semaphore, watch},
    task::JoinHandle,
};

/// The time for tasks to end after the shutdown was announced.
pub(super) const DRAIN: Duration = Duration::from_secs(5);

/// The most jobs at once; the remaining blocking threads resolve names.
const JOBS: usize = 4;
const BLOCKING_THREADS: usize = JOBS + 4;

/// The length of a thread's name that the system shows.
const THREAD_NAME: usize = 15;

/// The background thread of one entry.
pub(super) struct Background {
    /// The entry's name.
    name: Box<str>,
    /// The thread also serves its connections, so no two entries share a client.
    http: Arc<HttpClient>,
    handle: OnceLock<Result<Handle, String>>,
    runtime: Mutex<Option<Runtime>>,
    /// It accepts no new work.
    ended: AtomicBool,
    /// It never runs anything, because a config is being checked.
    idle: bool,
    jobs: Arc<Semaphore>,
    live: Arc<Live>,
}

/// The number of unfinished tasks and jobs.
#[derive(Default)]
struct Live {
    count: AtomicUsize,
    /// The number of those that were aborted during the shutdown.
    cut_off: AtomicUsize,
    waited_for: AtomicBool,
    none: Condvar,
    lock: Mutex<()>,
}

/// Counts one task or job for as long as it lives.
struct LiveOne(Arc<Live>);

impl LiveOne {
    fn new(live: &Arc<Live>) -> Self {
        live.count.fetch_add(1, SeqCst);
        Self(Arc::clone(live))
    }
}

impl Drop for LiveOne {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, SeqCst) == 1 && self.0.waited_for.load(SeqCst) {
            drop(self.0.lock.lock());
            self.0.none.notify_all();
        }
    }
}

/// A permit for one task, job or request of a callback.
pub(super) struct Permit(Arc<AtomicUsize>);

impl Permit {
    pub(super) fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let another = |count: usize| (count < limit).then_some(count + 1);
        taken.fetch_update(SeqCst, SeqCst, another).ok().map(|_| Self(Arc::clone(taken)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Background {
    /// With `idle` it accepts everything and runs nothing, for a check of the config.
    pub(super) fn new(name: &str, idle: bool, connector: &Arc<ArcSwap<Connector>>) -> Self {
        Self {
            name: name.into(),
            http: Arc::new(HttpClient::new(Arc::clone(connector))),
            handle: OnceLock::new(),
            runtime: Mutex::new(None),
            ended: AtomicBool::new(false),
            idle,
            jobs: Arc::new(Semaphore::new(JOBS)),
            live: Arc::default(),
        }
    }

    /// The entry's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The client for the callback's requests.
    pub(super) fn http(&self) -> &Arc<HttpClient> {
        &self.http
    }

    /// The runtime for futures; started if it is not running.
    pub(super) fn handle(&self) -> Result<&Handle, HostError> {
        let ending = |text: &str| HostError::new(HostErrorKind::ENDING, text);
        if self.idle {
            return Err(ending("the config is only being checked"));
        }
        if self.ended.load(SeqCst) {
            return Err(ending("the gateway is ending"));
        }
        let started = self.handle.get_or_init(|| self.start().map_err(|error| error.to_string()));
        started
            .as_ref()
            .map_err(|error| ending(&format!("the gateway cannot start a thread for it: {error}")))
    }

    fn start(&self) -> io::Result<Handle> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name(thread_name(&self.name))
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        *self.runtime.lock().unwrap_or_else(PoisonError::into_inner) = Some(runtime);
        Ok(handle)
    }

    /// Whether it accepts everything and runs nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.idle
    }

    /// Runs a callback's future until it is done or `cut` is set.
    pub(super) fn spawn(
        &self,
        work: BoxFuture<()>,
        place: Permit,
        mut cut: watch::Receiver<bool>,
    ) -> Result<(), HostError> {
        if self.idle {
            return Ok(());
        }
        let handle = self.handle()?;
        let live = LiveOne::new(&self.live);
        handle.spawn(async move {
            // The work is dropped before its permit and its count.
            let given_back = (place, live);
            tokio::select! {
                biased;
                () = work => {}
                _ = cut.wait_for(|cut| *cut) => {
                    let live = &given_back.1.0;
                    if live.waited_for.load(SeqCst) {
                        live.cut_off.fetch_add(1, SeqCst);
                    }
                }
            }
            drop(given_back);
        });
        Ok(())
    }

    /// Runs a callback's job on a thread that may block.
    pub(super) fn spawn_blocking(
        &self,
        job: impl FnOnce() + Send + 'static,
        place: Permit,
    ) -> Result<(), HostError> {
        if self.idle {
            return Ok(());
        }
        let handle = self.handle()?;
        let live = LiveOne::new(&self.live);
        let (jobs, on) = (Arc::clone(&self.jobs), handle.clone());
        handle.spawn(async move {
            let turn = jobs.acquire_owned().await;
            on.spawn_blocking(move || {
                job();
                drop((turn, place, live));
            });
        });
        Ok(())
    }

    /// Sets `cut` when the time for the shutdown is over; at once if the thread is not running.
    pub(super) fn cut_later(&self, cut: &Arc<watch::Sender<bool>>) {
        if let Some(Ok(handle)) = self.handle.get()
            && !self.ended.load(SeqCst)
        {
            let cut = Arc::clone(cut);
            handle.spawn(async move {
                tokio::time::sleep(DRAIN).await;
                cut.send_replace(true);
            });
        }
    }

    /// Waits at most `limit` for running work, which may still send requests; then refuses new work
    /// and aborts the rest. Returns the number of aborted ones. Blocks.
    pub(super) fn end(&self, limit: Duration) -> usize {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(runtime) = runtime else {
            self.ended.store(true, SeqCst);
            return 0;
        };
        self.live.waited_for.store(true, SeqCst);
        let ends = Instant::now().checked_add(limit);
        let mut guard = self.live.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while self.live.count.load(SeqCst) > 0
            && let Some(left) = ends.and_then(|ends| ends.checked_duration_since(Instant::now()))
        {
            let waited = self.live.none.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(guard);
        self.ended.store(true, SeqCst);
        let left = self.live.count.load(SeqCst) + self.live.cut_off.load(SeqCst);
        runtime.shutdown_background();
        left
    }
}

/// `tasks:` and as much of the entry's name as fits.
fn thread_name(entry: &str) -> String {
    let mut name = format!("tasks:{}", entry.replace('\0', " "));
    name.truncate(name.floor_char_boundary(THREAD_NAME));
    name
}

/// A runtime must not be dropped where blocking is not allowed.
impl Drop for Background {
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = self.live.count.load(SeqCst);
        f.debug_struct("Background").field("live", &live).finish_non_exhaustive()
    }
}

/// Awaits work on the background thread from anywhere; dropping it cancels the work. `None` if the
/// thread has ended.
pub(super) struct Awaited<T>(JoinHandle<T>);

impl<T: Send + 'static> Awaited<T> {
    pub(super) fn new(handle: &Handle, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(handle.spawn(work))
    }
}

impl<T> Future for Awaited<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(context).map(Result::ok)
    }
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(background: &Background, taken: &Arc<AtomicUsize>, work: BoxFuture<()>) {
        let (sender, cut) = watch::channel(false);
        // Holds it as the instance's host does, which its tasks keep alive.
        std::mem::forget(sender);
        let place = Permit::take(taken, 9).expect("there is room");
        background.spawn(work, place, cut).expect("it is taken");
    }

    #[test]
    fn the_first_task_starts_the_thread_and_the_end_waits_for_it() {
        let (background, taken) = (Background::new("a", false, &Arc::default()), Arc::default());
        assert!(background.handle.get().is_none());
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        spawn(&background, &taken, Box::pin(async move { drop(wait.await) }));
        assert_eq!(taken.load(SeqCst), 1);
        drop(go);
        assert_eq!(background.end(Duration::from_secs(60)), 0);
        assert_eq!(taken.load(SeqCst), 0);
        assert_eq!(background.handle().map(drop).unwrap_err().kind, HostErrorKind::ENDING);
    }

    /// The instance's own limit may end a moment before the wait for all tasks.
    #[test]
    fn what_is_cut_off_while_the_end_is_waited_for_counts_as_left() {
        let background = Background::new("a", false, &Arc::default());
        let (sender, cut) = watch::channel(false);
        let place = Permit::take(&Arc::default(), 1).expect("there is room");
        background.spawn(Box::pin(std::future::pending()), place, cut).expect("it is taken");
        std::thread::scope(|scope| {
            let end = scope.spawn(|| background.end(Duration::from_secs(60)));
            while !background.live.waited_for.load(SeqCst) {
                std::thread::yield_now();
            }
            sender.send_replace(true);
            assert_eq!(end.join().expect("it ends"), 1);
        });
    }

    #[test]
    fn a_task_that_blocks_holds_up_no_task_of_another_entry() {
        let connector = Arc::default();
        let of = |name| Background::new(name, false, &connector);
        let (blocked, free, taken) = (of("blocked"), of("free"), Arc::default());
        let (started, entered) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        spawn(
            &blocked,
            &taken,
            Box::pin(async move {
                let _ = started.send(());
                let _ = wait.recv();
            }),
        );
        entered.recv().expect("it runs");
        let (done, ran) = std::sync::mpsc::channel();
        spawn(
            &free,
            &taken,
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let name = std::thread::current().name().map(str::to_owned);
                let _ = done.send(name);
            }),
        );
        assert_eq!(ran.recv().expect("it ran").as_deref(), Some("tasks:free"));
        assert_eq!(blocked.end(Duration::ZERO), 1, "the end waits no longer than it may");
        drop(go);
    }

    #[test]
    fn what_never_ends_is_counted_and_left() {
        let (background, taken) = (Background::new("a", false, &Arc::default()), Arc::default());
        spawn(&background, &taken, Box::pin(std::future::pending()));
        assert_eq!(background.end(Duration::ZERO), 1);
    }

    #[test]
    fn a_check_runs_nothing() {
        let (background, taken) = (Background::new("a", true, &Arc::default()), Arc::default());
        spawn(&background, &taken, Box::pin(async { panic!("it ran") }));
        assert!(background.handle().is_err() && background.handle.get().is_none());
        assert_eq!((background.end(Duration::ZERO), taken.load(SeqCst)), (0, 0));
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let taken = Arc::default();
        let places: Vec<_> = (0..3).filter_map(|_| Permit::take(&taken, 2)).collect();
        assert_eq!(places.len(), 2);
        drop(places);
        assert!(Permit::take(&taken, 2).is_some());
    }
}
