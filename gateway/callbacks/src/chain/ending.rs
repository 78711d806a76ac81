//! The ends of instances while the gateway serves: `shutdown`, then `destroy`, each on a thread of
//! its own. Both are the plugin's code and may hang. Nothing can interrupt them, so one that takes
//! too long is reported and left behind.

use callgate_plugin_host::{Instance, Whereabouts};
use callgate_telemetry::overdue;
use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// An end that takes longer is reported.
const LIMIT: Duration = Duration::from_secs(5);

/// The instances that are ending.
#[derive(Debug, Default)]
pub(super) struct Endings {
    running: Mutex<usize>,
    fewer: Condvar,
}

/// One of them.
struct Ending(Arc<Endings>);

impl Endings {
    /// Ends an instance on another thread.
    pub(super) fn end(self: &Arc<Self>, instance: Instance) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let counted = Ending(Arc::clone(self));
        // Without a thread it ends here, which is better than never.
        let _ = in_background("callback-end", move || {
            let whereabouts = Whereabouts::unknown();
            let _told = whereabouts.tell();
            let (name, began) = (Arc::clone(instance.name()), Instant::now());
            let late = {
                let name = Arc::clone(&name);
                move || log_late(&name, &whereabouts)
            };
            let watched = overdue::watch(LIMIT, late);
            drop(instance);
            drop(watched);
            log_ended(&name, began.elapsed());
            drop(counted);
        });
    }

    /// Waits until all have ended, or `limit` is over.
    pub(super) fn wait(&self, limit: Duration) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.fewer.wait_timeout_while(running, limit, |running| *running > 0);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_all();
    }
}

fn log_late(name: &str, whereabouts: &Whereabouts) {
    let place = whereabouts.ask().map_or_else(String::new, |place| format!(", {}", place.step));
    tracing::error!(
        target: "callgate::callbacks::chain::ending", { callback.name = name },
        "an instance of callback `{name}` that was replaced or removed has not ended within {} s: \
         its plugin has not returned{place}; it is left behind, with its thread and memory, until \
         the next start",
        LIMIT.as_secs()
    );
}

fn log_ended(name: &str, took: Duration) {
    if took >= LIMIT {
        tracing::warn!(
            target: "callgate::callbacks::chain::ending", { callback.name = name },
            "the instance of callback `{name}` that had not ended in time ended after {:.1} s",
            took.as_secs_f64()
        );
    } else {
        tracing::debug!(
            target: "callgate::callbacks::chain::ending", { callback.name = name },
            "an instance of callback `{name}` ended"
        );
    }
}

pub(super) fn in_background(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}
