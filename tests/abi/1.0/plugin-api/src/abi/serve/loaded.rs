//! A plugin's raw callback, made safe to call.

use super::{
    CallAccess, ChunkAccess, FailureAccess, ReplyAccess,
    tables::{lend_call, lend_chunk, lend_failure, lend_reply},
};
use crate::abi::{CallbackVtRef, RawCallback, Verdict};
use async_ffi::FfiFuture;
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

/// One live callback: owns the instance and drops it by its own `destroy`.
///
/// `destroy` may block (a plugin may join threads in it): drop this where blocking is allowed.
pub struct LoadedCallback {
    ctx: *mut (),
    vt: CallbackVtRef,
}

// SAFETY: the contract of `CallbackVt`: the author's type is `Send + Sync`, hooks run concurrently.
unsafe impl Send for LoadedCallback {}
// SAFETY: as above.
unsafe impl Sync for LoadedCallback {}

/// A hook in flight; dropping it cancels the hook.
#[must_use = "a hook that is not awaited does nothing"]
pub struct HookFuture<'a> {
    future: FfiFuture<Verdict>,
    /// The instance and everything lent to the hook stay borrowed.
    lent: PhantomData<&'a mut ()>,
}

impl Future for HookFuture<'_> {
    type Output = Verdict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        Pin::new(&mut self.future).poll(context)
    }
}

/// One hook's pair of methods: sync, and async.
macro_rules! hook {
    ($sync:ident, $async:ident, $has:ident, $has_async:ident $(, $arg:ident: $access:ident, $lend:ident)?) => {
        /// Whether the callback has this hook in its sync form.
        #[must_use]
        pub fn $has(&self) -> bool {
            self.vt.$sync().is_some()
        }

        /// Whether the callback has this hook in its async form.
        #[must_use]
        pub fn $has_async(&self) -> bool {
            self.vt.$async().is_some()
        }

        /// Runs the sync form; an absent hook continues.
        pub fn $sync<C: CallAccess $(, A: $access)?>(&self, call: &mut C $(, $arg: &mut A)?) -> Verdict {
            match self.vt.$sync() {
                // SAFETY: the table belongs to `ctx`, which is alive; the handles outlive the call.
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
            // SAFETY: as above, and `HookFuture` keeps instance and handles borrowed until dropped.
            let future = unsafe { hook(self.ctx, lend_call(call) $(, $lend($arg))?) };
            Some(HookFuture { future, lent: PhantomData })
        }
    };
}

impl LoadedCallback {
    /// Takes over what `PluginRoot::create` returned.
    ///
    /// # Safety
    /// `raw` comes from a layout-checked plugin, is owned by nobody else, and its library is never
    /// unloaded.
    #[must_use]
    pub unsafe fn from_raw(raw: RawCallback) -> Self {
        Self { ctx: raw.ctx, vt: raw.vt }
    }

    hook!(on_llm_start, on_llm_start_async, has_start, has_start_async);
    hook!(on_llm_new_token, on_llm_new_token_async, has_new_token, has_new_token_async, chunk: ChunkAccess, lend_chunk);
    hook!(on_llm_end, on_llm_end_async, has_end, has_end_async, reply: ReplyAccess, lend_reply);
    hook!(on_llm_error, on_llm_error_async, has_error, has_error_async, failure: FailureAccess, lend_failure);

    /// Tells the callback that no new call will come.
    pub fn shutdown(&self) {
        // SAFETY: `ctx` is alive.
        unsafe { (self.vt.shutdown())(self.ctx) }
    }
}

impl Drop for LoadedCallback {
    fn drop(&mut self) {
        // SAFETY: owned, and dropped once; every hook borrows `self`, so none is running.
        unsafe { (self.vt.destroy())(self.ctx) }
    }
}
