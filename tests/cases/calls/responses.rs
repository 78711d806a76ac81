//! Clients of OpenAI's Responses API at models of other providers: the request becomes a chat, and
//! its answer a response. Unit tests cover the details of the translation; `other_kinds` has the
//! calls that pass.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, seen};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream, ToolCall,
    client::Request,
    config::{config, deployment, openai, with_callbacks, with_param},
    upstream,
};
use serde_json::{Value, json};

/// The models whose providers are asked for chats.
const CHATTING: [&str; 2] = ["claude", "vllm"];

fn models(upstream: &ScriptedUpstream) -> Vec<Value> {
    let of = |name: &str, model: &str| deployment(name, model, &upstream.openai_base());
    let mut own = of("own", "hosted_vllm/qwen");
    own["model_info"] = json!({"mode": "responses"});
    vec![openai(upstream), of("claude", "anthropic/claude-x"), of("vllm", "hosted_vllm/qwen"), own]
}

fn ask(gateway: &Gateway, model: &str) -> Request {
    let asked = json!({"model": model, "instructions": "sys", "max_output_tokens": 9,
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]});
    gateway.client().request("POST", "/v1/responses").json(asked)
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

#[tokio::test]
async fn a_response_becomes_a_chat_where_the_provider_serves_none() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (model, path) in [
        ("gpt", "/v1/responses"),
        ("own", "/v1/responses"),
        ("vllm", "/v1/chat/completions"),
        ("claude", "/v1/messages"),
    ] {
        let response = ask(&gateway, model).send().await.expect_status(200).json();
        let text = response["output"][0]["content"][0]["text"].as_str().unwrap();
        assert!(text.starts_with("Hello world"), "{response}");
        assert_eq!(response["status"], "completed");
        assert_eq!(response["usage"]["input_tokens"], 11, "{response}");
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, path);
        let body = sent.json();
        match model {
            "vllm" => assert_eq!(
                body["messages"],
                json!([{"role": "system", "content": "sys"},
                    {"role": "user", "content": [{"type": "text", "text": "hi"}]}])
            ),
            "claude" => assert_eq!(body["system"], json!([{"type": "text", "text": "sys"}])),
            _ => continue,
        }
        assert_eq!(body["max_tokens"], 9);
        assert_eq!((&response["object"], &response["model"]), (&json!("response"), &json!(model)));
        assert_eq!((&response["instructions"], &response["store"]), (&json!("sys"), &json!(false)));
    }
    let log = gateway.stop().await;
    assert_eq!(log.matches(r#""tokens.prompt":11,"tokens.completion":4"#).count(), 4, "{log}");
}

#[tokio::test]
async fn a_stream_has_the_events_in_order() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&models(&upstream), &json!([recorder("r")]));
    let gateway = Gateway::with_config(config).start().await;
    for model in CHATTING {
        for answer in [Answer::default(), Answer::default().in_writes_of(5)] {
            upstream.push(answer);
            let request = ask(&gateway, model).streaming().header("x-litellm-call-id", model);
            let text = request.send().await.expect_status(200).text();
            assert!(!text.contains("[DONE]"), "{text}");
            let events = events(&text);
            let mut types: Vec<_> =
                events.iter().map(|event| event["type"].as_str().unwrap()).collect();
            types.dedup();
            let expected = [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ];
            assert_eq!(types, expected);
            let last = &events.last().unwrap()["response"];
            assert_eq!(last["usage"]["output_tokens"], 4);
            assert_eq!(last["model"], model);
        }
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for model in CHATTING {
        let end = recorded(&log, model).pop().unwrap();
        let of = |name: &str| seen(&end, name);
        assert_eq!(of("hook"), "on_llm_end");
        assert!(of("text").starts_with("Hello world"), "{}", of("text"));
        assert_eq!(of("finish_reason"), "completed");
    }
}

