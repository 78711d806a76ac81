//! What the gateway counts of its calls. Label values come from the config alone: what a client makes
//! up counts as `other`.

use foldhash::fast::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{Exposition, Histogram, SECONDS};
use crate::provider::Usage;

/// Statuses with a label of their own; others count as `other`.
const STATUSES: [u16; 20] = [
    200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504,
    508,
];

/// Model names beyond count as `other`: a list of any length must leave `/metrics` readable.
const MAX_MODELS: usize = 1000;

/// Of names that are not in the config, and of what has none.
const OTHER: &str = "other";
const NONE: &str = "none";

/// The calls of one gateway.
pub(crate) struct CallMetrics {
    models: Labels,
    providers: Labels,
    /// By model, then provider; made at the first call of a pair.
    pairs: Box<[OnceLock<Box<Pair>>]>,
    in_flight: AtomicI64,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) model: &'a str,
    /// `None` when none was chosen.
    pub(crate) provider: Option<&'a str>,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    pub(crate) usage: Option<Usage>,
}

struct Labels {
    by_name: HashMap<Arc<str>, usize, RandomState>,
    names: Vec<Arc<str>>,
}

struct Pair {
    /// One more than [`STATUSES`].
    statuses: [AtomicU64; STATUSES.len() + 1],
    duration: Histogram,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl Labels {
    /// The names with `OTHER` at 0 and `NONE` at 1.
    fn new<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Self {
        let known: BTreeSet<&Arc<str>> = names.collect();
        let known = known.into_iter().take(MAX_MODELS).cloned();
        let names: Vec<Arc<str>> =
            [Arc::from(OTHER), Arc::from(NONE)].into_iter().chain(known).collect();
        let by_name = names.iter().cloned().zip(0..).collect();
        Self { by_name, names }
    }

    fn index(&self, name: Option<&str>) -> usize {
        match name {
            None | Some("") => 1,
            Some(name) => self.by_name.get(name).copied().unwrap_or(0),
        }
    }
}

impl CallMetrics {
    /// For calls of these model names and provider labels.
    pub(crate) fn new<'a>(
        models: impl Iterator<Item = &'a Arc<str>>,
        providers: impl Iterator<Item = &'a Arc<str>>,
    ) -> Self {
        let (models, providers) = (Labels::new(models), Labels::new(providers));
        let pairs = models.names.len() * providers.names.len();
        let pairs = (0..pairs).map(|_| OnceLock::new()).collect();
        Self { models, providers, pairs, in_flight: AtomicI64::new(0) }
    }

    /// A call has begun; `left` is owed for it.
    pub(crate) fn entered(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, call: &Ended<'_>) {
        let model = self.models.index(Some(call.model));
        let provider = self.providers.index(call.provider);
        let Some(pair) = self.pairs.get(model * self.providers.names.len() + provider) else {
            return;
        };
        let pair = pair.get_or_init(|| Box::new(Pair::new()));
        let status = STATUSES.iter().position(|known| *known == call.status);
        pair.statuses[status.unwrap_or(STATUSES.len())].fetch_add(1, Relaxed);
        pair.duration.record(call.duration.as_secs_f64());
        if let Some(usage) = call.usage {
            pair.prompt_tokens.fetch_add(usage.prompt_tokens, Relaxed);
            pair.completion_tokens.fetch_add(usage.completion_tokens, Relaxed);
        }
    }

    /// Adds the families.
    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "callgate_calls_in_flight";
        text.family(name, "gauge", "Calls that have not ended.");
        text.sample(name, &[], self.in_flight.load(Relaxed) as f64);

        let name = "callgate_calls_total";
        text.family(name, "counter", "Calls that have ended, by what the client got.");
        for (model, provider, pair) in self.touched() {
            for (index, count) in pair.statuses.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    let status = STATUSES.get(index).map_or(OTHER.to_owned(), u16::to_string);
                    let labels = [("model", model), ("provider", provider), ("status", &*status)];
                    text.sample(name, &labels, count as f64);
                }
            }
        }

        let name = "callgate_call_duration_seconds";
        text.family(name, "histogram", "From accepting a call to its end.");
        for (model, provider, pair) in self.touched() {
            text.histogram(name, &[("model", model), ("provider", provider)], &pair.duration);
        }

        let name = "callgate_tokens_total";
        text.family(name, "counter", "Tokens, as the upstreams counted them.");
        for (model, provider, pair) in self.touched() {
            for (kind, count) in
                [("prompt", &pair.prompt_tokens), ("completion", &pair.completion_tokens)]
            {
                let labels = [("model", model), ("provider", provider), ("kind", kind)];
                text.sample(name, &labels, count.load(Relaxed) as f64);
            }
        }
    }

    fn touched(&self) -> impl Iterator<Item = (&str, &str, &Pair)> {
        let width = self.providers.names.len();
        self.pairs.iter().enumerate().filter_map(move |(index, pair)| {
            let model = self.models.names.get(index / width)?;
            let provider = self.providers.names.get(index % width)?;
            Some((&**model, &**provider, &**pair.get()?))
        })
    }
}

impl Pair {
    fn new() -> Self {
        Self {
            statuses: std::array::from_fn(|_| AtomicU64::default()),
            duration: Histogram::new(SECONDS),
            prompt_tokens: AtomicU64::default(),
            completion_tokens: AtomicU64::default(),
        }
    }
}

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMetrics").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_configured_share_a_label() {
        let (models, providers) = ([Arc::from("gpt")], [Arc::from("openai")]);
        let metrics = CallMetrics::new(models.iter(), providers.iter());
        let usage = Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
        metrics.entered();
        for (model, provider, status) in [
            ("gpt", Some("openai"), 200),
            ("made up", Some("openai"), 404),
            ("made up too", None, 418),
            ("", None, 400),
        ] {
            let duration = Duration::from_millis(20);
            metrics.ended(&Ended { model, provider, status, duration, usage: Some(usage) });
        }
        let mut text = Exposition::default();
        metrics.write(&mut text);
        let text = text.finish();
        for line in [
            "callgate_calls_in_flight 1",
            r#"callgate_calls_total{model="gpt",provider="openai",status="200"} 1"#,
            r#"callgate_calls_total{model="other",provider="openai",status="404"} 1"#,
            r#"callgate_calls_total{model="other",provider="none",status="other"} 1"#,
            r#"callgate_calls_total{model="none",provider="none",status="400"} 1"#,
            r#"callgate_call_duration_seconds_bucket{model="gpt",provider="openai",le="0.025"} 1"#,
            r#"callgate_tokens_total{model="gpt",provider="openai",kind="completion"} 4"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("made up"));
    }
}
