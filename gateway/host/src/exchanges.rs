//! The requests that a hook sends while it is recorded, with their answers.

use plugin_api::{HostError, HttpRequest, HttpResponse};
use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

thread_local! {
    /// The log of the hook that runs on this thread.
    static CURRENT: RefCell<Option<ExchangeLog>> = const { RefCell::new(None) };
}

/// One request, and what came of it.
#[derive(Debug)]
pub struct Exchange {
    pub request: HttpRequest,
    pub answer: Result<HttpResponse, HostError>,
}

/// The exchanges of one hook. Requests of tasks that the hook starts are not among them.
#[derive(Clone, Default)]
pub struct ExchangeLog(Arc<Mutex<Vec<Exchange>>>);

impl ExchangeLog {
    /// The exchanges so far.
    #[must_use]
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn current() -> Option<Self> {
        CURRENT.with(|current| current.borrow().clone())
    }

    pub(super) fn add(&self, request: HttpRequest, answer: &Result<HttpResponse, HostError>) {
        let exchange = Exchange { request, answer: answer.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
    }
}

impl fmt::Debug for ExchangeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeLog").finish_non_exhaustive()
    }
}

/// A hook whose requests go into a log, whenever it is polled.
#[derive(Debug)]
pub struct WithExchangeLog<F> {
    work: Pin<Box<F>>,
    log: ExchangeLog,
}

impl<F: Future> WithExchangeLog<F> {
    pub fn new(work: F, log: &ExchangeLog) -> Self {
        Self { work: Box::pin(work), log: log.clone() }
    }
}

impl<F: Future> Future for WithExchangeLog<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        /// Also after a panic.
        struct Restore(Option<ExchangeLog>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| *current.borrow_mut() = self.0.take());
            }
        }
        let before = CURRENT.with(|current| current.borrow_mut().replace(self.log.clone()));
        let _restore = Restore(before);
        self.work.as_mut().poll(context)
    }
}
