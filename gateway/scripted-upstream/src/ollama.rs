//! Replies in Ollama's native format: one JSON object, or NDJSON lines. `openai` decides the
//! content; only the format differs.

use super::{
    answer::{Completion, ToolCall},
    openai,
    prompt::Prompt,
};
use serde_json::{Value, json};

const CREATED_AT: &str = "2026-01-01T00:00:00.000000Z";

pub(super) fn reply(completion: &Completion, prompt: &Prompt) -> String {
    let text = openai::text(completion, prompt).concat();
    let mut message = json!({"role": "assistant", "content": text});
    if let Some(thinking) = &completion.thinking {
        message["thinking"] = json!(thinking);
    }
    let calls = openai::tool_calls(completion, prompt);
    if !calls.is_empty() {
        message["tool_calls"] = calls.iter().map(tool_call).collect();
    }
    last_line(completion, prompt, message).to_string()
}

/// All lines of a stream, without line ends; the one with `done` is last.
pub(super) fn lines(completion: &Completion, prompt: &Prompt) -> Vec<String> {
    let mut messages = Vec::new();
    if let Some(thinking) = &completion.thinking {
        messages.push(json!({"role": "assistant", "content": "", "thinking": thinking}));
    }
    for piece in openai::text(completion, prompt) {
        messages.push(json!({"role": "assistant", "content": piece}));
    }
    for call in &openai::tool_calls(completion, prompt) {
        messages.push(json!({"role": "assistant", "content": "", "tool_calls": [tool_call(call)]}));
    }
    let mut lines: Vec<String> = messages
        .into_iter()
        .map(|message| {
            json!({"model": prompt.model, "created_at": CREATED_AT, "message": message,
                   "done": false})
            .to_string()
        })
        .collect();
    let silent = json!({"role": "assistant", "content": ""});
    lines.push(last_line(completion, prompt, silent).to_string());
    lines
}

pub(super) fn error(message: &str) -> String {
    json!({"error": message}).to_string()
}

fn last_line(completion: &Completion, prompt: &Prompt, message: Value) -> Value {
    // Ollama reports `stop` after a tool call too.
    let done_reason = completion.finish_reason.as_deref().unwrap_or("stop");
    let mut line = json!({"model": prompt.model, "created_at": CREATED_AT});
    line["message"] = message;
    line["done_reason"] = json!(done_reason);
    line["done"] = json!(true);
    line["total_duration"] = json!(5_000_000);
    line["load_duration"] = json!(1000);
    if !completion.without_usage {
        line["prompt_eval_count"] = json!(26);
        line["prompt_eval_duration"] = json!(1000);
        line["eval_count"] = json!(9);
        line["eval_duration"] = json!(2000);
    }
    line
}

fn tool_call(call: &ToolCall) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
    let mut value = json!({"function": {"name": call.name, "arguments": arguments}});
    if let Some(id) = &call.id {
        value["id"] = json!(id);
    }
    value
}
