//! One live callback and its host services.

#![expect(unsafe_code, reason = "calls a plugin's constructor and owns the result")]

use super::{
    crash_context::CrashContext,
    library::{Created, Library},
};
use crate::settings_masking::masked;
use callgate_host::CallbackHost;
use plugin_api::{
    abi::{
        CHost, CreateArgs, HostHandle, RawCallback, Verdict, View,
        serve::{
            AuthAccess, CallAccess, ChunkAccess, FailureAccess, HookFuture, HostTables,
            LoadedCallback, ModelListAccess, ReplyAccess,
        },
    },
    testing::{MockHost, Tester},
};
use serde_json::Value;
use std::{
    fmt,
    future::Future,
    mem::ManuallyDrop,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use thiserror::Error;

/// Why a plugin created no instance.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum InstanceError {
    #[error("it refused to start: {0}")]
    Refused(String),
    #[error("expected the hooks of `{0}`, found that the plugin does not know it")]
    NoHooks(String),
}

impl InstanceError {
    /// The plugin's own message, if any.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Refused(words) => words,
            Self::NoHooks(_) => "",
        }
    }

    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Refused(_) => "correct its settings, or ask its author".to_owned(),
            Self::NoHooks(_) => "rebuild the plugin".to_owned(),
        }
    }
}

/// Which hooks an instance's table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hooks {
    /// Those that its manifest lists.
    Exported,
    /// All, for `check`.
    All,
}

/// One live callback, with the methods of [`LoadedCallback`] and some of its own. Dropping it runs
/// the plugin's `shutdown` (unless it has run) and `destroy`. Both may block, so drop it where that
/// is allowed.
pub struct Instance {
    name: Arc<str>,
    /// Dropped before the hosts, which the plugin may use until `destroy` returns.
    callback: ManuallyDrop<LoadedCallback>,
    _c_host: Option<Arc<CHost>>,
    _tables: HostTables<CallbackHost>,
    host: Arc<CallbackHost>,
    is_shut_down: AtomicBool,
}

/// The sync and async methods of one hook, with its crash context.
macro_rules! hook {
    ($sync:ident, $async:ident $(, $arg:ident: $access:ident)?) => {
        /// Runs the sync form; returns `continue` if the hook is absent.
        #[inline]
        pub fn $sync<C: CallAccess $(, A: $access)?>(
            &self,
            call: &mut C
            $(, $arg: &mut A)?
        ) -> Verdict {
            // SAFETY: the name is the instance's, and a call keeps its id.
            let visit = unsafe { CrashContext::new(&self.name, stringify!($sync), call.id()) };
            visit.enter(|| self.callback.$sync(call $(, $arg)?))
        }

        /// Starts the async form, if the callback has one.
        pub fn $async<'a, C: CallAccess $(, A: $access)?>(
            &'a self,
            call: &'a mut C
            $(, $arg: &'a mut A)?
        ) -> Option<RunningHook<'a>> {
            // SAFETY: as above; the future borrows instance and call for its whole life.
            let visit = unsafe { CrashContext::new(&self.name, stringify!($sync), call.id()) };
            let future = visit.enter(|| self.callback.$async(call $(, $arg)?))?;
            Some(RunningHook { visit, future })
        }
    };
}

impl Instance {
    pub(super) fn new(
        library: &Library,
        callback: &str,
        settings: &Value,
        host: CallbackHost,
        hooks: Hooks,
    ) -> Result<Self, InstanceError> {
        let name = Arc::clone(host.name());
        let host = Arc::new(host);
        let tables = HostTables::new(Arc::clone(&host));
        // SAFETY: both hosts outlive the instance by `Drop`.
        let created = unsafe { create(library, callback, &name, settings, tables.handle(), hooks) };
        let (callback, c_host) = created.map_err(|error| {
            host.ends();
            match error {
                InstanceError::Refused(text) => {
                    InstanceError::Refused(host.mask(&text).into_owned())
                }
                error @ InstanceError::NoHooks(_) => error,
            }
        })?;
        Ok(Self {
            name,
            callback: ManuallyDrop::new(callback),
            _c_host: c_host,
            _tables: tables,
            host,
            is_shut_down: AtomicBool::new(false),
        })
    }

    hook!(on_llm_start, on_llm_start_async);
    hook!(on_llm_new_token, on_llm_new_token_async, chunk: ChunkAccess);
    hook!(on_llm_end, on_llm_end_async, reply: ReplyAccess);
    hook!(on_llm_error, on_llm_error_async, failure: FailureAccess);

