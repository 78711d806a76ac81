//! Selects the totals in which a call counts. Label values come only from the config; a name that a
//! client makes up counts as `other`.

use crate::call_totals::{CallTotals, Ended, OTHER, Series};
use callgate_deployments::Deployment;
use foldhash::fast::RandomState;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

/// Further model names and deployments count as `other`, so that a long list leaves `/metrics`
/// readable.
const MOST: usize = 1000;

/// The label of a call that names no model, or for which no deployment was chosen.
const NONE: &str = "none";

/// The metrics of one config. Its [`CallTotals`] are those of the process.
pub(crate) struct CallMetrics {
    totals: Arc<CallTotals>,
    models: Labels,
    places: Slots,
    /// By model, then slot. A model's row is created at its first call, a series at the first call
    /// of its pair.
    rows: Box<[OnceLock<Row>]>,
}

type Row = Box<[OnceLock<Arc<Series>>]>;

struct Labels {
    by_name: HashMap<Arc<str>, usize, RandomState>,
    names: Vec<Arc<str>>,
}

/// Where calls go: one slot for each deployment and its provider.
struct Slots {
    by_deployment: HashMap<Arc<str>, usize, RandomState>,
    /// For deployments without their own label.
    by_provider: HashMap<Arc<str>, usize, RandomState>,
    /// Provider and deployment.
    names: Vec<(Arc<str>, Arc<str>)>,
}

impl Labels {
    /// The names, after `OTHER` at 0 and `NONE` at 1.
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
    /// Slot 0 is for calls without a deployment, slot 1 for providers that the config does not
    /// name.
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
    /// Counters for calls of these model names at these deployments.
    pub(crate) fn new<'a>(
        totals: &Arc<CallTotals>,
        models: impl Iterator<Item = &'a Arc<str>>,
        deployments: impl Iterator<Item = &'a Arc<Deployment>>,
    ) -> Self {
        let (models, places) = (Labels::new(models), Slots::new(deployments));
        let rows = models.names.iter().map(|_| OnceLock::new()).collect();
        Self { totals: Arc::clone(totals), models, places, rows }
    }

    /// The totals of the process, for the next config's metrics.
    pub(crate) fn totals(&self) -> &Arc<CallTotals> {
        &self.totals
    }

    /// Counts a call that has ended.
    pub(crate) fn ended(&self, call: &Ended<'_>) {
        let model = self.models.index(call.model);
        let place = self.places.index(call.deployment);
        let Some(row) = self.rows.get(model) else { return };
        let row = row.get_or_init(|| self.places.names.iter().map(|_| OnceLock::new()).collect());
        let Some(series) = row.get(place) else { return };
        series.get_or_init(|| self.series(model, place)).count(call);
    }

    fn series(&self, model: usize, place: usize) -> Arc<Series> {
        let (provider, deployment) = &self.places.names[place];
        self.totals.series([&self.models.names[model], provider, deployment].map(Arc::clone))
    }
}

impl Deref for CallMetrics {
    type Target = CallTotals;

    fn deref(&self) -> &CallTotals {
        &self.totals
    }
}

impl fmt::Debug for CallMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMetrics").field("totals", &self.totals).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call_totals::CallOutcome;
    use callgate_config::UnknownKeys;
    use callgate_providers::Usage;
    use callgate_telemetry::metrics::Exposition;
    use std::time::Duration;

    #[test]
    fn names_that_are_not_configured_share_a_label() {
        let deployment = |id: &str, label: &str| Arc::new(deployment(id, label));
        let (models, known) = ([Arc::from("gpt")], [deployment("d1", "openai")]);
        let (other, stranger) = (deployment("d2", "openai"), deployment("d3", "groq"));
        let metrics = CallMetrics::new(&Arc::default(), models.iter(), known.iter());
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
