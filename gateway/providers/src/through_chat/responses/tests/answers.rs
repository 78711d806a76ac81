//! Completions become responses, and chunks events.

use super::{KIND, echo};
use crate::{AnswerFault, ChunkSink, StreamRequest, by_prefix, through_chat};
use bytes::Bytes;
use callgate_json::Body;
use serde_json::{Value, json};

/// What an answer repeats of a request with these members.
fn echoed(request: &Value) -> Bytes {
    through_chat::echoed(KIND, &Body::parse(request.to_string().into()).unwrap())
}

fn reply(completion: &Value) -> Result<Value, AnswerFault> {
    let echoed = echoed(&json!({"input": "hi", "temperature": 0.5}));
    let made = through_chat::reply(KIND, completion.to_string().as_bytes(), (&echo(), &echoed))?;
    Ok(serde_json::from_slice(&made).unwrap())
}

fn completion(message: Value, finish_reason: &str) -> Value {
    json!({"id": "c1", "model": "asked", "choices": [
        {"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2}}})
}

fn text_item(at: u64, status: &str, text: &str) -> Value {
    json!({"id": format!("msg_u1_{at}"), "type": "message", "status": status, "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]})
}

fn call_item(at: u64, status: &str, call_id: &str, arguments: &str) -> Value {
    json!({"id": format!("fc_u1_{at}"), "type": "function_call", "status": status,
        "call_id": call_id, "name": "f", "arguments": arguments})
}

#[test]
fn a_completion_becomes_a_response() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let thoughts = json!({"id": "rs_u1_0", "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "hm"}]});
    for (message, finish_reason, output, status, details) in [
        (
            json!({"content": "a \"b\""}),
            "stop",
            json!([text_item(0, "completed", "a \"b\"")]),
            "completed",
            json!(null),
        ),
        (
            json!({"content": "cut"}),
            "length",
            json!([text_item(0, "incomplete", "cut")]),
            "incomplete",
            json!({"reason": "max_output_tokens"}),
        ),
        (
            json!({"content": null, "refusal": "no"}),
            "stop",
            json!([{"id": "msg_u1_0", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "refusal", "refusal": "no"}]}]),
            "completed",
            json!(null),
        ),
        (
            json!({"content": "", "reasoning": "hm", "tool_calls": [call("c1", "{\"a\": 1}"), call("", "{}")]}),
            "tool_calls",
            json!([
                thoughts,
                call_item(1, "completed", "c1", "{\"a\": 1}"),
                call_item(2, "completed", "call_u1_1", "{}")
            ]),
            "completed",
            json!(null),
        ),
        (
            json!({"content": ""}),
            "content_filter",
            json!([]),
            "incomplete",
            json!({"reason": "content_filter"}),
        ),
    ] {
        let made = reply(&completion(message, finish_reason)).unwrap();
        assert_eq!(made["output"], output);
        assert_eq!((&made["status"], &made["incomplete_details"]), (&json!(status), &details));
        assert_eq!((&made["id"], &made["object"]), (&json!("c1"), &json!("response")));
        assert_eq!((&made["store"], &made["temperature"]), (&json!(false), &json!(0.5)));
        assert_eq!((&made["tools"], &made["error"]), (&json!([]), &json!(null)));
        let usage = json!({"input_tokens": 10, "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14});
        assert_eq!(made["usage"], usage);
    }
    let object = json!({"id": "c", "function": {"name": "f", "arguments": {"a": "\"b\""}}});
    let made = reply(&completion(json!({"tool_calls": [object]}), "tool_calls")).unwrap();
    assert_eq!(made["output"][0]["arguments"], r#"{"a":"\"b\""}"#);
    let nameless = json!({"tool_calls": [{"id": "c", "function": {"arguments": "{}"}}]});
    let fault = reply(&completion(nameless, "tool_calls")).unwrap_err();
    assert!(matches!(fault, AnswerFault::Malformed(_)), "{fault:?}");
}

#[derive(Default)]
struct Events(Vec<Value>);

impl ChunkSink for Events {
    fn chunk(&mut self, _: &[&[u8]]) {
        panic!("an event without a name");
    }

    fn event(&mut self, name: &[u8], json: &[&[u8]]) {
        let json: Value = serde_json::from_slice(&json.concat()).unwrap();
        assert_eq!(json["type"], *std::str::from_utf8(name).unwrap());
        assert_eq!(json["sequence_number"], self.0.len());
        self.0.push(json);
    }
}

/// The events of a stream that comes in pieces of this size.
fn streamed(wire: &str, size: usize) -> (Vec<Value>, Option<AnswerFault>) {
    let dialect = by_prefix("openai").unwrap().dialect;
    let chat = dialect.stream(&echo(), StreamRequest { usage: true, choices: 1 });
    let echoed = echoed(&json!({"input": "hi"}));
    let mut stream = through_chat::stream(KIND, chat, (&echo(), &echoed));
    let mut events = Events::default();
    for piece in wire.as_bytes().chunks(size) {
        if let Err(fault) = stream.push(piece, &mut events) {
            return (events.0, Some(fault));
        }
    }
    let fault = if stream.complete() { None } else { stream.close(&mut events).err() };
    (events.0, fault)
}

fn wire(deltas: &[Value], finish_reason: &str) -> String {
    let chunk = |delta: &Value, reason: Value| {
        json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let chunks = deltas.iter().map(|delta| chunk(delta, Value::Null));
    let usage = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
        "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}});
    let chunks = chunks.chain([chunk(&json!({}), json!(finish_reason)), usage]);
    chunks
        .map(|chunk| format!("data: {chunk}\n\n"))
        .chain(["data: [DONE]\n\n".to_owned()])
        .collect()
}

#[test]
fn chunks_become_events_in_order_however_they_are_divided() {
    let call = |index: u64, rest: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"tool_calls": [call]})
    };
    let wire = wire(
        &[
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "h"}),
            json!({"reasoning_content": "m"}),
            json!({"content": "He\"y\""}),
            json!({"content": " ä"}),
            call(0, json!({"id": "c1", "function": {"name": "f", "arguments": ""}})),
            call(0, json!({"function": {"arguments": "{\"a\""}})),
            call(0, json!({"function": {"arguments": ":1}"}})),
            call(1, json!({"id": "c2", "function": {"name": "f", "arguments": "{}"}})),
        ],
        "tool_calls",
    );
    let (whole, fault) = streamed(&wire, usize::MAX);
    assert_eq!(fault, None);
    let types: Vec<_> = whole.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(types, expected);
    assert_eq!(whole[0]["response"]["status"], "in_progress");
    assert_eq!(whole[2]["item"], json!({"id": "rs_u1_0", "type": "reasoning", "summary": []}));
    assert_eq!(whole[6]["text"], "hm");
    assert_eq!(whole[11]["delta"], "He\"y\"");
    assert_eq!((&whole[11]["output_index"], &whole[11]["content_index"]), (&json!(1), &json!(0)));
    assert_eq!(
        (&whole[13]["text"], &whole[13]["item_id"]),
        (&json!("He\"y\" ä"), &json!("msg_u1_1"))
    );
    assert_eq!(whole[15]["item"], text_item(1, "completed", "He\"y\" ä"));
    assert_eq!(whole[16]["item"], call_item(2, "in_progress", "c1", ""));
    assert_eq!(whole[19]["arguments"], "{\"a\":1}");
    let last = &whole.last().unwrap()["response"];
    assert_eq!(
        (&last["status"], &last["usage"]["total_tokens"]),
        (&json!("completed"), &json!(14))
    );
    let done = whole.iter().filter(|event| event["type"] == "response.output_item.done");
    let items: Vec<_> = done.map(|event| event["item"].clone()).collect();
    assert_eq!(last["output"], json!(items));
    for size in 1..80 {
        assert_eq!(streamed(&wire, size), (whole.clone(), None), "{size}");
    }
}

#[test]
fn a_stream_says_that_it_was_cut_by_its_limit() {
    let wire = wire(&[json!({"role": "assistant", "content": "He"})], "length");
    let (events, fault) = streamed(&wire, 7);
    assert_eq!(fault, None);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(last["response"]["output"], json!([text_item(0, "incomplete", "He")]));
}

#[test]
fn a_broken_stream_has_no_end() {
    let wire = wire(&[json!({"role": "assistant", "content": "He"})], "stop");
    // Without the finish reason, wherever it breaks.
    let end = wire.find("\"stop\"").unwrap();
    for end in 0..end {
        let (events, fault) = streamed(&wire[..end], 64);
        assert!(fault.is_some(), "{end}");
        assert!(events.iter().all(|event| event["type"] != "response.completed"), "{end}");
    }
}
