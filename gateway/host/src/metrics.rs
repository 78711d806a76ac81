//! The metrics of callbacks, by family and instance. [`PluginMetrics`] lives as long as the
//! process, so the counts of an instance continue after a restart.
//!
//! Locks are taken only to register and to export; recording uses the instance's own list.

use self::{
    labels::LabeledSeries,
    series::{MetricValue, is_name},
};
use arc_swap::ArcSwap;
use callgate_telemetry::metrics::Exposition;
use plugin_api::{HostError, HostErrorKind, MetricKind, abi::serve::MetricsService};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

mod labels;
mod series;

/// None of the gateway's own metrics begins like this.
const PREFIX: &str = "callgate_plugin_";
const MAX_METRICS: usize = 128;
const MAX_NAME: usize = 64;
const MAX_HELP: usize = 256;
const MAX_BOUNDS: usize = 32;

/// The metrics of all callbacks.
#[derive(Default)]
pub(super) struct PluginMetrics {
    families: Mutex<BTreeMap<String, Family>>,
}

struct Family {
    kind: MetricKind,
    help: String,
    /// The names of its labels, in addition to that of the instance.
    labels: Box<[Box<str>]>,
    /// By the instance's name, which is a label.
    series: BTreeMap<Arc<str>, InstanceSeries>,
}

/// The series of one instance.
enum InstanceSeries {
    One(Arc<MetricValue>),
    Labeled(Arc<LabeledSeries>),
}

impl PluginMetrics {
    fn families(&self) -> MutexGuard<'_, BTreeMap<String, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the metric families to `text`.
    pub(super) fn write(&self, text: &mut Exposition) {
        for (name, family) in self.families().iter() {
            let kind = match family.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                MetricKind::Histogram => "histogram",
            };
            text.family(name, kind, &family.help);
            for (instance, series) in &family.series {
                match series {
                    InstanceSeries::One(one) => one.write(name, &[("callback", instance)], text),
                    InstanceSeries::Labeled(all) => all.write(name, instance, &family.labels, text),
                }
            }
        }
    }
}

/// The metrics of one instance of a callback.
pub(super) struct InstanceMetrics {
    all: Arc<PluginMetrics>,
    callback: String,
    instance: Arc<str>,
    /// The registered metrics, by id; only ever grows.
    registered: ArcSwap<Vec<(String, Arc<MetricValue>)>>,
    /// The registered metrics with labels, by id; only ever grows.
    labeled: ArcSwap<Vec<(String, Arc<LabeledSeries>)>>,
}

impl InstanceMetrics {
    pub(super) fn new(all: &Arc<PluginMetrics>, callback: &str, instance: &Arc<str>) -> Self {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        Self {
            all: Arc::clone(all),
            callback: callback.chars().map(legal).collect(),
            instance: Arc::clone(instance),
            registered: ArcSwap::default(),
            labeled: ArcSwap::default(),
        }
    }

    /// The family of a name, which is new or was registered alike. `known` is its id.
    fn family<'f>(
        &self,
        families: &'f mut BTreeMap<String, Family>,
        full: &str,
        new: &NewMetric<'_>,
        known: Option<usize>,
    ) -> Result<&'f mut Family, HostError> {
        let count = self.registered.load().len() + self.labeled.load().len();
        if known.is_none() && count >= MAX_METRICS {
            let text = format!("a callback may register {MAX_METRICS} metrics, found one more");
            return Err(HostError::new(HostErrorKind::FULL, text));
        }
        let help = &new.help[..new.help.floor_char_boundary(MAX_HELP)];
        let family = families.entry(full.to_owned()).or_insert_with(|| Family {
            kind: new.kind,
            help: help.to_owned(),
            labels: new.labels.iter().map(|&label| label.into()).collect(),
            series: BTreeMap::new(),
        });
        let name = new.name;
        if family.kind != new.kind {
            let text = format!("`{name}` is registered as another kind of metric already");
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        if !family.labels.iter().map(|label| &**label).eq(new.labels.iter().copied()) {
            let text = format!("`{name}` is registered with other labels already");
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        Ok(family)
    }
}

