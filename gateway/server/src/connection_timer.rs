//! Bounds on waiting: for a head, a body, an upstream, the next chunk of a stream.
//!
//! A timer set and cleared for every wait costs more than passing a chunk on, and one that is due
//! before all others makes the runtime wake itself up. Here a connection has one timer for all its
//! waits, as it waits for one thing at a time. It is set for the first of them and looked at again
//! only when it goes off: for a wait that is over by then, it is set anew.
//!
//! When the gateway cannot wait any longer for its calls to end, it cuts their waits short here.

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

/// The timer of one connection. Its clones are the same timer, for the connection's task only.
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
    /// Who will be woken.
    waker: Waker,
}

/// When a wait ends. It is not known before something has to wait, and may be beyond what the clock
/// can count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WaitEnd(Option<Option<Instant>>);

impl WaitEnd {
    /// So long after `start`.
    pub(super) fn after(start: std::time::Instant, limit: Duration) -> Self {
        Self(Some(Instant::from_std(start).checked_add(limit)))
    }

    /// So long after now, unless it is known already.
    pub(super) fn or_set(&mut self, limit: Duration) -> Option<Instant> {
        *self.0.get_or_insert_with(|| Instant::now().checked_add(limit))
    }
}

impl ConnectionTimer {
    /// The output of `work`; `None` when it is not there by `end`, or cut short. Without an end it
    /// may take any time: that is what a limit comes to which is beyond what the clock can count.
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

    /// The output of `work`; `None` when it takes longer than `limit`, or is cut short.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.within_what_is_left(&mut WaitEnd::default(), limit, work).await
    }

    /// As [`ConnectionTimer::within`], for a wait of several parts: the first that has to wait sets
    /// its end, which holds until the caller forgets it.
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
            // What is ready at once needs no clock.
            match end.or_set(limit) {
                Some(end) => self.poll(end, context).map(|()| None),
                None if self.is_cut() => Poll::Ready(None),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// From now on no wait takes any time. The task has to be polled once more.
    pub(super) fn cancel(&self) {
        self.0.cut.store(true, Ordering::Relaxed);
    }

    /// Whether a wait may have been cut short.
    pub(super) fn is_cut(&self) -> bool {
        self.0.cut.load(Ordering::Relaxed)
    }

    /// Polls the task again, from whatever thread.
    pub(super) fn wake(&self) {
        let slot = self.0.set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = slot.as_ref() {
            set.waker.wake_by_ref();
        }
    }

    /// The connection waits for its next request.
    pub(super) fn begin_request(&self) {
        self.0.whole.store(false, Ordering::Relaxed);
    }

    /// What the client sends from now on is not of the current request.
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

    /// Ready from `end` on; before, the task will be polled again no later than then.
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
            // It may have been set for an earlier wait.
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
