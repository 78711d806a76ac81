//! Work on large bodies, beside the thread whose other calls would wait for it.
//!
//! A worker is one thread, and some megabytes take longer to read through than its other calls may
//! wait. A small body is worked on where it is: a thread is dearer than the work.

use crate::failure::Failure;
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking};

/// From this length of a body on, work that passes all of it is done beside the worker.
pub(crate) const LARGE: usize = 1 << 20;

/// One large body at a time is worked on: the processors are for the workers.
static TURN: Semaphore = Semaphore::const_new(1);

/// Runs `work` on another thread. Without a runtime there is no other call to wait.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if Handle::try_current().is_err() {
        return Ok(work());
    }
    let _turn = TURN.acquire().await.map_err(|error| Failure::internal(error.to_string()))?;
    spawn_blocking(work).await.map_err(|error| Failure::internal(error.to_string()))
}
