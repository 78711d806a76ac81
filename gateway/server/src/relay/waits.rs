//! Bounds how long a stream keeps its client waiting: between events, and for the first content.
//! Bytes that complete no event extend nothing: blanks, comments, parts of events.

use super::super::connection_timer::{ConnectionTimer, WaitEnd};
use callgate_failure::Failure;
use callgate_providers::StreamTranslator;
use std::{
    future::Future,
    time::{Duration, Instant},
};

/// The waits of one stream.
#[derive(Debug)]
pub(crate) struct Waits {
    /// The time between events; for the first event, from the request on.
    gap: Duration,
    /// The limit for the first content, from the request on. It replaces `gap` until content comes.
    first_content: Option<Duration>,
    /// The end of the current wait.
    end: WaitEnd,
    /// The number of events when the current wait began.
    events: u64,
}

impl Waits {
    pub(crate) fn new(started: Instant, gap: Duration, first_content: Option<Duration>) -> Self {
        let end = WaitEnd::after(started, first_content.unwrap_or(gap));
        Self { gap, first_content, end, events: 0 }
    }

    /// Returns the output of `work`, within the rest of the current wait.
    pub(super) async fn within<T>(
        &mut self,
        timer: &ConnectionTimer,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        timer.within_what_is_left(&mut self.end, self.gap, work).await
    }

    /// Begins the next wait if an event has come; `false` if the current wait is over although
    /// bytes come.
    pub(super) fn go_on(&mut self, stream: &dyn StreamTranslator) -> bool {
        if self.first_content.is_some() && stream.content() {
            self.first_content = None;
            self.end = WaitEnd::default();
        }
        if stream.events() > self.events {
            self.events = stream.events();
            if self.first_content.is_none() {
                self.end = WaitEnd::default();
            }
            return true;
        }
        let end = self.end.or_set(self.gap);
        end.is_none_or(|end| tokio::time::Instant::now() < end)
    }

    /// The time between events.
    pub(super) fn gap(&self) -> Duration {
        self.gap
    }

    /// The failure of a wait that is over.
    pub(super) fn over(&self) -> Failure {
        match self.first_content {
            Some(limit) => Failure::no_content_within(limit),
            None => Failure::no_event_within(self.gap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection_timer::tests::paused;
    use callgate_providers::{AnswerFault, ChunkSink, Usage};
    use tokio::time::{self, sleep};

    const GAP: Duration = Duration::from_secs(10);

    /// The number of events, and whether one has content.
    struct Seen(u64, bool);

    impl StreamTranslator for Seen {
        fn push(&mut self, _: &[u8], _: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
            Ok(())
        }

        fn close(&mut self, _: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
            Ok(())
        }

        fn complete(&self) -> bool {
            false
        }

        fn events(&self) -> u64 {
            self.0
        }

        fn content(&self) -> bool {
            self.1
        }

        fn usage(&self) -> Option<Usage> {
            None
        }

        fn backlog(&self) -> usize {
            0
        }
    }

    /// Bytes come every second; an event is complete after so many of them. Returns the seconds
    /// until the wait is over, or 99.
    async fn drip(waits: &mut Waits, events_at: &[u64], content_at: u64) -> u64 {
        let (timer, start) = (ConnectionTimer::default(), time::Instant::now());
        for second in 1..99 {
            if waits.within(&timer, sleep(Duration::from_secs(1))).await.is_none() {
                return start.elapsed().as_secs();
            }
            let events = events_at.iter().filter(|at| **at <= second).count() as u64;
            if !waits.go_on(&Seen(events, second >= content_at)) {
                return start.elapsed().as_secs();
            }
        }
        99
    }

    #[test]
    fn a_gap_is_from_event_to_event() {
        paused(async {
            for (events, over) in [
                (&[][..], 10),
                (&[3], 13),
                (&[3, 9, 18], 28),
                (&[9, 18, 27, 36, 45, 54, 63, 72, 81, 90], 99),
            ] {
                let mut waits = Waits::new(time::Instant::now().into_std(), GAP, None);
                assert_eq!(drip(&mut waits, events, 2).await, over, "{events:?}");
                let text = waits.over().message.clone();
                assert!(text.contains("no event for 10 s"), "{text}");
            }
        });
    }

    #[test]
    fn the_first_content_has_a_limit_of_its_own() {
        paused(async {
            for (events, content, first, over) in [
                // A limit longer than the gap: events before the content do not count.
                (&[1, 2][..], 99, 30, 30),
                (&[25], 25, 30, 35),
                (&[1, 25, 30], 25, 30, 40),
                // A limit shorter than the gap.
                (&[1, 2, 3, 4, 5], 99, 3, 3),
                (&[2], 2, 3, 12),
            ] {
                let first = Some(Duration::from_secs(first));
                let mut waits = Waits::new(time::Instant::now().into_std(), GAP, first);
                assert_eq!(drip(&mut waits, events, content).await, over, "{events:?} {first:?}");
                let text = waits.over().message.clone();
                assert_eq!(text.contains("first_content_timeout"), content == 99, "{text}");
            }
        });
    }

    #[test]
    fn bytes_that_are_always_there_do_not_outrun_the_clock() {
        paused(async {
            let mut waits = Waits::new(time::Instant::now().into_std(), GAP, None);
            assert!(waits.go_on(&Seen(1, true)) && waits.go_on(&Seen(1, true)));
            time::advance(GAP).await;
            assert!(!waits.go_on(&Seen(1, true)) && waits.go_on(&Seen(2, true)));
        });
    }
}
