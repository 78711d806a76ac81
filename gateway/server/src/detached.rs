//! Work that outlives the request it belongs to: the last hooks of calls whose clients have their
//! answer, or have left.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};
use tokio::sync::watch;

/// Runs to the first wait here and now, so that sync hooks cost no task; the rest as a task of
/// this thread.
pub(super) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    let mut work = Box::pin(work);
    let polled = Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop()));
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
    /// How many endings of this thread's calls wait for their hooks.
    static UNDER_WAY: watch::Sender<usize> = watch::Sender::new(0);
}

/// Waits until no call of this thread waits for its last hooks. They have no connection any more,
/// so the end of all connections is not theirs.
pub(super) async fn all_ended() {
    let mut under_way = UNDER_WAY.with(watch::Sender::subscribe);
    let _ = under_way.wait_for(|count| *count == 0).await;
}

/// Counts an ending for as long as it lives.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.with(|count| count.send_modify(|count| *count += 1));
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // A thread that has ended has nobody who waits.
        let _ = UNDER_WAY.try_with(|count| count.send_modify(|count| *count -= 1));
    }
}