/// A metric to register.
struct NewMetric<'a> {
    kind: MetricKind,
    name: &'a str,
    help: &'a str,
    labels: &'a [&'a str],
}

/// `list` with one more item, and the item's id.
fn longer<T: Clone>(list: &[T], item: T) -> (Arc<Vec<T>>, u64) {
    let mut longer = list.to_vec();
    longer.push(item);
    (Arc::new(longer), list.len() as u64)
}

impl MetricsService for InstanceMetrics {
    fn register(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<u64, HostError> {
        check(name, bounds)?;
        let full = format!("{PREFIX}{}_{name}", self.callback);
        // Held to the end, so that two threads cannot give one name two ids.
        let mut families = self.all.families();
        let registered = self.registered.load_full();
        let known = registered.iter().position(|(known, _)| *known == full);
        let new = NewMetric { kind, name, help, labels: &[] };
        let family = self.family(&mut families, &full, &new, known)?;
        if let Some(index) = known {
            return Ok(index as u64);
        }
        let fresh = || InstanceSeries::One(Arc::new(MetricValue::new(kind, bounds)));
        let series = family.series.entry(Arc::clone(&self.instance)).or_insert_with(fresh);
        let InstanceSeries::One(series) = series else { return Err(mixed(name)) };
        let (longer, id) = longer(&registered, (full, Arc::clone(series)));
        self.registered.store(longer);
        Ok(id)
    }

    fn register_labeled(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> Result<u64, HostError> {
        check(name, bounds)?;
        labels::check(name, labels)?;
        let full = format!("{PREFIX}{}_{name}", self.callback);
        let mut families = self.all.families();
        let registered = self.labeled.load_full();
        let known = registered.iter().position(|(known, _)| *known == full);
        let new = NewMetric { kind, name, help, labels };
        let family = self.family(&mut families, &full, &new, known)?;
        if let Some(index) = known {
            return Ok(index as u64);
        }
        let fresh = || LabeledSeries::new(kind, bounds, labels.len());
        let fresh = || InstanceSeries::Labeled(Arc::new(fresh()));
        let series = family.series.entry(Arc::clone(&self.instance)).or_insert_with(fresh);
        let InstanceSeries::Labeled(series) = series else { return Err(mixed(name)) };
        let (longer, id) = longer(&registered, (full, Arc::clone(series)));
        self.labeled.store(longer);
        Ok(id)
    }

    fn series(&self, metric: u64, values: &[&str]) -> Result<u64, HostError> {
        let labeled = self.labeled.load();
        let found = usize::try_from(metric).ok().and_then(|index| labeled.get(index));
        let Some((_, series)) = found else {
            let text = "expected the id of a metric with labels, found another number";
            return Err(HostError::new(HostErrorKind::INVALID, text));
        };
        Ok(labels::id(metric, series.index(values)?))
    }

    fn record(&self, id: u64, value: f64) {
        if let Some((metric, index)) = labels::parts(id) {
            if let Some((_, series)) = self.labeled.load().get(metric) {
                series.record(index, value);
            }
            return;
        }
        let registered = self.registered.load();
        if let Some((_, series)) = usize::try_from(id).ok().and_then(|id| registered.get(id)) {
            series.record(value);
        }
    }
}

/// The families keep names apart by their labels, so this does not happen.
fn mixed(name: &str) -> HostError {
    let text = format!("`{name}` is registered with other labels already");
    HostError::new(HostErrorKind::INVALID, text)
}

fn check(name: &str, bounds: &[f64]) -> Result<(), HostError> {
    let invalid = |text: String| Err(HostError::new(HostErrorKind::INVALID, text));
    if !is_name(name) {
        let found: String = name.chars().take(MAX_NAME).collect();
        return invalid(format!(
            "expected a metric's name of letters, digits and `_`, at most {MAX_NAME} and no digit \
             first, found {found:?}"
        ));
    }
    let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if bounds.len() > MAX_BOUNDS || !ascending || !bounds.iter().all(|bound| bound.is_finite()) {
        return invalid(format!(
            "expected at most {MAX_BOUNDS} finite, ascending bounds of `{name}`, found others"
        ));
    }
    Ok(())
}

impl fmt::Debug for PluginMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
