//! Writes a callback's log lines as `tracing` events: target `TARGET`, field `callback.name`.
//! `tracing` fixes field names at compile time, so the callback's own fields are passed beside the
//! event, by `telemetry::with_fields`.

use plugin_api::Level;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The target of all callbacks' lines.
pub(super) const TARGET: &str = "callgate::callback";

/// Warnings of callbacks at startup: `check` has to report them, too, and they count for
/// `--strict`. `None` if they are not collected.
static GATHERED: Mutex<Option<Vec<(String, String)>>> = Mutex::new(None);

/// Whether warnings are collected; without it, every line would take a lock.
static GATHERING: AtomicBool = AtomicBool::new(false);

/// The most warnings that are kept.
const MOST: usize = 1000;

/// Collects callbacks' warnings until [`gathered`] is called.
pub fn gather() {
    *GATHERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    GATHERING.store(true, Ordering::Relaxed);
}

/// The callback and the text of each warning since [`gather`].
pub fn gathered() -> Vec<(String, String)> {
    GATHERING.store(false, Ordering::Relaxed);
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Runs `$body` with the `tracing` level for `$level`: an event's level is a constant.
macro_rules! with_level {
    ($level:expr, $constant:ident => $body:expr) => {
        match $level {
            Level::Error => with_level!(@ERROR, $constant => $body),
            Level::Warn => with_level!(@WARN, $constant => $body),
            Level::Info => with_level!(@INFO, $constant => $body),
            Level::Debug => with_level!(@DEBUG, $constant => $body),
            Level::Trace => with_level!(@TRACE, $constant => $body),
        }
    };
    (@$tracing:ident, $constant:ident => $body:expr) => {{
        const $constant: tracing::Level = tracing::Level::$tracing;
        $body
    }};
}

/// Whether a line may be collected.
fn matters(level: Level) -> bool {
    matches!(level, Level::Error | Level::Warn) && GATHERING.load(Ordering::Relaxed)
}

/// Whether callbacks' lines of this level are logged or collected.
pub(super) fn enabled(level: Level) -> bool {
    matters(level) || with_level!(level, LEVEL => tracing::enabled!(target: TARGET, LEVEL))
}

/// Writes one line at an [`enabled`] level. The log writer escapes its text.
pub(super) fn write(callback: &str, level: Level, message: &str, fields: &[(&str, &str)]) {
    if matters(level)
        && let Some(gathered) = &mut *GATHERED.lock().unwrap_or_else(PoisonError::into_inner)
        && gathered.len() < MOST
    {
        gathered.push((callback.to_owned(), callgate_telemetry::one_line(message).into_owned()));
    }
    callgate_telemetry::with_fields(fields, || {
        with_level!(level, LEVEL => tracing::event!(
            target: TARGET, LEVEL, callback.name = callback, "{message}"
        ));
    });
}
