//! Cuts a completion into the chunks of a stream, as a provider would send it.

use serde_json::{Map, Value, json};

/// The chunks: for each choice its role, its text word by word and its end; last the usage.
pub(super) fn chunked(completion: &Value) -> Vec<Value> {
    let mut head = Map::new();
    for name in ["id", "created", "model", "system_fingerprint"] {
        if let Some(value) = completion.get(name) {
            head.insert(name.to_owned(), value.clone());
        }
    }
    head.insert("object".to_owned(), "chat.completion.chunk".into());
    let chunk = |choices: Value| {
        let mut chunk = head.clone();
        chunk.insert("choices".to_owned(), choices);
        Value::Object(chunk)
    };
    let mut chunks = Vec::new();
    for choice in completion["choices"].as_array().into_iter().flatten() {
        let index = choice.get("index").cloned().unwrap_or_else(|| 0.into());
        let part = |delta: Value, end: &Value| {
            chunk(json!([{"index": index, "delta": delta, "finish_reason": end}]))
        };
        chunks
            .extend(deltas(&choice["message"]).into_iter().map(|delta| part(delta, &Value::Null)));
        chunks.push(part(json!({}), &choice["finish_reason"]));
    }
    if let Some(usage) = completion.get("usage") {
        let mut last = chunk(json!([]));
        last["usage"] = usage.clone();
        chunks.push(last);
    }
    chunks
}

fn deltas(message: &Value) -> Vec<Value> {
    let role = message.get("role").cloned().unwrap_or_else(|| "assistant".into());
    let mut first = json!({"role": role, "content": ""});
    for (name, value) in message.as_object().into_iter().flatten() {
        match (&**name, value) {
            ("role" | "content", _) => {}
            ("tool_calls", Value::Array(calls)) => {
                first["tool_calls"] = calls.iter().enumerate().map(numbered).collect();
            }
            _ => first[name.as_str()] = value.clone(),
        }
    }
    let text = message["content"].as_str().unwrap_or_default();
    let words = text.split_inclusive(' ').map(|word| json!({"content": word}));
    std::iter::once(first).chain(words).collect()
}

/// A tool call of a stream carries its index.
fn numbered((index, call): (usize, &Value)) -> Value {
    let mut call = call.clone();
    if let Some(members) = call.as_object_mut() {
        members.entry("index").or_insert_with(|| index.into());
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_becomes_its_chunks() {
        let chunks = chunked(&json!({
            "id": "1", "object": "chat.completion", "model": "m",
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "a b", "tool_calls": [{"id": "t"}]},
            }],
            "usage": {"total_tokens": 3},
        }));
        let delta = |index: usize| &chunks[index]["choices"][0]["delta"];
        assert_eq!(chunks.len(), 5);
        let first =
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": "t", "index": 0}]});
        assert_eq!(*delta(0), first);
        assert_eq!((delta(1), delta(2)), (&json!({"content": "a "}), &json!({"content": "b"})));
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
        assert_eq!(chunks[4]["usage"]["total_tokens"], 3);
        assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
        assert_eq!(chunked(&json!({})), [] as [Value; 0]);
    }
}
