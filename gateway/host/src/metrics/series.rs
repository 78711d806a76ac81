//! One series of a metric, and the names that the text format allows.

use super::MAX_NAME;
use callgate_telemetry::metrics::{AtomicF64, Exposition, Histogram, SECONDS};
use plugin_api::MetricKind;

pub(super) enum MetricValue {
    Counter(AtomicF64),
    Gauge(AtomicF64),
    Histogram(Histogram),
}

impl MetricValue {
    pub(super) fn record(&self, value: f64) {
        match self {
            Self::Counter(sum) if value > 0.0 && value.is_finite() => sum.add(value),
            Self::Counter(_) => {}
            Self::Gauge(gauge) => gauge.set(value),
            Self::Histogram(histogram) => histogram.record(value),
        }
    }

    pub(super) fn write(&self, name: &str, labels: &[(&str, &str)], text: &mut Exposition) {
        match self {
            Self::Counter(value) | Self::Gauge(value) => text.sample(name, labels, value.get()),
            Self::Histogram(histogram) => text.histogram(name, labels, histogram),
        }
    }

    pub(super) fn new(kind: MetricKind, bounds: &[f64]) -> Self {
        match kind {
            MetricKind::Counter => Self::Counter(AtomicF64::default()),
            MetricKind::Gauge => Self::Gauge(AtomicF64::default()),
            MetricKind::Histogram if bounds.is_empty() => Self::Histogram(Histogram::new(SECONDS)),
            MetricKind::Histogram => Self::Histogram(Histogram::new(bounds)),
        }
    }
}

/// Whether a metric or a label may have this name.
pub(super) fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    begins && name.len() <= MAX_NAME && name.bytes().all(legal)
}
