//! Catches a plugin's panics on its own side and turns them into a text with their place.

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
    /// The place of the panic that is being caught on this thread. Empty if no panic hook recorded
    /// it.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Installs a panic hook for this shared object that records the place and prints nothing. Call it
/// once per library, and never in a program that prints its own panic messages.
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

/// Runs `work`. Returns a panic as its message.
pub(super) fn caught<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(message)
}

/// Runs `future`. Returns a panic as its message, and does not poll the future again.
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
        "a value that is not text".to_owned()
    };
    // Leaks the payload, because dropping it may panic again.
    mem::forget(payload);
    let place = PLACE.with(|slot| mem::take(&mut *slot.borrow_mut()));
    format!("panicked{place}: {text}{}", hint(&text))
}

/// What to do about a panic that many authors meet first: tokio and what is built on it, such as
/// reqwest, need a runtime.
fn hint(text: &str) -> &'static str {
    if text.contains("Tokio") && text.contains("runtime") || text.contains("no reactor running") {
        "; no tokio runtime runs in a plugin: use `Host::http`, `Host::timer` or `Host::task`"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_for_want_of_a_runtime_names_what_to_use_instead() {
        let without =
            "there is no reactor running, must be called from the context of a Tokio 1.x runtime";
        let told = caught(|| panic!("{without}")).unwrap_err();
        assert!(told.ends_with("use `Host::http`, `Host::timer` or `Host::task`"), "{told}");
        assert_eq!(caught(|| panic!("boom")).unwrap_err(), "panicked: boom");
    }
}
