//! Completions become messages, and chunks events.

use super::{KIND, echo};
use crate::{AnswerFault, ChunkSink, StreamRequest, by_prefix, through_chat};
use bytes::Bytes;
use serde_json::{Value, json};

fn reply(completion: &Value) -> Result<Value, AnswerFault> {
    let made =
        through_chat::reply(KIND, completion.to_string().as_bytes(), (&echo(), &Bytes::new()))?;
    Ok(serde_json::from_slice(&made).unwrap())
}

fn completion(message: Value, finish_reason: &str) -> Value {
    json!({"id": "c1", "model": "asked", "choices": [
        {"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 3}}})
}

#[test]
fn a_completion_becomes_a_message() {
    let call = |id: &str, arguments: &str| {
        json!({"id": id, "type": "function",
        "function": {"name": "f", "arguments": arguments}})
    };
    for (message, finish_reason, content, stop_reason) in [
        (
            json!({"role": "assistant", "content": "a \"b\""}),
            "stop",
            json!([{"type": "text", "text": "a \"b\""}]),
            "end_turn",
        ),
        (json!({"content": ""}), "stop", json!([]), "end_turn"),
        (
            json!({"content": "cut"}),
            "length",
            json!([{"type": "text", "text": "cut"}]),
            "max_tokens",
        ),
        (
            json!({"content": null, "refusal": "no"}),
            "stop",
            json!([{"type": "text", "text": "no"}]),
            "refusal",
        ),
        (json!({"content": ""}), "content_filter", json!([]), "refusal"),
        (
            json!({"content": "x", "reasoning_content": "hm", "tool_calls": [call("t1", "{\"a\": 1}"), call("t2", "")]}),
            "tool_calls",
            json!([
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "x"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {}}]),
            "tool_use",
        ),
        (
            json!({"content": null, "tool_calls": [call("", "{}")]}),
            "stop",
            json!([{"type": "tool_use", "id": "toolu_chatcmpl-1_0", "name": "f", "input": {}}]),
            "tool_use",
        ),
        // A call that the limit has cut would look whole.
        (
            json!({"content": null, "tool_calls": [call("t1", "{\"a\": ")]}),
            "length",
            json!([]),
            "max_tokens",
        ),
        (
            json!({"content": [{"type": "text", "text": "p"}, {"type": "text", "text": "q"}],
                "reasoning_content": "hm", "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "redacted_thinking", "data": "d"}]}),
            "stop",
            json!([{"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"}, {"type": "text", "text": "pq"}]),
            "end_turn",
        ),
    ] {
        let made = reply(&completion(message, finish_reason)).unwrap();
        let expected = json!({"id": "c1", "type": "message", "role": "assistant", "model": "asked",
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 7, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 3, "output_tokens": 4}});
        assert_eq!(made, expected);
    }
    // Some servers send the object in place of its text, and odd counts.
    let object = json!({"id": "t", "function": {"name": "f", "arguments": {"a": "\"b\""}}});
    let mut odd = completion(json!({"tool_calls": [object]}), "tool_calls");
    odd["usage"] = json!({"prompt_tokens": 1.5});
    let made = reply(&odd).unwrap();
    assert_eq!(made["content"][0]["input"], json!({"a": "\"b\""}));
    assert_eq!(made["usage"]["input_tokens"], 0);
    let broken = json!({"tool_calls": [call("t1", "{\"a\": ")]});
    let fault = reply(&completion(broken, "tool_calls")).unwrap_err();
    assert!(matches!(fault, AnswerFault::Malformed(_)), "{fault:?}");
}

#[derive(Default)]
struct Events(Vec<(String, Value)>);

impl ChunkSink for Events {
    fn chunk(&mut self, _: &[&[u8]]) {
        panic!("an event without a name");
    }

    fn event(&mut self, name: &[u8], json: &[&[u8]]) {
        let json: Value = serde_json::from_slice(&json.concat()).unwrap();
        assert_eq!(json["type"], *std::str::from_utf8(name).unwrap());
        self.0.push((String::from_utf8(name.to_vec()).unwrap(), json));
    }
}

/// The events of a stream that comes in pieces of this size.
fn streamed(chunks: &[Value], size: usize) -> (Vec<(String, Value)>, Option<AnswerFault>) {
    let wire: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let wire = wire + "data: [DONE]\n\n";
    let dialect = by_prefix("openai").unwrap().dialect;
    let chat = dialect.stream(&echo(), StreamRequest { usage: true, choices: 1 });
    let (mut stream, mut events) =
        (through_chat::stream(KIND, chat, (&echo(), &Bytes::new())), Events::default());
    for piece in wire.as_bytes().chunks(size) {
        if let Err(fault) = stream.push(piece, &mut events) {
            return (events.0, Some(fault));
        }
    }
    let fault = if stream.complete() { None } else { stream.close(&mut events).err() };
    (events.0, fault)
}

fn delta(delta: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
        "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> [Value; 2] {
    [
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}),
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}}),
    ]
}

