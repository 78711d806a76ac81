//! Panics of a plugin, caught on the plugin's side and turned into text with their place.

use std::{
    any::Any,
    cell::RefCell,
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

thread_local! {
    /// Where the panic being caught on this thread happened; empty when no hook recorded it.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Makes this shared object's panics silent on stderr and recorded for the fault's message.
/// Call once per library, never in a program that wants its own panic messages.
pub fn record_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(location) = panic.location() {
            let place =
                format!(" at {}:{}:{}", location.file(), location.line(), location.column());
            let _ = PLACE.try_with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = place;
                }
            });
        }
    }));
}

/// Runs `work`; a panic becomes its message.
pub(super) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(message)
}

/// Runs `future`; a panic in a poll becomes its message, and the future is not polled again.
pub(super) async fn caught_async<R>(future: impl Future<Output = R>) -> Result<R, String> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn message(payload: Box<dyn Any + Send>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a value that is no text".to_owned()
    };
    // Dropping a payload may panic again; a leak of a few bytes cannot.
    mem::forget(payload);
    let place = PLACE.with(|slot| mem::take(&mut *slot.borrow_mut()));
    format!("panicked{place}: {text}")
}
