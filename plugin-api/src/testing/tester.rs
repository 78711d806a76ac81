//! Drives one callback's hooks through the tables a loaded plugin is driven through.

use super::{
    MockHost, TestCall, TestChunk, TestFailure, TestReply,
    host::Lent,
    waiting::{block_on, poll_once},
};
use crate::{
    AsyncCallback, Callback, InitError, Rejection, Reply,
    abi::{
        HostHandle, Verdict,
        serve::{HostTables, LoadedCallback, LocalCallback, Services},
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// What a hook came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The call goes on.
    Continue,
    /// The callback answered the call.
    Reply(Reply),
    /// The callback refused the call.
    Reject(Rejection),
    /// The callback broke: `HookError::Internal`, a panic, or an async hook that never ended.
    Fault(String),
    /// The trait's default body ran: the call goes on, and the hook must not be listed in the
    /// export.
    NotImplemented,
}

/// One instance of a callback on a [`MockHost`].
///
/// Hooks are entered as in production: through the table of `extern "C"` functions, with every
/// accessor crossing the boundary, panics caught, and rejections copied over. An async hook is
/// polled on the test's own thread, without a runtime; one that still waits after ten seconds is a
/// [`Outcome::Fault`].
///
/// ```
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection};
/// use plugin_api::testing::{Outcome, TestCall, Tester};
/// use serde_json::json;
///
/// struct Denylist { words: Vec<String> }
///
/// impl Callback for Denylist {
///     type Settings = Vec<String>;
///     fn new(_host: Host, words: Vec<String>) -> Result<Self, InitError> { Ok(Self { words }) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let denied = |text: &str| self.words.iter().any(|word| text.contains(word));
///         if call.messages().any(|(_, text)| denied(text)) {
///             return Err(Rejection::new(403, "not here").into());
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Denylist>(json!(["secret"]))?;
/// let mut call = TestCall::chat("gemma3").message("user", "hello");
/// assert_eq!(tester.start(&mut call), Outcome::Continue);
/// let mut call = TestCall::chat("gemma3").message("user", "the secret is");
/// assert!(matches!(tester.start(&mut call), Outcome::Reject(refusal) if refusal.status == 403));
/// # Ok::<(), InitError>(())
/// ```
pub struct Tester {
    local: LocalCallback<Lent>,
    host: MockHost,
}

impl fmt::Debug for Tester {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tester").field("host", &self.host).finish_non_exhaustive()
    }
}

/// One hook's driver: the sync form when the callback has it, else the async form to its end.
macro_rules! driver {
    ($(#[$doc:meta])* $name:ident, $hook:ident, $hook_async:ident, $has:ident $(, $arg:ident: $type:ident)?) => {
        $(#[$doc])*
        pub fn $name(&self, call: &mut TestCall $(, $arg: &mut $type)?) -> Outcome {
            let callback = self.callback();
            let verdict = if callback.$has() {
                Some(callback.$hook(call $(, $arg)?))
            } else {
                callback.$hook_async(call $(, $arg)?).map_or(Some(Verdict::CONTINUE), block_on)
            };
            match verdict {
                Some(verdict) => call.outcome(verdict),
                None => Outcome::Fault("the hook was still waiting after ten seconds".to_owned()),
            }
        }
    };
}

impl Tester {
    /// An instance of a sync callback with these settings, on a new host.
    ///
    /// # Errors
    /// What the operator would read: settings that do not fit, or the constructor's own refusal.
    pub fn of<T: Callback>(settings: Value) -> Result<Self, InitError> {
        Self::on::<T>(&MockHost::new(), settings)
    }

    /// As [`Tester::of`], on a host that other instances may share: what a reload does.
    ///
    /// # Errors
    /// As [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn on<T: Callback>(host: &MockHost, settings: Value) -> Result<Self, InitError> {
        let local = LocalCallback::sync::<T>(tables(host), Services::All, &settings.to_string())?;
        Ok(Self { local, host: host.clone() })
    }

    /// As [`Tester::of`], in a gateway that lends nothing but its log: clock and counters are
    /// `None`.
    ///
    /// # Errors
    /// As [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn without_services<T: Callback>(settings: Value) -> Result<Self, InitError> {
        let host = MockHost::new();
        let settings = settings.to_string();
        let local = LocalCallback::sync::<T>(tables(&host), Services::LogOnly, &settings)?;
        Ok(Self { local, host })
    }

    /// As [`Tester::of`], for an async callback.
    ///
    /// # Errors
    /// As [`Tester::of`].
    pub fn of_async<T: AsyncCallback>(settings: Value) -> Result<Self, InitError> {
        Self::on_async::<T>(&MockHost::new(), settings)
    }

    /// As [`Tester::on`], for an async callback.
    ///
    /// # Errors
    /// As [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn on_async<T: AsyncCallback>(host: &MockHost, settings: Value) -> Result<Self, InitError> {
        let settings = settings.to_string();
        let local = LocalCallback::not_sync::<T>(tables(host), Services::All, &settings)?;
        Ok(Self { local, host: host.clone() })
    }

    /// An instance that `create` makes with the host it is handed: how `callgate plugin check` has
    /// a loaded plugin driven by the same kit. Not for a plugin's own tests.
    ///
    /// # Errors
    /// What `create` said.
    #[doc(hidden)]
    pub fn of_loaded<E>(
        host: &MockHost,
        create: impl FnOnce(HostHandle) -> Result<LoadedCallback, E>,
    ) -> Result<Self, E> {
        Ok(Self { local: LocalCallback::loaded(tables(host), create)?, host: host.clone() })
    }

    /// The host: its log, its clock, its counters.
    #[must_use]
    pub fn host(&self) -> &MockHost {
        &self.host
    }

    driver! {
        /// Runs `on_llm_start`.
        start, on_llm_start, on_llm_start_async, has_start
    }
    driver! {
        /// Runs `on_llm_new_token`.
        new_token, on_llm_new_token, on_llm_new_token_async, has_new_token, chunk: TestChunk
    }
    driver! {
        /// Runs `on_llm_end`.
        end, on_llm_end, on_llm_end_async, has_end, reply: TestReply
    }
    driver! {
        /// Runs `on_llm_error`.
        error, on_llm_error, on_llm_error_async, has_error, failure: TestFailure
    }

    /// Polls an async `on_llm_start` once and drops it, as the gateway does when the client leaves.
    /// `None` when it was waiting for something; a sync hook is run.
    pub fn start_then_leave(&self, call: &mut TestCall) -> Option<Outcome> {
        let verdict = match self.callback().on_llm_start_async(call) {
            Some(hook) => poll_once(hook)?,
            None => self.callback().on_llm_start(call),
        };
        Some(call.outcome(verdict))
    }

    /// Tells the callback that no new call will come.
    pub fn shutdown(&self) {
        self.callback().shutdown();
    }

    fn callback(&self) -> &LoadedCallback {
        self.local.callback()
    }
}

fn tables(host: &MockHost) -> HostTables<Lent> {
    HostTables::new(Arc::new(Lent(host.clone())))
}
