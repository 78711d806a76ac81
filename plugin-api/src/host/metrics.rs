//! Numbers in the gateway's `GET /metrics`.

use super::HostError;
use crate::abi::{HostHandle, MetricsVtRef, RawMetric, View};

/// What a metric's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum MetricKind {
    /// A sum that only grows.
    Counter = 1,
    /// The last value.
    Gauge = 2,
    /// How often values fell below each of some bounds.
    Histogram = 3,
}

/// Registers metrics. `dropped_total` of the callback `langsmith` is exported as
/// `callgate_plugin_langsmith_dropped_total{callback="langsmith"}`: the label is the instance's
/// name.
///
/// Register in `new` and keep what is returned: recording by it takes no lock. A name is letters,
/// digits and `_`, at most 64, and begins with no digit; a callback has at most 128. The same name
/// again is the same metric, also for an instance that was made anew, which goes on counting.
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
    /// A sum that only grows; by custom its name ends in `_total`.
    ///
    /// # Errors
    /// [`INVALID`](super::HostErrorKind::INVALID): a name that is none, or one registered as
    /// another kind; [`FULL`](super::HostErrorKind::FULL): too many.
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, HostError> {
        self.register(MetricKind::Counter, name, help, &[]).map(Counter)
    }

    /// A value that goes up and down.
    ///
    /// # Errors
    /// As [`Metrics::counter`].
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, HostError> {
        self.register(MetricKind::Gauge, name, help, &[]).map(Gauge)
    }

    /// A distribution: `bounds` are the upper bounds of its buckets, finite, ascending, at most 32;
    /// none means those for seconds, from 5 ms to 60 s.
    ///
    /// # Errors
    /// As [`Metrics::counter`]; also for bounds that are not as told here.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Histogram, HostError> {
        self.register(MetricKind::Histogram, name, help, bounds).map(Histogram)
    }

    fn register(
        &self,
        kind: MetricKind,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Recorder, HostError> {
        let metric = RawMetric {
            kind: kind as u32,
            name: View::of(name.as_bytes()),
            help: View::of(help.as_bytes()),
            bounds: bounds.as_ptr(),
            bounds_len: bounds.len(),
        };
        // SAFETY: as in `Host`; what `metric` points to lives until the call returns.
        let id = unsafe { (self.vt.register())(self.raw.ctx, metric) }.into_result()?;
        Ok(Recorder { raw: self.raw, vt: self.vt, id })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Recorder {
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

/// A registered counter. `Copy`, for any thread, a few nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Recorder);

impl Counter {
    /// Adds; what is negative or no number is ignored.
    pub fn add(&self, value: f64) {
        self.0.record(value);
    }
}

/// A registered gauge.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(Recorder);

impl Gauge {
    /// Sets.
    pub fn set(&self, value: f64) {
        self.0.record(value);
    }
}

/// A registered histogram.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(Recorder);

impl Histogram {
    /// Counts a value in; what is no number is ignored.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }
}
