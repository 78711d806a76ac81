//! Completions made here: for `mock_response` and for callbacks that answer by themselves.

use crate::{callbacks, failure::Failure, provider::Echo};
use plugin_api::{FailureKind, Reply};
use serde_json::{Value, json};

/// A `chat.completion` for what was answered.
pub(super) fn whole(reply: &Reply, echo: &Echo) -> Result<Vec<u8>, Failure> {
    let value = match reply {
        Reply::Text(text) => json!({
            "id": echo.id,
            "object": "chat.completion",
            "created": echo.created,
            "model": echo.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }),
        Reply::Json(json) => completion(json)?,
    };
    Ok(value.to_string().into_bytes())
}

/// The same as chunks of a stream: what is said, then why it ended.
pub(super) fn chunks(reply: &Reply, echo: &Echo) -> Result<Vec<String>, Failure> {
    let (delta, reason) = match reply {
        Reply::Text(text) => (json!({"role": "assistant", "content": text}), json!("stop")),
        Reply::Json(json) => {
            let value = completion(json)?;
            let choice = &value["choices"][0];
            let mut delta = choice["message"].clone();
            if let Some(calls) = delta.get_mut("tool_calls").and_then(Value::as_array_mut) {
                for (index, call) in calls.iter_mut().enumerate() {
                    call["index"] = json!(index);
                }
            }
            (delta, choice["finish_reason"].clone())
        }
    };
    let reason = if reason.is_null() { json!("stop") } else { reason };
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": echo.id,
            "object": "chat.completion.chunk",
            "created": echo.created,
            "model": echo.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        })
        .to_string()
    };
    Ok(vec![chunk(delta, Value::Null), chunk(json!({}), reason)])
}

/// What is none was a fault of the callback, before it came here.
fn completion(json: &str) -> Result<Value, Failure> {
    callbacks::completion(json).ok_or_else(|| {
        let text = "a callback answered with something that is no `chat.completion`";
        Failure::new(FailureKind::FAULT, 503, text).code("callback_failed")
    })
}
