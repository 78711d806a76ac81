//! The plugin's side of the boundary: tables for any [`Callback`] or [`AsyncCallback`]. Every panic
//! is caught, because a panic that crosses the boundary aborts the process.
//! [`export_callbacks!`](crate::export_callbacks) and the conformance tests call it.

mod auth;
pub(crate) mod background;
mod events;
mod made;
mod model_list;
mod panics;

use super::{
    CallHandle, CallbackVt, CallbackVtRef, ChunkHandle, CreateArgs, FailureHandle, RawCallback,
    ReplyHandle, Verdict,
};
use crate::{AsyncCallback, CallView, Callback, Chunk, Hook, Host, LlmCall, LlmFailure, LlmReply};
use abi_stable::{
    prefix_type::WithMetadata,
    staticref,
    std_types::{RErr, ROk, RResult, RString},
};
use async_ffi::{FfiFuture, FutureExt};
use made::{Made, made};
pub use panics::record_panics;
use std::{future::Future, marker::PhantomData};

/// The bits of an exported list of hooks, named like the hooks.
#[allow(non_upper_case_globals, missing_docs)]
pub mod hook {
    pub const on_llm_start: u32 = 1;
    pub const on_llm_new_token: u32 = 2;
    pub const on_llm_end: u32 = 4;
    pub const on_llm_error: u32 = 8;
    pub const on_llm_during: u32 = 16;
    pub const on_auth: u32 = 32;
    pub const on_list_models: u32 = 64;
    pub const ALL: u32 = 127;
}

/// Makes an instance of a sync callback whose table has the hooks in `HOOKS`.
///
/// # Safety
/// `args` must keep the promises of `PluginRoot::create`.
pub unsafe fn create<T: Callback, const HOOKS: u32>(
    args: CreateArgs,
) -> RResult<RawCallback, RString> {
    // SAFETY: passed on to the caller.
    unsafe { create_with(args, vt::<T, HOOKS>(), T::new) }
}

/// As [`create`], for the hooks that an export lists: a sync callback has no `on_llm_during`.
///
/// # Safety
/// See [`create`].
pub unsafe fn create_listed<T: Callback, const HOOKS: u32>(
    args: CreateArgs,
) -> RResult<RawCallback, RString> {
    const {
        assert!(
            HOOKS & hook::on_llm_during == 0,
            "expected the hooks of a sync callback, found `on_llm_during`: it needs an \
             `AsyncCallback` and `kind: async`"
        );
    }
    // SAFETY: passed on to the caller.
    unsafe { create::<T, HOOKS>(args) }
}

/// Makes an instance of an async callback. See [`create`].
///
/// # Safety
/// See [`create`].
pub unsafe fn create_async<T: AsyncCallback, const HOOKS: u32>(
    args: CreateArgs,
) -> RResult<RawCallback, RString> {
    // SAFETY: passed on to the caller.
    unsafe { create_with(args, vt_async::<T, HOOKS>(), T::new) }
}

/// Returns the table of a sync callback.
#[must_use]
pub fn vt<T: Callback, const HOOKS: u32>() -> CallbackVtRef {
    CallbackVtRef(Sync::<T, HOOKS>::VT.as_prefix())
}

/// Returns the table of an async callback.
#[must_use]
pub fn vt_async<T: AsyncCallback, const HOOKS: u32>() -> CallbackVtRef {
    CallbackVtRef(Async::<T, HOOKS>::VT.as_prefix())
}

unsafe fn create_with<T, S: serde::de::DeserializeOwned>(
    args: CreateArgs,
    vt: CallbackVtRef,
    new: fn(Host, S) -> Result<T, crate::InitError>,
) -> RResult<RawCallback, RString> {
    events::install();
    // SAFETY: the host lives until `destroy` returns and the instance's tasks have ended.
    let host = unsafe { Host::lent(args.host) };
    let made = panics::caught(|| {
        let _events = events::enter(host);
        // SAFETY: the views of `args` are valid until this function returns.
        let settings = unsafe { args.settings.bytes() }.unwrap_or(b"{}");
        let settings =
            serde_json::from_slice(settings).map_err(|error| format!("settings: {error}"))?;
        new(host, settings).map_err(|error| error.0)
    });
    match made.and_then(|made| made) {
        Ok(instance) => {
            let ctx = Box::into_raw(Box::new(Made { instance, host })).cast();
            ROk(RawCallback { ctx, vt })
        }
        Err(message) => RErr(message.into()),
    }
}

