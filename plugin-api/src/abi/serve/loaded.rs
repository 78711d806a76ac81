//! A safe wrapper of a plugin's raw callback.

use super::{
    AuthAccess, CallAccess, ChunkAccess, FailureAccess, ModelListAccess, ReplyAccess,
    tables::{lend_auth, lend_call, lend_chunk, lend_failure, lend_model_list, lend_reply},
};
use crate::abi::{CallbackVtRef, RawCallback, Verdict};
use async_ffi::FfiFuture;
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

/// A live callback. It owns the instance and drops it with the instance's own `destroy`. Drop it on
/// a thread that may block, because `destroy` may join threads of the plugin.
pub struct LoadedCallback {
    ctx: *mut (),
    vt: CallbackVtRef,
}

// SAFETY: by the contract of `CallbackVt` the author's type is `Send + Sync`, and hooks may run
// concurrently.
unsafe impl Send for LoadedCallback {}
// SAFETY: as above.
unsafe impl Sync for LoadedCallback {}

/// A running hook. Dropping it cancels the hook.
#[must_use = "a hook that is not awaited does nothing"]
pub struct HookFuture<'a> {
    future: FfiFuture<Verdict>,
    /// Borrows the instance and everything that was lent to the hook.
    lent: PhantomData<&'a mut ()>,
}

impl Future for HookFuture<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        Pin::new(&mut self.future).poll(context)
    }
}

/// The methods for one hook, in its sync and async form.
macro_rules! hook {
    ($sync:ident, $async:ident, $has:ident, $has_async:ident $(, $arg:ident: $access:ident, $lend:ident)?) => {
        /// Returns whether the callback has this hook in its sync form.
        #[must_use]
        pub fn $has(&self) -> bool {
            self.vt.$sync().is_some()
        }

        /// Returns whether the callback has this hook in its async form.
        #[must_use]
        pub fn $has_async(&self) -> bool {
            self.vt.$async().is_some()
        }

        /// Runs the sync form. A missing hook continues.
        pub fn $sync<C: CallAccess $(, A: $access)?>(&self, call: &mut C $(, $arg: &mut A)?) -> Verdict {
            match self.vt.$sync() {
                // SAFETY: the table belongs to `ctx`, which is alive, and the handles outlive the
                // call.
                Some(hook) => unsafe { hook(self.ctx, lend_call(call) $(, $lend($arg))?) },
                None => Verdict::CONTINUE,
            }
        }

        /// Starts the async form, if there is one.
        pub fn $async<'a, C: CallAccess $(, A: $access)?>(
            &'a self,
            call: &'a mut C
            $(, $arg: &'a mut A)?
        ) -> Option<HookFuture<'a>> {
            let hook = self.vt.$async()?;
            // SAFETY: as above, and `HookFuture` borrows instance and handles until it is dropped.
            let future = unsafe { hook(self.ctx, lend_call(call) $(, $lend($arg))?) };
            Some(HookFuture { future, lent: PhantomData })
        }
    };
}

impl LoadedCallback {
    /// Takes ownership of the result of `PluginRoot::create`.
    ///
    /// # Safety
    /// `raw` must come from a plugin whose layout was checked and whose library is never unloaded,
    /// and nobody else may own it.
    #[must_use]
    pub unsafe fn from_raw(raw: RawCallback) -> Self {
        Self { ctx: raw.ctx, vt: raw.vt }
    }

    hook!(on_llm_start, on_llm_start_async, has_start, has_start_async);
    hook!(on_llm_new_token, on_llm_new_token_async, has_new_token, has_new_token_async, chunk: ChunkAccess, lend_chunk);
    hook!(on_llm_end, on_llm_end_async, has_end, has_end_async, reply: ReplyAccess, lend_reply);
    hook!(on_llm_error, on_llm_error_async, has_error, has_error_async, failure: FailureAccess, lend_failure);

    /// Returns whether the callback has `on_llm_during`, which exists only in an async form.
    #[must_use]
    pub fn has_during_async(&self) -> bool {
        self.vt.on_llm_during_async().flatten().is_some()
    }

    /// Starts `on_llm_during`, if there is one.
    pub fn on_llm_during_async<'a, C: CallAccess>(
        &'a self,
        call: &'a mut C,
    ) -> Option<HookFuture<'a>> {
        let hook = self.vt.on_llm_during_async().flatten()?;
        // SAFETY: as in `hook!`.
        let future = unsafe { hook(self.ctx, lend_call(call)) };
        Some(HookFuture { future, lent: PhantomData })
    }

    /// Returns whether the callback has `on_auth` in its sync form.
    #[must_use]
    pub fn has_auth(&self) -> bool {
        self.vt.on_auth().flatten().is_some()
    }

    /// Returns whether the callback has `on_auth` in its async form.
    #[must_use]
    pub fn has_auth_async(&self) -> bool {
        self.vt.on_auth_async().flatten().is_some()
    }

    /// Runs the sync form of `on_auth`, if there is one.
    pub fn on_auth<A: AuthAccess>(&self, request: &mut A) -> Option<Verdict> {
        let hook = self.vt.on_auth().flatten()?;
        // SAFETY: as in `hook!`.
        Some(unsafe { hook(self.ctx, lend_auth(request)) })
    }

    /// Starts the async form of `on_auth`, if there is one.
    pub fn on_auth_async<'a, A: AuthAccess>(
        &'a self,
        request: &'a mut A,
    ) -> Option<HookFuture<'a>> {
        let hook = self.vt.on_auth_async().flatten()?;
        // SAFETY: as in `hook!`.
        let future = unsafe { hook(self.ctx, lend_auth(request)) };
        Some(HookFuture { future, lent: PhantomData })
    }

    /// Returns whether the callback has `on_list_models` in its sync form.
    #[must_use]
    pub fn has_list_models(&self) -> bool {
        self.vt.on_list_models().flatten().is_some()
    }

    /// Returns whether the callback has `on_list_models` in its async form.
    #[must_use]
    pub fn has_list_models_async(&self) -> bool {
        self.vt.on_list_models_async().flatten().is_some()
    }

    /// Runs the sync form of `on_list_models`, if there is one.
    pub fn on_list_models<L: ModelListAccess>(&self, list: &mut L) -> Option<Verdict> {
        let hook = self.vt.on_list_models().flatten()?;
        // SAFETY: as in `hook!`.
        Some(unsafe { hook(self.ctx, lend_model_list(list)) })
    }

    /// Starts the async form of `on_list_models`, if there is one.
    pub fn on_list_models_async<'a, L: ModelListAccess>(
        &'a self,
        list: &'a mut L,
    ) -> Option<HookFuture<'a>> {
        let hook = self.vt.on_list_models_async().flatten()?;
        // SAFETY: as in `hook!`.
        let future = unsafe { hook(self.ctx, lend_model_list(list)) };
        Some(HookFuture { future, lent: PhantomData })
    }

    /// Runs `shutdown`: no new call will come.
    pub fn shutdown(&self) {
        // SAFETY: `ctx` is alive.
        unsafe { (self.vt.shutdown())(self.ctx) }
    }
}

impl Drop for LoadedCallback {
    fn drop(&mut self) {
        // SAFETY: `self` owns it and drops it once. Hooks borrow `self`, so none is running.
        unsafe { (self.vt.destroy())(self.ctx) }
    }
}