    /// Starts `on_llm_during`, if the callback has it.
    pub fn on_llm_during_async<'a, C: CallAccess>(
        &'a self,
        call: &'a mut C,
    ) -> Option<RunningHook<'a>> {
        // SAFETY: as in `hook!`.
        let visit = unsafe { CrashContext::new(&self.name, "on_llm_during", call.id()) };
        let future = visit.enter(|| self.callback.on_llm_during_async(call))?;
        Some(RunningHook { visit, future })
    }

    /// Runs `on_auth` in its sync form, if the callback has that.
    pub fn on_auth<A: AuthAccess>(&self, request: &mut A) -> Option<Verdict> {
        // SAFETY: the name is the instance's.
        let visit = unsafe { CrashContext::new(&self.name, "on_auth", "") };
        visit.enter(|| self.callback.on_auth(request))
    }

    /// Starts `on_auth` in its async form, if the callback has that.
    pub fn on_auth_async<'a, A: AuthAccess>(
        &'a self,
        request: &'a mut A,
    ) -> Option<RunningHook<'a>> {
        // SAFETY: as in `hook!`.
        let visit = unsafe { CrashContext::new(&self.name, "on_auth", "") };
        let future = visit.enter(|| self.callback.on_auth_async(request))?;
        Some(RunningHook { visit, future })
    }

    /// Runs `on_list_models` in its sync form, if the callback has that.
    pub fn on_list_models<L: ModelListAccess>(&self, list: &mut L) -> Option<Verdict> {
        // SAFETY: the name is the instance's.
        let visit = unsafe { CrashContext::new(&self.name, "on_list_models", "") };
        visit.enter(|| self.callback.on_list_models(list))
    }

    /// Starts `on_list_models` in its async form, if the callback has that.
    pub fn on_list_models_async<'a, L: ModelListAccess>(
        &'a self,
        list: &'a mut L,
    ) -> Option<RunningHook<'a>> {
        // SAFETY: as in `hook!`.
        let visit = unsafe { CrashContext::new(&self.name, "on_list_models", "") };
        let future = visit.enter(|| self.callback.on_list_models_async(list))?;
        Some(RunningHook { visit, future })
    }

    /// What logs and faults call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Announces the shutdown to the callback, once. Its hooks may still be running.
    pub fn shutdown(&self) {
        if !self.is_shut_down.swap(true, Ordering::AcqRel) {
            // SAFETY: the name is the instance's.
            let visit = unsafe { CrashContext::new(&self.name, "its shutdown", "") };
            self.host.announce_end();
            visit.enter(|| self.callback.shutdown());
            self.host.ends();
        }
    }
}

/// The callback as a [`Tester`], on a mock host, with all hooks in its table.
pub(super) fn tester(
    library: &Library,
    callback: &str,
    name: &str,
    settings: &Value,
    host: &MockHost,
) -> Result<Tester, InstanceError> {
    Tester::of_loaded(host, |host| {
        // SAFETY: the tester keeps the host for as long as the callback; the C host stays.
        let made = unsafe { create(library, callback, name, settings, host, Hooks::All) };
        made.map(|(callback, c_host)| {
            std::mem::forget(c_host);
            callback
        })
    })
}

/// Calls the plugin's constructor and returns the new callback.
///
/// # Safety
/// The host, and the C host with it, outlive the callback.
unsafe fn create(
    library: &Library,
    callback: &str,
    name: &str,
    settings: &Value,
    host: HostHandle,
    hooks: Hooks,
) -> Result<(LoadedCallback, Option<Arc<CHost>>), InstanceError> {
    let json = settings.to_string();
    let args = CreateArgs {
        callback: View::of(callback.as_bytes()),
        instance: View::of(name.as_bytes()),
        settings: View::of(json.as_bytes()),
        host,
    };
    // SAFETY: `name` outlives the visit.
    let visit = unsafe { CrashContext::new(name, "its constructor", "") };
    // SAFETY: the views outlive the call; the caller promises that the host does.
    let Created { raw, c_host } = visit
        .enter(|| unsafe { library.create(args) })
        .map_err(|message| InstanceError::Refused(masked(&message, settings)))?;
    // SAFETY: the library passed its checks and is never unloaded; nobody else uses `raw`.
    let made = unsafe { LoadedCallback::from_raw(raw) };
    if hooks == Hooks::Exported {
        return Ok((made, c_host));
    }
    let Some(vt) = library.all_hooks(callback) else {
        return Err(InstanceError::NoHooks(callback.to_owned()));
    };
    std::mem::forget(made);
    // SAFETY: as above, and `made` no longer owns it; both tables have the same type.
    Ok((unsafe { LoadedCallback::from_raw(RawCallback { ctx: raw.ctx, vt }) }, c_host))
}

impl Deref for Instance {
    type Target = LoadedCallback;

    fn deref(&self) -> &LoadedCallback {
        &self.callback
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.shutdown();
        // SAFETY: the name is the instance's.
        let visit = unsafe { CrashContext::new(&self.name, "its destructor", "") };
        // SAFETY: dropped here and nowhere else, and not used again.
        visit.enter(|| unsafe { ManuallyDrop::drop(&mut self.callback) });
    }
}

/// A hook in flight; dropping it cancels the hook. (A crash during the cancellation is not
/// attributed: a destructor here would extend the hook's borrows.)
#[must_use = "a hook that is not awaited does nothing"]
pub struct RunningHook<'a> {
    visit: CrashContext,
    future: HookFuture<'a>,
}

impl Future for RunningHook<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        let Self { visit, future } = &mut *self;
        visit.enter(|| Pin::new(future).poll(context))
    }
}

impl fmt::Debug for RunningHook<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningHook").finish_non_exhaustive()
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}
