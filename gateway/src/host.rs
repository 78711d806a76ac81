//! The services lent to one callback instance: its log, the clocks, its counters.
//!
//! `callbacks::loader` makes one [`CallbackHost`] per instance and hands it to the plugin as tables.
//! Not here: the tables (`plugin_api::abi::serve`), and services that need the network.

mod clock;
mod counters;
mod log;

pub use clock::{Clock, SystemClock};
pub use counters::{CounterScope, Counters};
pub(crate) use log::one_line;

use std::fmt;
use std::sync::Arc;

use plugin_api::Level;
use plugin_api::abi::serve::{CounterService, HostAccess};

/// What one instance sees of the gateway.
pub struct CallbackHost {
    name: Arc<str>,
    clock: Arc<dyn Clock>,
    counters: Arc<dyn CounterService>,
}

impl CallbackHost {
    /// The services of the instance `name` (as its log lines show it) of the callback `callback`
    /// (whose instances share their counters).
    #[must_use]
    pub fn new(name: Arc<str>, callback: &str, counters: &Counters) -> Self {
        Self { name, clock: Arc::clone(counters.clock()), counters: counters.scope(callback) }
    }
}

impl HostAccess for CallbackHost {
    fn log_enabled(&self, level: Level) -> bool {
        log::enabled(level)
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        log::write(&self.name, level, message, fields);
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn unix_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    fn counters(&self) -> &dyn CounterService {
        &*self.counters
    }
}

impl fmt::Debug for CallbackHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackHost").field("name", &self.name).finish_non_exhaustive()
    }
}
