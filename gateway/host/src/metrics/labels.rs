//! The series of one metric with labels: made by their values, bounded, found again by a number.

use super::series::{MetricValue, is_name};
use arc_swap::ArcSwap;
use callgate_telemetry::metrics::Exposition;
use plugin_api::{HostError, HostErrorKind, MetricKind};
use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, PoisonError, RwLock},
};

const MAX_LABELS: usize = 4;
const MAX_SERIES: usize = 200;
/// In bytes; a longer value is cut.
const MAX_VALUE: usize = 128;

/// The value of every label of the series beyond the bound.
const OTHER: &str = "other";

/// Marks the id of a series with labels.
const LABELED: u64 = 1 << 63;

/// The id of a series: of the metric with this id, the one at `index`.
pub(super) fn id(metric: u64, index: u32) -> u64 {
    LABELED | (metric << 32) | u64::from(index)
}

/// The metric and the index of a series with labels; `None` for another id.
pub(super) fn parts(id: u64) -> Option<(usize, usize)> {
    let metric = usize::try_from((id & !LABELED) >> 32).ok()?;
    let index = usize::try_from(id & u64::from(u32::MAX)).ok()?;
    (id & LABELED != 0).then_some((metric, index))
}

/// Checks the names of a metric's labels.
pub(super) fn check(metric: &str, labels: &[&str]) -> Result<(), HostError> {
    let own = |label: &str| !matches!(label, "callback" | "le") && !label.starts_with("__");
    let once = |label: &str| labels.iter().filter(|other| **other == label).count() == 1;
    let is_legal = |label: &&str| is_name(label) && own(label) && once(label);
    if (1..=MAX_LABELS).contains(&labels.len()) && labels.iter().all(is_legal) {
        return Ok(());
    }
    let text = format!(
        "expected 1 to {MAX_LABELS} different labels of `{metric}`, of letters, digits and `_` and \
         without `callback` and `le`, found others"
    );
    Err(HostError::new(HostErrorKind::INVALID, text))
}

/// The series of one metric of one entry.
pub(super) struct LabeledSeries {
    kind: MetricKind,
    bounds: Box<[f64]>,
    labels: usize,
    /// The index of each series by its values; see [`key`].
    by_values: RwLock<HashMap<Box<str>, u32>>,
    /// By index; only ever grows.
    all: ArcSwap<Vec<Arc<OneSeries>>>,
}

struct OneSeries {
    values: Box<[Box<str>]>,
    series: MetricValue,
}

impl LabeledSeries {
    pub(super) fn new(kind: MetricKind, bounds: &[f64], labels: usize) -> Self {
        let by_values = RwLock::default();
        Self { kind, bounds: bounds.into(), labels, by_values, all: ArcSwap::default() }
    }

    /// The index of the series with these values, or of the one for all others.
    pub(super) fn index(&self, values: &[&str]) -> Result<u32, HostError> {
        if values.len() != self.labels {
            let (expected, found) = (self.labels, values.len());
            let text = format!("expected a value for each of {expected} labels, found {found}");
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        let key = key(values);
        let known = self.by_values.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known.get(&*key) {
            return Ok(*index);
        }
        drop(known);
        Ok(self.index_of_new(key, values))
    }

    fn index_of_new(&self, mut values_key: String, values: &[&str]) -> u32 {
        let mut known = self.by_values.write().unwrap_or_else(PoisonError::into_inner);
        let others = vec![OTHER; self.labels];
        let mut values = values;
        if known.len() >= MAX_SERIES && !known.contains_key(&*values_key) {
            (values_key, values) = (key(&others), &others);
        }
        if let Some(index) = known.get(&*values_key) {
            return *index;
        }
        let values = values.iter().map(|value| cut(value).into()).collect();
        let one = OneSeries { values, series: MetricValue::new(self.kind, &self.bounds) };
        let mut longer = Vec::clone(&self.all.load());
        let index = u32::try_from(longer.len()).unwrap_or(u32::MAX);
        longer.push(Arc::new(one));
        self.all.store(Arc::new(longer));
        known.insert(values_key.into(), index);
        index
    }

    pub(super) fn record(&self, index: usize, value: f64) {
        if let Some(one) = self.all.load().get(index) {
            one.series.record(value);
        }
    }

    pub(super) fn write(
        &self,
        name: &str,
        instance: &str,
        labels: &[Box<str>],
        text: &mut Exposition,
    ) {
        for one in &**self.all.load() {
            let own = labels.iter().zip(&one.values).map(|(label, value)| (&**label, &**value));
            let all: Vec<_> = [("callback", instance)].into_iter().chain(own).collect();
            one.series.write(name, &all, text);
        }
    }
}

fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(MAX_VALUE)]
}

/// All values in one text. Their lengths keep them apart.
fn key(values: &[&str]) -> String {
    let mut key = String::new();
    for value in values {
        let value = cut(value);
        let _ = write!(key, "{}:{value}", value.len());
    }
    key
}
