//! The queue of runs to send, bounded in number and bytes, and the state of its one task.

use crate::captured_call::CapturedCall;
use plugin_api::Timer;
use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

const MAX_RUNS: usize = 8192;
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The limit of a batch. LangSmith accepts 20 MB at once, and a run is larger on the wire than in
/// the queue.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    notes: VecDeque<CapturedCall>,
    bytes: usize,
    /// The task is running.
    kept: bool,
    closed: bool,
    waker: Option<Waker>,
}

/// The result of queuing a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It is queued, and the task is running.
    Yes,
    /// It is queued, and the caller must start the task.
    StartTask,
    /// The queue is full.
    Full,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, note: CapturedCall, batch_size: usize) -> Queued {
        let mut state = self.state();
        let size = note.size();
        if state.notes.len() >= MAX_RUNS || state.bytes + size > MAX_BYTES {
            return Queued::Full;
        }
        state.bytes += size;
        state.notes.push_back(note);
        if !state.kept {
            state.kept = true;
            return Queued::StartTask;
        }
        let waker = if state.due(batch_size) { state.waker.take() } else { None };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
        Queued::Yes
    }

    pub(crate) fn len(&self) -> usize {
        self.state().notes.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Ends all waits from now on.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Drops all waiting calls, because the task has ended. Returns their number.
    pub(crate) fn give_up(&self) -> usize {
        let mut state = self.state();
        state.kept = false;
        state.bytes = 0;
        std::mem::take(&mut state.notes).len()
    }

    /// Waits until a batch is full, `interval` has passed, or the queue is closed.
    pub(crate) async fn due(&self, timer: Timer, batch_size: usize, interval: Duration) {
        self.wait(timer, interval, |state| state.due(batch_size)).await;
    }

    /// Waits for this time, or until the queue is closed.
    pub(crate) async fn pause(&self, timer: Timer, time: Duration) {
        self.wait(timer, time, |_| false).await;
    }

    /// Returns the output of `work`. Once the queue is closed, `work` has only the time `last`;
    /// then it returns `None`.
    pub(crate) async fn unless_late<F: Future>(
        &self,
        work: F,
        timer: Timer,
        last: Duration,
    ) -> Option<F::Output> {
        let late = async {
            self.wait(timer, Duration::MAX, |_| false).await;
            timer.sleep(last).await;
        };
        let (mut work, mut late) = (pin!(work), pin!(late));
        poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            late.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    async fn wait(&self, timer: Timer, time: Duration, enough: impl Fn(&State) -> bool) {
        let mut slept = pin!(timer.sleep(time));
        poll_fn(|context| {
            let mut state = self.state();
            if state.closed || enough(&state) {
                return Poll::Ready(());
            }
            state.waker = Some(context.waker().clone());
            drop(state);
            slept.as_mut().poll(context)
        })
        .await;
    }

    /// Takes the next batch. If it is empty, the task must end; the next call starts another one.
    pub(crate) fn take(&self, batch_size: usize) -> Vec<CapturedCall> {
        let mut state = self.state();
        let (mut taken, mut bytes) = (0, 0);
        for note in state.notes.iter().take(batch_size) {
            bytes += note.size();
            if taken > 0 && bytes > BATCH_BYTES {
                break;
            }
            taken += 1;
        }
        let batch: Vec<_> = state.notes.drain(..taken).collect();
        state.bytes -= batch.iter().map(CapturedCall::size).sum::<usize>();
        state.kept = !batch.is_empty();
        batch
    }
}

impl State {
    fn due(&self, batch_size: usize) -> bool {
        self.notes.len() >= batch_size || self.bytes >= BATCH_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(bytes: usize) -> CapturedCall {
        CapturedCall { body: vec![0; bytes], ..CapturedCall::default() }
    }

    #[test]
    fn it_is_bounded_by_number_and_by_bytes() {
        let queue = Queue::default();
        assert_eq!(queue.push(note(0), 10), Queued::StartTask);
        for _ in 1..MAX_RUNS {
            assert_eq!(queue.push(note(0), 10), Queued::Yes);
        }
        assert_eq!(queue.push(note(0), 10), Queued::Full);
        assert_eq!(queue.take(512).len(), 512);
        assert_eq!(queue.push(note(MAX_BYTES), 10), Queued::Full);
        assert_eq!(queue.give_up(), MAX_RUNS - 512);
        assert_eq!(queue.push(note(BATCH_BYTES), 10), Queued::StartTask);
        queue.push(note(1), 10);
        assert_eq!(
            queue.take(10).len(),
            1,
            "a batch is bounded in bytes, except for its first run"
        );
        assert_eq!(queue.take(10).len(), 1);
        assert!(queue.take(10).is_empty());
        assert_eq!(queue.push(note(0), 10), Queued::StartTask, "an empty batch ended the task");
    }
}
