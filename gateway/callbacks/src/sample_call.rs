//! Hooks on a made-up call: `check` compares them with the manifest, and the probe runs them. Calls
//! of clients are in `chain` and `dry_run`.

use super::{
    auth_request,
    call_handle::CallHandle,
    model_list,
    payload::{CallStats, ChunkPayload, EndPayload, ErrorPayload, StreamedText},
};
use bytes::Bytes;
use callgate_call::{Accepted, Call, Caller};
use callgate_deployments::Deployments;
use callgate_failure::{ErrorText, Failure};
use callgate_json::Body;
use callgate_plugin_host::{Hook, Instance};
use callgate_providers::CallKind;
use http::HeaderMap;
use plugin_api::abi::Verdict;
use std::{sync::Arc, time::Instant};

const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"hello"}}]}"#;
const REPLY: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#;

/// A call with one message; `name` is its id, model and key.
pub(super) fn call(name: &str) -> Option<Call> {
    let body = serde_json::json!({
        "model": name,
        "messages": [{"role": "user", "content": "hello"}],
    });
    let body = Body::parse(Bytes::from(body.to_string())).ok()?;
    Some(Call::new(Accepted {
        id: name.into(),
        kind: CallKind::Chat,
        requested_model: name.into(),
        stream: false,
        headers: HeaderMap::new(),
        path: "/v1/chat/completions".into(),
        key_header: None,
        caller: Arc::new(Caller::with_key_id(name)),
        accepted: Instant::now(),
        body,
    }))
}

/// Runs one hook of an instance on the call, in the form the instance has. A hook without any form
/// is not implemented. Only an async hook waits.
pub(super) async fn run(
    instance: &Instance,
    hook: Hook,
    call: &mut Call,
    deployments: &Deployments,
) -> Verdict {
    match hook {
        Hook::Auth => return authenticate(instance).await,
        Hook::ListModels => return list_models(instance).await,
        _ => {}
    }
    let mut handle = CallHandle::new(call, deployments, 0, hook, false);
    macro_rules! run {
        ($has:ident, $sync:ident, $async:ident $(, $arg:expr)?) => {
            if instance.$has() {
                instance.$sync(&mut handle $(, $arg)?)
            } else if let Some(hook) = instance.$async(&mut handle $(, $arg)?) {
                hook.await
            } else {
                Verdict::NOT_IMPLEMENTED
            }
        };
    }
    match hook {
        Hook::Start => run!(has_start, on_llm_start, on_llm_start_async),
        Hook::During => match instance.on_llm_during_async(&mut handle) {
            Some(hook) => hook.await,
            None => Verdict::NOT_IMPLEMENTED,
        },
        Hook::NewToken => {
            let mut chunk = ChunkPayload::new(0, CHUNK.to_owned());
            run!(has_new_token, on_llm_new_token, on_llm_new_token_async, &mut chunk)
        }
        Hook::End => {
            let streamed = StreamedText::default();
            let mut reply =
                EndPayload::new(200, Some(Bytes::from_static(REPLY.as_bytes())), &streamed);
            run!(has_end, on_llm_end, on_llm_end_async, &mut reply)
        }
        Hook::Error => {
            let failure = Failure::of_upstream(503, ErrorText::saying("made up"));
            let (streamed, figures) = ("".into(), CallStats::default());
            let mut failing = ErrorPayload { failure, sent: false, streamed, figures };
            run!(has_error, on_llm_error, on_llm_error_async, &mut failing)
        }
        Hook::Auth | Hook::ListModels => Verdict::NOT_IMPLEMENTED,
    }
}

/// Runs `on_auth` on a request with a made-up token.
async fn authenticate(instance: &Instance) -> Verdict {
    let mut request = auth_request::sample();
    match instance.on_auth(&mut request) {
        Some(verdict) => verdict,
        None => match instance.on_auth_async(&mut request) {
            Some(hook) => hook.await,
            None => Verdict::NOT_IMPLEMENTED,
        },
    }
}

/// Runs `on_list_models` on a list of one model.
async fn list_models(instance: &Instance) -> Verdict {
    let mut list = model_list::sample();
    match instance.on_list_models(&mut list) {
        Some(verdict) => verdict,
        None => match instance.on_list_models_async(&mut list) {
            Some(hook) => hook.await,
            None => Verdict::NOT_IMPLEMENTED,
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_made_up_call_is_one() {
        let call = super::call("check").expect("the body is JSON");
        assert_eq!((call.message_count(), call.model()), (1, "check"));
    }
}
