//! Requests and replies, in shapes as Anthropic's documentation has them.

use super::{Anthropic, messages_url};
use crate::{AnswerFault, Destination, Dialect as _, Echo, ModelFamily, ParamRules, Quirks};
use callgate_json::{Body, joined, json_text};
use serde_json::{Map, Value, json};

fn destination<'a>(
    params: &'a Map<String, Value>,
    rules: &'a ParamRules,
    stream: bool,
) -> Destination<'a> {
    Destination {
        model: "claude",
        model_json: json_text("claude"),
        params,
        rules,
        family: ModelFamily::default(),
        stream,
        quirks: Quirks::default(),
        stream_usage: stream,
    }
}

fn request(body: &Value) -> Result<Value, Value> {
    request_with(body, &json!({}), false)
}

/// The translated body, or the error object of the refusal.
fn request_with(body: &Value, params: &Value, drop_params: bool) -> Result<Value, Value> {
    let sent = Body::parse(body.to_string().into()).unwrap();
    let params = params.as_object().unwrap();
    let rules = ParamRules { drop_unsupported: drop_params, ..ParamRules::default() };
    let to = destination(params, &rules, body["stream"] == true);
    match Anthropic.request(&sent, &to) {
        Ok(made) => Ok(serde_json::from_slice(&joined(made.body)).unwrap()),
        Err(failure) => {
            let object: Value = serde_json::from_slice(&failure.to_json()).unwrap();
            assert_eq!(failure.status, 400, "{object}");
            Err(object["error"].clone())
        }
    }
}

fn user(content: &Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": content}]})
}

#[test]
fn every_spelling_of_the_base_reaches_the_messages() {
    for base in [
        "https://api.anthropic.com",
        "https://api.anthropic.com/",
        "https://api.anthropic.com/v1",
        "https://api.anthropic.com/v1/",
        "https://api.anthropic.com/v1/messages",
    ] {
        assert_eq!(messages_url(base), "https://api.anthropic.com/v1/messages", "{base}");
    }
}

