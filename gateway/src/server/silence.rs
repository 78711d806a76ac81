//! Waiting for an upstream that may fall silent.
//!
//! A timer set and cleared for every chunk costs more than passing the chunk on. Here one timer is
//! set when a stream begins; it is looked at again only when it goes off.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long something may be waited for, time and again.
#[derive(Debug)]
pub(super) struct Silence {
    limit: Duration,
    /// Set by the first wait.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, alarm: None }
    }

    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The output of `work`; `None` when it takes longer than the limit.
    pub(super) async fn bounds<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut end = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            // A limit beyond what the clock can count is none.
            let since = || Instant::now().checked_add(self.limit);
            let Some(end) = *end.get_or_insert_with(since) else { return Poll::Pending };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
            while alarm.as_mut().poll(context).is_ready() {
                // It may have been set for an earlier wait.
                if Instant::now() >= end {
                    return Poll::Ready(None);
                }
                alarm.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::time::sleep;

    const LIMIT: Duration = Duration::from_secs(10);

    fn paused(test: impl Future<Output = ()>) {
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
            let mut silence = Silence::new(LIMIT);
            for _ in 0..5 {
                let wait = sleep(LIMIT - Duration::from_millis(1));
                assert_eq!(silence.bounds(wait).await, Some(()));
            }
            let start = Instant::now();
            assert_eq!(silence.bounds(pending::<()>()).await, None);
            assert_eq!(start.elapsed(), LIMIT);
        });
    }

    #[test]
    fn what_is_ready_needs_no_timer() {
        let mut silence = Silence::new(LIMIT);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        assert_eq!(runtime.block_on(silence.bounds(ready(7))), Some(7));
    }
}
