//! Bounds on waiting: for a head, a body, an upstream, or the next chunk of a stream.
//!
//! Setting and clearing a timer for every wait costs more than passing on a chunk, and the runtime
//! wakes itself up for a timer that is due before all others. A connection waits for one thing at a
//! time, so it has one timer for all its waits. The first wait sets it. When it fires for a wait
//! that is over, it is set again for the current one.
//!
//! When the drain deadline has passed, the gateway cuts its calls' waits short here.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one connection. Clones share it; only the connection's task may use them.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionTimer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    set: Mutex<Option<Set>>,
    cut: AtomicBool,
    /// The current request has been read to its end.
    whole: AtomicBool,
    /// The client has closed its side of the connection.
    left: AtomicBool,
}

#[derive(Debug)]
struct Set {
    sleep: Pin<Box<Sleep>>,
    /// Wakes the task that waits.
    waker: Waker,
}

/// When a wait ends. Not known until something has to wait; may lie beyond the clock's range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WaitEnd(Option<Option<Instant>>);

impl WaitEnd {
    /// A wait that ends `limit` after `start`.
    pub(super) fn after(start: std::time::Instant, limit: Duration) -> Self {
        Self(Some(Instant::from_std(start).checked_add(limit)))
    }

    /// Returns the end, and sets it to `limit` from now if it is not known yet.
    pub(super) fn or_set(&mut self, limit: Duration) -> Option<Instant> {
        *self.0.get_or_insert_with(|| Instant::now().checked_add(limit))
    }
}

impl ConnectionTimer {
    /// Returns the output of `work`; `None` if it is not ready by `end`, or the wait is cut short.
    /// Without an end (a limit beyond the clock's range) it may take any time.
    pub(super) async fn until<T>(
        &self,
        end: Option<std::time::Instant>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let end = end.map(Instant::from_std);
        poll_fn(|context| match (work.as_mut().poll(context), end) {
            (Poll::Ready(output), _) => Poll::Ready(Some(output)),
            (Poll::Pending, Some(end)) => self.poll(end, context).map(|()| None),
            (Poll::Pending, None) if self.is_cut() => Poll::Ready(None),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    /// Returns the output of `work`; `None` if it takes longer than `limit`, or is cut short.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.within_what_is_left(&mut WaitEnd::default(), limit, work).await
    }

    /// As [`ConnectionTimer::within`], for a wait in several parts: the first part that has to wait
    /// sets the end, which holds until the caller resets it.
    pub(super) async fn within_what_is_left<T>(
        &self,
        end: &mut WaitEnd,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            // A future that is ready at once needs no clock.
            match end.or_set(limit) {
                Some(end) => self.poll(end, context).map(|()| None),
                None if self.is_cut() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Ends all present and later waits at once. The task has to be polled once more.
    pub(super) fn cancel(&self) {
        self.0.cut.store(true, Ordering::Relaxed);
    }

    /// Whether a wait may have been cut short.
    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Polls the task again. May be called from any thread.
    pub(super) fn wake(&self) {
        let slot = self.0.set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = slot.as_ref() {
            set.waker.wake_by_ref();
        }
    }

    /// Marks that the connection waits for its next request.
    pub(super) fn begin_request(&self) {
        self.0.whole.store(false, Ordering::Relaxed);
    }

    /// Marks that all bytes from now on come after the current request.
    pub(super) fn request_is_whole(&self) {
        self.0.whole.store(true, Ordering::Relaxed);
    }

    pub(super) fn client_left(&self) {
        self.0.left.store(true, Ordering::Relaxed);
    }

    pub(super) fn client_has_left(&self) -> bool {
        self.0.left.load(Ordering::Relaxed)
    }

    pub(super) fn has_whole_request(&self) -> bool {
        self.0.whole.load(Ordering::Relaxed)
    }

    /// Ready from `end` on. Before that, it makes sure that the task is polled again by then.
    pub(super) fn poll(&self, end: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.is_cut() {
            return Poll::Ready(());
        }
        let mut slot = self.0.set.lock().unwrap_or_else(PoisonError::into_inner);
        let set = slot.get_or_insert_with(|| Set {
            sleep: Box::pin(sleep_until(end)),
            waker: Waker::noop().clone(),
        });
        if end < set.sleep.deadline() {
            set.sleep.as_mut().reset(end);
        } else if set.waker.will_wake(context.waker()) && !set.sleep.is_elapsed() {
            return Poll::Pending;
        }
        while set.sleep.as_mut().poll(context).is_ready() {
            // The timer may have been set for an earlier wait.
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            set.sleep.as_mut().reset(end);
        }
        set.waker.clone_from(context.waker());
        Poll::Pending
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Runs a test on a paused clock.
    pub(crate) fn paused(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(test);
    }

    #[test]
    fn each_wait_has_the_whole_limit() {
        paused(async {
            let timer = ConnectionTimer::default();
            for _ in 0..5 {
                let wait = sleep(LIMIT - Duration::from_millis(1));
                assert_eq!(timer.within(LIMIT, wait).await, Some(()));
            }
            let start = Instant::now();
            assert_eq!(timer.within(LIMIT, pending::<()>()).await, None);
            assert_eq!(start.elapsed(), LIMIT);
        });
    }

    #[test]
    fn a_shorter_wait_after_a_longer_one_ends_in_time() {
        paused(async {
            let timer = ConnectionTimer::default();
            assert_eq!(timer.within(10 * LIMIT, sleep(LIMIT)).await, Some(()));
            let start = Instant::now();
            let end = start + LIMIT;
            let head = poll_fn(|context| timer.poll(end, context));
            assert_eq!(timer.within(2 * LIMIT, head).await, Some(()));
            assert_eq!(start.elapsed(), LIMIT);
            let end = start.into_std() + 2 * LIMIT;
            assert_eq!(timer.until(Some(end), pending::<()>()).await, None);
            assert_eq!(start.elapsed(), 2 * LIMIT);
        });
    }

    #[test]
    fn the_parts_of_a_wait_share_its_limit() {
        paused(async {
            let (timer, mut end, start) =
                (ConnectionTimer::default(), WaitEnd::default(), Instant::now());
            for _ in 0..3 {
                let part = sleep(LIMIT / 4);
                assert!(timer.within_what_is_left(&mut end, LIMIT, part).await.is_some());
            }
            assert_eq!(timer.within_what_is_left(&mut end, LIMIT, pending::<()>()).await, None);
            assert_eq!(start.elapsed(), LIMIT);
            end = WaitEnd::default();
            assert!(timer.within_what_is_left(&mut end, LIMIT, sleep(LIMIT / 2)).await.is_some());
        });
    }

    #[test]
    fn a_wait_within_a_wait_ends_first() {
        paused(async {
            let (timer, start) = (ConnectionTimer::default(), Instant::now());
            let mut inner = Box::pin(timer.within(LIMIT, pending::<()>()));
            for turn in 1..4 {
                assert_eq!(timer.within(LIMIT / 4, &mut inner).await, None);
                assert_eq!(start.elapsed(), turn * LIMIT / 4);
            }
            assert_eq!(timer.within(LIMIT, &mut inner).await, Some(None));
            assert_eq!(start.elapsed(), LIMIT);
        });
    }

    #[test]
    fn what_is_ready_needs_no_timer() {
        let timer = ConnectionTimer::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(timer.within(LIMIT, ready(7))), Some(7));
    }
}