unsafe extern "C" fn destroy<T>(ctx: *mut ()) {
    // A panic in `Drop` must not cross. Its remains leak.
    let _ = panics::caught(|| {
        // SAFETY: `create_with` made it for the same `T`, and `destroy` runs last, once.
        let made = unsafe { Box::from_raw(ctx.cast::<Made<T>>()) };
        let _events = events::enter(made.host);
        drop(made);
    });
}

/// Runs a sync hook to its verdict.
fn run<'a>(
    host: Host,
    mut call: CallView<'a>,
    hook: impl FnOnce(&mut CallView<'a>) -> Hook,
) -> Verdict {
    let _events = events::enter(host);
    match panics::caught(|| hook(&mut call)) {
        Ok(outcome) => call.conclude(outcome),
        Err(panic) => call.panicked(&panic),
    }
}

/// Runs an async hook to its verdict. The future edits `call` through its own borrow.
async fn run_async(
    host: Host,
    mut call: CallView<'_>,
    hook: impl Future<Output = Hook>,
) -> Verdict {
    match panics::caught_async(events::within(host, hook)).await {
        Ok(outcome) => call.conclude(outcome),
        Err(panic) => call.panicked(&panic),
    }
}

struct Sync<T, const HOOKS: u32>(PhantomData<T>);

/// The sync hooks that take a second argument besides the call.
macro_rules! sync_hook {
    ($name:ident, $handle:ident, $view:ident) => {
        unsafe extern "C" fn $name(ctx: *const (), call: CallHandle, other: $handle) -> Verdict {
            // SAFETY: as `made`.
            let Made { instance, host } = unsafe { made::<T>(ctx) };
            // SAFETY: the host lends `call` and `other` to this hook alone until it returns.
            let (call, mut other) = unsafe { (CallView::lent(call), $view::lent(other)) };
            run(*host, call, |call| instance.$name(call, &mut other))
        }
    };
}

impl<T: Callback, const HOOKS: u32> Sync<T, HOOKS> {
    unsafe extern "C" fn on_llm_start(ctx: *const (), call: CallHandle) -> Verdict {
        // SAFETY: as in `sync_hook!`. The two borrows of the call are never used at once.
        let (Made { instance, host }, view, mut edits) =
            unsafe { (made::<T>(ctx), CallView::lent(call), LlmCall::lent(call)) };
        run(*host, view, |_| instance.on_llm_start(&mut edits))
    }
    sync_hook!(on_llm_new_token, ChunkHandle, Chunk);
    sync_hook!(on_llm_end, ReplyHandle, LlmReply);
    sync_hook!(on_llm_error, FailureHandle, LlmFailure);

    unsafe extern "C" fn shutdown(ctx: *const ()) {
        // SAFETY: as `made`.
        unsafe { made::<T>(ctx) }.quietly(T::shutdown);
    }

    staticref! { const VT: WithMetadata<CallbackVt> = WithMetadata::new(CallbackVt {
        destroy: destroy::<T>,
        shutdown: Self::shutdown,
        on_llm_start: if HOOKS & hook::on_llm_start != 0 { Some(Self::on_llm_start) } else { None },
        on_llm_new_token: if HOOKS & hook::on_llm_new_token != 0 { Some(Self::on_llm_new_token) } else { None },
        on_llm_end: if HOOKS & hook::on_llm_end != 0 { Some(Self::on_llm_end) } else { None },
        on_llm_error: if HOOKS & hook::on_llm_error != 0 { Some(Self::on_llm_error) } else { None },
        on_llm_start_async: None,
        on_llm_new_token_async: None,
        on_llm_end_async: None,
        on_llm_error_async: None,
        on_llm_during_async: None,
        on_auth: if HOOKS & hook::on_auth != 0 { Some(auth::on_auth::<T>) } else { None },
        on_auth_async: None,
        on_list_models: if HOOKS & hook::on_list_models != 0 { Some(model_list::on_list_models::<T>) } else { None },
        on_list_models_async: None,
    }) }
}

