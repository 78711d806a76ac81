//! Log lines on standard error, for people or as JSON.
//!
//! `RUST_LOG` selects the lines (`info`, or `warn,callgate::access=info`; the default is `info`).
//! `line` turns each `tracing` event into one line, which waits in `queue` and is written by
//! `sink`. Messages that `RUST_LOG` cannot hide take the same way: why a start failed
//! ([`complain`]), and panics. So everything that a serving gateway writes to standard error is in
//! order.

#![forbid(unsafe_code)]

pub mod columns;
pub mod counted;
mod escape;
mod fields;
mod filter;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod line;
pub mod metrics;
pub mod overdue;
mod queue;
mod sink;
mod throttle;

use crate::counted::counted_as;
pub use escape::{cut, one_line};
pub use fields::{Fields, Key, prepared, write_line};
pub use line::decimal;
pub use sink::{dropped, flush};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    io::{self, IsTerminal as _},
    panic::PanicHookInfo,
    sync::OnceLock,
    thread,
};
pub use throttle::LogThrottle;
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object for each line.
    Json,
}

impl LogFormat {
    /// The format with this name on the command line.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        match name {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The format, once [`start`] has set it.
static LINES: OnceLock<LineFormat> = OnceLock::new();

/// The filter, once [`start`] has set it.
static FILTER: OnceLock<Targets> = OnceLock::new();

/// Starts logging for the whole process; later calls have no effect. `wanted` is `RUST_LOG`.
pub fn start(format: Option<LogFormat>, wanted: Option<&str>) {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let (filter, _) = filter::read(wanted);
    let lines = *LINES.get_or_init(|| LineFormat { format, colours: terminal });
    sink::start(move |count, out| {
        let message = format!("{} dropped", counted_as(count, "log line was", "log lines were"));
        let (level, target) = (Level::WARN, "callgate::log");
        let line = PlainLine { level, target, message: &message, fields: &[] };
        lines.write_plain(&line, std::time::SystemTime::now(), out);
    });
    std::panic::set_hook(Box::new(report_panic));
    let _ = FILTER.set(filter.clone());
    // An existing subscriber stays: tests start several gateways in one process.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// The faulty part of `RUST_LOG`, with which [`start`] uses `info`. The caller reports it.
pub fn misread(wanted: Option<&str>) -> Option<String> {
    filter::read(wanted).1
}

/// Logs only warnings and errors, each at once: for a process that may crash at any moment.
pub fn start_in_child() {
    let filter = Targets::new().with_default(LevelFilter::WARN);
    let lines = LineFormat { format: LogFormat::Pretty, colours: false };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Whether lines are JSON.
#[must_use]
pub fn is_json() -> bool {
    LINES.get().is_some_and(|lines| lines.format == LogFormat::Json)
}

/// Reports why the gateway does not start, or what a check found, regardless of `RUST_LOG`: as a
/// JSON line, or in the format of `callgate check`.
pub fn complain(level: Level, message: &str) {
    if is_json() {
        PlainLine { level, target: "callgate::boot", message, fields: &[] }.write();
        return;
    }
    let severity = match level {
        Level::ERROR => "error: ",
        Level::WARN => "warning: ",
        _ => "",
    };
    let line = format!("{severity}{}\n", one_line(message));
    sink::write(true, |_, out| out.extend_from_slice(line.as_bytes()));
}

/// Logs a panic of the gateway. (Plugins have their own standard library.)
fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = format!("the gateway panicked: {}", panic.payload_as_str().unwrap_or("no text"));
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    // Only if `RUST_BACKTRACE` asks for it.
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => backtrace.to_string(),
        _ => String::new(),
    };
    let fields =
        [("place", &*place), ("thread", thread.name().unwrap_or("?")), ("backtrace", &*backtrace)];
    let fields = if backtrace.is_empty() { &fields[..2] } else { &fields };
    let (level, target) = (Level::ERROR, "callgate::panic");
    PlainLine { level, target, message: &message, fields }.write();
}

/// A line without an event.
struct PlainLine<'a> {
    level: Level,
    target: &'static str,
    message: &'a str,
    fields: &'a [(&'a str, &'a str)],
}

impl PlainLine<'_> {
    fn write(&self) {
        let plain = LineFormat { format: LogFormat::Pretty, colours: false };
        let lines = LINES.get().copied().unwrap_or(plain);
        sink::write(true, |made, out| lines.write_plain(self, made, out));
    }
}

/// Runs `event` with fields whose names are only known at run time; they become members of the
/// line's `callback.fields`.
pub fn with_fields(fields: &[(&str, &str)], event: impl FnOnce()) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FIELDS.with(|slot| slot.replace(fields.iter().map(owned).collect()));
    event();
    // If the event did not take them, the next one must not get them.
    FIELDS.with(RefCell::take);
}

/// The extra fields of the event that a subscriber is just handling.
pub fn take_fields() -> Vec<(String, String)> {
    FIELDS.with(RefCell::take)
}

/// Turns events into lines.
#[derive(Clone, Copy)]
struct LineFormat {
    format: LogFormat,
    colours: bool,
}

thread_local! {
    /// The extra fields of the current event; see [`with_fields`].
    static FIELDS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

impl LineFormat {
    fn write_plain(self, it: &PlainLine<'_>, made: std::time::SystemTime, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Json => {
                line::plain_json((it.level, it.target), it.message, it.fields, made, out);
            }
            LogFormat::Pretty => {
                line::plain_pretty(it.level, it.message, it.fields, (made, self.colours), out);
            }
        }
    }
}

impl<S: Subscriber> Layer<S> for LineFormat {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let fields = take_fields();
        sink::write(*event.metadata().level() <= Level::WARN, |made, out| match self.format {
            LogFormat::Json => line::json(event, &fields, made, out),
            LogFormat::Pretty => line::pretty(event, &fields, (made, self.colours), out),
        });
    }
}
