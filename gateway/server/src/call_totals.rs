//! The totals of all calls since the start; a reload keeps them.

use callgate_deployments::Deployment;
use callgate_providers::Usage;
use callgate_telemetry::metrics::{CALL_SECONDS, Exposition, Histogram};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Statuses with their own label; others count as `other`.
const STATUSES: [u16; 20] = [
    200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504,
    508,
];

/// The most series; others count as `other`, so that reloads do not let `/metrics` grow forever.
const MAX_SERIES: usize = 20_000;

/// The label for a status, model, provider or deployment without its own series.
pub(crate) const OTHER: &str = "other";

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// The client got a complete response.
    Ok,
    /// The client got an error instead of a response.
    Error,
    /// The response broke off.
    Cut,
    /// The client left before the end.
    ClientGone,
}

const OUTCOMES: [CallOutcome; 4] =
    [CallOutcome::Ok, CallOutcome::Error, CallOutcome::Cut, CallOutcome::ClientGone];

impl CallOutcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cut => "cut",
            Self::ClientGone => "client_gone",
        }
    }
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) model: &'a str,
    /// `None` if none was chosen.
    pub(crate) deployment: Option<&'a Deployment>,
    pub(crate) status: u16,
    pub(crate) outcome: CallOutcome,
    pub(crate) duration: Duration,
    /// The time that the upstream's response took, and the time until a stream's first chunk.
    pub(crate) upstream: Option<Duration>,
    pub(crate) first_token: Option<Duration>,
    pub(crate) usage: Option<Usage>,
}

/// A model, a provider and a deployment.
pub(crate) type SeriesLabels = [Arc<str>; 3];

/// The totals of the process. The lock is taken once for each series of an app, and to export.
#[derive(Default)]
pub(crate) struct CallTotals {
    in_flight: AtomicI64,
    series: Mutex<BTreeMap<SeriesLabels, Arc<Series>>>,
}

/// The totals of one model at one deployment.
pub(crate) struct Series {
    /// By outcome; one more than [`STATUSES`].
    ended: [[AtomicU64; STATUSES.len() + 1]; OUTCOMES.len()],
    duration: Histogram,
    upstream: Histogram,
    first_token: Histogram,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl CallTotals {
    /// Counts a call that begins. Each needs one call of [`CallTotals::left`].
    pub(crate) fn entered(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// The number of calls that have not ended.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.load(Relaxed)
    }

    /// The series with these labels, created at the first call.
    pub(crate) fn series(&self, labels: SeriesLabels) -> Arc<Series> {
        let mut all = self.all();
        let labels = if all.len() < MAX_SERIES || all.contains_key(&labels) {
            labels
        } else {
            [OTHER; 3].map(Arc::from)
        };
        Arc::clone(all.entry(labels).or_default())
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<SeriesLabels, Arc<Series>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the metric families to `text`.
    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "callgate_calls_in_flight";
        text.family(name, "gauge", "Calls that have not ended.");
        text.sample(name, &[], self.in_flight() as f64);
        let all = self.all().clone();
        write_ended(&all, text);
        let histogram = |text: &mut Exposition, name, help, of: fn(&Series) -> &Histogram| {
            text.family(name, "histogram", help);
            for (labels, series) in all.iter().filter(|(_, series)| !of(series).is_empty()) {
                text.histogram(name, &named(labels), of(series));
            }
        };
        let (name, help) = ("callgate_call_duration_seconds", "From accepting a call to its end.");
        histogram(text, name, help, |series| &series.duration);
        let name = "callgate_upstream_duration_seconds";
        let help = "From a request to an upstream to the head of its response.";
        histogram(text, name, help, |series| &series.upstream);
        let name = "callgate_time_to_first_token_seconds";
        let help = "From accepting a streamed call to the first chunk of its response.";
        histogram(text, name, help, |series| &series.first_token);
        write_tokens(&all, text);
    }
}

fn write_ended(all: &BTreeMap<SeriesLabels, Arc<Series>>, text: &mut Exposition) {
    let name = "callgate_calls_total";
    text.family(name, "counter", "Calls that have ended, by outcome.");
    for (labels, series) in all {
        let [model, provider, deployment] = named(labels);
        for (outcome, counts) in OUTCOMES.iter().zip(&series.ended) {
            for (index, count) in counts.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let status = STATUSES.get(index).map_or(OTHER.to_owned(), u16::to_string);
                    let (status, outcome) = (("status", &*status), ("outcome", outcome.name()));
                    let labels = [model, provider, deployment, status, outcome];
                    text.sample(name, &labels, count as f64);
                }
            }
        }
    }
}

fn write_tokens(all: &BTreeMap<SeriesLabels, Arc<Series>>, text: &mut Exposition) {
    let name = "callgate_tokens_total";
    text.family(name, "counter", "Tokens, as the upstreams counted them.");
    for (labels, series) in all {
        let [model, provider, deployment] = named(labels);
        for (kind, count) in
            [("prompt", &series.prompt_tokens), ("completion", &series.completion_tokens)]
        {
            let labels = [model, provider, deployment, ("kind", kind)];
            text.sample(name, &labels, count.load(Relaxed) as f64);
        }
    }
}

fn named([model, provider, deployment]: &SeriesLabels) -> [(&str, &str); 3] {
    [("model", model), ("provider", provider), ("deployment", deployment)]
}

impl Series {
    /// Counts a call that has ended.
    pub(crate) fn count(&self, call: &Ended<'_>) {
        let status = STATUSES.iter().position(|known| *known == call.status);
        self.ended[call.outcome as usize][status.unwrap_or(STATUSES.len())].fetch_add(1, Relaxed);
        self.duration.record(call.duration.as_secs_f64());
        if let Some(upstream) = call.upstream {
            self.upstream.record(upstream.as_secs_f64());
        }
        if let Some(first_token) = call.first_token {
            self.first_token.record(first_token.as_secs_f64());
        }
        if let Some(usage) = call.usage {
            self.prompt_tokens.fetch_add(usage.prompt_tokens, Relaxed);
            self.completion_tokens.fetch_add(usage.completion_tokens, Relaxed);
        }
    }
}

impl Default for Series {
    fn default() -> Self {
        Self {
            ended: std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::default())),
            duration: Histogram::new(CALL_SECONDS),
            upstream: Histogram::new(CALL_SECONDS),
            first_token: Histogram::new(CALL_SECONDS),
            prompt_tokens: AtomicU64::default(),
            completion_tokens: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for CallTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallTotals").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}
