//! Runs a callback's hooks through the same tables as those of a loaded plugin.

use super::{
    MockHost, Outcome, TestCall, TestChunk, TestFailure, TestModelList, TestReply, TestRequest,
    ending::Ending,
    host::Lent,
    waiting::{block_on, poll_once},
};
use crate::{
    AsyncCallback, Auth, Callback, InitError,
    abi::{
        HostHandle, Verdict,
        serve::{HostTables, LoadedCallback, LocalCallback, Services},
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// An instance of a callback on a [`MockHost`]. Hooks run as in production: through the table of
/// `extern "C"` functions, with every accessor crossing the boundary, panics caught and rejections
/// copied. An async hook runs on the test's own thread, without a runtime. One that still waits
/// after 10 s is an [`Outcome::Fault`].
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
/// assert!(matches!(tester.start(&mut call), Outcome::Reject(it) if it.status == 403));
/// # Ok::<(), InitError>(())
/// ```
pub struct Tester {
    local: LocalCallback<Lent>,
    host: MockHost,
    ending: Ending,
}

impl fmt::Debug for Tester {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tester").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Runs one hook: the sync form if the callback has it, else the async form to its end.
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
                None => Outcome::Fault("the hook still waited after 10 s".to_owned()),
            }
        }
    };
}

impl Tester {
    /// Makes an instance of a sync callback with these settings, on a new host.
    ///
    /// # Errors
    /// Returns the error that the operator would see: settings that cannot be deserialized, or the
    /// callback's own [`InitError`].
    pub fn of<T: Callback>(settings: Value) -> Result<Self, InitError> {
        Self::on::<T>(&MockHost::new(), settings)
    }

