//! Sliding windows, token buckets and plain numbers.

use super::listing::collecting;
use crate::abi::{CountersVtRef, HostHandle, RawAdmission, View};
use std::time::Duration;

/// The result of an attempt to enter a window or to take from a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Admitted. [`Counters::release`] takes the ticket to give a place in a window back. It is
    /// never 0.
    Admitted(u64),
    /// Not admitted: the window is full or the bucket has too few tokens. The duration is the time
    /// until the attempt can succeed.
    Full(Duration),
}

impl From<RawAdmission> for Admission {
    fn from(raw: RawAdmission) -> Self {
        match raw.ticket {
            0 => Self::Full(Duration::from_nanos(raw.wait_ns)),
            ticket => Self::Admitted(ticket),
        }
    }
}

impl From<Admission> for RawAdmission {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Admitted(ticket) => Self { ticket, wait_ns: 0 },
            Admission::Full(wait) => {
                Self { ticket: 0, wait_ns: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) }
            }
        }
    }
}

/// Counters in the gateway's memory. They belong to the entry of the config: all its instances
/// share them, other entries do not see them (unless both have the same `share`).
///
/// Names are free text, and windows, buckets and numbers have separate names. Names may come from
/// clients: empty windows, full buckets and numbers at 0 take no memory.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Admission, Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
/// use std::time::Duration;
///
/// /// Admits two calls a minute for each key.
/// struct TwoAMinute(Host);
///
/// impl Callback for TwoAMinute { type Settings = serde_json::Value; fn new(host: Host, _:
/// Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) } fn on_llm_start(&self, call: &mut
/// LlmCall<'_>) -> Hook { let Some(counters) = self.0.counters() else { return Ok(Flow::Continue)
/// }; match counters.admit(call.key_id(), 2, Duration::from_secs(60)) {
/// Admission::Admitted(_ticket) => Ok(Flow::Continue), Admission::Full(wait) =>
/// Err(Rejection::new(429, "slow down").retry_after(wait).into()), } } }
///
/// let tester = Tester::of::<TwoAMinute>(serde_json::json!({}))?;
/// let call = || TestCall::chat("gemma3").key_id("ann");
/// assert_eq!(tester.start(&mut call()), Outcome::Continue);
/// assert_eq!(tester.start(&mut call()), Outcome::Continue);
/// assert!(matches!(tester.start(&mut call()), Outcome::Reject(_)));
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Counters {
    pub(super) raw: HostHandle,
    pub(super) vt: CountersVtRef,
}

impl Counters {
    /// Takes a place in an exact sliding window. It never admits more than `limit` times within
    /// any `span`, and never refuses while there were fewer. Each admission takes 16 bytes until
    /// `span` has passed.
    #[must_use]
    pub fn admit(&self, window: &str, limit: u64, span: Duration) -> Admission {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        // SAFETY: as in `Host`; the view lives until the call returns.
        unsafe { (self.vt.admit())(self.raw.ctx, View::of(window.as_bytes()), limit, span) }.into()
    }

    /// Gives a place in a window back. Does nothing if the admission has left the window already.
    pub fn release(&self, window: &str, ticket: u64) {
        // SAFETY: as above.
        unsafe { (self.vt.release())(self.raw.ctx, View::of(window.as_bytes()), ticket) }
    }

    /// Takes `tokens` from a bucket that holds at most `burst` tokens and is refilled by `rate`
    /// tokens a second. A new bucket is full.
    #[must_use]
    pub fn take(&self, bucket: &str, rate: f64, burst: f64, tokens: f64) -> Admission {
        // SAFETY: as above.
        unsafe { (self.vt.take())(self.raw.ctx, View::of(bucket.as_bytes()), rate, burst, tokens) }
            .into()
    }

    /// Adds `delta` to a number and returns the new value, which wraps around on overflow. New
    /// numbers are 0. An entry has at most 65 536 numbers other than 0; beyond that, the ones
    /// unused for the longest time start at 0 again.
    #[expect(clippy::must_use_candidate, reason = "often called for the effect alone")]
    pub fn add(&self, counter: &str, delta: i64) -> i64 {
        // SAFETY: as above.
        unsafe { (self.vt.add())(self.raw.ctx, View::of(counter.as_bytes()), delta) }
    }

    /// Adds `delta` to a number that is forgotten after `live`, for example what a key has spent
    /// today. The time counts from the call that makes the number, or first gives it a time; later
    /// calls do not extend it. `None` if the gateway is older than 1.1.
    #[expect(clippy::must_use_candidate, reason = "often called for the effect alone")]
    pub fn add_for(&self, counter: &str, delta: i64, live: Duration) -> Option<i64> {
        let live = u64::try_from(live.as_nanos()).unwrap_or(u64::MAX);
        let name = View::of(counter.as_bytes());
        // SAFETY: as above.
        self.vt.add_for().map(|add_for| unsafe { add_for(self.raw.ctx, name, delta, live) })
    }

    /// Removes a number, with its time, and returns its last value: 0 if there was none. `None` if
    /// the gateway is older than 1.1.
    #[expect(clippy::must_use_candidate, reason = "often called for the effect alone")]
    pub fn remove(&self, counter: &str) -> Option<i64> {
        let name = View::of(counter.as_bytes());
        // SAFETY: as above.
        self.vt.remove().map(|remove| unsafe { remove(self.raw.ctx, name) })
    }

    /// Returns the numbers other than 0 whose names begin with `prefix`, in the order of their
    /// names: those after the name `after` (all, if it is empty), at most `most`, and never more
    /// than 1000. This looks at every number of the entry, so call it in a task, not for every
    /// call. `None` if the gateway is older than 1.1.
    #[must_use]
    pub fn list(&self, prefix: &str, after: &str, most: usize) -> Option<Vec<(String, i64)>> {
        let (list, mut found) = (self.vt.list()?, Vec::new());
        let (prefix, after) = (View::of(prefix.as_bytes()), View::of(after.as_bytes()));
        // SAFETY: as above; `found` outlives the call.
        unsafe { list(self.raw.ctx, prefix, after, most, collecting(&mut found)) };
        Some(found)
    }
}
