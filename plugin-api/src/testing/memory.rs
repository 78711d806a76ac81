//! The mock host's key-value store and metrics. They have the gateway's limits and errors, but are
//! slower.

use crate::{
    HostError, HostErrorKind, MetricKind,
    abi::serve::{KvService, MetricsService},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const MAX_KEY: usize = 1024;
const MAX_VALUE: usize = 1024 * 1024;
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_KEYS: usize = 65_536;
const MAX_METRICS: usize = 128;
const MAX_NAME: usize = 64;
const MAX_BOUNDS: usize = 32;

#[derive(Default)]
pub(super) struct MockKv(Mutex<Values>);

#[derive(Default)]
struct Values {
    now: u64,
    bytes: usize,
    values: BTreeMap<String, Value>,
}

struct Value {
    bytes: Vec<u8>,
    /// The expiry, in nanoseconds on the mock's clock.
    ends: u64,
}

impl MockKv {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_now(&self, now: u64) {
        let mut values = self.values();
        values.now = values.now.max(now);
        let now = values.now;
        values.values.retain(|_, value| value.ends > now);
        values.bytes = values.values.iter().map(|(key, value)| key.len() + value.bytes.len()).sum();
    }
}

impl KvService for MockKv {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.values().values.get(key).map(|value| value.bytes.clone())
    }

    fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        let refuse = |kind, text: &str| Err(HostError::new(kind, text));
        if key.is_empty() || key.len() > MAX_KEY {
            return refuse(HostErrorKind::INVALID, "expected a key of 1 to 1024 bytes");
        }
        if value.len() > MAX_VALUE {
            return refuse(HostErrorKind::TOO_LARGE, "expected a value of at most 1 MiB");
        }
        let mut values = self.values();
        let before = values.values.get(key).map(|value| key.len() + value.bytes.len());
        let bytes = values.bytes - before.unwrap_or_default() + key.len() + value.len();
        if bytes > MAX_BYTES || (before.is_none() && values.values.len() >= MAX_KEYS) {
            return refuse(HostErrorKind::FULL, "the store is full");
        }
        let live = live.map_or(u64::MAX, |live| u64::try_from(live.as_nanos()).unwrap_or(u64::MAX));
        let ends = values.now.saturating_add(live);
        values.values.insert(key.to_owned(), Value { bytes: value.to_vec(), ends });
        values.bytes = bytes;
        Ok(())
    }

    fn delete(&self, key: &str) -> bool {
        let mut values = self.values();
        let removed = values.values.remove(key);
        if let Some(value) = &removed {
            values.bytes -= key.len() + value.bytes.len();
        }
        removed.is_some()
    }
}

#[derive(Default)]
pub(super) struct MockMetrics(Mutex<Vec<Metric>>);

struct Metric {
    name: String,
    kind: MetricKind,
    value: f64,
    seen: Vec<f64>,
}

impl MockMetrics {
    fn metrics(&self) -> MutexGuard<'_, Vec<Metric>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn value(&self, name: &str) -> Option<f64> {
        let metrics = self.metrics();
        metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }

    pub(super) fn observations(&self, name: &str) -> Vec<f64> {
        let metrics = self.metrics();
        let found = metrics.iter().find(|metric| metric.name == name);
        found.map(|metric| metric.seen.clone()).unwrap_or_default()
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
        let invalid = |text: &str| HostError::new(HostErrorKind::INVALID, text);
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !first || name.len() > MAX_NAME || !name.bytes().all(legal) {
            return Err(invalid("expected a name of at most 64 letters, digits and `_`"));
        }
        let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        if bounds.len() > MAX_BOUNDS || !ascending || !bounds.iter().all(|it| it.is_finite()) {
            return Err(invalid("expected at most 32 bounds, finite and ascending"));
        }
        let mut metrics = self.metrics();
        let index = match metrics.iter().position(|metric| metric.name == name) {
            Some(index) if metrics[index].kind != kind => {
                return Err(invalid("the name is already registered as another kind"));
            }
            Some(index) => index,
            None if metrics.len() >= MAX_METRICS => {
                return Err(HostError::new(HostErrorKind::FULL, "expected at most 128 metrics"));
            }
            None => {
                metrics.push(Metric { name: name.to_owned(), kind, value: 0.0, seen: Vec::new() });
                metrics.len() - 1
            }
        };
        Ok(index as u64)
    }

    fn record(&self, id: u64, value: f64) {
        let mut metrics = self.metrics();
        let Some(metric) = usize::try_from(id).ok().and_then(|id| metrics.get_mut(id)) else {
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
    fn a_store_is_bounded_and_forgets_in_time() {
        let kv = MockKv::default();
        let kind = |done: Result<(), HostError>| done.unwrap_err().kind;
        assert_eq!(kind(kv.set("", b"", None)), HostErrorKind::INVALID);
        assert_eq!(kind(kv.set("k", &vec![0; MAX_VALUE + 1], None)), HostErrorKind::TOO_LARGE);
        for index in 0..15 {
            kv.set(&format!("k{index}"), &vec![0; MAX_VALUE], Some(Duration::from_secs(1)))
                .unwrap();
        }
        assert_eq!(kind(kv.set("last", &vec![0; MAX_VALUE], None)), HostErrorKind::FULL);
        kv.set_now(999_999_999);
        assert!(kv.get("k0").is_some());
        kv.set_now(1_000_000_000);
        assert!(kv.get("k0").is_none());
        kv.set("last", &vec![0; MAX_VALUE], None).unwrap();
        assert!(kv.delete("last") && !kv.delete("last"));
    }

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
}
