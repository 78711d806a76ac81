//! Values with an expiry.

use super::HostError;
use crate::abi::{HostHandle, KvVtRef, View};
use std::time::Duration;

/// Values in the gateway's memory, by key. They outlive the instance, are shared by all instances
/// of one callback and invisible to other callbacks. A callback has room for 16 MiB in 65536 keys,
/// each key up to 1 KiB and each value up to 1 MiB; what does not fit is refused, nothing is pushed
/// out.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
/// use std::time::Duration;
///
/// /// The same prompt twice within a minute is refused.
/// struct Once(Host);
///
/// impl Callback for Once {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let Some(kv) = self.0.kv() else { return Ok(Flow::Continue) };
///         let prompt = call.message_text(0).unwrap_or_default();
///         if kv.get(prompt).is_some() {
///             return Err(Rejection::new(429, "asked a moment ago").into());
///         }
///         // A store that is full is no reason to refuse a call.
///         let _ = kv.set(prompt, b"", Some(Duration::from_secs(60)));
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Once>(serde_json::json!({}))?;
/// let call = || TestCall::chat("gemma3").message("user", "hello");
/// assert_eq!(tester.start(&mut call()), Outcome::Continue);
/// assert!(matches!(tester.start(&mut call()), Outcome::Reject(_)));
/// tester.host().advance(Duration::from_secs(60));
/// assert_eq!(tester.start(&mut call()), Outcome::Continue);
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Kv {
    pub(super) raw: HostHandle,
    pub(super) vt: KvVtRef,
}

impl Kv {
    /// A copy of the value, unless there is none or its time is over.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        // SAFETY: as in `Host`; the view lives until the call returns.
        let value = unsafe { (self.vt.get())(self.raw.ctx, View::of(key.as_bytes())) };
        value.into_option().map(Into::into)
    }

    /// Sets a value. `live` is how long it is there from now, to the millisecond and at least one;
    /// `None`: until the gateway ends.
    ///
    /// # Errors
    /// [`INVALID`](super::HostErrorKind::INVALID): a key that is empty or longer than 1 KiB;
    /// [`TOO_LARGE`](super::HostErrorKind::TOO_LARGE): a value above 1 MiB;
    /// [`FULL`](super::HostErrorKind::FULL): no room left. What was there before stays.
    pub fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        let millis =
            live.map_or(0, |live| u64::try_from(live.as_millis()).unwrap_or(u64::MAX).max(1));
        let (key, value) = (View::of(key.as_bytes()), View::of(value));
        // SAFETY: as in `Host`; the views live until the call returns.
        HostError::from_number(unsafe { (self.vt.set())(self.raw.ctx, key, value, millis) })
    }

    /// Removes a value; says whether there was one.
    #[expect(clippy::must_use_candidate, reason = "removing is the point")]
    pub fn delete(&self, key: &str) -> bool {
        // SAFETY: as in `Host`; the view lives until the call returns.
        unsafe { (self.vt.delete())(self.raw.ctx, View::of(key.as_bytes())) != 0 }
    }
}