#[test]
fn chunks_become_events_however_they_are_divided() {
    let call = |index: u64, rest: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        delta(json!({"tool_calls": [call]}))
    };
    let mut chunks = vec![
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "h"})),
        delta(json!({"reasoning_content": "m"})),
        delta(json!({"content": "He\"y\""})),
        delta(json!({"content": " ä"})),
        call(
            0,
            json!({"id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}),
        ),
        call(0, json!({"function": {"arguments": "{\"a\""}})),
        call(0, json!({"function": {"arguments": ":1}"}})),
        call(
            1,
            json!({"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}}),
        ),
    ];
    chunks.extend(finish("tool_calls"));
    let (whole, fault) = streamed(&chunks, usize::MAX);
    assert_eq!(fault, None);
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let piece = |index: u64, piece: Value| json!({"type": "content_block_delta", "index": index, "delta": piece});
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let expected = [
        json!({"type": "message_start", "message": {"id": "c1", "type": "message",
            "role": "assistant", "model": "asked", "content": [], "stop_reason": null,
            "stop_sequence": null, "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": 0}}}),
        json!({"type": "ping"}),
        block(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        piece(0, json!({"type": "thinking_delta", "thinking": "h"})),
        piece(0, json!({"type": "thinking_delta", "thinking": "m"})),
        stop(0),
        block(1, json!({"type": "text", "text": ""})),
        piece(1, json!({"type": "text_delta", "text": "He\"y\""})),
        piece(1, json!({"type": "text_delta", "text": " ä"})),
        stop(1),
        block(2, json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}})),
        piece(2, json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
        piece(2, json!({"type": "input_json_delta", "partial_json": ":1}"})),
        stop(2),
        block(3, json!({"type": "tool_use", "id": "t2", "name": "g", "input": {}})),
        piece(3, json!({"type": "input_json_delta", "partial_json": "{}"})),
        stop(3),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null},
            "usage": {"input_tokens": 10, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": 4}}),
        json!({"type": "message_stop"}),
    ];
    let found: Vec<_> = whole.iter().map(|(_, json)| json.clone()).collect();
    assert_eq!(found, expected);
    for size in 1..80 {
        assert_eq!(streamed(&chunks, size), (whole.clone(), None), "{size}");
    }
}

#[test]
fn arguments_that_are_an_object_become_text() {
    let call = json!({"id": "t1", "function": {"name": "f", "arguments": {"a": "\"b\""}}});
    let mut chunks = vec![delta(json!({"role": "assistant", "tool_calls": [call]}))];
    chunks.extend(finish("tool_calls"));
    let (events, fault) = streamed(&chunks, 11);
    assert_eq!(fault, None);
    let mut pieces = events.iter().filter_map(|(_, json)| json["delta"]["partial_json"].as_str());
    assert_eq!(pieces.next(), Some(r#"{"a":"\"b\""}"#));
}

#[test]
fn a_cut_stream_has_no_end() {
    let mut chunks = vec![delta(json!({"role": "assistant", "content": "He"}))];
    let wire: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let dialect = by_prefix("openai").unwrap().dialect;
    for end in 0..=wire.len() {
        let chat = dialect.stream(&echo(), StreamRequest { usage: true, choices: 1 });
        let (mut stream, mut events) =
            (through_chat::stream(KIND, chat, (&echo(), &Bytes::new())), Events::default());
        stream.push(&wire.as_bytes()[..end], &mut events).unwrap();
        assert!(stream.close(&mut events).is_err(), "{end}");
        assert!(events.0.iter().all(|(name, _)| name != "message_stop"), "{end}");
    }
    chunks.extend(finish("stop"));
    assert_eq!(streamed(&chunks, 9).1, None);
    // A piece of a call that is over has no place.
    let calls = [
        json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}),
        json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}),
        json!({"index": 0, "function": {"arguments": "}"}}),
    ];
    let mixed = calls.map(|call| delta(json!({"tool_calls": [call]})));
    assert!(matches!(streamed(&mixed, 9).1, Some(AnswerFault::Malformed(_))));
}

#[test]
fn thoughts_of_anthropics_models_keep_their_signatures() {
    let mut chunks = vec![
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"reasoning_content": "h", "thinking_blocks":
            [{"type": "thinking", "thinking": "h", "signature": null}]})),
        delta(json!({"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s"}]})),
        delta(json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]})),
        delta(json!({"content": "x"})),
    ];
    chunks.extend(finish("stop"));
    let (events, fault) = streamed(&chunks, 50);
    assert_eq!(fault, None);
    let kinds: Vec<_> = events
        .iter()
        .filter_map(|(_, json)| {
            let delta = json["delta"]["type"].as_str();
            delta.or_else(|| json["content_block"]["type"].as_str())
        })
        .collect();
    let expected = [
        "thinking",
        "thinking_delta",
        "signature_delta",
        "redacted_thinking",
        "text",
        "text_delta",
    ];
    assert_eq!(kinds, expected);
}
