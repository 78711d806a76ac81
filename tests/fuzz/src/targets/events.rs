//! Streams of other kinds of calls than chat: the same however they are split, and nothing
//! incomplete looks complete.

use super::{
    bounds::in_proportion,
    pieces::{beginnings, same_at_any_cut},
};
use callgate_providers::fuzzing::{TranslatedStream, events};

/// The paths, each with what a whole stream has at least one of.
const PATHS: [(&str, &[&str]); 3] = [
    ("/responses", &["response.completed", "response.incomplete", "response.failed"]),
    ("/messages", &["message_stop"]),
    ("/completions", &["[DONE]", "finish_reason"]),
];

pub(super) const TOKENS: &[&[u8]] = &[
    b"data: ",
    b"data:",
    b"data: [DONE]\n\n",
    b"event: ping\n",
    b"event: error\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b": comment\n",
    b"id: 7\n",
    b"{\"type\":\"response.completed\"}",
    b"{\"type\":\"message_stop\"}",
    b"{\"type\":\"response.output_text.delta\",\"delta\":\"a\"}",
    b"{\"choices\":[{\"text\":\"a\",\"finish_reason\":null}]}",
    b"\"finish_reason\":\"stop\"",
    b"\"usage\":{\"input_tokens\":1}",
    b"{\"error\":{\"message\":\"m\"}}",
    b"{",
    b"}",
    b"<html>",
];

/// What is kept of a stream besides its bytes.
const FIXED: usize = 16 * 1024;

pub(super) fn check(input: &[u8]) {
    for (path, ends) in PATHS {
        let read = |pieces: &[&[u8]]| {
            in_proportion(FIXED + input.len(), 64, || events(path, pieces)).expect("a path")
        };
        whole(input, &same_at_any_cut(input, read), ends);
        for beginning in beginnings(input) {
            whole(beginning, &events(path, &[beginning]).expect("a path"), ends);
        }
    }
}

fn whole(input: &[u8], streamed: &TranslatedStream, ends: &[&str]) {
    let text = String::from_utf8_lossy(input);
    let ended = ends.iter().any(|end| text.contains(end));
    assert!(streamed.fault.is_some() || ended, "without an end: {text}");
}
