//! Clients of Anthropic's Messages API at models of other providers: the request becomes a chat,
//! and its answer a message. Unit tests cover the details of the translation; `other_kinds` has
//! the calls that pass.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, refusal, seen};
use callgate_tests::{
    Answer, Gateway, MASTER_KEY, ScriptedUpstream, ToolCall, UPSTREAM_KEY,
    client::Request,
    config::{config, deployment, every_dialect, with_callbacks, with_param},
    upstream,
};
use serde_json::{Value, json};

/// The models whose providers serve no messages.
const CHATTING: [&str; 2] = ["gpt", "llama"];

fn models(upstream: &ScriptedUpstream) -> Vec<Value> {
    let claude = deployment("claude", "anthropic/claude-x", &upstream.openai_base());
    let vllm = deployment("vllm", "hosted_vllm/qwen", &upstream.openai_base());
    let mut own = deployment("own", "hosted_vllm/qwen", &upstream.openai_base());
    own["model_info"] = json!({"mode": "anthropic_messages"});
    [every_dialect(upstream), vec![claude, vllm, own]].concat()
}

fn ask(gateway: &Gateway, model: &str) -> Request {
    let asked = json!({"model": model, "max_tokens": 9, "system": "sys",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    gateway.client().request("POST", "/v1/messages").json(asked)
}

/// The events of a stream: each has the name that is its `type`.
#[track_caller]
fn events(text: &str) -> Vec<Value> {
    let frames = text.split_terminator("\n\n");
    let event = |frame: &str| {
        let (name, data) = frame.split_once("\ndata: ").unwrap_or_else(|| panic!("{text}"));
        let json: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name, format!("event: {}", json["type"].as_str().unwrap()));
        json
    };
    frames.map(event).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_message_becomes_a_chat_where_the_provider_serves_no_messages() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (model, path) in [
        ("gpt", "/v1/chat/completions"),
        ("llama", "/openai/v1/chat/completions"),
        ("vllm", "/v1/chat/completions"),
        ("claude", "/v1/messages"),
        ("gemma", "/v1/messages"),
        ("own", "/v1/messages"),
    ] {
        let request = ask(&gateway, model).header("anthropic-beta", "tools-2024-04-04");
        let reply = request.header("anthropic-version", "2023-06-01").send().await;
        let message = reply.expect_status(200).json();
        assert_eq!(message["type"], "message", "{model}");
        let text = message["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("Hello world"), "{message}");
        let sent = upstream.requests().pop().unwrap();
        assert!(sent.path.ends_with(path), "{model}: {}", sent.path);
        if path == "/v1/messages" {
            continue;
        }
        assert_eq!(sent.header("anthropic-beta").or(sent.header("anthropic-version")), None);
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {UPSTREAM_KEY}")));
        let body = sent.json();
        let messages = json!([{"role": "system", "content": "sys"},
            {"role": "user", "content": "hi"}]);
        assert_eq!(body["messages"], messages);
        assert_eq!(message["model"], model);
        assert_eq!(
            (&message["stop_reason"], &message["stop_sequence"]),
            (&json!("end_turn"), &json!(null))
        );
        let usage = &message["usage"];
        // The upstream counts three cached tokens within the prompt's eleven.
        let cached = [&usage["input_tokens"], &usage["cache_read_input_tokens"]];
        assert_eq!(cached, [&json!(8), &json!(3)], "{model}");
        assert_eq!(usage["output_tokens"], 4);
    }
    let log = gateway.stop().await;
    assert_eq!(log.matches(r#""tokens.prompt":11,"tokens.completion":4"#).count(), 6, "{log}");
}

#[tokio::test]
async fn a_stream_has_anthropics_events() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&models(&upstream), &json!([recorder("r")]));
    let recorded_by = Gateway::with_config(config).start().await;
    let plain = Gateway::with_config(self::config(&models(&upstream))).start().await;
    for model in CHATTING {
        for gateway in [&plain, &recorded_by] {
            for answer in [Answer::default(), Answer::default().in_writes_of(3)] {
                upstream.push(answer);
                let reply = ask(gateway, model).streaming().header("x-litellm-call-id", model);
                let reply = reply.send().await.expect_status(200);
                assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
                let text = reply.text();
                assert!(!text.contains("[DONE]"), "{text}");
                let events = events(&text);
                let expected = [
                    "message_start",
                    "ping",
                    "content_block_start",
                    "content_block_delta",
                    "content_block_stop",
                    "message_delta",
                    "message_stop",
                ];
                let mut types = types(&events);
                types.dedup();
                assert_eq!(types, expected);
                let delta = |event: &&Value| event["type"] == "message_delta";
                let end = events.iter().find(delta).unwrap();
                assert_eq!(events[0]["message"]["model"], model);
                assert_eq!(end["delta"]["stop_reason"], "end_turn");
                assert_eq!(end["usage"]["output_tokens"], 4);
                assert_eq!(end["usage"]["input_tokens"], 8);
            }
        }
    }
    let log = recorded_by.log().clone();
    recorded_by.stop().await;
    for model in CHATTING {
        let end = recorded(&log, model).pop().unwrap();
        let of = |name: &str| seen(&end, name);
        assert_eq!((of("hook"), of("text")), ("on_llm_end".into(), "Hello world!".into()));
        assert_eq!((of("finish_reason"), of("prompt_tokens")), ("end_turn".into(), "11".into()));
    }
}

#[tokio::test]
async fn tools_and_thoughts_come_as_blocks() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let calls = || {
        let call = |name: &str, arguments: &str| ToolCall {
            id: Some(format!("call_{name}")),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        Answer::tool_calls([call("f", r#"{"city":"Ulm \"ä\""}"#), call("g", "{}")]).thinking("hm")
    };
    upstream.push(calls());
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let request = || ask(&gateway, "gpt").set("tools", tools.clone());
    let message = request().send().await.expect_status(200).json();
    let blocks: Vec<_> = message["content"].as_array().unwrap().iter().collect();
    assert_eq!((&blocks[0]["type"], &blocks[0]["thinking"]), (&json!("thinking"), &json!("hm")));
    assert_eq!(blocks[1]["input"], json!({"city": "Ulm \"ä\""}));
    assert_eq!(blocks[2]["name"], "g");
    assert_eq!(message["stop_reason"], "tool_use");
    upstream.push(calls());
    let events = events(&request().streaming().send().await.expect_status(200).text());
    let pieces = |index: u64| -> String {
        let of_block = events.iter().filter(|event| event["index"] == index);
        of_block.filter_map(|event| event["delta"]["partial_json"].as_str()).collect()
    };
    assert_eq!(pieces(1), r#"{"city":"Ulm \"ä\""}"#);
    assert_eq!(pieces(2), "{}");
    let end = events.iter().find(|event| event["type"] == "message_delta").unwrap();
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    // The next turn brings the results.
    let turns = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": message["content"]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": blocks[1]["id"], "content": "sun"},
            {"type": "tool_result", "tool_use_id": blocks[2]["id"], "content": "rain"}]}]);
    let _ = request().set("messages", turns).send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap().json();
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool"]);
    assert_eq!(sent["messages"][2]["tool_calls"][0]["id"], sent["messages"][3]["tool_call_id"]);
}

#[tokio::test]
async fn every_failure_has_anthropics_form() {
    let upstream = upstream(Answer::default()).await;
    let refuses = faulty("t", json!({"on_llm_start": [refusal("not you")]}));
    let config = with_callbacks(&models(&upstream), &json!([refuses]));
    let gateway = Gateway::with_config(config).start().await;
    for model in ["gpt", "claude"] {
        let reply = ask(&gateway, model).send().await.expect_status(418);
        assert_eq!(reply.header("retry-after"), "7");
        let expected = json!({"type": "invalid_request_error", "message": "not you"});
        assert_eq!(reply.anthropic_error(), expected);
    }
    let config = with_callbacks(&models(&upstream), &json!([recorder("r")]));
    let gateway = Gateway::with_config(config).start().await;
    let call = || ask(&gateway, "gpt");
    for (request, status, kind) in [
        (call().set("model", "none"), 400, "invalid_request_error"),
        (call().set("messages", Value::Null), 400, "invalid_request_error"),
        (call().set("messages", json!("hi")), 400, "invalid_request_error"),
        (
            call().set("tools", json!([{"type": "bash_20250124", "name": "bash"}])),
            400,
            "invalid_request_error",
        ),
        (call().set("stream", "yes"), 400, "invalid_request_error"),
    ] {
        let error = request.send().await.expect_status(status).anthropic_error();
        assert_eq!(error["type"], kind, "{error}");
    }
    let without = gateway.client().without_key();
    let asked = json!({"model": "gpt", "messages": [], "max_tokens": 1});
    let reply = without.request("POST", "/v1/messages").json(asked.clone()).send().await;
    assert_eq!(reply.expect_status(401).anthropic_error()["type"], "authentication_error");
    let wrong = without.request("POST", "/v1/messages").header("x-api-key", "sk-wrong");
    let reply = wrong.json(asked.clone()).send().await;
    assert_eq!(reply.expect_status(401).anthropic_error()["type"], "authentication_error");
    let own = without.request("POST", "/v1/messages").header("x-api-key", MASTER_KEY);
    let _ = own.json(asked).send().await.expect_status(200);
    let reply = gateway.client().get("/v1/messages").await;
    assert_eq!(reply.expect_status(405).anthropic_error()["type"], "invalid_request_error");
    for model in ["gpt", "llama", "claude"] {
        for (status, kind) in [
            (401, "authentication_error"),
            (404, "not_found_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (529, "overloaded_error"),
        ] {
            for stream in [false, true] {
                upstream.push(Answer::error(status, "some_type", "c", "the upstream's words"));
                let request = ask(&gateway, model).set("stream", stream);
                let error = request.send().await.expect_status(status).anthropic_error();
                assert_eq!(error["type"], kind, "{model} {error}");
                assert!(error["message"].as_str().unwrap().contains("the upstream's words"));
            }
        }
        upstream.push(Answer::default().closing_after(2));
        let id = format!("cut-{model}");
        let request = ask(&gateway, model).streaming().header("x-litellm-call-id", &id);
        let events = events(&request.send().await.expect_status(200).text());
        let last = events.last().unwrap();
        assert_eq!(last["error"]["type"], "api_error", "{last}");
        assert!(!types(&events).contains(&"message_stop"), "{events:?}");
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for model in ["gpt", "llama", "claude"] {
        assert_eq!(hooks(&log, &format!("cut-{model}")), ["r on_llm_start", "r on_llm_error"]);
    }
}

#[tokio::test]
async fn what_no_chat_has_is_refused_or_dropped() {
    let upstream = upstream(Answer::default()).await;
    let mut models = models(&upstream);
    let lax = with_param(
        deployment("lax", "openai/gpt-4o", &upstream.openai_base()),
        "drop_params",
        true,
    );
    models.push(lax);
    let gateway = Gateway::with_config(config(&models)).start().await;
    let servers = json!([{"type": "url", "url": "https://mcp", "name": "m"}]);
    let request = |model: &str| ask(&gateway, model).set("mcp_servers", servers.clone());
    let error = request("gpt").send().await.expect_status(400).anthropic_error();
    assert!(error["message"].as_str().unwrap().contains("`mcp_servers`"), "{error}");
    for request in [request("lax"), request("gpt").set("drop_params", true)] {
        let _ = request.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!((sent.get("mcp_servers"), sent.get("drop_params")), (None, None));
    }
}

#[tokio::test]
async fn a_fixed_answer_is_a_message() {
    let upstream = upstream(Answer::default()).await;
    let of = |name: &str, model: &str| {
        let entry = deployment(name, model, &upstream.openai_base());
        with_param(entry, "mock_response", "fixed")
    };
    let models = [of("gpt", "openai/gpt-4o"), of("claude", "anthropic/claude-x")];
    let gateway = Gateway::with_config(config(&models)).start().await;
    for model in ["gpt", "claude"] {
        let message = ask(&gateway, model).send().await.expect_status(200).json();
        assert_eq!(message["content"][0]["text"], "fixed");
        let text = ask(&gateway, model).streaming().send().await.expect_status(200).text();
        let events = events(&text);
        assert_eq!(events.last().unwrap()["type"], "message_stop");
        assert!(text.contains(r#""text":"fixed""#), "{text}");
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn tokens_are_counted_by_the_provider_or_not_at_all() {
    let upstream = upstream(Answer::default()).await;
    let mut models = models(&upstream);
    models[3]["litellm_params"]["max_tokens"] = json!(5);
    let config = with_callbacks(&models, &json!([recorder("r")]));
    let gateway = Gateway::with_config(config).start().await;
    let asked = json!({"model": "claude", "messages": [{"role": "user", "content": "hi"}]});
    let count = |model: &str| {
        let request = gateway.client().request("POST", "/v1/messages/count_tokens?beta=true");
        request.json(asked.clone()).set("model", model).header("x-litellm-call-id", model)
    };
    let request = count("claude").header("anthropic-beta", "token-counting-2024-11-01");
    let answer = request.send().await.expect_status(200).json();
    assert_eq!(answer, json!({"input_tokens": 11}));
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.path, "/v1/messages/count_tokens");
    assert_eq!(sent.header("x-api-key"), Some(UPSTREAM_KEY));
    assert_eq!(sent.header("anthropic-beta"), Some("token-counting-2024-11-01"));
    let expected = json!({"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(sent.json(), expected);
    let error = count("gpt").send().await.expect_status(400).anthropic_error();
    let said = error["message"].as_str().unwrap();
    assert!(said.ends_with("models that serve them: `claude`, `vllm`, `own`"), "{said}");
    assert_eq!(upstream.requests().len(), 1);
    let log = gateway.log().clone();
    gateway.stop().await;
    assert_eq!(hooks(&log, "claude"), ["r on_llm_start", "r on_llm_end"]);
    assert_eq!(seen(&recorded(&log, "claude")[0], "endpoint"), "count_tokens");
    assert_eq!(hooks(&log, "gpt"), ["r on_llm_start", "r on_llm_error"]);
}

#[tokio::test]
async fn a_callback_answers_with_a_text_in_the_form_of_the_call() {
    let upstream = upstream(Answer::default()).await;
    let answers = faulty("f", json!({"on_llm_start": [{"answer_text": "not today"}]}));
    let config = with_callbacks(&models(&upstream), &json!([answers]));
    let gateway = Gateway::with_config(config).start().await;
    for model in ["gpt", "claude"] {
        let message = ask(&gateway, model).send().await.expect_status(200).json();
        assert_eq!(message["content"], json!([{"type": "text", "text": "not today"}]));
        let text = ask(&gateway, model).streaming().send().await.expect_status(200).text();
        assert!(text.contains(r#""text":"not today""#), "{text}");
        assert_eq!(events(&text).last().unwrap()["type"], "message_stop");
        let asked = json!({"model": model, "input": "hi"});
        let request = || gateway.client().request("POST", "/v1/responses").json(asked.clone());
        let response = request().send().await.expect_status(200).json();
        assert_eq!(response["output"][0]["content"][0]["text"], "not today");
        let text = request().streaming().send().await.expect_status(200).text();
        assert_eq!(events(&text).last().unwrap()["type"], "response.completed");
    }
    assert!(upstream.requests().is_empty());
}

/// A request with the members that Claude Code sends, by Anthropic's documentation.
const CLAUDE_CODE: &str = include_str!("../../fixtures/claude_code.json");

#[tokio::test]
async fn claude_codes_requests_pass_to_anthropic_and_become_chats_elsewhere() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let asked: Value = serde_json::from_str(CLAUDE_CODE).unwrap();
    let ask = |model: &str| {
        let body = CLAUDE_CODE.replace("\"model\": \"m\"", &format!("\"model\": \"{model}\""));
        let request = gateway.client().request("POST", "/v1/messages?beta=true").body(body);
        request.header("anthropic-beta", "interleaved-thinking-2025-05-14,effort-2025-11-24")
    };
    let text = ask("claude").send().await.expect_status(200).text();
    assert_eq!(events(&text).last().unwrap()["type"], "message_stop");
    let sent = upstream.requests().pop().unwrap();
    let expected = CLAUDE_CODE.replace("\"model\": \"m\"", "\"model\": \"claude-x\"");
    assert_eq!(String::from_utf8_lossy(&sent.body), expected);
    let text = ask("gpt").send().await.expect_status(200).text();
    assert_eq!(events(&text).last().unwrap()["type"], "message_stop");
    let sent = upstream.requests().pop().unwrap().json();
    let members: Vec<_> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "messages",
        "max_tokens",
        "user",
        "reasoning_effort",
        "tools",
        "tool_choice",
        "stream",
        "model",
        "stream_options",
    ];
    assert_eq!(members, expected);
    assert_eq!(sent["tools"][0]["function"]["parameters"], asked["tools"][0]["input_schema"]);
    let messages = sent["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "system", "assistant", "tool", "tool"]);
    assert!(!sent.to_string().contains("cache_control"), "{sent}");
}

#[tokio::test]
async fn an_upstreams_error_amid_a_stream_has_anthropics_form() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "model": "up", "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": "par"}, "finish_reason": null}]});
    let refused = json!({"error": {"message": "words", "type": "server_error", "code": null}});
    let start = json!({"type": "message_start", "message": {"id": "m", "usage": {}}});
    let busy = json!({"type": "error", "error": {"type": "overloaded_error", "message": "words"}});
    for (model, wire, kind) in
        [("gpt", [chunk, refused], "api_error"), ("claude", [start, busy], "overloaded_error")]
    {
        let wire = wire.map(|event| format!("data: {event}\n\n")).concat();
        upstream.push(Answer::fixed(200, "text/event-stream", wire));
        let text = ask(&gateway, model).streaming().send().await.expect_status(200).text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let data = last.strip_prefix("event: error\ndata: ").unwrap_or_else(|| panic!("{text}"));
        let error: Value = serde_json::from_str(data).unwrap();
        assert_eq!(error, json!({"type": "error", "error": {"type": kind, "message": "words"}}));
    }
}

/// What a guardrail masks stays masked, wherever the client's API has it.
#[tokio::test]
async fn a_guardrail_masks_every_text_before_it_becomes_a_chat() {
    let upstream = upstream(Answer::default()).await;
    let guard = json!([{"name": "guardrail", "settings":
        {"rules": [{"preset": "email", "action": "mask", "on": ["prompt"]}]}}]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &guard)).start().await;
    let mail = "write to jo@example.org";
    let block = json!([{"type": "text", "text": mail}]);
    let messages = json!({"model": "gpt", "max_tokens": 9, "system": block, "messages": [
        {"role": "user", "content": mail},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": mail, "signature": "s"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"to": mail}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": block}]}]});
    let responses = json!({"model": "vllm", "instructions": mail, "input": [
        {"role": "user", "content": [{"type": "input_text", "text": mail}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": mail}]});
    for (path, asked) in [("/v1/messages", messages), ("/v1/responses", responses)] {
        let request = gateway.client().request("POST", path).json(asked);
        let _ = request.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        let sent = String::from_utf8_lossy(&sent.body).into_owned();
        assert!(!sent.contains("jo@example.org") && sent.contains("write to"), "{path}: {sent}");
    }
}
