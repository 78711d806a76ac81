//! Sleeps without a runtime in the plugin.

use crate::abi::{HostHandle, TimerVtRef};
use std::{future::Future, time::Duration};

/// A timer on the entry's background thread. `tokio::time` does not work in a plugin, because no
/// runtime runs there.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{AsyncCallback, Flow, Hook, Host, InitError, LlmCall};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
/// use std::time::Duration;
///
/// /// Waits a moment before each call (a hook's limit, 2 s by default, still holds).
/// struct Patient(Host);
///
/// impl AsyncCallback for Patient {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
///     async fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook {
///         if let Some(timer) = self.0.timer() {
///             timer.sleep(Duration::from_millis(20)).await;
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of_async::<Patient>(serde_json::json!({}))?;
/// // The mock host's time stands still: the hook waits.
/// assert_eq!(tester.start_then_leave(&mut TestCall::chat("gemma3")), None);
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Timer {
    pub(super) raw: HostHandle,
    pub(super) vt: TimerVtRef,
}

impl Timer {
    /// Returns a future that completes after `time`, counted from this call and rounded up to whole
    /// milliseconds. While the gateway shuts down it may never complete, so do final work in
    /// `shutdown`.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        let millis = u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        // SAFETY: as in `Host`.
        unsafe { (self.vt.sleep())(self.raw.ctx, millis) }
    }
}
