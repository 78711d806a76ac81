//! What the gateway counts of its calls. Label values come from the config alone: what a client
//! makes up counts as `other`.

use foldhash::fast::RandomState;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use callgate_deployments::Deployment;
use callgate_providers::Usage;
use callgate_telemetry::metrics::{CALL_SECONDS, Exposition, Histogram};

/// Statuses with a label of their own; others count as `other`.
const STATUSES: [u16; 20] = [
    200, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504,
    508,
];

/// Model names and deployments beyond count as `other`: a list of any length must leave `/metrics`
/// readable.
const MOST: usize = 1000;

/// Of names that are not in the config, and of what has none.
const OTHER: &str = "other";
const NONE: &str = "none";

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// The client got a whole answer.
    Ok,
    /// The client got an error in place of an answer.
    Error,
    /// The answer had begun and broke off.
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

/// The calls of one gateway.
pub(crate) struct CallMetrics {
    models: Labels,
    places: Slots,
    /// By model, then place; a row is made at the first call of a model, a cell at the first of
    /// both.
    rows: Box<[OnceLock<Row>]>,
    in_flight: AtomicI64,
}

type Row = Box<[OnceLock<Box<Cell>>]>;

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) model: &'a str,
    /// `None` when none was chosen.
    pub(crate) deployment: Option<&'a Deployment>,
    pub(crate) status: u16,
    pub(crate) outcome: CallOutcome,
    pub(crate) duration: Duration,
    /// How long the upstream took to begin its answer, and when a stream's first chunk was there.
    pub(crate) upstream: Option<Duration>,
    pub(crate) first_token: Option<Duration>,
    pub(crate) usage: Option<Usage>,
}

struct Labels {
    by_name: HashMap<Arc<str>, usize, RandomState>,
    names: Vec<Arc<str>>,
}

/// Where calls go: a deployment with its provider.
struct Slots {
    by_deployment: HashMap<Arc<str>, usize, RandomState>,
    /// For deployments without a label of their own.
    by_provider: HashMap<Arc<str>, usize, RandomState>,
    /// Provider and deployment.
    names: Vec<(Arc<str>, Arc<str>)>,
}

struct Cell {
    /// By outcome; one more than [`STATUSES`].
    ended: [[AtomicU64; STATUSES.len() + 1]; OUTCOMES.len()],
    duration: Histogram,
    upstream: Histogram,
    first_token: Histogram,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
}

impl Labels {
    /// The names with `OTHER` at 0 and `NONE` at 1.
    fn new<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> Self {
        let known: BTreeSet<&Arc<str>> = names.collect();
        let known = known.into_iter().take(MOST).cloned();
        let names: Vec<Arc<str>> =
            [Arc::from(OTHER), Arc::from(NONE)].into_iter().chain(known).collect();
        let by_name = names.iter().cloned().zip(0..).collect();
        Self { by_name, names }
    }

    fn index(&self, name: &str) -> usize {
        if name.is_empty() { 1 } else { self.by_name.get(name).copied().unwrap_or(0) }
    }
}

impl Slots {
    /// First comes that of calls for which none was chosen, then that of providers that the config
    /// does not name.
    fn new<'a>(deployments: impl Iterator<Item = &'a Arc<Deployment>>) -> Self {
        let [other, none] = [OTHER, NONE].map(Arc::<str>::from);
        let mut names = vec![(Arc::clone(&none), none), (Arc::clone(&other), Arc::clone(&other))];
        let (mut by_deployment, mut by_provider) = (HashMap::default(), HashMap::default());
        for deployment in deployments {
            let label = &deployment.label;
            by_provider.entry(Arc::clone(label)).or_insert_with(|| {
                names.push((Arc::clone(label), Arc::clone(&other)));
                names.len() - 1
            });
            let id: Arc<str> = Arc::from(&*deployment.id);
            if by_deployment.len() < MOST && !by_deployment.contains_key(&id) {
                by_deployment.insert(Arc::clone(&id), names.len());
                names.push((Arc::clone(label), id));
            }
        }
        Self { by_deployment, by_provider, names }
    }

    fn index(&self, deployment: Option<&Deployment>) -> usize {
        let Some(deployment) = deployment else { return 0 };
        let own = self.by_deployment.get(&*deployment.id);
        own.or_else(|| self.by_provider.get(&deployment.label)).copied().unwrap_or(1)
    }
}

