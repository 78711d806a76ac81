//! The tables of the store and of the metrics. The safety argument of `hosted` applies here too.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`hosted` gives the reason for all functions"
)]

use super::{HostAccess, Table, host, name, names, page, services::number, visit};
use crate::{
    HostError, HostErrorKind, MetricKind,
    abi::{KvVt, MetricsVt, RawHostError, RawMetric, RawVisitor, View},
};
use abi_stable::{
    prefix_type::WithMetadata,
    staticref,
    std_types::{ROption, RResult, RVec},
};
use std::time::Duration;

unsafe extern "C" fn kv_get<T: HostAccess>(ctx: *const (), key: View) -> ROption<RVec<u8>> {
    unsafe { host::<T>(ctx).kv().get(name(key)) }.map(Into::into).into()
}

unsafe extern "C" fn kv_set<T: HostAccess>(
    ctx: *const (),
    key: View,
    value: View,
    millis: u64,
) -> u32 {
    let live = (millis > 0).then(|| Duration::from_millis(millis));
    number(unsafe { host::<T>(ctx).kv().set(name(key), value.bytes().unwrap_or_default(), live) })
}

unsafe extern "C" fn kv_delete<T: HostAccess>(ctx: *const (), key: View) -> u32 {
    u32::from(unsafe { host::<T>(ctx).kv().delete(name(key)) })
}

unsafe extern "C" fn kv_set_evicting<T: HostAccess>(
    ctx: *const (),
    key: View,
    value: View,
    millis: u64,
) -> u32 {
    let live = (millis > 0).then(|| Duration::from_millis(millis));
    let (key, value) = unsafe { (name(key), value.bytes().unwrap_or_default()) };
    number(unsafe { host::<T>(ctx) }.kv().set_evicting(key, value, live))
}

unsafe extern "C" fn kv_list<T: HostAccess>(
    ctx: *const (),
    prefix: View,
    after: View,
    most: usize,
    visitor: RawVisitor,
) {
    unsafe { visit(host::<T>(ctx).kv().list(page(prefix, after, most)), visitor) }
}

unsafe extern "C" fn register<T: HostAccess>(
    ctx: *const (),
    metric: RawMetric,
) -> RResult<u64, RawHostError> {
    let id = kind(metric.kind).and_then(|kind| {
        let (title, help) = unsafe { (name(metric.name), name(metric.help)) };
        let metrics = unsafe { host::<T>(ctx) }.metrics();
        metrics.register(kind, title, help, unsafe { bounds(&metric) })
    });
    id.map_err(Into::into).into()
}

unsafe extern "C" fn register_labeled<T: HostAccess>(
    ctx: *const (),
    metric: RawMetric,
    labels: *const View,
    len: usize,
) -> RResult<u64, RawHostError> {
    let id = kind(metric.kind).and_then(|kind| {
        let (title, help) = unsafe { (name(metric.name), name(metric.help)) };
        let metrics = unsafe { host::<T>(ctx) }.metrics();
        let (bounds, labels) = unsafe { (bounds(&metric), names(labels, len)) };
        metrics.register_labeled(kind, title, help, bounds, &labels)
    });
    id.map_err(Into::into).into()
}

unsafe extern "C" fn series<T: HostAccess>(
    ctx: *const (),
    metric: u64,
    values: *const View,
    len: usize,
) -> RResult<u64, RawHostError> {
    let id = unsafe { host::<T>(ctx).metrics().series(metric, &names(values, len)) };
    id.map_err(Into::into).into()
}

fn kind(number: u32) -> Result<MetricKind, HostError> {
    match number {
        1 => Ok(MetricKind::Counter),
        2 => Ok(MetricKind::Gauge),
        3 => Ok(MetricKind::Histogram),
        other => {
            let text =
                format!("expected a metric of kind 1, 2 or 3, found {other}; update the gateway");
            Err(HostError::new(HostErrorKind::INVALID, text))
        }
    }
}

unsafe fn bounds(metric: &RawMetric) -> &[f64] {
    if metric.bounds.is_null() || metric.bounds_len == 0 {
        return &[];
    }
    // SAFETY: the slice is valid until the function returns.
    unsafe { std::slice::from_raw_parts(metric.bounds, metric.bounds_len) }
}

unsafe extern "C" fn record<T: HostAccess>(ctx: *const (), id: u64, value: f64) {
    unsafe { host::<T>(ctx) }.metrics().record(id, value);
}

impl<T: HostAccess> Table<T> {
    staticref! {
        pub(super) const KV: WithMetadata<KvVt> = WithMetadata::new(KvVt {
            get: kv_get::<T>, set: kv_set::<T>, delete: kv_delete::<T>,
            set_evicting: kv_set_evicting::<T>, list: kv_list::<T>,
        });
        pub(super) const METRICS: WithMetadata<MetricsVt> = WithMetadata::new(MetricsVt {
            register: register::<T>, record: record::<T>,
            register_labeled: register_labeled::<T>, series: series::<T>,
        });
    }
}
