//! Notices work that takes too long and cannot be interrupted, such as a plugin's code.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

/// Work that is watched until this is dropped.
#[derive(Debug)]
pub struct Watched {
    _ends: Sender<()>,
}

/// Calls `late` once, on another thread, if the work still runs after `limit`. Without a thread to
/// spare nobody watches.
pub fn watch(limit: Duration, late: impl FnOnce() + Send + 'static) -> Watched {
    let (ends, ended) = channel::<()>();
    let wait = move || {
        if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            late();
        }
    };
    let _ = thread::Builder::new().name("overdue".to_owned()).spawn(wait);
    Watched { _ends: ends }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_is_late_is_reported() {
        let (said, heard) = channel();
        let late = said.clone();
        let watched = watch(Duration::ZERO, move || late.send("late").unwrap());
        assert_eq!(heard.recv(), Ok("late"));
        drop(watched);
        drop(watch(Duration::from_secs(3600), move || said.send("never").unwrap()));
        // The second closure is dropped without a call.
        assert!(heard.recv().is_err());
    }
}
