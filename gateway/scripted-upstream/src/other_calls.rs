//! Answers to calls of other kinds than chat: the least that a provider's documentation shows of
//! each, as JSON.

use super::journal::Received;
use serde_json::{Value, json};

/// The kind of call, by the end of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherCall {
    Embeddings,
    /// Ollama's own.
    Embed,
    Moderations,
    Rerank,
    Images,
    Completions,
    Responses,
    Messages,
    Transcripts,
    Speech,
    ImageEdits,
    CountTokens,
}

impl OtherCall {
    const PATHS: [(&str, Self); 13] = [
        ("/embeddings", Self::Embeddings),
        ("/api/embed", Self::Embed),
        ("/moderations", Self::Moderations),
        ("/rerank", Self::Rerank),
        ("/images/generations", Self::Images),
        ("/completions", Self::Completions),
        ("/responses", Self::Responses),
        ("/messages", Self::Messages),
        ("/audio/transcriptions", Self::Transcripts),
        ("/audio/translations", Self::Transcripts),
        ("/audio/speech", Self::Speech),
        ("/images/edits", Self::ImageEdits),
        ("/messages/count_tokens", Self::CountTokens),
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::PATHS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, call)| *call)
    }

    pub(super) fn reply(self, request: &Received) -> String {
        let body = request.json();
        let model = format!("{}-2024-07-18", request.model());
        let usage = json!({"prompt_tokens": 11, "total_tokens": 11});
        match self {
            Self::Embeddings => {
                let data: Vec<_> = (0..count(&body["input"])).map(|at| embedding(at, &body)).collect();
                json!({"object": "list", "data": data, "model": model, "usage": usage})
            }
            Self::Embed => {
                let vectors = vec![json!([0.5, -1.0]); count(&body["input"])];
                json!({"model": body["model"], "embeddings": vectors, "total_duration": 14_143_917,
                    "load_duration": 1_019_500, "prompt_eval_count": 11})
            }
            Self::Moderations => json!({"id": "modr-up1", "model": model, "results": [
                {"flagged": false, "categories": {"hate": false}, "category_scores": {"hate": 0.1}}]}),
            Self::Rerank => json!({"id": "rerank-up1", "results": [
                {"index": 0, "relevance_score": 0.9}], "meta": {"billed_units": {"search_units": 1}}}),
            Self::Completions => json!({"id": "cmpl-up1", "object": "text_completion",
                "created": 1_767_225_600, "model": model, "usage": tokens("prompt", "completion"),
                "choices": [{"index": 0, "text": TEXT.concat(), "logprobs": null,
                    "finish_reason": "stop"}]}),
            Self::Responses => response("completed"),
            Self::Messages => message(&json!([{"type": "text", "text": TEXT.concat()}])),
            Self::Transcripts => json!({"text": TEXT.concat(), "usage": {"type": "tokens",
                "input_tokens": 11, "output_tokens": 4, "total_tokens": 15}}),
            Self::CountTokens => json!({"input_tokens": 11}),
            // Sound has a content type of its own.
            Self::Speech => json!({"audio": ""}),
            Self::Images | Self::ImageEdits => json!({"created": 1_767_225_600, "data": [{"url": "https://up/1.png"}]}),
        }
        .to_string()
    }
}

const TEXT: [&str; 2] = ["Hello", " world"];

