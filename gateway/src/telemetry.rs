//! Log lines: to standard error, as people or as machines read them.
//!
//! `RUST_LOG` chooses what is said (`info`, or `warn,callgate::access=info`; the default is
//! `info`). Every event of `tracing` becomes one line by `line` and goes out through `sink`.

mod line;
mod one_line;
mod sink;

pub(crate) use line::decimal;
pub(crate) use one_line::one_line;
pub use sink::flush_within;

use crate::cli::LogFormat;
use std::{
    cell::RefCell,
    io::{self, IsTerminal as _},
};
use tracing::{Event, Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, layer::Context, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Starts logging for the whole process; later calls change nothing.
pub fn start(format: Option<LogFormat>) {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.trim().is_empty());
    let filter = wanted.and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = filter.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    sink::start();
    let lines = Lines { format, colours: terminal };
    // A subscriber that is set already stays: tests start several gateways in one process.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Logs warnings and errors alone, each at once: for a process that may die at any moment.
pub(crate) fn start_in_child() {
    let filter = Targets::new().with_default(LevelFilter::WARN);
    let lines = Lines { format: LogFormat::Pretty, colours: false };
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
}

/// Makes one event with fields whose names are known only now; they become the members of the line's
/// `callback.fields`.
pub(crate) fn with_fields(fields: &[(&str, &str)], event: impl FnOnce()) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    FIELDS.with(|slot| slot.replace(fields.iter().map(owned).collect()));
    event();
    // An event nobody took them with must not leave them to the next.
    FIELDS.with(RefCell::take);
}

/// Turns events into lines.
struct Lines {
    format: LogFormat,
    colours: bool,
}

thread_local! {
    /// The fields beside the event that is being made, see [`with_fields`].
    static FIELDS: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    /// Where a line is put together; kept, so that a line costs no allocation.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let write = |line: &mut Vec<u8>| {
            line.clear();
            let fields = FIELDS.with(RefCell::take);
            match self.format {
                LogFormat::Json => line::json(event, &fields, line),
                LogFormat::Pretty => line::pretty(event, &fields, self.colours, line),
            }
            sink::write(line, *event.metadata().level() <= Level::WARN);
        };
        // An event within an event (a `Debug` that logs) gets a line of its own.
        LINE.with(|line| match line.try_borrow_mut() {
            Ok(mut line) => write(&mut line),
            Err(_) => write(&mut Vec::new()),
        });
    }
}