    /// Makes an instance on a given host, which other instances may share. See [`Tester::of`].
    ///
    /// # Errors
    /// See [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn on<T: Callback>(host: &MockHost, settings: Value) -> Result<Self, InitError> {
        let (ending, settings) = (Ending::default(), settings.to_string());
        let local = LocalCallback::sync::<T>(tables(host, &ending), Services::All, &settings)?;
        Ok(Self { local, host: host.clone(), ending })
    }

    /// Makes an instance on a host that has only a log: all other services are `None`. See
    /// [`Tester::of`].
    ///
    /// # Errors
    /// See [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn without_services<T: Callback>(settings: Value) -> Result<Self, InitError> {
        let (host, ending, settings) = (MockHost::new(), Ending::default(), settings.to_string());
        let tables = tables(&host, &ending);
        let local = LocalCallback::sync::<T>(tables, Services::LogOnly, &settings)?;
        Ok(Self { local, host, ending })
    }

    /// Makes an instance of an async callback. See [`Tester::of`].
    ///
    /// # Errors
    /// See [`Tester::of`].
    pub fn of_async<T: AsyncCallback>(settings: Value) -> Result<Self, InitError> {
        Self::on_async::<T>(&MockHost::new(), settings)
    }

    /// Makes an instance of an async callback on a given host. See [`Tester::on`].
    ///
    /// # Errors
    /// See [`Tester::of`].
    #[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
    pub fn on_async<T: AsyncCallback>(host: &MockHost, settings: Value) -> Result<Self, InitError> {
        let (ending, settings) = (Ending::default(), settings.to_string());
        let local = LocalCallback::not_sync::<T>(tables(host, &ending), Services::All, &settings)?;
        Ok(Self { local, host: host.clone(), ending })
    }

    /// Takes an instance that `create` makes on the host. `callgate plugin check` uses it to run a
    /// loaded plugin with this kit. Not for a plugin's own tests.
    ///
    /// # Errors
    /// Returns the error of `create`.
    #[doc(hidden)]
    pub fn of_loaded<E>(
        host: &MockHost,
        create: impl FnOnce(HostHandle) -> Result<LoadedCallback, E>,
    ) -> Result<Self, E> {
        let ending = Ending::default();
        let local = LocalCallback::loaded(tables(host, &ending), create)?;
        Ok(Self { local, host: host.clone(), ending })
    }

    /// Returns the host, with its log, clock and counters.
    #[must_use]
    pub fn host(&self) -> &MockHost {
        &self.host
    }

    driver! {
        /// Runs `on_llm_start`.
        start, on_llm_start, on_llm_start_async, has_start
    }
    /// Runs `on_llm_during` to its end. A callback without it is [`Outcome::NotImplemented`].
    pub fn during(&self, call: &mut TestCall) -> Outcome {
        let hook = self.callback().on_llm_during_async(call);
        match hook.map_or(Some(Verdict::NOT_IMPLEMENTED), block_on) {
            Some(verdict) => call.outcome(verdict),
            None => Outcome::Fault("the hook still waited after 10 s".to_owned()),
        }
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

    /// Runs `on_llm_new_token` on a whole stream, in which each text is a chunk, and returns the
    /// text that the client gets, with emitted chunks and without dropped ones. Text that the
    /// callback holds back comes with the next chunk, as in the gateway. A hook that does not
    /// continue ends the stream.
    pub fn stream_text(&self, call: &mut TestCall, texts: &[&str]) -> String {
        let (mut sent, mut held) = (String::new(), String::new());
        for (index, text) in (0..).zip(texts) {
            let mut chunk = TestChunk::text(text).index(index).after(&held);
            let outcome = self.new_token(call, &mut chunk);
            if !matches!(outcome, Outcome::Continue | Outcome::NotImplemented) {
                return sent;
            }
            sent.push_str(chunk.sent());
            sent.extend(chunk.emitted_texts());
            chunk.held_back().clone_into(&mut held);
        }
        if !held.is_empty() {
            let mut chunk = TestChunk::text("").index(texts.len() as u64).after(&held).last();
            if matches!(self.new_token(call, &mut chunk), Outcome::Continue) {
                sent.push_str(chunk.sent());
                sent.extend(chunk.emitted_texts());
            }
        }
        sent
    }

    /// Polls an async `on_llm_start` once and drops it, as the gateway does when the client
    /// disconnects. Returns `None` if the hook was still waiting. A sync hook runs to its end.
    pub fn start_then_leave(&self, call: &mut TestCall) -> Option<Outcome> {
        let verdict = match self.callback().on_llm_start_async(call) {
            Some(hook) => poll_once(hook)?,
            None => self.callback().on_llm_start(call),
        };
        Some(call.outcome(verdict))
    }

    /// As [`Tester::start_then_leave`], for `on_llm_during`.
    pub fn during_then_leave(&self, call: &mut TestCall) -> Option<Outcome> {
        let hook = self.callback().on_llm_during_async(call);
        let verdict = hook.map_or(Some(Verdict::NOT_IMPLEMENTED), poll_once)?;
        Some(call.outcome(verdict))
    }

    /// Runs `on_auth`. A fault is an error.
    ///
    /// # Errors
    /// The text of the fault.
    pub fn auth(&self, request: &TestRequest) -> Result<Auth, String> {
        let (callback, mut request) = (self.callback(), request.clone());
        let verdict = match callback.on_auth(&mut request) {
            Some(verdict) => verdict,
            None => match callback.on_auth_async(&mut request).map(block_on) {
                Some(Some(verdict)) => verdict,
                Some(None) => return Err("the hook still waited after 10 s".to_owned()),
                None => Verdict::NOT_IMPLEMENTED,
            },
        };
        request.outcome(verdict)
    }

    /// As [`Tester::start_then_leave`], for `on_auth`.
    pub fn auth_then_leave(&self, request: &TestRequest) -> Option<Result<Auth, String>> {
        let (callback, mut request) = (self.callback(), request.clone());
        let verdict = match callback.on_auth_async(&mut request) {
            Some(hook) => poll_once(hook)?,
            None => callback.on_auth(&mut request).unwrap_or(Verdict::NOT_IMPLEMENTED),
        };
        Some(request.outcome(verdict))
    }

    /// Runs `on_list_models` to its end.
    pub fn list_models(&self, list: &mut TestModelList) -> Outcome {
        let callback = self.callback();
        let verdict = match callback.on_list_models(list) {
            Some(verdict) => verdict,
            None => match callback.on_list_models_async(list).map(block_on) {
                Some(Some(verdict)) => verdict,
                Some(None) => return Outcome::Fault("the hook still waited after 10 s".to_owned()),
                None => Verdict::NOT_IMPLEMENTED,
            },
        };
        list.outcome(verdict)
    }

    /// As [`Tester::start_then_leave`], for `on_list_models`.
    pub fn list_models_then_leave(&self, list: &mut TestModelList) -> Option<Outcome> {
        let verdict = match self.callback().on_list_models_async(list) {
            Some(hook) => poll_once(hook)?,
            None => self.callback().on_list_models(list).unwrap_or(Verdict::NOT_IMPLEMENTED),
        };
        Some(list.outcome(verdict))
    }

    /// Runs `shutdown`, after the signal to the instance's tasks.
    pub fn shutdown(&self) {
        self.ending.begin();
        self.callback().shutdown();
    }

    fn callback(&self) -> &LoadedCallback {
        self.local.callback()
    }
}

fn tables(host: &MockHost, ending: &Ending) -> HostTables<Lent> {
    HostTables::new(Arc::new(Lent(host.clone(), ending.clone())))
}