/// The events of a stream, with their framing, by the documentation of each API.
impl OtherCall {
    pub(super) fn events(self, request: &Received) -> Vec<String> {
        let model = format!("{}-2024-07-18", request.model());
        match self {
            Self::Completions => {
                let chunk = |text: &str, reason: Value| {
                    json!({"id": "cmpl-up1", "object": "text_completion", "model": model,
                        "choices": [{"index": 0, "text": text, "finish_reason": reason}]})
                };
                let mut chunks = TEXT.map(|text| chunk(text, Value::Null)).to_vec();
                chunks.push(chunk("", json!("stop")));
                let body = request.json();
                if body["stream_options"]["include_usage"] == json!(true) {
                    chunks.push(json!({"id": "cmpl-up1", "object": "text_completion",
                        "model": model, "choices": [], "usage": tokens("prompt", "completion")}));
                }
                let framed = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
                framed.chain(["data: [DONE]\n\n".to_owned()]).collect()
            }
            Self::Messages => {
                let text = |text| {
                    json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "text_delta", "text": text}})
                };
                let [first, second] = TEXT.map(text);
                let events = [
                    json!({"type": "message_start", "message": message(&json!([]))}),
                    json!({"type": "content_block_start", "index": 0,
                        "content_block": {"type": "text", "text": ""}}),
                    json!({"type": "ping"}),
                    first,
                    second,
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                        "usage": {"output_tokens": 4}}),
                    json!({"type": "message_stop"}),
                ];
                events.iter().map(named).collect()
            }
            _ => response_events().iter().map(named).collect(),
        }
    }
}

fn response_events() -> Vec<Value> {
    let of_part = |kind: &str, name: &str, value: Value| {
        json!({"type": format!("response.{kind}"), "item_id": "msg_up1", "output_index": 0,
            "content_index": 0, (name): value})
    };
    let of_item = |kind: &str, item: &Value| json!({"type": format!("response.output_item.{kind}"), "output_index": 0, "item": item});
    let whole = |kind: &str, status| json!({"type": kind, "response": response(status)});
    let item = &response("completed")["output"][0];
    let (mut begun, mut empty) = (item.clone(), item["content"][0].clone());
    (begun["status"], begun["content"]) = (json!("in_progress"), json!([]));
    empty["text"] = json!("");
    let [first, second] = TEXT.map(|text| of_part("output_text.delta", "delta", json!(text)));
    let mut events = vec![
        whole("response.created", "in_progress"),
        of_item("added", &begun),
        of_part("content_part.added", "part", empty),
        first,
        second,
        of_part("output_text.done", "text", json!(TEXT.concat())),
        of_part("content_part.done", "part", item["content"][0].clone()),
        of_item("done", item),
        whole("response.completed", "completed"),
    ];
    events.iter_mut().zip(0..).for_each(|(event, number)| event["sequence_number"] = json!(number));
    events
}

fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

fn tokens(asked: &str, answered: &str) -> Value {
    json!({(format!("{asked}_tokens")): 11, (format!("{answered}_tokens")): 4, "total_tokens": 15})
}

fn response(status: &str) -> Value {
    let text = json!({"type": "output_text", "text": TEXT.concat(), "annotations": []});
    let output = json!([{"id": "msg_up1", "type": "message", "role": "assistant",
        "status": "completed", "content": [text]}]);
    let is_done = status == "completed";
    json!({"id": "resp_up1", "object": "response", "created_at": 1_767_225_600,
        "status": status, "model": "up-2024-07-18",
        "output": if is_done { output } else { json!([]) },
        "usage": if is_done { tokens("input", "output") } else { Value::Null }})
}

fn message(content: &Value) -> Value {
    json!({"id": "msg_up1", "type": "message", "role": "assistant", "model": "up-2024-07-18",
        "content": content, "stop_reason": "end_turn",
        "usage": {"input_tokens": 11, "output_tokens": 4}})
}

/// The sound of a speech: its first byte is no JSON's.
pub(super) const SOUND: &[u8] = b"\xff\xfbsound";

/// The number of inputs; a list of numbers is one text in tokens.
fn count(input: &Value) -> usize {
    input.as_array().filter(|list| !list.iter().all(Value::is_number)).map_or(1, Vec::len)
}

/// 0.5 and -1.0, as numbers or as their bytes.
fn embedding(index: usize, body: &Value) -> Value {
    let vector = match body["encoding_format"].as_str() {
        Some("base64") => json!("AAAAPwAAgL8="),
        _ => json!([0.5, -1.0]),
    };
    json!({"object": "embedding", "index": index, "embedding": vector})
}
