//! A callback's own threads, for `mode: blocking`, so that a hook that hangs holds up no worker and
//! no other callback. A hook owns its data, so nobody waits for one that returns too late.
//!
//! Threads are started on demand, up to a limit, and end when idle. Nobody waits for one to end.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// The most hooks of one callback that run at once.
pub(super) const THREADS: usize = 32;

/// A thread ends after this time without work.
const IDLE: Duration = Duration::from_secs(10);

/// The threads of one callback.
#[derive(Debug)]
pub(super) struct ThreadPool {
    name: Arc<str>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// The job of each thread; `None` if it waits for work.
    threads: Vec<Option<Running>>,
    idle: usize,
    started: u64,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("threads", &self.threads).finish_non_exhaustive()
    }
}

struct Job {
    run: Box<dyn FnOnce() + Send>,
    due: Instant,
}

/// A running job.
#[derive(Clone, Copy, Debug)]
struct Running {
    /// The thread's id.
    id: u64,
    /// `None` if the thread has not taken its first job yet.
    due: Option<Instant>,
}

/// Why a hook has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolError {
    #[error("not done within {} ms; {stuck} of its {THREADS} threads are stuck", limit.as_millis())]
    Late { limit: Duration, stuck: usize },
    #[error("all of its {THREADS} threads are stuck")]
    AllStuck,
    #[error("no thread could be started for it: {0}")]
    NoThread(String),
    #[error("its thread ended unexpectedly")]
    BrokeOff,
}

/// The number of threads: running, and those of them that have exceeded their limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads {
    pub(super) running: usize,
    pub(super) stuck: usize,
}

impl ThreadPool {
    /// A pool for the callback called `name`; it starts no thread yet.
    pub(super) fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, state: Mutex::default(), work: Condvar::new() })
    }

    /// Runs `work` on one of the threads. Fails if it takes longer than `limit`, including the wait
    /// for a thread. Work that nobody waits for any more is not begun.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, result) = oneshot::channel();
        let run = Box::new(move || {
            if !sender.is_closed() {
                // If it is too late, the result is dropped here, on a thread that may block.
                let _ = sender.send(work());
            }
        });
        let due = Instant::now() + limit;
        self.submit(Job { run, due })?;
        match tokio::time::timeout(limit, result).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(PoolError::BrokeOff),
            Err(_) => Err(PoolError::Late { limit, stuck: self.threads().stuck }),
        }
    }

    pub(super) fn threads(&self) -> Threads {
        self.state().count()
    }

    fn submit(self: &Arc<Self>, job: Job) -> Result<(), PoolError> {
        let mut state = self.state();
        if state.count().stuck >= THREADS {
            return Err(PoolError::AllStuck);
        }
        state.queue.push_back(job);
        if state.queue.len() > state.idle && state.threads.len() < THREADS {
            let started = self.start_thread(&mut state);
            if let Err(error) = started
                && state.threads.is_empty()
            {
                state.queue.pop_back();
                return Err(PoolError::NoThread(error.to_string()));
            }
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let id = state.started;
        let pool = Arc::clone(self);
        // The operator's name may contain a NUL, which would panic.
        let name = format!("{}-{id}", self.name.replace('\0', ""));
        thread::Builder::new().name(name).spawn(move || pool.serve(id))?;
        state.started += 1;
        state.threads.push(Some(Running { id, due: None }));
        Ok(())
    }

    fn serve(&self, id: u64) {
        while let Some(job) = self.next(id) {
            // The plugin's side catches its panics; a panic of the gateway's must not end the
            // thread.
            let _ = catch_unwind(AssertUnwindSafe(job.run));
        }
    }

    /// The next job of thread `id`; `None` if it is to end.
    fn next(&self, id: u64) -> Option<Job> {
        let mut state = self.state();
        state.set(id, None);
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.set(id, Some(Running { id, due: Some(job.due) }));
                return Some(job);
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, IDLE);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.queue.is_empty() {
                state.forget_one_idle();
                return None;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set(&mut self, id: u64, now: Option<Running>) {
        let own = |it: &&mut Option<Running>| it.is_some_and(|running| running.id == id);
        let slot = match now {
            None => self.threads.iter_mut().find(own),
            Some(_) => self.threads.iter_mut().find(|it| it.is_none()),
        };
        if let Some(slot) = slot {
            *slot = now;
        }
    }

    fn forget_one_idle(&mut self) {
        if let Some(index) = self.threads.iter().position(Option::is_none) {
            self.threads.swap_remove(index);
        }
    }

    fn count(&self) -> Threads {
        let (mut threads, now) = (Threads::default(), Instant::now());
        for running in self.threads.iter().flatten() {
            threads.running += 1;
            threads.stuck += usize::from(running.due.is_some_and(|due| due <= now));
        }
        threads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    fn in_runtime<F: Future>(work: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work)
    }

    #[test]
    fn results_come_back_and_idle_threads_are_used_again() {
        let pool = ThreadPool::new(Arc::from("odd \0 name"));
        in_runtime(async {
            for round in 0..100 {
                assert_eq!(pool.run(LONG, move || round * 2).await, Ok(round * 2));
            }
        });
        assert!(pool.state().started < 100, "one thread does for calls in turn");
        assert_eq!(pool.threads().stuck, 0);
    }

    #[test]
    fn what_is_late_is_dropped_and_a_full_house_of_it_refuses() {
        let pool = ThreadPool::new(Arc::from("p"));
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        in_runtime(async {
            // A thread may start too late to take a job at all.
            while pool.threads().stuck < THREADS {
                let gate = Arc::clone(&gate);
                let stuck = move || {
                    let _ = gate.lock().unwrap().recv();
                };
                let late = pool.run(SHORT, stuck).await;
                assert!(matches!(late, Err(PoolError::Late { .. })), "{late:?}");
            }
            assert_eq!(pool.run(LONG, || 7).await, Err(PoolError::AllStuck));
            drop(open);
            // The threads are released one by one, and take jobs again.
            while pool.run(LONG, || 7).await == Err(PoolError::AllStuck) {}
            assert_eq!(pool.run(LONG, || 7).await, Ok(7));
        });
    }

    #[test]
    fn a_panic_costs_neither_the_thread_nor_the_caller() {
        let pool = ThreadPool::new(Arc::from("p"));
        in_runtime(async {
            let broken = pool.run(LONG, || std::panic::panic_any(7)).await;
            assert_eq!(broken, Err::<(), _>(PoolError::BrokeOff));
            assert_eq!(pool.run(LONG, || 7).await, Ok(7));
        });
    }
}
