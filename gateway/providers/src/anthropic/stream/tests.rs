//! Streams, in shapes as Anthropic's documentation has them.

use super::*;
use serde_json::{Value, json};

#[derive(Default)]
struct Chunks(Vec<Value>);

impl ChunkSink for Chunks {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.0.push(serde_json::from_slice(&json.concat()).expect("JSON"));
    }
}

fn run(input: &[u8], size: usize, usage: bool) -> (Vec<Value>, Option<AnswerFault>) {
    let echo = Echo { id: "own".into(), created: 1, model: "m".into() };
    let mut stream = MessageStream::new(&echo, StreamRequest { usage, choices: 1 });
    let mut out = Chunks::default();
    for bytes in input.chunks(size) {
        if let Err(fault) = stream.push(bytes, &mut out) {
            return (out.0, Some(fault));
        }
        if stream.complete() {
            return (out.0, None);
        }
    }
    let fault = stream.close(&mut out).err();
    (out.0, fault)
}

fn wire(events: &[Value]) -> String {
    let event =
        |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(event).collect()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
        "role": "assistant", "content": [], "model": "claude", "stop_reason": null,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}}})
}

fn block(index: u64, block: &Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: &Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn ends(stop_reason: &str) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason},
               "usage": {"output_tokens": 15}}),
        json!({"type": "message_stop"}),
    ]
}

fn deltas(chunks: &[Value]) -> Vec<Value> {
    chunks
        .iter()
        .filter_map(|chunk| chunk["choices"].get(0).map(|choice| choice["delta"].clone()))
        .collect()
}

#[test]
fn events_become_chunks_alike_at_any_cut() {
    let mut events = vec![
        start(),
        json!({"type": "ping"}),
        block(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, &json!({"type": "signature_delta", "signature": "sig"})),
        json!({"type": "content_block_stop", "index": 0}),
        block(1, &json!({"type": "text", "text": ""})),
        delta(1, &json!({"type": "text_delta", "text": "Hé\"\n"})),
        block(2, &json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "1}"})),
        block(3, &json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        delta(3, &json!({"type": "input_json_delta", "partial_json": "{}"})),
        json!({"type": "later_event", "x": 1}),
    ];
    events.extend(ends("tool_use"));
    let wire = wire(&events);
    let (chunks, fault) = run(wire.as_bytes(), wire.len(), true);
    assert_eq!(fault, None);
    assert_eq!(
        deltas(&chunks),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "hm", "thinking_blocks":
                [{"type": "thinking", "thinking": "hm", "signature": null}]}),
            json!({"thinking_blocks":
                [{"type": "thinking", "thinking": "", "signature": "sig"}]}),
            json!({"content": "Hé\"\n"}),
            json!({"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function",
                "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":"}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
            json!({}),
        ]
    );
    let (usage, last) = (&chunks[chunks.len() - 1], &chunks[chunks.len() - 2]);
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((&last["id"], &last["model"]), (&json!("msg_1"), &json!("m")));
    assert_eq!(usage["usage"]["prompt_tokens"], 30);
    assert_eq!(usage["usage"]["total_tokens"], 45);
    for size in 1..wire.len() {
        assert_eq!(run(wire.as_bytes(), size, true).0, chunks, "by {size}");
    }
    let without = run(wire.as_bytes(), 100, false).0;
    assert_eq!(without.len(), chunks.len() - 1);
    assert_eq!(without[0].get("usage"), None);
}

#[test]
fn the_answer_in_json_becomes_text() {
    let mut events = vec![
        start(),
        block(0, &json!({"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {}})),
        delta(0, &json!({"type": "input_json_delta", "partial_json": "{\"a\":1}"})),
    ];
    events.extend(ends("tool_use"));
    let (chunks, fault) = run(wire(&events).as_bytes(), 1000, false);
    assert_eq!(fault, None);
    assert_eq!(deltas(&chunks)[1..], [json!({"content": "{\"a\":1}"}), json!({})]);
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_that_is_not_whole_is_told() {
    let said = [start(), delta(0, &json!({"type": "text_delta", "text": "a"}))];
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let whole = [said.to_vec(), ends("end_turn").to_vec()].concat();
    for (stream, expected) in [
        (wire(&said), "Incomplete"),
        (wire(&whole[..3]), "message_stop"),
        (wire(&[said.to_vec(), vec![json!({"type": "message_stop"})]].concat()), "stop_reason"),
        (wire(&[said.to_vec(), vec![overloaded.clone()]].concat()), "Overloaded"),
        (wire(&[overloaded]), "Overloaded"),
        (wire(&said[1..]), "message_start"),
        (format!("{}data: {{\"type\"", wire(&said)), "Incomplete"),
        (format!("{}data: {{]\n\n", wire(&said)), "Malformed"),
        ("{\"type\":\"error\",\"error\":{\"message\":\"words\"}}".to_owned(), "words"),
        ("data: {\"type\":7}\n\n".to_owned(), "Malformed"),
        ("hello\n\n".to_owned(), "something other"),
        ("\n\n".to_owned(), "empty"),
    ] {
        let whole = run(stream.as_bytes(), stream.len(), false);
        let fault = format!("{:?}", whole.1);
        assert!(fault.contains(expected), "{stream}: {fault}");
        for size in 1..stream.len() {
            assert_eq!(run(stream.as_bytes(), size, false), whole, "{stream} by {size}");
        }
    }
}
