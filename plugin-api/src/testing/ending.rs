//! The signal that the shutdown of one instance begins.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Completes once the shutdown begins. A clone is the same signal.
#[derive(Debug, Clone, Default)]
pub(super) struct Ending(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    has_begun: bool,
    waiting: Vec<Waker>,
}

impl Ending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.has_begun = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Future for Ending {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.has_begun {
            return Poll::Ready(());
        }
        state.waiting.push(context.waker().clone());
        Poll::Pending
    }
}
