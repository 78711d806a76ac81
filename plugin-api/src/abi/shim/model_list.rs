//! `on_list_models`, in both forms. It has no call, so its list takes the verdict's content.

use super::{events, made::made, panics};
use crate::{
    AsyncCallback, Callback, Hook, ModelList,
    abi::{ModelListHandle, Verdict},
};
use async_ffi::{FfiFuture, FutureExt};

pub(super) unsafe extern "C" fn on_list_models<T: Callback>(
    ctx: *const (),
    list: ModelListHandle,
) -> Verdict {
    // SAFETY: as `made`; the host lends `list` to this hook alone until it returns.
    let (made, mut list) = unsafe { (made::<T>(ctx), ModelList::lent(list)) };
    let _events = events::enter(made.host);
    let outcome = panics::caught(|| made.instance.on_list_models(&mut list));
    conclude(&mut list, outcome)
}

pub(super) unsafe extern "C" fn on_list_models_async<T: AsyncCallback>(
    ctx: *const (),
    list: ModelListHandle,
) -> FfiFuture<Verdict> {
    // SAFETY: the host keeps instance and list alive until the future is dropped.
    let (made, mut list) = unsafe { (made::<T>(ctx), ModelList::lent(list)) };
    async move {
        let hook = events::within(made.host, made.instance.on_list_models(&mut list));
        let outcome = panics::caught_async(hook).await;
        conclude(&mut list, outcome)
    }
    .into_ffi()
}

fn conclude(list: &mut ModelList<'_>, outcome: Result<Hook, String>) -> Verdict {
    match outcome {
        Ok(outcome) => list.conclude(outcome),
        Err(panic) => {
            let _ = list.fault(&panic);
            Verdict::PANIC
        }
    }
}
