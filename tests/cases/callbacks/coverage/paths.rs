//! The paths of calls: what is asked there, at which of the providers, and as a stream or not.

use super::table::{Client, Row};
use callgate_tests::client::Request;
use serde_json::{Value, json};

/// The paths of chats, which are asked at every provider in both forms.
pub(super) const CHATS: [&str; 5] = [
    "/v1/chat/completions",
    "/chat/completions",
    "/cursor/chat/completions",
    "/engines/{model}/chat/completions",
    "/openai/deployments/{model}/chat/completions",
];

/// The paths of other kinds of calls, with a provider that serves them, and the member without
/// which there is nothing to answer.
pub(super) const OTHERS: [(&str, &str, &str); 11] = [
    ("/v1/embeddings", "openai", "input"),
    ("/engines/{model}/embeddings", "ollama", "input"),
    ("/v1/completions", "openai", "prompt"),
    ("/v1/responses", "groq", ""),
    ("/v1/messages", "ollama", "messages"),
    ("/v1/moderations", "openai", "input"),
    ("/v1/rerank", "openai", "query"),
    ("/v1/images/generations", "openai", "prompt"),
    ("/v1/images/edits", "openai", ""),
    ("/v1/audio/speech", "openai", "input"),
    ("/v1/audio/transcriptions", "openai", ""),
];

/// The paths whose calls become chats where the provider does not serve them.
const THROUGH_CHAT: [(&str, &str); 2] = [("/v1/messages", "openai"), ("/v1/completions", "groq")];

/// Rows that are about chats and what they can answer: the gateway and callbacks answer no other
/// call with a text.
const OF_CHATS: [&str; 4] = ["mock", "reply", "stream", "broken-stream"];

const ANSWERED_BY_CHATS: [&str; 3] = ["/v1/completions", "/v1/messages", "/v1/responses"];

const BOUNDARY: &str = "xxBOUNDARYxx";

/// Whether the row is played at the path, at the provider, in the form.
pub(super) fn is_played(row: &Row, path: &str, provider: &str, stream: bool) -> bool {
    let Some((_, serves, needs)) = OTHERS.iter().find(|(other, ..)| *other == path) else {
        return CHATS.contains(&path);
    };
    let streams = ["/v1/completions", "/v1/responses", "/v1/messages"].contains(&path);
    let asks_nothing = row.client == Client::NoMessages && needs.is_empty();
    let is_played_here = *serves == provider || THROUGH_CHAT.contains(&(path, provider));
    is_played_here
        && (streams || !stream)
        && !asks_nothing
        && (!OF_CHATS.contains(&row.key) || ANSWERED_BY_CHATS.contains(&path))
}

/// The request for what is asked at the path.
pub(super) fn asking(request: Request, path: &str, model: &str) -> Request {
    if path.ends_with("/chat/completions") {
        return request;
    }
    if path.ends_with("/transcriptions") || path.ends_with("/edits") {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        return request.header("content-type", &content_type).body(form(model));
    }
    let mut asked = json!({"model": model, "input": "hi", "prompt": "hi"});
    if path.ends_with("/rerank") {
        asked = json!({"model": model, "query": "hi", "documents": ["a", "b"]});
    }
    if path.ends_with("/messages") {
        asked = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    }
    if path.ends_with("/embeddings") || path.ends_with("/responses") {
        asked = json!({"model": model, "input": "hi"});
    }
    request.json(asked)
}

/// The request without what it asks.
pub(super) fn asking_nothing(request: Request, path: &str) -> Request {
    let other = OTHERS.iter().find(|(other, ..)| *other == path);
    request.set(other.map_or("messages", |(.., needs)| needs), Value::Null)
}

fn form(model: &str) -> String {
    let part = |head: &str, content: &str| {
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n")
    };
    let file = part("name=\"file\"; filename=\"a.mp3\"", "sound");
    let image = part("name=\"image\"; filename=\"a.png\"", "picture");
    let fields = [part("name=\"model\"", model), part("name=\"prompt\"", "hi")].concat();
    format!("{fields}{file}{image}--{BOUNDARY}--\r\n")
}
