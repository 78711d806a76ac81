//! Completions made by the gateway: for `mock_response` and for callbacks that reply themselves.

use callgate_call::Call;
use callgate_failure::Failure;
use callgate_providers::{CallKind, ChunkSink, Echo, openai};
use plugin_api::Reply;
use serde_json::json;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Builds a `chat.completion` from a reply; another kind of call is answered by JSON alone.
pub(super) fn whole(kind: CallKind, reply: &Reply, echo: &Echo) -> Result<Vec<u8>, Failure> {
    match reply {
        Reply::Text(text) if kind == CallKind::Chat => Ok(json!({
            "id": *echo.id,
            "object": "chat.completion",
            "created": echo.created,
            "model": *echo.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        })
        .to_string()
        .into_bytes()),
        // The callback's handle has already rejected a reply that is not a completion.
        Reply::Json(json) if callgate_callbacks::is_answer(kind, json) => {
            Ok(json.as_bytes().to_vec())
        }
        Reply::Text(_) | Reply::Json(_) | Reply::Stream(_) => {
            Err(Failure::callbacks_reply_is_no_completion())
        }
    }
}

/// The same completion as the chunks of a stream: the content, then the finish reason.
pub(super) fn chunks(completion: &[u8], echo: &Echo, include_usage: bool) -> Vec<String> {
    let mut chunks = Chunks::default();
    openai::chunks_of(completion, echo, include_usage, &mut chunks);
    chunks.0
}

#[derive(Default)]
struct Chunks(Vec<String>);

impl ChunkSink for Chunks {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.0.push(String::from_utf8_lossy(&json.concat()).into_owned());
    }
}

/// The members of a completion that come from the call.
pub(super) fn echo(call: &Call) -> Echo {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (id, model) = (Arc::clone(call.id.of_completion()), Arc::clone(&call.requested_model));
    Echo { id, created, model }
}
