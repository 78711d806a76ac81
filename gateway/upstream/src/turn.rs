//! When this thread's runtime last waited for events. For a short time after that, its knowledge of
//! a socket is as good as asking the socket.

use std::{cell::Cell, time::Duration};
use tokio::time::Instant;

/// How long the runtime's knowledge is trusted. A close takes about as long to arrive, so a call
/// can meet one on its way whatever is asked. A hook that keeps the thread for longer must not
/// make that more likely.
const FRESH: Duration = Duration::from_micros(250);

thread_local! {
    static LAST_WAIT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Notes that this thread's runtime has just waited for events. Meant for `on_thread_unpark`; on
/// threads that never call it, every socket is asked.
pub fn note_wait() {
    LAST_WAIT.set(Some(Instant::now()));
}

/// Whether the runtime knows all that arrived at a socket up to a moment before `now`.
pub(super) fn is_fresh(now: Instant) -> bool {
    LAST_WAIT.get().is_some_and(|last| now.saturating_duration_since(last) < FRESH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wait_of_this_moment_is_fresh() {
        assert!(!is_fresh(Instant::now()));
        let last = Instant::now();
        LAST_WAIT.set(Some(last));
        for (later, expected) in [
            (Duration::ZERO, true),
            (FRESH - Duration::from_nanos(1), true),
            (FRESH, false),
            (Duration::from_secs(1), false),
        ] {
            assert_eq!(is_fresh(last + later), expected, "{later:?}");
        }
    }
}
