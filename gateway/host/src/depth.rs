//! How many calls, each made by a callback because of the one before, have led to the code that
//! runs. The host's functions get no call, so the depth belongs to the thread: whoever polls the
//! work of such a call sets it for that time.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// The depth of the work that runs on this thread: 0 in a client's call.
pub fn current() -> u32 {
    DEPTH.get()
}

/// Runs `work` at this depth.
pub fn at<T>(depth: u32, work: impl FnOnce() -> T) -> T {
    /// Sets the depth back, also after a panic.
    struct Before(u32);

    impl Drop for Before {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }

    let _before = Before(DEPTH.replace(depth));
    work()
}

/// A future that is always polled at one depth.
#[derive(Debug)]
pub struct AtDepth<F> {
    depth: u32,
    work: Pin<Box<F>>,
}

impl<F> AtDepth<F> {
    pub fn new(depth: u32, work: F) -> Self {
        Self { depth, work: Box::pin(work) }
    }
}

impl<F: Future> Future for AtDepth<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { depth, work } = &mut *self;
        at(*depth, || work.as_mut().poll(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn work_runs_at_its_depth_and_leaves_the_threads_alone() {
        let mut inner = Box::pin(AtDepth::new(2, async { current() }));
        let mut context = Context::from_waker(Waker::noop());
        let found = at(1, || (current(), inner.as_mut().poll(&mut context), current()));
        assert_eq!(found, (1, Poll::Ready(2), 1));
        assert_eq!(current(), 0);
        let _ = std::panic::catch_unwind(|| at(3, || panic!("in a hook")));
        assert_eq!(current(), 0);
    }
}