#[tokio::test]
async fn tools_are_called_and_their_outputs_come_back() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let call = ToolCall {
        id: Some("call_up1".to_owned()),
        name: "f".to_owned(),
        arguments: r#"{"city":"Ulm"}"#.to_owned(),
    };
    let tools = json!([{"type": "function", "name": "f", "parameters": {"type": "object"}}]);
    let request = || ask(&gateway, "vllm").set("tools", tools.clone());
    upstream.push(Answer::tool_calls([call.clone()]));
    let response = request().send().await.expect_status(200).json();
    let item = &response["output"][0];
    assert_eq!((&item["type"], &item["call_id"]), (&json!("function_call"), &json!("call_up1")));
    assert_eq!(item["arguments"], r#"{"city":"Ulm"}"#);
    assert_eq!(response["tools"], tools);
    upstream.push(Answer::tool_calls([call]));
    let events = events(&request().streaming().send().await.expect_status(200).text());
    let done = events.iter().find(|it| it["type"] == "response.function_call_arguments.done");
    assert_eq!(done.unwrap()["arguments"], r#"{"city":"Ulm"}"#);
    let input = json!([{"role": "user", "content": "weather?"}, item,
        {"type": "function_call_output", "call_id": "call_up1", "output": "sun"}]);
    let _ = request().set("input", input).send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap().json();
    let roles: Vec<_> = sent["messages"].as_array().unwrap().iter().map(|it| &it["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool"]);
    assert_eq!(sent["messages"][2]["tool_calls"][0]["id"], "call_up1");
}

#[tokio::test]
async fn failures_keep_their_form() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&models(&upstream), &json!([recorder("r")]));
    let gateway = Gateway::with_config(config).start().await;
    for (name, value, drops) in [
        ("previous_response_id", json!("resp_1"), false),
        ("conversation", json!("conv_1"), false),
        ("background", json!(true), true),
        ("input", json!(1), false),
    ] {
        let request = || ask(&gateway, "vllm").set(name, value.clone());
        let error = request().send().await.expect_status(400).error();
        assert_eq!(error["param"], name, "{error}");
        let status = if drops { 200 } else { 400 };
        let _ = request().set("drop_params", true).send().await.expect_status(status);
    }
    for model in CHATTING {
        for stream in [false, true] {
            upstream.push(Answer::error(429, "t", "c", "the upstream's words"));
            let request = ask(&gateway, model).set("stream", stream);
            let error = request.send().await.expect_status(429).error();
            assert!(error["message"].as_str().unwrap().contains("the upstream's words"));
        }
        upstream.push(Answer::default().closing_after(3));
        let id = format!("cut-{model}");
        let request = ask(&gateway, model).streaming().header("x-litellm-call-id", &id);
        let events = events(&request.send().await.expect_status(200).text());
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["error"]["code"]),
            (&json!("error"), &json!("incomplete_stream"))
        );
        assert!(events.iter().all(|event| event["type"] != "response.completed"));
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for model in CHATTING {
        assert_eq!(hooks(&log, &format!("cut-{model}")), ["r on_llm_start", "r on_llm_error"]);
    }
}

#[tokio::test]
async fn hooks_edit_the_form_that_the_client_sees() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_start": [{"set_param": ["instructions", "\"other\""]}],
        "on_llm_end": [{"reply_header": ["x-seen", "yes"]}]});
    let config = with_callbacks(&models(&upstream), &json!([faulty("f", acts)]));
    let gateway = Gateway::with_config(config).start().await;
    let reply = ask(&gateway, "vllm").send().await.expect_status(200);
    assert_eq!(reply.header("x-seen"), "yes");
    assert_eq!(reply.json()["instructions"], "other");
    let sent = upstream.requests().pop().unwrap().json();
    assert_eq!(sent["messages"][0], json!({"role": "system", "content": "other"}));
}

#[tokio::test]
async fn a_fixed_answer_is_a_response() {
    let upstream = upstream(Answer::default()).await;
    let models = models(&upstream).into_iter();
    let models: Vec<_> = models.map(|it| with_param(it, "mock_response", "fixed")).collect();
    let gateway = Gateway::with_config(config(&models)).start().await;
    for model in ["gpt", "vllm"] {
        let response = ask(&gateway, model).send().await.expect_status(200).json();
        assert_eq!(response["output"][0]["content"][0]["text"], "fixed");
        let text = ask(&gateway, model).streaming().send().await.expect_status(200).text();
        assert_eq!(events(&text).last().unwrap()["type"], "response.completed");
    }
    assert!(upstream.requests().is_empty());
}
