//! Work on large bodies, beside the thread whose other calls would wait for it.
//!
//! A worker is one thread, and some megabytes take longer to read through than its other calls may
//! wait. A small body is worked on where it is: a thread is dearer than the work.

use callgate_failure::Failure;
use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
};

/// As many large bodies are worked on at a time as there are processors: the others wait with what
/// they hold, instead of taking more.
static OWN: LazyLock<Semaphore> = LazyLock::new(one_a_processor);

/// The same for hooks, apart: one that does not end must not keep bodies from being read.
static HOOKS: LazyLock<Semaphore> = LazyLock::new(one_a_processor);

fn one_a_processor() -> Semaphore {
    Semaphore::new(available_parallelism().map_or(1, NonZero::get))
}

/// Runs the gateway's own `work` on another thread. Without a runtime there is no other call to
/// wait.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = in_turn(&OWN, work).await;
    done.map_err(Failure::internal)
}

/// The same for a callback's hook; the error says what became of the thread.
pub(crate) async fn offload_hook<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    in_turn(&HOOKS, work).await
}

async fn in_turn<T: Send + 'static>(
    turns: &'static Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    if Handle::try_current().is_err() {
        return Ok(work());
    }
    let turn: SemaphorePermit<'static> =
        turns.acquire().await.map_err(|error| error.to_string())?;
    // The work goes on when its client leaves, and its turn with it.
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    spawn_blocking(work).await.map_err(|error| error.to_string())
}
