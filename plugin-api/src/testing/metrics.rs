//! The mock host's metrics. They have the gateway's limits and errors, but are slower.

use crate::{HostError, HostErrorKind, MetricKind, abi::serve::MetricsService};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAX_METRICS: usize = 128;
const MAX_NAME: usize = 64;
const MAX_BOUNDS: usize = 32;
const MAX_LABELS: usize = 4;
const MAX_SERIES: usize = 200;
const MAX_VALUE: usize = 128;

#[derive(Default)]
pub(super) struct MockMetrics(Mutex<State>);

/// The series of all metrics, by id.
#[derive(Default)]
struct State {
    series: Vec<Metric>,
    labeled: Vec<Family>,
}

/// A metric with labels, and how many series it has.
struct Family {
    name: String,
    kind: MetricKind,
    labels: Vec<String>,
    series: usize,
}

struct Metric {
    /// With the labels of a series, as in the exposition.
    name: String,
    kind: MetricKind,
    value: f64,
    seen: Vec<f64>,
}

impl MockMetrics {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn value(&self, name: &str) -> Option<f64> {
        let state = self.state();
        state.series.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    pub(super) fn observations(&self, name: &str) -> Vec<f64> {
        let state = self.state();
        let found = state.series.iter().find(|metric| metric.name == name);
        found.map(|metric| metric.seen.clone()).unwrap_or_default()
    }
}

fn invalid(text: &str) -> HostError {
    HostError::new(HostErrorKind::INVALID, text)
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    first && name.len() <= MAX_NAME && name.bytes().all(legal)
}

fn check(name: &str, bounds: &[f64]) -> Result<(), HostError> {
    if !is_name(name) {
        return Err(invalid("expected a name of at most 64 letters, digits and `_`"));
    }
    let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if bounds.len() > MAX_BOUNDS || !ascending || !bounds.iter().all(|it| it.is_finite()) {
        return Err(invalid("expected at most 32 bounds, finite and ascending"));
    }
    Ok(())
}

fn check_labels(labels: &[&str]) -> Result<(), HostError> {
    let own = |label: &str| !matches!(label, "callback" | "le") && !label.starts_with("__");
    let once = |label: &str| labels.iter().filter(|other| **other == label).count() == 1;
    let legal = labels.iter().all(|label| is_name(label) && own(label) && once(label));
    if !legal || !(1..=MAX_LABELS).contains(&labels.len()) {
        return Err(invalid("expected 1 to 4 different names of labels"));
    }
    Ok(())
}

/// Returns the name of a series, as in the exposition but without escapes.
fn named(family: &Family, values: &[&str]) -> String {
    let cut = |value: &str| value[..value.floor_char_boundary(MAX_VALUE)].to_owned();
    let pairs = family.labels.iter().zip(values);
    let pairs = pairs.map(|(label, value)| format!("{label}=\"{}\"", cut(value)));
    format!("{}{{{}}}", family.name, pairs.collect::<Vec<_>>().join(","))
}

impl State {
    /// Refuses a metric that is registered as another one, or one too many.
    fn check_new(&self, name: &str, kind: MetricKind, labels: &[&str]) -> Result<(), HostError> {
        let plain = self.series.iter().filter(|metric| !metric.name.contains('{'));
        let count = plain.clone().count() + self.labeled.len();
        let plain = plain.clone().find(|it| it.name == name).map(|it| (it.kind, &[][..]));
        let labeled = self.labeled.iter().find(|it| it.name == name);
        match plain.or(labeled.map(|it| (it.kind, &it.labels[..]))) {
            Some((known, _)) if known != kind => {
                Err(invalid("the name is already registered as another kind"))
            }
            Some((_, known)) if known != labels => {
                Err(invalid("the name is already registered with other labels"))
            }
            None if count >= MAX_METRICS => {
                Err(HostError::new(HostErrorKind::FULL, "expected at most 128 metrics"))
            }
            _ => Ok(()),
        }
    }

    fn series_of(&mut self, name: &str, kind: MetricKind) -> usize {
        let known = self.series.iter().position(|metric| metric.name == name);
        known.unwrap_or_else(|| {
            let metric = Metric { name: name.to_owned(), kind, value: 0.0, seen: Vec::new() };
            self.series.push(metric);
            self.series.len() - 1
        })
    }
}

impl MetricsService for MockMetrics {
    fn register(
        &self,
        kind: MetricKind,
        name: &str,
        _help: &str,
        bounds: &[f64],
    ) -> Result<u64, HostError> {
        check(name, bounds)?;
        let mut state = self.state();
        state.check_new(name, kind, &[])?;
        Ok(state.series_of(name, kind) as u64)
    }

