//! The parts of a chat request that affect an answer: dialect, model, streaming, usage, tools. The
//! rest of the body is only recorded.

use super::{journal::Received, other_calls::OtherCall};
use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireFormat {
    OpenAi,
    Groq,
    Ollama,
    /// No chat.
    Other(OtherCall),
}

impl WireFormat {
    /// Recognised by the end of the path, because a base URL may have a prefix.
    pub(super) fn of(request: &Received) -> Option<Self> {
        let path = request.path.split('?').next().unwrap_or_default();
        if request.method != "POST" {
            None
        } else if path.ends_with("/api/chat") {
            Some(Self::Ollama)
        } else if path.ends_with("/openai/v1/chat/completions") {
            Some(Self::Groq)
        } else if path.ends_with("/chat/completions") {
            Some(Self::OpenAi)
        } else {
            OtherCall::of(path).map(Self::Other)
        }
    }
}

#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) dialect: WireFormat,
    /// The number of this request at the upstream, from 1; makes ids unique and repeatable.
    pub(super) serial: usize,
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// The first offered tool, unless the client forbids tools or already sends a result.
    pub(super) tool: Option<String>,
}

impl Prompt {
    pub(super) fn read(request: &Received, dialect: WireFormat, serial: usize) -> Self {
        let body = request.json();
        // Ollama streams by default; the others stream only on request.
        let stream = body["stream"].as_bool().unwrap_or(dialect == WireFormat::Ollama);
        Self {
            dialect,
            serial,
            model: request.model(),
            stream,
            include_usage: body["stream_options"]["include_usage"] == Value::Bool(true),
            tool: tool(&body),
        }
    }
}

fn tool(body: &Value) -> Option<String> {
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let has_result = last.is_some_and(|message| message["role"] == "tool");
    if has_result || body["tool_choice"] == "none" {
        return None;
    }
    body["tools"][0]["function"]["name"].as_str().map(str::to_owned)
}
