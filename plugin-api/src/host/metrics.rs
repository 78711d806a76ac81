//! Metrics in the gateway's `GET /metrics`.

use super::HostError;
use crate::abi::{HostHandle, MetricsVtRef, RawMetric, View};
use std::{fmt, marker::PhantomData};

/// The kind of a metric, as Prometheus defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter = 1,
    /// The last value that was set.
    Gauge = 2,
    /// The number of recorded values in each bucket, and their sum.
    Histogram = 3,
}

/// Registers metrics. The metric `dropped_total` of the callback `langsmith` is exported as
/// `callgate_plugin_langsmith_dropped_total{callback="langsmith"}`. The label is the entry's
/// `instance`, or else its name. Register metrics in `new` and keep the handles: recording takes
/// no lock. A name has at most 64 ASCII letters, digits and `_`, and does not begin with a digit.
/// A callback may have 128 metrics. A name that is registered again is the same metric, so a new
/// instance continues to count.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Counter, Flow, Hook, Host, InitError, LlmCall};
/// use plugin_api::testing::{TestCall, Tester};
///
/// struct Lengths(Option<Counter>);
///
/// impl Callback for Lengths {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> {
///         let metrics = host.metrics();
///         let bytes = metrics.map(|it| it.counter("prompt_bytes_total", "Bytes of prompts"));
///         Ok(Self(bytes.transpose().map_err(InitError::new)?))
///     }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         if let Some(bytes) = &self.0 {
///             bytes.add(call.prompt_len() as f64);
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Lengths>(serde_json::json!({}))?;
/// tester.start(&mut TestCall::chat("gemma3").message("user", "hello"));
/// assert_eq!(tester.host().metric("prompt_bytes_total"), Some(5.0));
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Metrics {
    pub(super) raw: HostHandle,
    pub(super) vt: MetricsVtRef,
}

