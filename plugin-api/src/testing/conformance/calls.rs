//! The odd calls, each with the name of its step in a report.

use super::super::TestCall;
use crate::Endpoint;
use serde_json::json;
use std::time::Duration;

/// A call that a gateway may pass to a hook. A new one is built for each use.
pub(super) struct OddCall {
    pub(super) name: &'static str,
    build: fn() -> TestCall,
}

impl OddCall {
    pub(super) fn build(&self, stream: bool) -> TestCall {
        let call = (self.build)();
        if stream { call.stream() } else { call }
    }
}

pub(super) const ODD_CALLS: [OddCall; 7] = [
    OddCall { name: "an empty body", build: empty_body },
    OddCall { name: "an unknown endpoint", build: unknown_endpoint },
    OddCall { name: "empty texts", build: empty_texts },
    OddCall { name: "unicode", build: unicode },
    OddCall { name: "a prompt of 50 KB", build: long_prompt },
    OddCall { name: "500 messages", build: many_messages },
    OddCall { name: "images and tool calls", build: images_and_tools },
];

fn empty_body() -> TestCall {
    TestCall::with_body(Endpoint::CHAT, json!({}))
}

fn unknown_endpoint() -> TestCall {
    TestCall::with_body(Endpoint(4711), json!({"model": 7, "messages": "none"}))
}

fn empty_texts() -> TestCall {
    TestCall::chat("").key_id("").id("").message("", "")
}

fn unicode() -> TestCall {
    TestCall::chat("モデル-🦀\u{0}\u{7f}")
        .provider("groq")
        .message("user", "\u{feff}ẞ 👩‍👩‍👧 \u{0}\u{202e}")
        .header("x-unicode", "ß")
        .param("user", "🦀")
}

fn long_prompt() -> TestCall {
    let long = "all work and no play ".repeat(50_000 / 21 + 1);
    TestCall::chat("groq-x").provider("groq").message("user", &long)
}

fn many_messages() -> TestCall {
    (0..500).fold(TestCall::chat("openai-x").provider("openai"), |call, turn| {
        call.message(if turn % 2 == 0 { "user" } else { "assistant" }, "and then?")
    })
}

/// A call whose client has disconnected.
fn images_and_tools() -> TestCall {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}});
    let tool_call =
        json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{"}});
    TestCall::chat("gemma3")
        .provider("ollama")
        .cancelled()
        .remaining(Duration::ZERO)
        .param("tools", json!([{"type": "function", "function": {"name": "f"}}, 7]))
        .message_json(
            json!({"role": "user", "content": [{"type": "text", "text": "what?"}, image]}),
        )
        .message_json(json!({"role": "user", "content": [{"type": "image_url"}]}))
        .message_json(json!({"role": "assistant", "content": null, "tool_calls": [tool_call, {}]}))
        .message_json(json!({"role": "tool", "tool_call_id": "c1", "content": "42"}))
        .message_json(json!(null))
}
