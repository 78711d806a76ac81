//! Completions made by the gateway: for `mock_response` and for callbacks that reply themselves.

use super::fault;
use bytes::Bytes;
use callgate_call::Call;
use callgate_failure::{Failure, Form};
use callgate_providers::{AnswerFault, CallKind, ChunkSink, Echo, openai, through_chat};
use plugin_api::Reply;
use serde_json::json;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Builds a `chat.completion` from a text, and takes JSON as the answer that it is. A kind of call
/// that no chat answers takes JSON alone.
pub(super) fn whole(kind: CallKind, reply: &Reply, echo: &Echo) -> Result<Vec<u8>, Failure> {
    match reply {
        Reply::Text(text) if kind == CallKind::Chat || through_chat::can_answer(kind) => {
            Ok(json!({
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
            .into_bytes())
        }
        // The callback's handle has already rejected a reply that is not a completion.
        Reply::Json(json) if callgate_callbacks::is_answer(kind, json) => {
            Ok(json.as_bytes().to_vec())
        }
        Reply::Text(_) | Reply::Json(_) | Reply::Stream(_) => {
            Err(Failure::callbacks_reply_is_no_completion())
        }
    }
}

/// A completion as the answer to a call of this kind.
pub(super) fn answer(
    kind: CallKind,
    completion: Bytes,
    echo: (&Echo, &Bytes),
) -> Result<Bytes, Failure> {
    match kind {
        CallKind::Chat => Ok(completion),
        kind => match through_chat::reply(kind, &completion, echo) {
            Ok(answer) => Ok(answer.into()),
            Err(fault) => Err(unanswerable(fault)),
        },
    }
}

/// The same completion as the chunks of a stream: the content, then the finish reason. Calls of
/// other kinds than chats get the events that the chunks stand for.
pub(super) fn chunks(
    kind: CallKind,
    completion: &[u8],
    echo: (&Echo, &Bytes),
    include_usage: bool,
) -> Result<Vec<String>, Failure> {
    let (mut chunks, is_chat) = (Chunks::default(), kind == CallKind::Chat);
    openai::chunks_of(completion, echo.0, include_usage || !kind.is_completion(), &mut chunks);
    if is_chat {
        return Ok(chunks.0);
    }
    let mut events = Chunks::default();
    let chunks = chunks.0.iter().map(String::as_bytes);
    through_chat::events(kind, chunks, echo, &mut events).map_err(unanswerable)?;
    Ok(events.0)
}

fn unanswerable(fault: AnswerFault) -> Failure {
    fault::failure(fault, Form::Json)
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
