//! A callback's log lines as `tracing` events: target `TARGET`, field `callback.name`. `tracing`
//! fixes the names of fields at compile time, so the callback's own go beside the event, by
//! `telemetry::with_fields`.

use plugin_api::Level;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The target of every callback's lines.
pub(super) const TARGET: &str = "callgate::callback";

/// What callbacks warn of while the gateway is put together: `check` has to tell it too, and it
/// counts for `--strict`. `None` when nobody gathers.
static GATHERED: Mutex<Option<Vec<(String, String)>>> = Mutex::new(None);

/// Whether somebody does: lines of calls take no lock for it.
static GATHERING: AtomicBool = AtomicBool::new(false);

/// No more of it is kept.
const MOST: usize = 1000;

/// Gathers what callbacks warn of until [`gathered`] is called.
pub fn gather() {
    *GATHERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    GATHERING.store(true, Ordering::Relaxed);
}

/// The callback and the text of each warning since [`gather`].
pub fn gathered() -> Vec<(String, String)> {
    GATHERING.store(false, Ordering::Relaxed);
    GATHERED.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
}

/// Runs `$body` with the `tracing` level that belongs to `$level`: levels of events are constants.
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

/// Whether a line is kept for the verdict on the config.
fn matters(level: Level) -> bool {
    matches!(level, Level::Error | Level::Warn) && GATHERING.load(Ordering::Relaxed)
}

/// Whether anybody listens to callbacks at this level.
pub(super) fn enabled(level: Level) -> bool {
    matters(level) || with_level!(level, LEVEL => tracing::enabled!(target: TARGET, LEVEL))
}

/// Writes one line at a level that is [`enabled`]. Whatever a callback logs is escaped where lines
/// are made.
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
