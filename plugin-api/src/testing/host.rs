//! The mock host: keeps the log, and runs clock and counters on a time the test sets.
//! The counters' arithmetic is in `counters`.

use super::counters::MockCounters;
use crate::{
    Level,
    abi::serve::{CounterService, HostAccess},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// What `unix_ms` starts at: 2026-01-01T00:00:00Z.
const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A line a callback wrote to the host's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The named fields, in order.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for LogLine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {}", self.level, self.message)?;
        self.fields.iter().try_for_each(|(name, value)| write!(out, " {name}={value}"))
    }
}

/// The host a [`Tester`](super::Tester) lends its callback. Time stands still until
/// [`advance`](MockHost::advance); clones are the same host.
///
/// ```
/// use plugin_api::testing::MockHost;
/// use std::time::Duration;
///
/// let host = MockHost::new();
/// host.advance(Duration::from_secs(61));
/// assert!(host.log().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct MockHost(Arc<Shared>);

#[derive(Default)]
struct Shared {
    elapsed_ns: AtomicU64,
    lines: Mutex<Vec<LogLine>>,
    counters: MockCounters,
}

impl fmt::Debug for MockHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MockHost").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

impl MockHost {
    /// A host whose clock is at 0, with an empty log and no counters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves both clocks on, and with them every window and bucket.
    pub fn advance(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let now = self.0.elapsed_ns.fetch_add(time, SeqCst).saturating_add(time);
        self.0.counters.set_now(now);
    }

    /// How far the clocks have been moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.elapsed_ns.load(SeqCst))
    }

    /// All lines so far, of every level.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of a plain counter; 0 when it was never added to.
    #[must_use]
    pub fn counter(&self, name: &str) -> i64 {
        self.0.counters.add(name, 0)
    }

    /// How many places of a sliding window are taken now.
    #[must_use]
    pub fn taken(&self, window: &str) -> usize {
        self.0.counters.taken(window)
    }

    /// The names of all sliding windows anything was ever admitted to.
    #[must_use]
    pub fn windows(&self) -> Vec<String> {
        self.0.counters.windows()
    }
}

/// What crosses: one host, seen by one instance.
#[derive(Debug)]
pub(super) struct Lent(pub(super) MockHost);

impl HostAccess for Lent {
    fn log_enabled(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let line = LogLine {
            level,
            message: message.to_owned(),
            fields: fields.iter().map(owned).collect(),
        };
        self.0.0.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.0.elapsed_ns.load(SeqCst)
    }

    fn unix_ms(&self) -> u64 {
        START_UNIX_MS + self.monotonic_ns() / 1_000_000
    }

    fn counters(&self) -> &dyn CounterService {
        &self.0.0.counters
    }
}
