//! Waiting without a runtime: a thread sleeps and wakes the hook.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

#[derive(Default)]
struct State {
    over: bool,
    waker: Option<Waker>,
}

/// Is ready after `ms` milliseconds; dropping it earlier leaves a sleeping thread behind.
pub(crate) async fn wait(ms: u64) {
    let state = Arc::new(Mutex::new(State::default()));
    let timer = Arc::clone(&state);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(ms));
        let mut state = timer.lock().unwrap_or_else(PoisonError::into_inner);
        state.over = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    });
    poll_fn(move |context| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.over {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
}
