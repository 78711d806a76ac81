//! Requests and answers as OpenAI's documentation writes them, both ways.

use crate::{
    AnswerFault, CallKind, ChunkSink, Echo, ParamRules, StreamRequest, by_prefix,
    through_chat::{self, ChatTarget},
};
use bytes::Bytes;
use callgate_json::Body;
use serde_json::{Value, json};

const KIND: CallKind = CallKind::Completions;

fn echo() -> Echo {
    Echo { id: "chatcmpl-1".into(), created: 1, model: "asked".into() }
}

/// The chat of a request, or the text and the parameter of its refusal.
fn chat(request: &Value, drop_unsupported: bool) -> Result<Value, (String, String)> {
    let rules = ParamRules { drop_unsupported, ..ParamRules::default() };
    let to = ChatTarget { rules: &rules, stream: request["stream"] == true };
    let body = Body::parse(request.to_string().into()).unwrap();
    match through_chat::request(KIND, &body, &to) {
        Ok(chat) => Ok(serde_json::from_slice(&chat.render().concat()).unwrap()),
        Err(failure) => {
            Err((failure.message.to_string(), failure.param.clone().unwrap_or_default()))
        }
    }
}

#[test]
fn a_prompt_becomes_the_message_of_a_user() {
    let message = json!([{"role": "user", "content": "a \"b\""}]);
    for prompt in [json!("a \"b\""), json!(["a \"b\""])] {
        let request = json!({"model": "m", "prompt": prompt, "max_tokens": 5, "n": 2,
            "stop": ["x"], "logit_bias": {"1": 2}, "echo": false, "best_of": 1, "suffix": null,
            "stream": true, "stream_options": {"include_usage": true}, "top_k": 3});
        let expected = json!({"messages": message, "max_tokens": 5, "n": 2, "stop": ["x"],
            "logit_bias": {"1": 2}, "stream": true, "stream_options": {"include_usage": true},
            "top_k": 3});
        assert_eq!(chat(&request, false).unwrap(), expected);
    }
    let of = |logprobs: u8| chat(&json!({"prompt": "a", "logprobs": logprobs}), false).unwrap();
    assert_eq!((&of(0)["logprobs"], of(0).get("top_logprobs")), (&json!(true), None));
    assert_eq!((&of(3)["logprobs"], &of(3)["top_logprobs"]), (&json!(true), &json!(3)));
}

#[test]
fn what_no_chat_has_is_refused_by_name_or_dropped() {
    let with = |name: &str, value: Value| {
        let mut request = json!({"prompt": "a"});
        request[name] = value;
        request
    };
    for (name, value) in [
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
        ("prompt", json!([])),
        ("prompt", json!(7)),
        ("prompt", Value::Null),
        ("logprobs", json!(true)),
        ("logprobs", json!(-1)),
    ] {
        let (message, param) = chat(&with(name, value), true).unwrap_err();
        assert!(param == name && message.contains(&format!("`{name}`")), "{message}");
    }
    for (name, value) in [("suffix", json!("z")), ("echo", json!(true)), ("best_of", json!(3))] {
        let request = with(name, value);
        assert_eq!(chat(&request, false).unwrap_err().1, name);
        assert_eq!(chat(&request, true).unwrap().get(name), None);
    }
}

#[test]
fn a_completion_becomes_a_text_completion() {
    let token = |token: &str, logprob: f64| {
        json!({"token": token, "logprob": logprob,
        "bytes": null, "top_logprobs": [{"token": token, "logprob": logprob, "bytes": null},
            {"token": "z", "logprob": -9.5, "bytes": null}]})
    };
    let completion = json!({"id": "c1", "object": "chat.completion", "created": 5, "model": "asked",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "é\n\""},
                "logprobs": {"content": [token("é", -0.5), token("\n\"", -1.0)]},
                "finish_reason": "stop"},
            {"index": 1, "message": {"content": null, "refusal": "no"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let reply =
        through_chat::reply(KIND, completion.to_string().as_bytes(), (&echo(), &Bytes::new()))
            .unwrap();
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    let expected = json!({"id": "c1", "object": "text_completion", "created": 5, "model": "asked",
        "choices": [
            {"index": 0, "text": "é\n\"", "finish_reason": "stop", "logprobs": {
                "tokens": ["é", "\n\""], "token_logprobs": [-0.5, -1.0], "text_offset": [0, 1],
                "top_logprobs": [{"é": -0.5, "z": -9.5}, {"\n\"": -1.0, "z": -9.5}]}},
            {"index": 1, "text": "no", "logprobs": null, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    assert_eq!(reply, expected);
}

#[derive(Default)]
struct Chunks(Vec<Value>);

impl ChunkSink for Chunks {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.0.push(serde_json::from_slice(&json.concat()).unwrap());
    }
}

/// The chunks of a stream that arrives in pieces of this length, and its fault.
fn streamed(stream: &str, length: usize, usage: bool) -> (Vec<Value>, Option<AnswerFault>) {
    let dialect = by_prefix("openai").unwrap().dialect;
    let asked = StreamRequest { usage, choices: 1 };
    let mut stream_of =
        through_chat::stream(KIND, dialect.stream(&echo(), asked), (&echo(), &Bytes::new()));
    let mut out = Chunks::default();
    for piece in stream.as_bytes().chunks(length) {
        if let Err(fault) = stream_of.push(piece, &mut out) {
            return (out.0, Some(fault));
        }
    }
    let fault = stream_of.close(&mut out).err();
    (out.0, fault)
}

#[test]
fn chunks_become_chunks_of_text_wherever_they_are_cut() {
    let chunk = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        let json = json!({"id": "c1", "created": 5, "model": "up", "choices": [choice]});
        format!("data: {json}\n\n")
    };
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let last = json!({"id": "c1", "created": 5, "model": "up", "choices": [], "usage": usage});
    let begun = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "Hello"}), Value::Null),
        chunk(json!({"content": " wörld"}), Value::Null),
    ]
    .concat();
    let whole = begun.clone()
        + &chunk(json!({}), json!("stop"))
        + &format!("data: {last}\n\ndata: [DONE]\n\n");
    for length in 1..=whole.len() {
        let (chunks, fault) = streamed(&whole, length, true);
        assert_eq!(fault, None, "{length}");
        let texts: Vec<_> = chunks.iter().map(|it| it["choices"][0]["text"].as_str()).collect();
        assert_eq!(texts, [Some(""), Some("Hello"), Some(" wörld"), Some(""), None], "{length}");
        assert!(chunks.iter().all(|it| it["object"] == "text_completion"), "{chunks:?}");
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "stop");
        assert_eq!((&chunks[4]["choices"], &chunks[4]["usage"]), (&json!([]), &usage));
    }
    let (chunks, fault) = streamed(&whole, 40, false);
    assert_eq!((chunks.len(), fault), (4, None), "the tokens were not asked for");
    let (chunks, fault) = streamed(&begun, 40, true);
    assert!(chunks.len() == 3 && fault.is_some(), "{chunks:?}");
}
