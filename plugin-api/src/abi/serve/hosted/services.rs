//! The tables of the services that can wait, and of secrets: HTTP, models, timer, tasks. The safety
//! argument of `hosted` applies here too.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`hosted` gives the reason for all functions"
)]

use super::{BoxFuture, HostAccess, Job, Table, host, name};
use crate::{
    HostError,
    abi::{
        HttpVt, LlmVt, RawHostError, RawHttpRequest, RawHttpResponse, RawJob, RawLlmRequest,
        SecretsVt, TaskVt, TimerVt, View,
    },
};
use abi_stable::{
    prefix_type::WithMetadata,
    staticref,
    std_types::{RErr, ROk, ROption, RResult, RString},
};
use async_ffi::{FfiFuture, FutureExt};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

pub(super) fn number(done: Result<(), HostError>) -> u32 {
    done.map_or_else(|error| error.kind.0, |()| 0)
}

/// Returns the host behind `ctx`, kept alive.
unsafe fn shared<T>(ctx: *const ()) -> Arc<T> {
    // SAFETY: `ctx` comes from `Arc::as_ptr` of a living host, see `HostTables::handle`.
    unsafe {
        Arc::increment_strong_count(ctx.cast::<T>());
        Arc::from_raw(ctx.cast::<T>())
    }
}

unsafe extern "C" fn request<T: HostAccess>(
    ctx: *const (),
    request: RawHttpRequest,
) -> FfiFuture<RResult<RawHttpResponse, RawHostError>> {
    let sent = unsafe { host::<T>(ctx) }.http(request.into());
    async move {
        match sent.await {
            Ok(response) => ROk(response.into()),
            Err(error) => RErr(error.into()),
        }
    }
    .into_ffi()
}

unsafe extern "C" fn permits<T: HostAccess>(ctx: *const (), url: View) -> ROption<RawHostError> {
    unsafe { host::<T>(ctx).permits(name(url)) }.err().map(Into::into).into()
}

unsafe extern "C" fn chat<T: HostAccess>(
    ctx: *const (),
    request: RawLlmRequest,
) -> FfiFuture<RResult<RawHttpResponse, RawHostError>> {
    let timeout = (request.timeout_ms > 0).then(|| Duration::from_millis(request.timeout_ms));
    let made = unsafe { host::<T>(ctx) }.chat(request.body.into(), timeout);
    async move {
        match made.await {
            Ok(response) => ROk(response.into()),
            Err(error) => RErr(error.into()),
        }
    }
    .into_ffi()
}

unsafe extern "C" fn permits_model<T: HostAccess>(
    ctx: *const (),
    model: View,
) -> ROption<RawHostError> {
    unsafe { host::<T>(ctx).permits_model(name(model)) }.err().map(Into::into).into()
}

unsafe extern "C" fn sleep<T: HostAccess>(ctx: *const (), millis: u64) -> FfiFuture<()> {
    unsafe { host::<T>(ctx) }.sleep(Duration::from_millis(millis)).into_ffi()
}

/// A plugin's future, with the host that it may use until it ends.
struct Tethered<T> {
    work: FfiFuture<()>,
    /// Dropped after `work`, because fields drop in order.
    _host: Arc<T>,
}

impl<T> Future for Tethered<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.work).poll(context)
    }
}

unsafe extern "C" fn spawn<T: HostAccess>(ctx: *const (), work: FfiFuture<()>) -> u32 {
    let host = unsafe { shared::<T>(ctx) };
    let work: BoxFuture<()> = Box::pin(Tethered { work, _host: Arc::clone(&host) });
    number(host.spawn(work))
}

unsafe extern "C" fn spawn_blocking<T: HostAccess>(ctx: *const (), job: RawJob) -> u32 {
    let host = unsafe { shared::<T>(ctx) };
    let job = Job { raw: Some(job), _host: Arc::clone(&host) as Arc<dyn Send + Sync> };
    number(host.spawn_blocking(job))
}

unsafe extern "C" fn shutdown<T: HostAccess>(ctx: *const ()) -> FfiFuture<()> {
    unsafe { host::<T>(ctx) }.shutdown().into_ffi()
}

unsafe extern "C" fn has_secret<T: HostAccess>(ctx: *const (), variable: View) -> u32 {
    u32::from(unsafe { host::<T>(ctx).has_secret(name(variable)) })
}

unsafe extern "C" fn secret<T: HostAccess>(
    ctx: *const (),
    variable: View,
) -> RResult<RString, RawHostError> {
    let value = unsafe { host::<T>(ctx).secret(name(variable)) };
    value.map(Into::into).map_err(Into::into).into()
}

impl<T: HostAccess> Table<T> {
    staticref! {
        pub(super) const HTTP: WithMetadata<HttpVt> =
            WithMetadata::new(HttpVt {
            request: request::<T>, permits: permits::<T>,
        });
        pub(super) const LLM: WithMetadata<LlmVt> =
            WithMetadata::new(LlmVt {
            chat: chat::<T>, permits: permits_model::<T>,
        });
        pub(super) const TIMER: WithMetadata<TimerVt> =
            WithMetadata::new(TimerVt { sleep: sleep::<T> });
        pub(super) const TASK: WithMetadata<TaskVt> = WithMetadata::new(TaskVt {
            spawn: spawn::<T>, spawn_blocking: spawn_blocking::<T>,
            shutdown: shutdown::<T>,
        });
        pub(super) const SECRETS: WithMetadata<SecretsVt> =
            WithMetadata::new(SecretsVt {
            secret: secret::<T>, has: has_secret::<T>,
        });
    }
}
