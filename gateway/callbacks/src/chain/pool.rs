//! Threads of one callback's own, for `mode: blocking`: what wedges them keeps no other callback
//! and no worker waiting. What a hook works on belongs to its thread, so that one that returns too
//! late finds nobody to tell.
//!
//! Threads are started when they are needed, up to a bound, and end when they are not. Nobody ever
//! waits for one to end.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How many hooks of one callback run at once.
pub(super) const THREADS: usize = 32;

/// A thread without work ends after this time.
const IDLE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct ThreadPool {
    name: Arc<str>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// What each thread is at; `None` for one that waits for work.
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

/// A hook a thread is at.
#[derive(Clone, Copy, Debug)]
struct Running {
    /// Of the thread.
    id: u64,
    /// `None` for a thread that has yet to take its first job.
    due: Option<Instant>,
}

/// Why a hook brought no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolError {
    #[error("not done within {} ms; {stuck} of its {THREADS} threads are stuck", limit.as_millis())]
    Late { limit: Duration, stuck: usize },
    #[error("all of its {THREADS} threads are stuck")]
    AllStuck,
    #[error("no thread could be started for it: {0}")]
    NoThread(String),
    #[error("its thread broke off")]
    BrokeOff,
}

/// How many threads there are: at work, and among those at work for longer than they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Threads {
    pub(super) running: usize,
    pub(super) stuck: usize,
}

impl ThreadPool {
    /// For the callback called `name`; no thread is started yet.
    pub(super) fn new(name: Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, state: Mutex::default(), work: Condvar::new() })
    }

    /// Runs `work` on one of the threads. Its result, unless it takes longer than `limit`, the wait
    /// for a thread included. Work that nobody waits for any more is not begun.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (sender, result) = oneshot::channel();
        let run = Box::new(move || {
            if !sender.is_closed() {
                // Too late, the result is dropped here, on a thread that may block.
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
        // A name with a NUL would panic, and it is the operator's.
        let name = format!("{}-{id}", self.name.replace('\0', ""));
        thread::Builder::new().name(name).spawn(move || pool.serve(id))?;
        state.started += 1;
        state.threads.push(Some(Running { id, due: None }));
        Ok(())
    }

    fn serve(&self, id: u64) {
        while let Some(job) = self.next(id) {
            // A plugin's panics are caught on its side; one of ours must not lose the thread.
            let _ = catch_unwind(AssertUnwindSafe(job.run));
        }
    }

    /// The next job of thread `id`; `None` when it is to end.
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
            // A thread may come too late to take a job at all.
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
            // The threads are let go one by one, and serve again.
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
