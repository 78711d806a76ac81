//! The metrics of callbacks, by family and instance. [`PluginMetrics`] lives as long as the
//! process, so the counts of an instance continue after a restart.
//!
//! Locks are taken only to register and to export; recording uses the instance's own list.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use plugin_api::abi::serve::MetricsService;
use plugin_api::{HostError, HostErrorKind, MetricKind};

use callgate_telemetry::metrics::{AtomicF64, Exposition, Histogram, SECONDS};

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
    /// By the instance's name, which is the label.
    series: BTreeMap<Arc<str>, Arc<Series>>,
}

enum Series {
    Counter(AtomicF64),
    Gauge(AtomicF64),
    Histogram(Histogram),
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
                let labels = [("callback", &**instance)];
                match &**series {
                    Series::Counter(value) | Series::Gauge(value) => {
                        text.sample(name, &labels, value.get());
                    }
                    Series::Histogram(histogram) => text.histogram(name, &labels, histogram),
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
    registered: ArcSwap<Vec<(String, Arc<Series>)>>,
}

impl InstanceMetrics {
    pub(super) fn new(all: &Arc<PluginMetrics>, callback: &str, instance: &Arc<str>) -> Self {
        let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        Self {
            all: Arc::clone(all),
            callback: callback.chars().map(legal).collect(),
            instance: Arc::clone(instance),
            registered: ArcSwap::default(),
        }
    }
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
        if known.is_none() && registered.len() >= MAX_METRICS {
            let text = format!("a callback may register {MAX_METRICS} metrics, found one more");
            return Err(HostError::new(HostErrorKind::FULL, text));
        }
        let help = &help[..help.floor_char_boundary(MAX_HELP)];
        let family = families.entry(full.clone()).or_insert_with(|| Family {
            kind,
            help: help.to_owned(),
            series: BTreeMap::new(),
        });
        if family.kind != kind {
            let text = format!("`{name}` is registered as another kind of metric already");
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        if let Some(index) = known {
            return Ok(index as u64);
        }
        let fresh = || Arc::new(Series::new(kind, bounds));
        let series = family.series.entry(Arc::clone(&self.instance)).or_insert_with(fresh);
        let mut longer = Vec::clone(&registered);
        longer.push((full, Arc::clone(series)));
        self.registered.store(Arc::new(longer));
        Ok(registered.len() as u64)
    }

    fn record(&self, id: u64, value: f64) {
        let registered = self.registered.load();
        let Some((_, series)) = usize::try_from(id).ok().and_then(|id| registered.get(id)) else {
            return;
        };
        match &**series {
            Series::Counter(sum) if value > 0.0 && value.is_finite() => sum.add(value),
            Series::Counter(_) => {}
            Series::Gauge(gauge) => gauge.set(value),
            Series::Histogram(histogram) => histogram.record(value),
        }
    }
}

impl Series {
    fn new(kind: MetricKind, bounds: &[f64]) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(AtomicF64::default()),
            MetricKind::Gauge => Self::Gauge(AtomicF64::default()),
            MetricKind::Histogram if bounds.is_empty() => Self::Histogram(Histogram::new(SECONDS)),
            MetricKind::Histogram => Self::Histogram(Histogram::new(bounds)),
        }
    }
}

fn check(name: &str, bounds: &[f64]) -> Result<(), HostError> {
    let invalid = |text: String| Err(HostError::new(HostErrorKind::INVALID, text));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if !begins || name.len() > MAX_NAME || !name.bytes().all(legal) {
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
mod tests {
    use super::*;

    fn text(all: &PluginMetrics) -> String {
        let mut text = Exposition::default();
        all.write(&mut text);
        text.finish()
    }

    #[test]
    fn a_new_instance_goes_on_counting_and_others_count_apart() {
        let all = Arc::new(PluginMetrics::default());
        for (instance, value) in [("a", 1.0), ("b", 10.0), ("a", 2.0)] {
            let metrics = InstanceMetrics::new(&all, "my-cb", &Arc::from(instance));
            let id = metrics.register(MetricKind::Counter, "n_total", "Things.", &[]).unwrap();
            assert_eq!(metrics.register(MetricKind::Counter, "n_total", "", &[]), Ok(id));
            for value in [value, -5.0, f64::NAN, f64::INFINITY] {
                metrics.record(id, value);
            }
            metrics.record(id + 1, 1.0);
        }
        assert_eq!(
            text(&all),
            "# HELP callgate_plugin_my_cb_n_total Things.\n\
             # TYPE callgate_plugin_my_cb_n_total counter\n\
             callgate_plugin_my_cb_n_total{callback=\"a\"} 3\n\
             callgate_plugin_my_cb_n_total{callback=\"b\"} 10\n"
        );
    }

    #[test]
    fn what_would_break_the_text_is_refused() {
        let all = Arc::new(PluginMetrics::default());
        let metrics = InstanceMetrics::new(&all, "c", &Arc::from("c"));
        metrics.register(MetricKind::Gauge, "g", "", &[]).unwrap();
        let long = "x".repeat(MAX_NAME + 1);
        for (kind, name, bounds) in [
            (MetricKind::Counter, "g", &[][..]),
            (MetricKind::Gauge, "", &[]),
            (MetricKind::Gauge, "1", &[]),
            (MetricKind::Gauge, "a b", &[]),
            (MetricKind::Gauge, "a\n", &[]),
            (MetricKind::Gauge, &long, &[]),
            (MetricKind::Histogram, "h", &[1.0, 1.0]),
            (MetricKind::Histogram, "h", &[f64::INFINITY]),
        ] {
            let refused = metrics.register(kind, name, "", bounds).unwrap_err();
            assert_eq!(refused.kind, HostErrorKind::INVALID, "{name}");
        }
        for index in 1..MAX_METRICS {
            metrics.register(MetricKind::Gauge, &format!("g{index}"), "", &[]).unwrap();
        }
        let refused = metrics.register(MetricKind::Gauge, "more", "", &[]).unwrap_err();
        assert_eq!(refused.kind, HostErrorKind::FULL);
        assert!(!text(&all).contains("_more"));
    }
}