impl CallMetrics {
    /// For calls of these model names at these deployments.
    pub(crate) fn new<'a>(
        models: impl Iterator<Item = &'a Arc<str>>,
        deployments: impl Iterator<Item = &'a Arc<Deployment>>,
    ) -> Self {
        let (models, places) = (Labels::new(models), Slots::new(deployments));
        let rows = models.names.iter().map(|_| OnceLock::new()).collect();
        Self { models, places, rows, in_flight: AtomicI64::new(0) }
    }

    /// A call has begun; `left` is owed for it.
    pub(crate) fn entered(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// How many calls have not ended.
    pub(crate) fn in_flight(&self) -> i64 {
        self.in_flight.load(Relaxed)
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, call: &Ended<'_>) {
        let place = self.places.index(call.deployment);
        let Some(row) = self.rows.get(self.models.index(call.model)) else { return };
        let row = row.get_or_init(|| self.places.names.iter().map(|_| OnceLock::new()).collect());
        let Some(cell) = row.get(place) else { return };
        let cell = cell.get_or_init(|| Box::new(Cell::new()));
        let status = STATUSES.iter().position(|known| *known == call.status);
        cell.ended[call.outcome as usize][status.unwrap_or(STATUSES.len())].fetch_add(1, Relaxed);
        cell.duration.record(call.duration.as_secs_f64());
        if let Some(upstream) = call.upstream {
            cell.upstream.record(upstream.as_secs_f64());
        }
        if let Some(first_token) = call.first_token {
            cell.first_token.record(first_token.as_secs_f64());
        }
        if let Some(usage) = call.usage {
            cell.prompt_tokens.fetch_add(usage.prompt_tokens, Relaxed);
            cell.completion_tokens.fetch_add(usage.completion_tokens, Relaxed);
        }
    }

    /// Adds the families.
    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "callgate_calls_in_flight";
        text.family(name, "gauge", "Calls that have not ended.");
        text.sample(name, &[], self.in_flight() as f64);
        self.write_ended(text);
        let histogram = |text: &mut Exposition, name, help, of: fn(&Cell) -> &Histogram| {
            text.family(name, "histogram", help);
            for (labels, cell) in self.touched().filter(|(_, cell)| !of(cell).is_empty()) {
                text.histogram(name, &labels, of(cell));
            }
        };
        let (name, help) = ("callgate_call_duration_seconds", "From accepting a call to its end.");
        histogram(text, name, help, |cell| &cell.duration);
        let name = "callgate_upstream_duration_seconds";
        let help = "From asking an upstream to the head of its answer.";
        histogram(text, name, help, |cell| &cell.upstream);
        let name = "callgate_time_to_first_token_seconds";
        let help = "From accepting a streamed call to the first chunk of its answer.";
        histogram(text, name, help, |cell| &cell.first_token);
        self.write_tokens(text);
    }

    fn write_ended(&self, text: &mut Exposition) {
        let name = "callgate_calls_total";
        text.family(name, "counter", "Calls that have ended, by what the client got.");
        for ([model, provider, deployment], cell) in self.touched() {
            for (outcome, counts) in OUTCOMES.iter().zip(&cell.ended) {
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

    fn write_tokens(&self, text: &mut Exposition) {
        let name = "callgate_tokens_total";
        text.family(name, "counter", "Tokens, as the upstreams counted them.");
        for ([model, provider, deployment], cell) in self.touched() {
            for (kind, count) in
                [("prompt", &cell.prompt_tokens), ("completion", &cell.completion_tokens)]
            {
                let labels = [model, provider, deployment, ("kind", kind)];
                text.sample(name, &labels, count.load(Relaxed) as f64);
            }
        }
    }

    /// What has counted anything, with its labels.
    fn touched(&self) -> impl Iterator<Item = ([(&str, &str); 3], &Cell)> {
        let rows = self.models.names.iter().zip(&self.rows);
        rows.filter_map(|(model, row)| Some((model, row.get()?))).flat_map(|(model, row)| {
            self.places.names.iter().zip(row).filter_map(move |((provider, deployment), cell)| {
                let labels = [("model", model), ("provider", provider), ("deployment", deployment)];
                Some((labels.map(|(name, value)| (name, &**value)), &**cell.get()?))
            })
        })
    }
}

impl Cell {
    fn new() -> Self {
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

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMetrics").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::UnknownKeys;

    #[test]
    fn names_that_are_not_configured_share_a_label() {
        let deployment = |id: &str, label: &str| Arc::new(deployment(id, label));
        let (models, known) = ([Arc::from("gpt")], [deployment("d1", "openai")]);
        let (other, stranger) = (deployment("d2", "openai"), deployment("d3", "groq"));
        let metrics = CallMetrics::new(models.iter(), known.iter());
        let usage = Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
        metrics.entered();
        for (model, deployment, status, outcome) in [
            ("gpt", Some(&known[0]), 200, CallOutcome::Ok),
            ("gpt", Some(&known[0]), 200, CallOutcome::Cut),
            ("gpt", Some(&known[0]), 200, CallOutcome::Cut),
            ("gpt", Some(&known[0]), 499, CallOutcome::ClientGone),
            ("made up", Some(&other), 404, CallOutcome::Error),
            ("made up too", None, 418, CallOutcome::Error),
            ("gpt", Some(&stranger), 502, CallOutcome::Error),
            ("", None, 400, CallOutcome::Error),
        ] {
            let seen = (status == 200).then(|| Duration::from_millis(200_000));
            metrics.ended(&Ended {
                model,
                deployment: deployment.map(|it| &**it),
                status,
                outcome,
                duration: Duration::from_millis(20),
                upstream: seen,
                first_token: seen,
                usage: Some(usage),
            });
        }
        let mut text = Exposition::default();
        metrics.write(&mut text);
        let text = text.finish();
        let gpt = r#"model="gpt",provider="openai",deployment="d1""#;
        for line in [
            "callgate_calls_in_flight 1",
            &format!(r#"callgate_calls_total{{{gpt},status="200",outcome="ok"}} 1"#),
            &format!(r#"callgate_calls_total{{{gpt},status="200",outcome="cut"}} 2"#),
            &format!(r#"callgate_calls_total{{{gpt},status="499",outcome="client_gone"}} 1"#),
            r#"callgate_calls_total{model="other",provider="openai",deployment="other",status="404",outcome="error"} 1"#,
            r#"callgate_calls_total{model="other",provider="none",deployment="none",status="other",outcome="error"} 1"#,
            r#"callgate_calls_total{model="gpt",provider="other",deployment="other",status="502",outcome="error"} 1"#,
            r#"callgate_calls_total{model="none",provider="none",deployment="none",status="400",outcome="error"} 1"#,
            &format!(r#"callgate_call_duration_seconds_bucket{{{gpt},le="0.025"}} 4"#),
            &format!(r#"callgate_upstream_duration_seconds_bucket{{{gpt},le="120"}} 0"#),
            &format!(r#"callgate_upstream_duration_seconds_bucket{{{gpt},le="300"}} 3"#),
            &format!(r#"callgate_time_to_first_token_seconds_bucket{{{gpt},le="600"}} 3"#),
            &format!(r#"callgate_tokens_total{{{gpt},kind="completion"}} 16"#),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("made up"));
    }

    fn deployment(id: &str, label: &str) -> Deployment {
        let text = format!(
            "model_list: [{{model_name: gpt, litellm_params: {{model: openai/x, api_key: k}}, \
             model_info: {{id: {id}}}}}]"
        );
        let file = Arc::from(std::path::Path::new("c.yaml"));
        let environment = callgate_config::Environment::default();
        let config =
            callgate_config::parse(&file, &text, &environment, UnknownKeys::Refuse).unwrap();
        let (deployments, _) = callgate_deployments::Deployments::from_config(&config).unwrap();
        let mut deployment = Deployment::clone(&deployments.all()[0]);
        deployment.label = Arc::from(label);
        deployment
    }
}
