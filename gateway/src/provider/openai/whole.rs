//! A whole completion in place of a stream: some servers do not stream, whatever they are asked.
//! It is made into the chunks that a stream would have had.

use super::super::{Usage, said::read_error};
use crate::provider::StreamFailure;
use serde_json::{Map, Value, json};

/// What a whole answer comes to as a stream.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) chunks: Vec<String>,
    pub(super) usage: Option<Usage>,
}

/// `model` is the requested name as JSON. An error object is that error.
pub(super) fn read(body: &[u8], model: &[u8], include_usage: bool) -> Result<Whole, StreamFailure> {
    let Ok(Value::Object(mut whole)) = serde_json::from_slice(body) else {
        return Err(malformed_json());
    };
    if whole.get("error").is_some_and(|error| !error.is_null()) {
        return Err(read_error(body).map_or_else(malformed_json, StreamFailure::Upstream));
    }
    let Some(Value::Array(choices)) = whole.remove("choices") else { return Err(malformed_json()) };
    let usage = whole.remove("usage").filter(|usage| !usage.is_null());
    whole.insert("object".to_owned(), json!("chat.completion.chunk"));
    let model: Value = serde_json::from_slice(model).unwrap_or_default();
    whole.insert("model".to_owned(), model);
    let mut chunks = Vec::new();
    let mut add = |choices: Value, usage: Option<&Value>| {
        let mut chunk = whole.clone();
        chunk.insert("choices".to_owned(), choices);
        if let Some(usage) = usage {
            chunk.insert("usage".to_owned(), usage.clone());
        }
        chunks.push(Value::Object(chunk).to_string());
    };
    let mut reasons = Vec::new();
    for (position, choice) in choices.into_iter().enumerate() {
        let Value::Object(mut choice) = choice else { return Err(malformed_json()) };
        let Some(Value::Object(message)) = choice.remove("message") else {
            return Err(malformed_json());
        };
        let index = choice.get("index").cloned().unwrap_or(json!(position));
        let reason = choice.remove("finish_reason").filter(Value::is_string);
        let reason = reason.unwrap_or(json!("stop"));
        choice.insert("index".to_owned(), index.clone());
        choice.insert("delta".to_owned(), Value::Object(delta(message)));
        choice.insert("finish_reason".to_owned(), Value::Null);
        add(json!([choice]), None);
        reasons.push(json!({"index": index, "delta": {}, "finish_reason": reason}));
    }
    if reasons.is_empty() {
        return Err(malformed_json());
    }
    for reason in reasons {
        add(json!([reason]), None);
    }
    if let Some(usage) = usage.as_ref().filter(|_| include_usage) {
        add(json!([]), Some(usage));
    }
    let usage = usage.and_then(|usage| serde_json::from_value(usage).ok());
    Ok(Whole { chunks, usage })
}

fn malformed_json() -> StreamFailure {
    StreamFailure::NoStream("JSON that is no chat completion")
}

/// A message as a delta: its tool calls are numbered.
fn delta(mut message: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
        for (index, call) in calls.iter_mut().enumerate() {
            if let Value::Object(call) = call {
                call.insert("index".to_owned(), json!(index));
            }
        }
    }
    message
}
