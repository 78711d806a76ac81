//! Replies in OpenAI's and Groq's wire format: JSON texts and headers, no framing. Groq differs in
//! ids, in `x_groq`, and in where a stream reports usage.

use super::{
    answer::{Completion, ToolCall},
    prompt::{Prompt, WireFormat},
};
use serde_json::{Map, Value, json};

const CREATED: u64 = 1_767_225_600;

pub(super) fn headers(prompt: &Prompt) -> String {
    let serial = prompt.serial;
    format!(
        "x-request-id: req_scripted{serial}\r\nopenai-processing-ms: 12\r\n\
         x-ratelimit-limit-requests: 1000\r\nx-ratelimit-remaining-requests: 999\r\n\
         x-ratelimit-limit-tokens: 6000\r\nx-ratelimit-remaining-tokens: 5000\r\n"
    )
}

/// Indented as OpenAI sends it, compact as Groq does: forwarding must not depend on it.
pub(super) fn reply(completion: &Completion, prompt: &Prompt) -> String {
    let mut message = json!({"role": "assistant", "content": text(completion, prompt).concat()});
    let calls = tool_calls(completion, prompt);
    if !calls.is_empty() {
        message["content"] = Value::Null;
        message["tool_calls"] = calls.iter().map(|call| tool_call(call, &call.arguments)).collect();
    }
    if let Some(thinking) = &completion.thinking {
        message["reasoning"] = json!(thinking);
    }
    if prompt.dialect == WireFormat::OpenAi {
        message["refusal"] = Value::Null;
        message["annotations"] = json!([]);
    }
    let mut body = envelope("chat.completion", prompt);
    let finish_reason = finish_reason(completion, prompt);
    body.insert(
        "choices".to_owned(),
        json!([{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}]),
    );
    if !completion.without_usage {
        body.insert("usage".to_owned(), usage());
    }
    if prompt.dialect == WireFormat::OpenAi {
        body.insert("service_tier".to_owned(), json!("default"));
        return serde_json::to_string_pretty(&body).unwrap_or_default();
    }
    body.insert("x_groq".to_owned(), json!({"id": groq_id(prompt)}));
    Value::Object(body).to_string()
}

/// The JSON of every event of a stream, `[DONE]` last.
pub(super) fn events(completion: &Completion, prompt: &Prompt) -> Vec<String> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    deltas.extend(completion.thinking.iter().map(|thinking| json!({"reasoning": thinking})));
    let calls = tool_calls(completion, prompt);
    if calls.is_empty() {
        deltas.extend(text(completion, prompt).iter().map(|piece| json!({"content": piece})));
    }
    for (index, call) in calls.iter().enumerate() {
        let mut opening = tool_call(call, "");
        opening["index"] = json!(index);
        deltas.push(json!({"tool_calls": [opening]}));
        // Two pieces, as a model streams them, split at a character boundary.
        let middle = call.arguments.floor_char_boundary(call.arguments.len() / 2);
        let (first, second) = call.arguments.split_at(middle);
        for piece in [first, second] {
            let function = json!({"arguments": piece});
            deltas.push(json!({"tool_calls": [{"index": index, "function": function}]}));
        }
    }
    let mut events: Vec<Map<String, Value>> =
        deltas.into_iter().map(|delta| chunk(prompt, delta, Value::Null)).collect();
    events.push(chunk(prompt, json!({}), json!(finish_reason(completion, prompt))));
    add_usage(&mut events, completion, prompt);
    let mut texts: Vec<String> = events.into_iter().map(|e| Value::Object(e).to_string()).collect();
    texts.push("[DONE]".to_owned());
    texts
}

pub(super) fn error(kind: &str, code: &str, message: &str) -> String {
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
}

fn add_usage(events: &mut Vec<Map<String, Value>>, completion: &Completion, prompt: &Prompt) {
    if prompt.dialect == WireFormat::Groq {
        let mut own = json!({"id": groq_id(prompt)});
        if let Some(first) = events.first_mut() {
            first.insert("x_groq".to_owned(), own.clone());
        }
        if !completion.without_usage {
            own["usage"] = usage();
        }
        if let Some(last) = events.last_mut() {
            last.insert("x_groq".to_owned(), own);
        }
    }
    if prompt.include_usage && !completion.without_usage {
        let mut last = envelope("chat.completion.chunk", prompt);
        last.insert("choices".to_owned(), json!([]));
        last.insert("usage".to_owned(), usage());
        events.push(last);
    }
}

fn chunk(prompt: &Prompt, delta: Value, finish_reason: Value) -> Map<String, Value> {
    let mut chunk = envelope("chat.completion.chunk", prompt);
    let mut choice = json!({"index": 0, "logprobs": null});
    choice["delta"] = delta;
    choice["finish_reason"] = finish_reason;
    chunk.insert("choices".to_owned(), Value::Array(vec![choice]));
    if prompt.include_usage && prompt.dialect == WireFormat::OpenAi {
        // If usage was requested, OpenAI repeats a null on every chunk.
        chunk.insert("usage".to_owned(), Value::Null);
    }
    chunk
}

fn envelope(object: &str, prompt: &Prompt) -> Map<String, Value> {
    // OpenAI replies with the dated snapshot of the requested model, Groq with its name.
    let (id, model) = match prompt.dialect {
        WireFormat::Groq => (format!("chatcmpl-groq{}", prompt.serial), prompt.model.clone()),
        _ => (format!("chatcmpl-up{}", prompt.serial), format!("{}-2024-07-18", prompt.model)),
    };
    let mut envelope = Map::new();
    envelope.insert("id".to_owned(), json!(id));
    envelope.insert("object".to_owned(), json!(object));
    envelope.insert("created".to_owned(), json!(CREATED));
    envelope.insert("model".to_owned(), json!(model));
    envelope.insert("system_fingerprint".to_owned(), json!("fp_scripted"));
    envelope
}

fn usage() -> Value {
    json!({"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15,
           "prompt_tokens_details": {"cached_tokens": 3}})
}

fn groq_id(prompt: &Prompt) -> String {
    format!("req_groq{}", prompt.serial)
}

fn tool_call(call: &ToolCall, arguments: &str) -> Value {
    let function = json!({"name": call.name, "arguments": arguments});
    let mut value = json!({"type": "function", "function": function});
    if let Some(id) = &call.id {
        value["id"] = json!(id);
    }
    value
}

/// The scripted calls; otherwise, if tools were offered and no text was scripted, a call of the
/// first tool.
pub(super) fn tool_calls(completion: &Completion, prompt: &Prompt) -> Vec<ToolCall> {
    let scripted = !completion.tool_calls.is_empty() || completion.text.is_some();
    match &prompt.tool {
        Some(name) if !scripted => {
            let id =
                (prompt.dialect != WireFormat::Ollama).then(|| format!("call_up{}", prompt.serial));
            vec![ToolCall { id, name: name.clone(), arguments: r#"{"city":"Paris"}"#.to_owned() }]
        }
        _ => completion.tool_calls.clone(),
    }
}

pub(super) fn text(completion: &Completion, prompt: &Prompt) -> Vec<String> {
    match &completion.text {
        Some(pieces) => pieces.clone(),
        None if tool_calls(completion, prompt).is_empty() => {
            ["Hello", " wor", "ld", "!"].map(str::to_owned).to_vec()
        }
        None => Vec::new(),
    }
}

pub(super) fn finish_reason(completion: &Completion, prompt: &Prompt) -> String {
    let usual = if tool_calls(completion, prompt).is_empty() { "stop" } else { "tool_calls" };
    completion.finish_reason.clone().unwrap_or_else(|| usual.to_owned())
}
