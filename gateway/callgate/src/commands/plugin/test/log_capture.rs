//! Captures log lines by and about callbacks instead of writing them.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex, PoisonError},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

const TARGET: &str = "callgate::callback";

/// Runs `work` on this thread; returns its result and the callbacks' log lines.
pub(super) fn captured<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let subscriber = tracing_subscriber::registry().with(LogCapture(Arc::clone(&notes)));
    let result = tracing::subscriber::with_default(subscriber, work);
    let lines = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    (result, lines)
}

struct LogCapture(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for LogCapture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != TARGET {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        for (name, value) in callgate_telemetry::take_fields() {
            let _ = write!(line.fields, " {name}={value}");
        }
        let level = event.metadata().level().to_string().to_lowercase();
        let text = format!("{level}: {}{}", line.message, line.fields);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }
}

/// The message and the callback's own fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }
}
