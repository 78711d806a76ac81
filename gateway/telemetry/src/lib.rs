//! Log lines: to standard error, as people or as machines read them.
//!
//! `RUST_LOG` chooses what is said (`info`, or `warn,callgate::access=info`; the default is
//! `info`). Every event of `tracing` becomes one line by `line`, waits in `queue` and goes out
//! through `sink`. So does what is said whatever `RUST_LOG` is: why a start was refused
//! ([`complain`]), and a panic. Everything a serving gateway says on standard error goes this way,
//! in order.

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
mod queue;
mod sink;

pub use escape::{cut, one_line};
pub use fields::{Fields, Key, write_line};
pub use line::decimal;
pub use sink::{dropped, flush};

use crate::counted::counted_as;
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::RefCell,
    io::{self, IsTerminal as _},
    panic::PanicHookInfo,
    sync::OnceLock,
    thread,
};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, layer::Context, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The form of this name on the command line.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        match name {
            "pretty" => Some(Self::Pretty),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// How lines look, once [`start`] has decided.
static LINES: OnceLock<LineFormat> = OnceLock::new();

/// Which lines are written, once [`start`] has decided.
static FILTER: OnceLock<Targets> = OnceLock::new();

/// Starts logging for the whole process; later calls change nothing. `wanted` is `RUST_LOG`.
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
    // A subscriber that is set already stays: tests start several gateways in one process.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// The part of `RUST_LOG` that is none; [`start`] then writes what `info` would. Whoever builds the
/// gateway says so.
pub fn misread(wanted: Option<&str>) -> Option<String> {
    filter::read(wanted).1
}

/// Logs warnings and errors alone, each at once: for a process that may die at any moment.
pub fn start_in_child() {
    let filter = Targets::new().with_default(LevelFilter::WARN);
    let lines = LineFormat { format: LogFormat::Pretty, colours: false };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Whether lines are for machines.
#[must_use]
pub fn is_json() -> bool {
    LINES.get().is_some_and(|lines| lines.format == LogFormat::Json)
}

/// Says why the gateway does not start, or what a check found, whatever `RUST_LOG` leaves out: as a
/// line for machines, or as `callgate check` says it.
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

/// A panic of the gateway's own as a line. (Plugins have a standard library of their own.)
fn report_panic(panic: &PanicHookInfo<'_>) {
    let message = format!("the gateway panicked: {}", panic.payload_as_str().unwrap_or("no text"));
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    // Only when `RUST_BACKTRACE` asks for it.
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

/// What is said without an event.
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

/// Makes one event with fields whose names are known only now; they become the members of the
/// line's `callback.fields`.
pub fn with_fields(fields: &[(&str, &str)], event: impl FnOnce()) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FIELDS.with(|slot| slot.replace(fields.iter().map(owned).collect()));
    event();
    // An event nobody took them with must not leave them to the next.
    FIELDS.with(RefCell::take);
}

/// Turns events into lines.
#[derive(Clone, Copy)]
struct LineFormat {
    format: LogFormat,
    colours: bool,
}

thread_local! {
    /// The fields beside the event that is being made, see [`with_fields`].
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
        let fields = FIELDS.with(RefCell::take);
        sink::write(*event.metadata().level() <= Level::WARN, |made, out| match self.format {
            LogFormat::Json => line::json(event, &fields, made, out),
            LogFormat::Pretty => line::pretty(event, &fields, (made, self.colours), out),
        });
    }
}
