//! One hook of one callback without chain and policy, prepared in advance: for timing it.

use super::{DryRun, DryRunCall};
use crate::{
    auth_request::{self, AuthPayload},
    call_handle::CallHandle,
    model_list::{self, ModelListPayload},
    payload::{CallStats, ChunkPayload, EndPayload, ErrorPayload, StreamedText},
};
use bytes::Bytes;
use callgate_failure::{ErrorText, Failure};
use callgate_plugin_host::{Hook, Instance};
use plugin_api::abi::Verdict;
use std::{
    future::Future,
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

static NOTHING_STREAMED: LazyLock<StreamedText> = LazyLock::new(StreamedText::default);

/// A call and the data for one hook. Runs once.
#[derive(Debug)]
pub struct PreparedHook {
    call: DryRunCall,
    beside: HookPayload,
}

#[derive(Debug)]
enum HookPayload {
    Nothing,
    /// `on_llm_during`, which has no data beside the call, either.
    Beside,
    Chunk(ChunkPayload),
    Reply(EndPayload<'static>),
    Failure(ErrorPayload<'static>),
    Request(AuthPayload),
    List(ModelListPayload),
}

/// Runs a hook in its sync form, or in its async form until it first waits.
macro_rules! run {
    ($callback:ident, $handle:ident, $has:ident, $sync:ident, $async:ident $(, $arg:expr)?) => {
        if $callback.$has() {
            Some($callback.$sync(&mut $handle $(, $arg)?))
        } else {
            match $callback.$async(&mut $handle $(, $arg)?) {
                Some(hook) => polled(hook),
                None => Some(Verdict::CONTINUE),
            }
        }
    };
}

impl DryRun {
    /// Prepares a new call for one run of `hook`; a reply contains `text`. The call has passed the
    /// callback's start hook, as it would have in the gateway.
    pub fn prepare(&self, callback: &Instance, hook: Hook, text: &str) -> PreparedHook {
        let quoted = serde_json::Value::from(text);
        let beside = match hook {
            Hook::Start => HookPayload::Nothing,
            Hook::During => HookPayload::Beside,
            Hook::Auth => HookPayload::Request(auth_request::sample()),
            Hook::ListModels => HookPayload::List(model_list::sample()),
            Hook::NewToken => {
                let json =
                    format!(r#"{{"choices":[{{"index":0,"delta":{{"content":{quoted}}}}}]}}"#);
                HookPayload::Chunk(ChunkPayload::new(0, json))
            }
            Hook::End => {
                let json = format!(
                    r#"{{"choices":[{{"index":0,"message":{{"role":"assistant","content":{quoted}}}}}]}}"#
                );
                HookPayload::Reply(EndPayload::new(200, Some(Bytes::from(json)), &NOTHING_STREAMED))
            }
            Hook::Error => {
                let failure = Failure::of_upstream(503, ErrorText::saying("unavailable"));
                let (streamed, figures) = ("".into(), CallStats::default());
                HookPayload::Failure(ErrorPayload { failure, sent: false, streamed, figures })
            }
        };
        let call = self.call();
        if hook == Hook::Start || !hook.has_call() {
            return PreparedHook { call, beside };
        }
        let mut started = PreparedHook { call, beside: HookPayload::Nothing };
        let _ = self.run_single(callback, &mut started);
        PreparedHook { call: started.call, beside }
    }

    /// Runs the hook; returns whether the call goes on, or `None` if the hook waits.
    pub fn run_single(&self, callback: &Instance, prepared: &mut PreparedHook) -> Option<bool> {
        let PreparedHook { call, beside } = prepared;
        let hook = match beside {
            HookPayload::Nothing => Hook::Start,
            HookPayload::Beside => Hook::During,
            HookPayload::Chunk(_) => Hook::NewToken,
            HookPayload::Reply(_) => Hook::End,
            HookPayload::Failure(_) => Hook::Error,
            HookPayload::Request(request) => return authenticates(callback, request),
            HookPayload::List(list) => return lists(callback, list),
        };
        let (call, deployments) = (&mut *call.0, &*self.deployments);
        let mut handle = CallHandle::new(call, deployments, 0, hook, false);
        let verdict = match beside {
            HookPayload::Nothing => {
                run!(callback, handle, has_start, on_llm_start, on_llm_start_async)
            }
            HookPayload::Beside => {
                let hook = callback.on_llm_during_async(&mut handle);
                hook.map_or(Some(Verdict::CONTINUE), polled)
            }
            HookPayload::Chunk(chunk) => {
                run!(
                    callback,
                    handle,
                    has_new_token,
                    on_llm_new_token,
                    on_llm_new_token_async,
                    chunk
                )
            }
            HookPayload::Reply(reply) => {
                run!(callback, handle, has_end, on_llm_end, on_llm_end_async, reply)
            }
            HookPayload::Failure(failing) => {
                run!(callback, handle, has_error, on_llm_error, on_llm_error_async, failing)
            }
            HookPayload::Request(_) | HookPayload::List(_) => None,
        };
        verdict.map(|verdict| verdict == Verdict::CONTINUE)
    }
}

/// Whether `on_auth` decides at once.
fn authenticates(callback: &Instance, request: &mut AuthPayload) -> Option<bool> {
    let verdict = match callback.on_auth(request) {
        Some(verdict) => verdict,
        None => polled(callback.on_auth_async(request)?)?,
    };
    Some(matches!(verdict, Verdict::CONTINUE | Verdict::REPLY | Verdict::REJECT))
}

/// Whether `on_list_models` lists at once.
fn lists(callback: &Instance, list: &mut ModelListPayload) -> Option<bool> {
    let verdict = match callback.on_list_models(list) {
        Some(verdict) => verdict,
        None => polled(callback.on_list_models_async(list)?)?,
    };
    Some(matches!(verdict, Verdict::CONTINUE | Verdict::REJECT))
}

fn polled(hook: impl Future<Output = Verdict>) -> Option<Verdict> {
    match pin!(hook).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => Some(verdict),
        Poll::Pending => None,
    }
}
