//! Work that outlives its request: the last hooks of calls whose clients have their response or
//! have left.

use callgate_host::depth::{self, AtDepth};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};
use tokio::sync::watch;

/// Polls the work once at once, so that sync hooks need no task; the rest becomes a task of this
/// thread.
pub(super) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = match depth::current() {
        0 => Box::pin(work),
        depth => Box::pin(AtDepth::new(depth, work)),
    };
    let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if polled.is_pending()
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        let counted = UnderWay::begin();
        runtime.spawn(async move {
            work.await;
            drop(counted);
        });
    }
}

thread_local! {
    /// The number of this thread's calls whose last hooks still run.
    static UNDER_WAY: watch::Sender<usize> = watch::Sender::new(0);
}

/// The last hooks of this thread's calls. These calls have no connection any more, so waiting for
/// all connections is not enough.
pub(super) struct LastHooks(watch::Receiver<usize>);

impl LastHooks {
    /// Call it when the thread starts: the first touch of a thread-local waits for a plugin that
    /// hangs in the dynamic linker.
    pub(super) fn of_this_thread() -> Self {
        Self(UNDER_WAY.with(watch::Sender::subscribe))
    }

    /// Waits until all have ended.
    pub(super) async fn all_ended(&mut self) {
        let _ = self.0.wait_for(|count| *count == 0).await;
    }
}

/// Counts one such ending for as long as it lives.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.with(|count| count.send_modify(|count| *count += 1));
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // The thread has ended, so nobody waits.
        let _ = UNDER_WAY.try_with(|count| count.send_modify(|count| *count -= 1));
    }
}
