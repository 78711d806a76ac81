//! OpenAI's older completions at models whose providers serve only chats: the prompt becomes a
//! message, and the answer a text. Unit tests cover the details of the translation; `other_kinds`
//! has the calls that pass.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, seen};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream,
    client::Request,
    config::{config, deployment, every_dialect, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

/// Models, each with the path of its upstream.
const MODELS: [(&str, &str); 4] = [
    ("gpt", "/v1/completions"),
    ("llama", "/openai/v1/chat/completions"),
    ("claude", "/v1/messages"),
    ("vllm", "/v1/completions"),
];

fn models(upstream: &ScriptedUpstream) -> Vec<Value> {
    let mut models = every_dialect(upstream);
    models.push(deployment("claude", "anthropic/claude-x", &upstream.openai_base()));
    models.push(deployment("vllm", "hosted_vllm/qwen", &upstream.openai_base()));
    models
}

fn ask(gateway: &Gateway, model: &str) -> Request {
    let asked = json!({"model": model, "prompt": "say \"hi\"", "max_tokens": 9});
    gateway.client().request("POST", "/v1/completions").json(asked)
}

#[tokio::test]
async fn a_prompt_is_answered_by_models_of_every_provider() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (model, path) in MODELS {
        let reply = ask(&gateway, model).send().await.expect_status(200).json();
        assert!(
            reply["choices"][0]["text"].as_str().unwrap().starts_with("Hello world"),
            "{reply}"
        );
        assert_eq!((&reply["object"], &reply["model"]), (&json!("text_completion"), &json!(model)));
        assert_eq!(reply["usage"]["prompt_tokens"], 11, "{reply}");
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, path);
        if path != "/v1/completions" {
            let message = &sent.json()["messages"][0];
            assert_eq!(message["role"], "user");
            assert!(message["content"].to_string().contains(r#"say \"hi\""#), "{message}");
        }
        for usage in [false, true] {
            let request = ask(&gateway, model).streaming();
            let request = request.set("stream_options", json!({"include_usage": usage}));
            let text = request.send().await.expect_status(200).text();
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            assert_eq!(text.contains("\"usage\":{"), usage, "{text}");
            let chunks = text.split("data: ").filter(|data| data.starts_with('{'));
            let chunks: Vec<Value> =
                chunks.map(|data| serde_json::from_str(data).unwrap()).collect();
            let texts = chunks.iter().filter_map(|it| it["choices"][0]["text"].as_str());
            assert!(texts.collect::<String>().starts_with("Hello world"), "{text}");
            assert!(chunks.iter().all(|it| it["object"] == "text_completion"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_no_chat_has_is_refused_and_failures_keep_their_form() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (name, value) in [("echo", json!(true)), ("prompt", json!(["a", "b"]))] {
        let refused = ask(&gateway, "llama").set(name, value.clone()).send().await;
        assert_eq!(refused.expect_status(400).error()["param"], name);
        let _ = ask(&gateway, "gpt").set(name, value).send().await.expect_status(200);
    }
    let dropped = ask(&gateway, "llama").set("echo", true).set("drop_params", true);
    let _ = dropped.send().await.expect_status(200);
    assert_eq!(upstream.requests().pop().unwrap().json().get("echo"), None);
    upstream.push(Answer::error(429, "t", "c", "slow down"));
    let refused = ask(&gateway, "llama").send().await.expect_status(429);
    assert_eq!(refused.error()["message"], "slow down");
    upstream.push(Answer::default().closing_after(2));
    let cut = ask(&gateway, "llama").streaming().send().await.expect_status(200).text();
    assert!(cut.contains("incomplete_stream") && !cut.contains("[DONE]"), "{cut}");
}

#[tokio::test]
async fn hooks_see_and_edit_the_form_that_the_client_sees() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_start": [{"set_param": ["prompt", "\"other\""]}],
        "at_chunk": 0, "on_llm_new_token": [{"chunk_text": "Bye"}]});
    let callbacks = json!([faulty("f", acts), recorder("r")]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &callbacks));
    let gateway = gateway.start().await;
    for stream in [false, true] {
        let id = format!("call-{stream}");
        let request = ask(&gateway, "llama").set("stream", stream);
        let reply = request.header("x-litellm-call-id", &id).send().await.expect_status(200);
        assert_eq!(reply.text().contains("\"Bye\""), stream, "{}", reply.text());
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent["messages"], json!([{"role": "user", "content": "other"}]));
        gateway.log().until("the end hook", |_| hooks(gateway.log(), &id).len() >= 2).await;
        let lines = recorded(gateway.log(), &id);
        assert_eq!(seen(&lines[0], "endpoint"), "completions");
        let end = lines.last().unwrap();
        assert_eq!(seen(end, "hook"), "on_llm_end");
        assert_eq!(seen(end, "finish_reason"), "stop");
        assert_eq!(seen(end, "prompt_tokens"), "11");
    }
}
