//! `on_auth`, in both forms. It has no call, so its request takes the verdict's content.

use super::{events, made::made, panics};
use crate::{
    AsyncCallback, AuthRequest, AuthResult, Callback,
    abi::{AuthHandle, Verdict},
};
use async_ffi::{FfiFuture, FutureExt};

pub(super) unsafe extern "C" fn on_auth<T: Callback>(
    ctx: *const (),
    request: AuthHandle,
) -> Verdict {
    // SAFETY: as `made`; the host lends `request` to this hook alone until it returns.
    let (made, request) = unsafe { (made::<T>(ctx), AuthRequest::lent(request)) };
    let _events = events::enter(made.host);
    conclude(&request, panics::caught(|| made.instance.on_auth(&request)))
}

pub(super) unsafe extern "C" fn on_auth_async<T: AsyncCallback>(
    ctx: *const (),
    request: AuthHandle,
) -> FfiFuture<Verdict> {
    // SAFETY: the host keeps instance and request alive until the future is dropped.
    let (made, request) = unsafe { (made::<T>(ctx), AuthRequest::lent(request)) };
    async move {
        let hook = events::within(made.host, made.instance.on_auth(&request));
        let outcome = panics::caught_async(hook).await;
        conclude(&request, outcome)
    }
    .into_ffi()
}

fn conclude(request: &AuthRequest<'_>, outcome: Result<AuthResult, String>) -> Verdict {
    match outcome {
        Ok(outcome) => request.conclude(outcome),
        Err(panic) => {
            let _ = request.fault(&panic);
            Verdict::PANIC
        }
    }
}