    fn register_labeled(
        &self,
        kind: MetricKind,
        name: &str,
        _help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> Result<u64, HostError> {
        check(name, bounds)?;
        check_labels(labels)?;
        let mut state = self.state();
        state.check_new(name, kind, labels)?;
        let known = state.labeled.iter().position(|family| family.name == name);
        let index = known.unwrap_or_else(|| {
            let labels = labels.iter().map(|&label| label.to_owned()).collect();
            state.labeled.push(Family { name: name.to_owned(), kind, labels, series: 0 });
            state.labeled.len() - 1
        });
        Ok(index as u64)
    }

    fn series(&self, metric: u64, values: &[&str]) -> Result<u64, HostError> {
        let mut state = self.state();
        let State { series, labeled } = &mut *state;
        let family = usize::try_from(metric).ok().and_then(|index| labeled.get_mut(index));
        let family = family.filter(|family| family.labels.len() == values.len());
        let family = family.ok_or_else(|| invalid("expected a value for each label"))?;
        let mut name = named(family, values);
        if !series.iter().any(|it| it.name == name) {
            if family.series >= MAX_SERIES {
                name = named(family, &vec!["other"; values.len()]);
            }
            family.series += 1;
        }
        let kind = family.kind;
        Ok(state.series_of(&name, kind) as u64)
    }

    fn record(&self, id: u64, value: f64) {
        let mut state = self.state();
        let Some(metric) = usize::try_from(id).ok().and_then(|id| state.series.get_mut(id)) else {
            return;
        };
        match metric.kind {
            MetricKind::Counter if value > 0.0 => metric.value += value,
            MetricKind::Counter => {}
            MetricKind::Gauge => metric.value = value,
            MetricKind::Histogram if value.is_nan() => {}
            MetricKind::Histogram => {
                metric.value += 1.0;
                metric.seen.push(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_keep_their_kind() {
        let metrics = MockMetrics::default();
        let register = |kind, name: &str, bounds: &[f64]| metrics.register(kind, name, "", bounds);
        let id = register(MetricKind::Counter, "a_total", &[]).unwrap();
        assert_eq!(register(MetricKind::Counter, "a_total", &[]), Ok(id));
        metrics.record(id, 2.0);
        metrics.record(id, -1.0);
        metrics.record(99, 1.0);
        assert_eq!(metrics.value("a_total"), Some(2.0));
        for (kind, name, bounds) in [
            (MetricKind::Gauge, "a_total", &[][..]),
            (MetricKind::Gauge, "", &[]),
            (MetricKind::Gauge, "1a", &[]),
            (MetricKind::Gauge, "a-b", &[]),
            (MetricKind::Histogram, "h", &[2.0, 1.0]),
            (MetricKind::Histogram, "h", &[f64::NAN]),
        ] {
            assert!(register(kind, name, bounds).is_err(), "{name}");
        }
    }

    #[test]
    fn labels_are_checked_and_bounded() {
        let metrics = MockMetrics::default();
        let register = |name: &str, labels: &[&str]| {
            metrics.register_labeled(MetricKind::Counter, name, "", &[], labels)
        };
        let id = register("n", &["team"]).unwrap();
        for index in 0..300 {
            metrics.record(metrics.series(id, &[&index.to_string()]).unwrap(), 1.0);
        }
        assert_eq!(metrics.value("n{team=\"199\"}"), Some(1.0));
        assert_eq!(metrics.value("n{team=\"200\"}"), None);
        assert_eq!(metrics.value("n{team=\"other\"}"), Some(100.0));
        assert!(metrics.series(id, &[]).is_err() && metrics.series(9, &["x"]).is_err());
        assert!(metrics.register(MetricKind::Counter, "n", "", &[]).is_err());
        let five = ["a", "b", "c", "d", "e"];
        for labels in [&[][..], &["callback"], &["le"], &["__x"], &["a b"], &["a", "a"], &five] {
            assert!(register("m", labels).is_err(), "{labels:?}");
        }
        assert!(register("n", &["model"]).is_err());
    }
}
