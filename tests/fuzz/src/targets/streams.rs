//! Streams, replies and errors of upstreams in both dialects: the same however they are split, and
//! nothing incomplete looks complete.

use super::{
    bounds::in_proportion,
    pieces::{beginnings, same_at_any_cut},
};
use callgate_providers::fuzzing::{self as provider, DIALECTS, TranslatedStream};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

pub(super) const TOKENS: &[&[u8]] = &[
    b"data: ", b"data:", b"data: [DONE]\n\n", b"\n\n", b"\r\n", b"\r", b": comment\n", b"event: error\n",
    b"\xef\xbb\xbf", b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n",
    b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    b"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}\n\n",
    b"data: {\"error\":{\"message\":\"m\",\"code\":401}}\n\n", b"\"finish_reason\":null", b"\"finish_reason\":\"\"",
    b"\"finish_reason\":\"stop\"", b"\"index\":1", b"\"choices\":[]", b"\"usage\":{\"total_tokens\":3}", b"null",
    b"{\"message\":{\"role\":\"assistant\",\"content\":\"a\"},\"done\":false}\n",
    b"{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n", b"\"done\":true", b"<think>", b"</think>",
    b"\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{}}}]", b"\"thinking\":\"t\"", b"{\"error\":\"words\"}",
    b"{\"detail\":[{\"loc\":[\"body\",0],\"msg\":\"m\"}]}", b"\\ud800", b"1e999", b"{", b"}", b"[", b"]", b",", b"<html>",
    b"\"message\":", b"\"content\":\"x\"", b"\"object\":\"chat.completion\"",
];

/// The number of these in an input sets the number of requested choices.
const ASKED: &[u8] = b": two\n";

pub(super) fn sse(input: &[u8]) {
    let asked = if input.starts_with(ASKED) { 2 } else { 1 };
    let whole = |input: &[u8], streamed: &TranslatedStream| {
        if streamed.fault.is_none() {
            // A completion in place of a stream ends with its last byte, whatever it says of its
            // end.
            if is_json(input) {
                assert!(
                    serde_json::from_slice::<&RawValue>(without_mark(input)).is_ok(),
                    "cut off"
                );
                return;
            }
            let marked = input.windows(6).any(|it| it == b"[DONE]");
            ended(streamed, (!marked).then_some(asked));
        }
    };
    whole(input, &streamed("openai", input, asked));
    for beginning in beginnings(input) {
        whole(beginning, &stream("openai", &[beginning], asked));
    }
}

pub(super) fn ndjson(input: &[u8]) {
    let whole = |input: &[u8], streamed: &TranslatedStream| {
        if streamed.fault.is_none() {
            ended(streamed, Some(1));
            let lines = input.split(|byte| *byte == b'\n').map(without_mark);
            assert!(lines.into_iter().any(is_done), "no line is `done`");
        }
    };
    whole(input, &streamed("ollama_chat", input, 1));
    for beginning in beginnings(input) {
        whole(beginning, &stream("ollama_chat", &[beginning], 1));
    }
}

pub(super) fn reply(input: &[u8]) {
    for dialect in DIALECTS {
        let read = |pieces: &[&[u8]]| {
            in_proportion(input.len(), 256, || provider::reply(dialect, pieces)).map_err(|_| ())
        };
        let Ok(sent) = same_at_any_cut(input, read) else { continue };
        ended(&TranslatedStream { chunks: vec![sent], fault: None }, None);
        for beginning in beginnings(input.trim_ascii_end()) {
            assert!(provider::reply(dialect, &[beginning]).is_err(), "half a reply looks whole");
        }
    }
}

pub(super) fn error(input: &[u8]) {
    for dialect in DIALECTS {
        let said = in_proportion(input.len(), 256, || provider::error(dialect, 400, input));
        let said = said.expect("a dialect");
        assert!(!said[0].is_empty(), "an error without a message");
        let length: usize = said.iter().map(String::len).sum();
        assert!(length <= 16 * input.len() + 1024, "{length} bytes of {}", input.len());
    }
}

fn stream(dialect: &str, pieces: &[&[u8]], asked: u64) -> TranslatedStream {
    provider::stream(dialect, pieces, asked).expect("a dialect")
}

fn streamed(dialect: &str, input: &[u8], asked: u64) -> TranslatedStream {
    same_at_any_cut(input, |pieces| {
        in_proportion(input.len(), 256, || stream(dialect, pieces, asked))
    })
}

fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// Read member by member, because others may be beyond the range of a tree.
fn is_done(line: &[u8]) -> bool {
    let members = serde_json::from_slice::<BTreeMap<String, &RawValue>>(line);
    members.is_ok_and(|members| members.get("done").is_some_and(|done| done.get() == "true"))
}

fn is_json(input: &[u8]) -> bool {
    without_mark(input).trim_ascii_start().starts_with(b"{")
}

/// Numbers, depths and halves of surrogate pairs that JSON allows and `Value` cannot hold.
const BEYOND_A_TREE: [&str; 3] = ["out of range", "recursion limit", "hex escape"];

/// Panics if a choice has not ended by its chunks: none may be open, and if the stream just closed,
/// so many must have a finish reason.
fn ended(streamed: &TranslatedStream, closed: Option<u64>) {
    let mut choices: BTreeMap<u64, [bool; 2]> = BTreeMap::new();
    for chunk in &streamed.chunks {
        let text = String::from_utf8_lossy(chunk);
        let value = match serde_json::from_slice::<Value>(chunk) {
            Ok(value) => value,
            Err(error) if BEYOND_A_TREE.iter().any(|it| error.to_string().contains(it)) => return,
            Err(error) => panic!("{error}: {text}"),
        };
        for (place, choice) in value["choices"].as_array().into_iter().flatten().enumerate() {
            let index = choice["index"].as_u64().unwrap_or(place as u64);
            let reason = choice.get("finish_reason");
            let done = reason.and_then(Value::as_str).is_some_and(|it| !it.is_empty());
            let state = choices.entry(index).or_default();
            *state = [state[0] | reason.is_some(), state[1] | done];
        }
    }
    assert!(!choices.is_empty(), "no choice in what looks whole");
    for (index, [says, done]) in &choices {
        assert!(*done || (closed.is_none() && !says), "choice {index} has not ended");
    }
    let all = closed.is_none_or(|asked| choices.len() as u64 >= asked);
    assert!(all, "{} choices of {closed:?}", choices.len());
}
