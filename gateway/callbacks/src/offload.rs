//! Moves work on large bodies to other threads.
//!
//! A worker is one thread, and reading through some megabytes takes longer than its other calls may
//! wait. A small body is handled in place, because a thread costs more than the work.

use callgate_failure::Failure;
use callgate_plugin_host::memory;
use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
};

/// At most as many large bodies are handled at once as there are processors. More would only take
/// more memory.
static OWN: LazyLock<Semaphore> = LazyLock::new(one_a_processor);

/// The same limit for hooks. It is separate, so that a hook that hangs does not stop bodies from
/// being read.
static HOOKS: LazyLock<Semaphore> = LazyLock::new(one_a_processor);

fn one_a_processor() -> Semaphore {
    Semaphore::new(available_parallelism().map_or(1, NonZero::get))
}

/// Runs the gateway's own `work` on another thread; in place without a runtime, where no other call
/// waits.
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = in_turn(&OWN, work).await;
    done.map_err(Failure::internal)
}

/// Runs a callback's hook on another thread; the error says why the thread failed.
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
    // The work goes on if its client leaves, and keeps its permit.
    let work = move || {
        let done = work();
        drop(turn);
        memory::give_back();
        done
    };
    spawn_blocking(work).await.map_err(|error| error.to_string())
}
