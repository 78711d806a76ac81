//! What a response repeats of its request.

use bytes::Bytes;
use callgate_json::Body;

/// The members that every response repeats, with the value for clients that do not set them.
const ECHOED: [(&str, &str); 14] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// The members of a response that come from its request, each after a comma.
pub(in super::super) fn echoed(body: &Body) -> Bytes {
    let mut out = b",\"store\":false".to_vec();
    for (name, default) in ECHOED {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match body.member(name).filter(|value| **value != *b"null") {
            Some(value) => out.extend_from_slice(&value),
            None => out.extend_from_slice(default.as_bytes()),
        }
    }
    out.into()
}
