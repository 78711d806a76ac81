//! Requests of other APIs that become chats, and chats' answers that become theirs.

use super::{
    bounds::in_proportion,
    pieces::{beginnings, same_at_any_cut},
};
use callgate_providers::fuzzing::{TranslatedStream, answer_of_chat, chat_of, events_of_chat};
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The paths, each with the ends of a whole stream.
const PATHS: [(&str, &[&str]); 2] = [
    ("/messages", &["message_stop"]),
    ("/responses", &["response.completed", "response.incomplete"]),
];

pub(super) const TOKENS: &[&[u8]] = &[
    b"data: ",
    b"data: [DONE]\n\n",
    b"\n\n",
    b"{\"role\":\"user\",\"content\":\"a\"}",
    b"{\"role\":\"assistant\",\"content\":[]}",
    b"{\"type\":\"text\",\"text\":\"a\"}",
    b"{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}",
    b"{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"a\"}",
    b"{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}",
    b"{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"a\"}",
    b"\"messages\":[]",
    b"\"input\":[]",
    b"\"system\":[]",
    b"\"tools\":[{\"name\":\"f\"}]",
    b"\"tool_choice\":{\"type\":\"any\"}",
    b"\"finish_reason\":\"stop\"",
    b"\"delta\":{\"content\":\"a\"}",
    b"\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]",
    b"\"reasoning_content\":\"a\"",
    b"null",
    b"\\ud800",
    b"{",
    b"}",
];

/// What is kept of a stream besides its bytes.
const FIXED: usize = 64 * 1024;

pub(super) fn check(input: &[u8]) {
    for (path, ends) in PATHS {
        let asked =
            |pieces: &[&[u8]]| in_proportion(FIXED + input.len(), 64, || chat_of(path, pieces));
        if let Ok(chat) = same_at_any_cut(input, asked) {
            assert!(object(&chat).contains_key("messages"));
        }
        if let Ok(answer) = in_proportion(FIXED + input.len(), 64, || answer_of_chat(path, input)) {
            assert!(object(&answer).contains_key("usage"));
        }
        let read = |pieces: &[&[u8]]| {
            in_proportion(FIXED + input.len(), 256, || events_of_chat(path, "openai", pieces))
                .expect("a path and a provider")
        };
        whole(&same_at_any_cut(input, read), ends);
        for beginning in beginnings(input) {
            whole(&events_of_chat(path, "openai", &[beginning]).expect("a path"), ends);
        }
    }
}

/// A stream ends with its last event, or is at fault; each event is JSON.
fn whole(streamed: &TranslatedStream, ends: &[&str]) {
    let kind = |json: &Vec<u8>| {
        let kind = object(json).get("type").map(|kind| kind.get().trim_matches('"').to_owned());
        kind.expect("an event has a type")
    };
    let kinds: Vec<_> = streamed.chunks.iter().map(kind).collect();
    let has_ended = kinds.last().is_some_and(|last| ends.contains(&&**last));
    assert_eq!(has_ended, streamed.fault.is_none(), "{:?}", streamed.fault);
}

/// The members. Half a surrogate pair in a text is JSON, too.
fn object(json: &[u8]) -> HashMap<String, &RawValue> {
    serde_json::from_slice(json).expect("it is a JSON object")
}
