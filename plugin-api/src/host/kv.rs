//! A key-value store with expiry.

use super::{HostError, HostErrorKind, listing::collecting};
use crate::abi::{HostHandle, KvVtRef, View};
use std::time::Duration;

/// A key-value store in the gateway's memory. Values outlive the instance. They belong to the
/// entry of the config: all its instances share them, other entries do not see them (unless both
/// have the same `share`).
///
/// An entry has room for 16 MiB (keys and values) in 65 536 keys. A key has 1 byte to 1 KiB, a
/// value up to 1 MiB. A full store refuses new values; it evicts only those of
/// [`Kv::set_evicting`].
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
/// use std::time::Duration;
///
/// /// Refuses the same prompt twice within a minute.
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
///         // A full store is no reason to refuse a call.
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
    /// Returns a copy of the value, or `None` if there is none or it has expired.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        // SAFETY: as in `Host`; the view lives until the call returns.
        let value = unsafe { (self.vt.get())(self.raw.ctx, View::of(key.as_bytes())) };
        value.into_option().map(Into::into)
    }

    /// Sets a value. It expires after `live`, counted from now in whole milliseconds (at least 1).
    /// With `None` it stays until the gateway ends.
    ///
    /// # Errors
    /// [`INVALID`](super::HostErrorKind::INVALID): the key is empty or longer than 1 KiB;
    /// [`TOO_LARGE`](super::HostErrorKind::TOO_LARGE): the value is larger than 1 MiB;
    /// [`FULL`](super::HostErrorKind::FULL): the store has no room left. After an error the old
    /// value is still there.
    pub fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        let (key, value) = (View::of(key.as_bytes()), View::of(value));
        // SAFETY: as in `Host`; the views live until the call returns.
        result(unsafe { (self.vt.set())(self.raw.ctx, key, value, millis(live)) })
    }

    /// Sets a value that may make room for others, as in a cache. If the store is full, the least
    /// recently used of the values that were set like this go; those of [`Kv::set`] stay.
    ///
    /// # Errors
    /// As for [`Kv::set`]. [`FULL`](super::HostErrorKind::FULL) only if the other values fill the
    /// store; [`NOT_SUPPORTED`](super::HostErrorKind::NOT_SUPPORTED): the gateway is older than
    /// 1.1.
    pub fn set_evicting(
        &self,
        key: &str,
        value: &[u8],
        live: Option<Duration>,
    ) -> Result<(), HostError> {
        let set = self.vt.set_evicting().ok_or_else(HostError::not_supported)?;
        let (key, value) = (View::of(key.as_bytes()), View::of(value));
        // SAFETY: as in `Host`; the views live until the call returns.
        result(unsafe { set(self.raw.ctx, key, value, millis(live)) })
    }

    /// Returns the keys that begin with `prefix`, in order: those after the key `after` (all, if
    /// it is empty), at most `most`, and never more than 1000. This looks at every key of the
    /// entry, so call it in a task, not for every call. `None` if the gateway is older than 1.1.
    #[must_use]
    pub fn keys(&self, prefix: &str, after: &str, most: usize) -> Option<Vec<String>> {
        let (list, mut found) = (self.vt.list()?, Vec::new());
        let (prefix, after) = (View::of(prefix.as_bytes()), View::of(after.as_bytes()));
        // SAFETY: as in `Host`; the views and `found` outlive the call.
        unsafe { list(self.raw.ctx, prefix, after, most, collecting(&mut found)) };
        Some(found.into_iter().map(|(key, _)| key).collect())
    }

    /// Removes a value and returns whether there was one.
    #[expect(clippy::must_use_candidate, reason = "often called for the effect alone")]
    pub fn delete(&self, key: &str) -> bool {
        // SAFETY: as in `Host`; the view lives until the call returns.
        unsafe { (self.vt.delete())(self.raw.ctx, View::of(key.as_bytes())) != 0 }
    }
}

/// Returns whole milliseconds; 0 means no expiry.
fn millis(live: Option<Duration>) -> u64 {
    live.map_or(0, |live| u64::try_from(live.as_millis()).unwrap_or(u64::MAX).max(1))
}

fn result(number: u32) -> Result<(), HostError> {
    HostError::from_number(
        number,
        &[
            (
                HostErrorKind::INVALID,
                "expected a key of 1 byte to 1 KiB, found an empty or longer one",
            ),
            (HostErrorKind::TOO_LARGE, "expected a value of at most 1 MiB, found a larger one"),
            (HostErrorKind::FULL, "the store is full: an entry has room for 16 MiB in 65536 keys"),
        ],
    )
}
