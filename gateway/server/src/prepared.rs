//! Prepares a call's request for its deployment. Large bodies are handled outside the worker, where
//! they would hold up other calls.

use super::request;
use bytes::Bytes;
use callgate_call::{Call, Target};
use callgate_callbacks::offload::offload;
use callgate_failure::Failure;
use callgate_json::{Body, json_text};
use callgate_providers::{
    CallKind, Destination, Outgoing,
    through_chat::{self, ChatTarget},
};
use futures_util::future::Either;
use std::{future::Future, sync::Arc};

/// Applies callbacks' edits to the body. A large body keeps only the result: the original bytes,
/// the edits and the upstream's request would be three copies in memory.
pub(super) async fn settle(call: &mut Call) -> Result<(), Failure> {
    if !call.is_large() {
        call.settle_messages();
    } else if let Some(unsettled) = call.unsettled() {
        let settled = Box::pin(offload(unsettled)).await?;
        call.set_settled(settled);
    }
    Ok(())
}

/// Translates the request into the deployment's dialect, and returns with it whether the client of
/// a stream wants the usage chunk. `sent_as` is the kind of the request. The call is not changed.
pub(super) fn outgoing(
    call: &Call,
    target: &Target,
    sent_as: CallKind,
) -> impl Future<Output = Result<(bool, Outgoing), Failure>> + use<> {
    // A call belongs to one thread: the future must not hold it.
    let made = if call.is_large() {
        let (target, body, stream) = (target.clone(), call.body.clone(), call.stream);
        let kinds = (call.kind, sent_as);
        let work = offload(move || request_to(&target, &body, (kinds, stream)));
        Either::Right(Box::pin(work))
    } else {
        Either::Left(request_to(target, &call.body, ((call.kind, sent_as), call.stream)))
    };
    async move {
        match made {
            Either::Left(made) => made,
            Either::Right(work) => work.await?,
        }
    }
}

/// What the answer repeats of its request, if a request of another kind stands for it.
pub(super) fn echoed(call: &Call, sent_as: CallKind) -> Bytes {
    match call.kind == sent_as {
        true => Bytes::new(),
        false => through_chat::echoed(call.kind, &call.body),
    }
}

/// The URL that a request of this kind is sent to.
pub(super) fn url(target: &Target, kind: CallKind) -> Arc<str> {
    let deployment = target.deployment();
    let (dialect, model) = (deployment.provider.dialect, target.upstream_model());
    let address = || deployment.chat_address(target.api_base(), model);
    if kind != CallKind::Chat {
        return dialect.url(kind, &address()).into();
    }
    let url = || dialect.chat_url(&address()).into();
    let is_usual = target.callback_base().is_none()
        && (Arc::ptr_eq(model, &deployment.upstream_model) || !dialect.has_model_in_url());
    if is_usual { Arc::clone(deployment.chat_url.get_or_init(url)) } else { url() }
}

/// Whether the client of a stream wants the usage chunk of a response made by the gateway.
pub(super) async fn usage(call: &mut Call) -> Result<bool, Failure> {
    if !call.stream {
        return Ok(false);
    }
    if !call.is_large() {
        return request::include_usage(&call.body);
    }
    let body = call.body.clone();
    Box::pin(offload(move || request::include_usage(&body))).await?
}

fn request_to(
    target: &Target,
    body: &Body,
    ((kind, sent_as), stream): ((CallKind, CallKind), bool),
) -> Result<(bool, Outgoing), Failure> {
    let is_translated = sent_as != kind;
    // Streams of events have the tokens anyway.
    let has_tokens = is_translated && !kind.is_completion();
    let usage = stream && (has_tokens || request::include_usage(body)?);
    let deployment = target.deployment();
    let model = target.upstream_model();
    // Always, except for a wildcard's match or a callback's choice.
    let model_json = if Arc::ptr_eq(model, &deployment.upstream_model) {
        deployment.model_json.get_or_init(|| json_text(model)).clone()
    } else {
        json_text(model)
    };
    let to = Destination {
        model,
        model_json,
        params: &target.params(),
        rules: &deployment.rules,
        family: deployment.family_of(model),
        stream,
        quirks: deployment.provider.quirks,
        stream_usage: deployment.stream_usage || has_tokens,
    };
    let dialect = deployment.provider.dialect;
    let chat = match is_translated {
        true => {
            let to = ChatTarget { rules: &deployment.rules, stream };
            Some(through_chat::request(kind, body, &to)?)
        }
        false => None,
    };
    let outgoing = match sent_as {
        CallKind::Chat => dialect.request(chat.as_ref().unwrap_or(body), &to)?,
        _ => dialect.request_of(sent_as, body, &to)?,
    };
    Ok((usage, outgoing))
}
