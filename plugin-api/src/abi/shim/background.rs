//! Wraps the futures and jobs that a plugin gives to the host, so that no panic crosses when they
//! run or drop. A panic is logged in the host's log, under the callback's name.

use super::{events, panics};
use crate::{Host, Level, abi::RawJob};
use async_ffi::{FfiFuture, FutureExt};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// Wraps `work` as a future for the host.
pub(crate) fn future(host: Host, work: impl Future<Output = ()> + Send + 'static) -> FfiFuture<()> {
    Shielded { host, work: Some(Box::pin(work)) }.into_ffi()
}

struct Shielded {
    host: Host,
    /// `None` after it is done or has panicked.
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Future for Shielded {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let _events = events::enter(self.host);
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        match panics::caught(|| work.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => tell(self.host, "task", &panic),
        }
        self.end();
        Poll::Ready(())
    }
}

impl Shielded {
    fn end(&mut self) {
        if let Some(work) = self.work.take()
            && let Err(panic) = panics::caught(|| drop(work))
        {
            tell(self.host, "task, while it was dropped,", &panic);
        }
    }
}

impl Drop for Shielded {
    fn drop(&mut self) {
        self.end();
    }
}

/// Wraps `work` as a job for the host.
pub(crate) fn job<F: FnOnce() + Send + 'static>(host: Host, work: F) -> RawJob {
    let arg = Box::into_raw(Box::new(Job { host, work })).cast();
    RawJob { run: run::<F>, cancel: cancel::<F>, arg }
}

struct Job<F> {
    host: Host,
    work: F,
}

unsafe extern "C" fn run<F: FnOnce()>(arg: *mut ()) {
    // SAFETY: `job` made it for the same `F`, and the host calls either `run` or `cancel`, once.
    let Job { host, work } = *unsafe { Box::from_raw(arg.cast::<Job<F>>()) };
    let _events = events::enter(host);
    if let Err(panic) = panics::caught(work) {
        tell(host, "job", &panic);
    }
}

unsafe extern "C" fn cancel<F>(arg: *mut ()) {
    // SAFETY: as in `run`.
    let Job { host, work } = *unsafe { Box::from_raw(arg.cast::<Job<F>>()) };
    if let Err(panic) = panics::caught(|| drop(work)) {
        tell(host, "job, while it was dropped,", &panic);
    }
}

fn tell(host: Host, what: &str, panic: &str) {
    host.log(Level::Error, &format!("a background {what} {panic}"));
}
