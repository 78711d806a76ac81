//! Counts each lost line once. The metric changes at once; the log reports losses at most once a
//! minute.

use plugin_api::{Counter, Host, InitError, Level};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The least time between two log lines about one kind of problem.
pub(crate) const BETWEEN: Duration = Duration::from_secs(60);

/// The counts of written and lost lines.
#[derive(Debug)]
pub(crate) struct Losses {
    written: Option<Counter>,
    lost: Option<Counter>,
    /// The number of dropped lines that are not logged yet.
    dropped: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Losses {
    pub(crate) fn new(host: &Host) -> Result<Self, InitError> {
        let metrics = host.metrics();
        let counter = |name, help| metrics.map(|it| it.counter(name, help)).transpose();
        let written = counter("lines_written_total", "Lines written to the audit log.");
        let lost = counter("lines_lost_total", "Lines of the audit log that were lost.");
        Ok(Self {
            written: written.map_err(InitError::new)?,
            lost: lost.map_err(InitError::new)?,
            dropped: AtomicU64::new(0),
            told: Mutex::new(None),
        })
    }

    pub(crate) fn wrote(&self, lines: usize) {
        if let Some(written) = &self.written {
            written.add(lines as f64);
        }
    }

    /// Counts lines that could not be written. The writer logs them.
    pub(crate) fn lost(&self, lines: usize) {
        if let Some(lost) = &self.lost {
            lost.add(lines as f64);
        }
    }

    /// Counts a line that was dropped because the queue was full.
    pub(crate) fn dropped(&self, host: &Host) {
        self.lost(1);
        self.dropped.fetch_add(1, Relaxed);
        self.log(host, false);
    }

    /// Logs the number of dropped lines, unless it did so within the last minute.
    pub(crate) fn log_some(&self, host: &Host) {
        if self.dropped.load(Relaxed) > 0 {
            self.log(host, false);
        }
    }

    pub(crate) fn log_rest(&self, host: &Host) {
        self.log(host, true);
    }

    fn log(&self, host: &Host, at_last: bool) {
        let now = Instant::now();
        {
            // Another thread is logging.
            let Ok(mut told) = self.told.try_lock() else { return };
            let recent = told.is_some_and(|told| now.saturating_duration_since(told) < BETWEEN);
            if recent && !at_last {
                return;
            }
            *told = Some(now);
        }
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            let fields = [("lines.lost", &*dropped.to_string())];
            let message = "lines of the audit log were dropped: too many wait to be written";
            host.log_with(Level::Warn, message, &fields);
        }
    }
}