#[test]
fn a_conversation_with_tools_becomes_turns() {
    let sent = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "developer", "content": [
                {"type": "text", "text": "long rules", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "user", "name": "ann", "content": "weather?"},
            {"role": "assistant", "content": "", "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "thinking", "thinking": "unsigned"},
                {"type": "redacted_thinking", "data": "xyz"},
            ], "tool_calls": [
                {"id": "call_1", "type": "function",
                 "function": {"name": "weather", "arguments": "{\"city\":\"Ulm\"}"}},
                {"id": "call:2", "type": "function",
                 "function": {"name": "time", "arguments": ""}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "rain\n"},
            {"role": "tool", "tool_call_id": "call:2", "content": [
                {"type": "text", "text": "noon"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "user", "content": "so?"},
        ],
        "tools": [
            {"type": "function", "function": {
                "name": "weather", "description": "Tells it.", "strict": true,
                "parameters": {"properties": {"city": {"type": "string"}}},
            }, "cache_control": {"type": "ephemeral"}},
            {"type": "function", "function": {"name": "time"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": false,
    });
    let expected = json!({
        "model": "claude",
        "max_tokens": 4096,
        "system": [
            {"type": "text", "text": "be brief"},
            {"type": "text", "text": "long rules", "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Ulm"}},
                {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1",
                 "content": [{"type": "text", "text": "rain\n"}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [
                    {"type": "text", "text": "noon"},
                    {"type": "image", "source":
                        {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ]},
                {"type": "text", "text": "so?"},
            ]},
        ],
        "tools": [
            {"name": "weather", "description": "Tells it.", "input_schema":
                {"type": "object", "properties": {"city": {"type": "string"}}},
             "cache_control": {"type": "ephemeral"}},
            {"name": "time", "input_schema": {"type": "object", "properties": {}}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        ],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": true},
    });
    assert_eq!(request(&sent).unwrap(), expected);
}

#[test]
fn parts_become_blocks() {
    let source = |json: Value| json!([json]);
    for (part, block) in [
        (
            json!({"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}),
            json!({"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}}),
        ),
        (
            json!({"type": "image_url", "image_url": "data:image/jpeg;charset=x;base64,QQ=="}),
            json!({"type": "image", "source":
                {"type": "base64", "media_type": "image/jpeg", "data": "QQ=="}}),
        ),
        (
            json!({"type": "file", "file":
                {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}}),
            json!({"type": "document", "source":
                {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
                "title": "a.pdf"}),
        ),
        (
            json!({"type": "file", "file": {"file_id": "file_1"}}),
            json!({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        ),
        (
            json!({"type": "document", "source": {"type": "text", "data": "x"}}),
            json!({"type": "document", "source": {"type": "text", "data": "x"}}),
        ),
    ] {
        let made = request(&user(&source(part.clone()))).unwrap();
        assert_eq!(made["messages"][0]["content"], source(block), "{part}");
    }
}

#[test]
fn parameters_find_their_places() {
    let with = |members: Value| {
        let mut body = user(&json!("hi"));
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let made = request_with(&body, &json!({"max_tokens": 100, "top_p": 0.5}), false);
        let mut made = made.unwrap();
        let object = made.as_object_mut().unwrap();
        object.retain(|name, _| !matches!(name.as_str(), "model" | "messages"));
        made
    };
    for (members, expected) in [
        (json!({}), json!({"max_tokens": 100, "top_p": 0.5})),
        (
            json!({"max_completion_tokens": 7, "temperature": 0.25, "top_k": 3, "stream": true,
                   "stream_options": {"include_usage": true}, "n": 1, "seed": null,
                   "frequency_penalty": 0.0, "logprobs": false, "store": true, "metadata": {}}),
            json!({"max_tokens": 7, "top_p": 0.5, "temperature": 0.25, "top_k": 3, "stream": true}),
        ),
        (
            json!({"stop": "END", "user": "u-1", "tool_choice": "required"}),
            json!({"max_tokens": 100, "top_p": 0.5, "stop_sequences": ["END"],
                   "metadata": {"user_id": "u-1"}}),
        ),
        (
            json!({"stop": ["a", "b"], "user": "ann@example.com"}),
            json!({"max_tokens": 100, "top_p": 0.5, "stop_sequences": ["a", "b"]}),
        ),
        (
            json!({"reasoning_effort": "low", "max_tokens": 5000}),
            json!({"max_tokens": 5000, "top_p": 0.5,
                   "thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ),
        (
            json!({"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
                   "reasoning_effort": "high"}),
            json!({"max_tokens": 100, "top_p": 0.5,
                   "thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ),
    ] {
        assert_eq!(with(members.clone()), expected, "{members}");
    }
    let thinking = request(&json!({"messages": [], "reasoning_effort": "medium"})).unwrap();
    assert_eq!(thinking["max_tokens"], 4096 + 2048);
}

#[test]
fn a_format_of_the_answer_becomes_a_tool_that_has_to_be_used() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let mut body = user(&json!("hi"));
    body["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let made = request(&body).unwrap();
    assert_eq!(made["tools"][0]["input_schema"], schema);
    assert_eq!(made["tool_choice"], json!({"type": "tool", "name": "json_tool_call"}));
    body["response_format"] = json!({"type": "text"});
    assert_eq!(request(&body).unwrap()["tools"], Value::Null);
    body["response_format"] = json!({"type": "json_object"});
    body["reasoning_effort"] = json!("low");
    let made = request(&body).unwrap();
    assert_eq!(
        (made["tools"][0]["name"].as_str(), &made["tool_choice"]),
        (Some("json_tool_call"), &Value::Null)
    );
}

#[test]
fn what_anthropic_does_not_take_is_refused_with_its_place() {
    let with = |name: &str, value: Value| {
        let mut body = user(&json!("hi"));
        body[name] = value;
        body
    };
    for (body, param) in [
        (json!({"model": "m"}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (json!({"messages": [7]}), "messages[0]"),
        (json!({"messages": [{"content": "hi"}]}), "messages[0].role"),
        (json!({"messages": [{"role": "robot", "content": "hi"}]}), "messages[0].role"),
        (user(&json!(7)), "messages[0].content"),
        (user(&json!(["hi"])), "messages[0].content[0]"),
        (user(&json!([{"type": "input_audio"}])), "messages[0].content[0]"),
        (
            user(&json!([{"type": "image_url", "image_url": {"url": "x.png"}}])),
            "messages[0].content[0].image_url",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [
                {"id": "1", "function": {"name": "f", "arguments": "[1]"}}]}]}),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (with("n", json!(2)), "n"),
        (with("seed", json!(7)), "seed"),
        (with("logprobs", json!(true)), "logprobs"),
        (with("stop", json!(7)), "stop"),
        (with("tools", json!({})), "tools"),
        (with("reasoning_effort", json!("extreme")), "reasoning_effort"),
        (with("response_format", json!({"type": "xml"})), "response_format.type"),
    ] {
        let error = request(&body).unwrap_err();
        assert_eq!(error["param"], param, "{body}: {error}");
    }
    let mut body = with("seed", json!(7));
    body["logit_bias"] = json!({"1": 2});
    assert_eq!(request_with(&body, &json!({}), true).unwrap()["seed"], Value::Null);
    body["drop_params"] = json!(true);
    assert!(request(&body).is_ok());
}

fn reply(message: &Value) -> Result<Value, AnswerFault> {
    let body = Body::parse(message.to_string().into()).unwrap();
    let echo = Echo { id: "own".into(), created: 7, model: "alias".into() };
    let translated = Anthropic.reply(body, &echo)?;
    Ok(serde_json::from_slice(&joined(translated.body)).unwrap())
}

fn message(content: &Value, stop_reason: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": content, "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 10, "cache_creation_input_tokens": 5,
                  "cache_read_input_tokens": 100, "output_tokens": 3},
    })
}

#[test]
fn a_message_becomes_a_completion() {
    let content = json!([
        {"type": "thinking", "thinking": "hm\n", "signature": "sig"},
        {"type": "text", "text": "one \"two\""},
        {"type": "text", "text": " é"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "b"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]);
    assert_eq!(
        reply(&message(&content, "tool_use")).unwrap(),
        json!({
            "id": "msg_1", "object": "chat.completion", "created": 7, "model": "alias",
            "choices": [{"index": 0, "message": {
                "role": "assistant", "content": "one \"two\" é", "reasoning_content": "hm\n",
                "thinking_blocks": [{"type": "thinking", "thinking": "hm\n", "signature": "sig"}],
                "tool_calls": [
                    {"id": "toolu_1", "type": "function",
                     "function": {"name": "f", "arguments": "{\"a\":\"b\"}"}},
                    {"id": "toolu_2", "type": "function",
                     "function": {"name": "g", "arguments": "{}"}},
                ],
                "refusal": null,
            }, "logprobs": null, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 115, "completion_tokens": 3, "total_tokens": 118,
                      "prompt_tokens_details": {"cached_tokens": 100},
                      "cache_creation_input_tokens": 5, "cache_read_input_tokens": 100},
        })
    );
    for (stop, finish) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
    ] {
        let found = reply(&message(&json!([{"type": "text", "text": "a"}]), stop)).unwrap();
        assert_eq!(found["choices"][0]["finish_reason"], finish, "{stop}");
    }
    let answer =
        json!([{"type": "tool_use", "id": "t", "name": "json_tool_call", "input": {"a": 1}}]);
    let found = reply(&message(&answer, "tool_use")).unwrap();
    let choice = &found["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("{\"a\":1}"), &json!("stop"))
    );
    assert_eq!(choice["message"]["tool_calls"], Value::Null);
}

#[test]
fn what_is_no_message_is_told_apart() {
    for (body, expected) in [
        (
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            "busy",
        ),
        (json!({"error": {"message": "words"}}), "words"),
        (json!({}), "Malformed"),
        (json!({"content": 7}), "Malformed"),
        (json!({"type": "message", "content": [], "stop_reason": null}), "Incomplete"),
    ] {
        let fault = format!("{:?}", reply(&body).unwrap_err());
        assert!(fault.contains(expected), "{body}: {fault}");
    }
}