struct Async<T, const HOOKS: u32>(PhantomData<T>);

/// Like [`sync_hook!`]. The host keeps the handles lent until the future is dropped.
macro_rules! async_hook {
    ($name:ident, $handle:ident, $view:ident) => {
        unsafe extern "C" fn $name(
            ctx: *const (),
            call: CallHandle,
            other: $handle,
        ) -> FfiFuture<Verdict> {
            // SAFETY: the host keeps instance and handles alive until the future is dropped, and
            // `run_async` uses its view only after the hook is done with its own.
            let (Made { instance, host }, view, mut call, mut other) = unsafe {
                (made::<T>(ctx), CallView::lent(call), CallView::lent(call), $view::lent(other))
            };
            let hook = async move { instance.$name(&mut call, &mut other).await };
            run_async(*host, view, hook).into_ffi()
        }
    };
}

impl<T: AsyncCallback, const HOOKS: u32> Async<T, HOOKS> {
    unsafe extern "C" fn on_llm_start(ctx: *const (), call: CallHandle) -> FfiFuture<Verdict> {
        // SAFETY: as in `async_hook!`.
        let (Made { instance, host }, view, mut edits) =
            unsafe { (made::<T>(ctx), CallView::lent(call), LlmCall::lent(call)) };
        run_async(*host, view, async move { instance.on_llm_start(&mut edits).await }).into_ffi()
    }

    unsafe extern "C" fn on_llm_during(ctx: *const (), call: CallHandle) -> FfiFuture<Verdict> {
        // SAFETY: as in `async_hook!`.
        let (Made { instance, host }, view, mut call) =
            unsafe { (made::<T>(ctx), CallView::lent(call), CallView::lent(call)) };
        run_async(*host, view, async move { instance.on_llm_during(&mut call).await }).into_ffi()
    }

    async_hook!(on_llm_new_token, ChunkHandle, Chunk);
    async_hook!(on_llm_end, ReplyHandle, LlmReply);
    async_hook!(on_llm_error, FailureHandle, LlmFailure);

    unsafe extern "C" fn shutdown(ctx: *const ()) {
        // SAFETY: as `made`.
        unsafe { made::<T>(ctx) }.quietly(T::shutdown);
    }

    staticref! { const VT: WithMetadata<CallbackVt> = WithMetadata::new(CallbackVt {
        destroy: destroy::<T>,
        shutdown: Self::shutdown,
        on_llm_start: None,
        on_llm_new_token: None,
        on_llm_end: None,
        on_llm_error: None,
        on_llm_start_async: if HOOKS & hook::on_llm_start != 0 { Some(Self::on_llm_start) } else { None },
        on_llm_new_token_async: if HOOKS & hook::on_llm_new_token != 0 { Some(Self::on_llm_new_token) } else { None },
        on_llm_end_async: if HOOKS & hook::on_llm_end != 0 { Some(Self::on_llm_end) } else { None },
        on_llm_error_async: if HOOKS & hook::on_llm_error != 0 { Some(Self::on_llm_error) } else { None },
        on_llm_during_async: if HOOKS & hook::on_llm_during != 0 { Some(Self::on_llm_during) } else { None },
        on_auth: None,
        on_auth_async: if HOOKS & hook::on_auth != 0 { Some(auth::on_auth_async::<T>) } else { None },
        on_list_models: None,
        on_list_models_async: if HOOKS & hook::on_list_models != 0 { Some(model_list::on_list_models_async::<T>) } else { None },
    }) }
}