impl Metrics {
    /// Registers a counter, a sum that only grows. By convention its name ends in `_total`. `help`
    /// is cut at 256 bytes.
    ///
    /// # Errors
    /// [`INVALID`](super::HostErrorKind::INVALID): the name is not valid, or is registered as
    /// another kind; [`FULL`](super::HostErrorKind::FULL): the callback has 128 metrics already.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, HostError> {
        self.register(MetricKind::Counter, name, help, &[]).map(Counter)
    }

    /// Registers a gauge, a value that goes up and down.
    ///
    /// # Errors
    /// See [`Metrics::counter`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, HostError> {
        self.register(MetricKind::Gauge, name, help, &[]).map(Gauge)
    }

    /// Registers a histogram. `bounds` are the upper bounds of its buckets: at most 32, finite and
    /// ascending. If `bounds` is empty, the buckets are for seconds, from 0.005 to 60.
    ///
    /// # Errors
    /// See [`Metrics::counter`]. [`INVALID`](super::HostErrorKind::INVALID) also stands for bounds
    /// that break these rules.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Histogram, HostError> {
        self.register(MetricKind::Histogram, name, help, bounds).map(Histogram)
    }

    /// Registers a counter with labels. [`Labeled::with`] returns the counter for their values.
    /// `labels` are 1 to 4 names, each like a metric's name, but not `callback`, `le`, or one that
    /// begins with `__`.
    ///
    /// ```no_run
    /// # fn new(metrics: plugin_api::Metrics) -> Result<(), plugin_api::HostError> {
    /// let tokens = metrics.counter_with("tokens_total", "Tokens.", &["team", "model"])?;
    /// tokens.with(&["blue", "gemma3"])?.add(42.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Metrics::counter`]. [`INVALID`](super::HostErrorKind::INVALID) also stands for labels
    /// that break these rules, or that differ from those it was registered with before;
    /// [`NOT_SUPPORTED`](super::HostErrorKind::NOT_SUPPORTED): the gateway is older than 1.1.
    pub fn counter_with(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Labeled<Counter>, HostError> {
        self.register_labeled(&raw(MetricKind::Counter, name, help, &[]), labels)
    }

    /// Registers a gauge with labels. See [`Metrics::counter_with`].
    ///
    /// # Errors
    /// See [`Metrics::counter_with`].
    pub fn gauge_with(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<Labeled<Gauge>, HostError> {
        self.register_labeled(&raw(MetricKind::Gauge, name, help, &[]), labels)
    }

    /// Registers a histogram with labels. See [`Metrics::counter_with`] and
    /// [`Metrics::histogram`].
    ///
    /// # Errors
    /// See [`Metrics::counter_with`].
    pub fn histogram_with(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> Result<Labeled<Histogram>, HostError> {
        self.register_labeled(&raw(MetricKind::Histogram, name, help, bounds), labels)
    }

    fn register_labeled<M>(
        &self,
        metric: &RawMetric,
        labels: &[&str],
    ) -> Result<Labeled<M>, HostError> {
        let register = self.vt.register_labeled().ok_or_else(HostError::not_supported)?;
        let labels = views(labels);
        // SAFETY: as in `Host`; everything that the arguments point to lives until the call
        // returns.
        let id = unsafe { register(self.raw.ctx, *metric, labels.as_ptr(), labels.len()) };
        let family = Recorder { raw: self.raw, vt: self.vt, id: id.into_result()? };
        Ok(Labeled { family, of: PhantomData })
    }

    fn register(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Recorder, HostError> {
        let metric = raw(kind, name, help, bounds);
        // SAFETY: as in `Host`; everything that `metric` points to lives until the call returns.
        let id = unsafe { (self.vt.register())(self.raw.ctx, metric) }.into_result()?;
        Ok(Recorder { raw: self.raw, vt: self.vt, id })
    }
}

fn raw(kind: MetricKind, name: &str, help: &str, bounds: &[f64]) -> RawMetric {
    RawMetric {
        kind: kind as u32,
        name: View::of(name.as_bytes()),
        help: View::of(help.as_bytes()),
        bounds: bounds.as_ptr(),
        bounds_len: bounds.len(),
    }
}

fn views(texts: &[&str]) -> Vec<View> {
    texts.iter().map(|text| View::of(text.as_bytes())).collect()
}

/// A registered metric with labels, usable on any thread.
pub struct Labeled<M> {
    family: Recorder,
    of: PhantomData<fn() -> M>,
}

impl<M: From<Recorder>> Labeled<M> {
    /// Returns the metric for these values of the labels, in the order of their names. A value is
    /// any text; it is cut at 128 bytes. The first call for new values makes a series. A metric
    /// has at most 200 of an entry: all further ones share the series whose values are all
    /// `other`. Each call looks the values up, so keep what it returns if they are always the
    /// same.
    ///
    /// # Errors
    /// [`INVALID`](super::HostErrorKind::INVALID): there are more or fewer values than labels.
    pub fn with(&self, values: &[&str]) -> Result<M, HostError> {
        let Recorder { raw, vt, id } = self.family;
        let series = vt.series().ok_or_else(HostError::not_supported)?;
        let values = views(values);
        // SAFETY: as in `Host`; the views live until the call returns.
        let id = unsafe { series(raw.ctx, id, values.as_ptr(), values.len()) }.into_result()?;
        Ok(Recorder { raw, vt, id }.into())
    }
}

impl<M> Clone for Labeled<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Labeled<M> {}

impl<M> fmt::Debug for Labeled<M> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Labeled")
    }
}

/// Access to one series. Only this crate makes it.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Recorder {
    raw: HostHandle,
    vt: MetricsVtRef,
    id: u64,
}

impl Recorder {
    fn record(&self, value: f64) {
        // SAFETY: as in `Host`.
        unsafe { (self.vt.record())(self.raw.ctx, self.id, value) }
    }
}

/// A registered counter. Adding takes a few nanoseconds, on any thread.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Recorder);

impl From<Recorder> for Counter {
    fn from(recorder: Recorder) -> Self {
        Self(recorder)
    }
}

impl Counter {
    /// Adds `value`. Negative, infinite and NaN values are ignored.
    pub fn add(&self, value: f64) {
        self.0.record(value);
    }
}

/// A registered gauge, usable on any thread.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(Recorder);

impl From<Recorder> for Gauge {
    fn from(recorder: Recorder) -> Self {
        Self(recorder)
    }
}

impl Gauge {
    /// Sets the gauge to `value`.
    pub fn set(&self, value: f64) {
        self.0.record(value);
    }
}

/// A registered histogram, usable on any thread.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(Recorder);

impl From<Recorder> for Histogram {
    fn from(recorder: Recorder) -> Self {
        Self(recorder)
    }
}

impl Histogram {
    /// Records `value`. NaN is ignored.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}
