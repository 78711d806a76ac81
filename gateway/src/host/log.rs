//! A callback's log lines as `tracing` events: target [`TARGET`], field `callback.name`. `tracing` fixes
//! the names of fields at compile time, so the callback's own go beside the event, by
//! `telemetry::with_fields`.

use plugin_api::Level;

use crate::telemetry;

/// The target of every callback's lines.
pub(super) const TARGET: &str = "callgate::callback";

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

/// Whether anybody listens to callbacks at this level.
pub(super) fn enabled(level: Level) -> bool {
    with_level!(level, LEVEL => tracing::enabled!(target: TARGET, LEVEL))
}

/// Writes one line at a level that is [`enabled`]. Whatever a callback logs is escaped where lines are
/// made.
pub(super) fn write(callback: &str, level: Level, message: &str, fields: &[(&str, &str)]) {
    telemetry::with_fields(fields, || {
        with_level!(level, LEVEL => tracing::event!(
            target: TARGET, LEVEL, callback.name = callback, "{message}"
        ));
    });
}
