//! The data that hooks get. The last hooks get the figures of the call, all hooks share the state
//! of one instance, and an edit keeps the other parts of a message.

use crate::callbacks::faulty::{
    entry, faulty, faulty_async, faulty_blocking, recorded, recorder, seen, with,
};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    log::LogLine,
    upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callbacks: &Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), callbacks);
    Gateway::with_config(config).start().await
}

#[track_caller]
fn check(line: &LogLine, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(seen(line, name), *value, "{name}: {}", line.text);
    }
    assert_eq!(seen(line, "timed"), "true", "{}", line.text);
}

#[tokio::test]
async fn the_last_hooks_know_what_the_call_was_and_cost() {
    let upstream = upstream(Answer::default()).await;
    for mode in ["inline", "blocking"] {
        let callbacks = json!([with(recorder("r"), "mode", json!(mode))]);
        let gateway = gateway(&upstream, &callbacks).await;
        for (id, stream, answer) in [
            ("json", false, Answer::default()),
            ("stream", true, Answer::default()),
            ("refused", false, Answer::error(429, "t", "c", "slow down")),
            ("broken", true, Answer::default().resetting_after(2)),
        ] {
            upstream.push(answer);
            let request = gateway.client().chat("gpt").set("stream", stream);
            let _ = request.header("x-litellm-call-id", id).send().await;
        }
        let unreached = gateway.client().chat("nope").header("x-litellm-call-id", "unknown");
        let _ = unreached.send().await.expect_status(400);
        let log = gateway.log().clone();
        gateway.stop().await;
        let is_last =
            |line: &LogLine| ["on_llm_end", "on_llm_error"].contains(&&*seen(line, "hook"));
        let last = |id: &str| recorded(&log, id).into_iter().find(is_last).unwrap();
        let sent = [("provider", "openai"), ("upstream_model", "gpt-4o-mini")];
        for (id, first_token) in [("json", "false"), ("stream", "true")] {
            let line = last(id);
            check(&line, &sent);
            let own = [("hook", "on_llm_end"), ("status", "200"), ("upstream", "true")];
            check(&line, &own);
            check(&line, &[("first_token", first_token)]);
            let tokens = ["prompt_tokens", "completion_tokens", "total_tokens"]
                .map(|name| seen(&line, name).parse::<u64>().unwrap_or_default());
            assert!(tokens[0] > 0 && tokens[2] == tokens[0] + tokens[1], "{id}: {tokens:?}");
        }
        check(&last("refused"), &sent);
        check(
            &last("refused"),
            &[("kind", "upstream_status"), ("status", "429"), ("upstream", "true")],
        );
        check(
            &last("broken"),
            &[("kind", "broken_stream"), ("first_token", "true"), ("upstream", "true")],
        );
        check(&last("unknown"), &[("kind", "invalid"), ("upstream", "false")]);
    }
}

#[tokio::test]
async fn one_instance_serves_all_hooks() {
    let upstream = upstream(Answer::default()).await;
    let recall = json!(["recall"]);
    for make in [faulty, faulty_async, faulty_blocking] {
        let acts = json!({
            "on_llm_start": [{"remember": "whole"}], "on_llm_new_token": recall,
            "on_llm_end": recall, "on_llm_error": recall,
        });
        let gateway = gateway(&upstream, &json!([make("one", acts)])).await;
        let _ = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
        upstream.push(Answer::error(500, "t", "c", "oops"));
        let _ = gateway.client().chat("gpt").send().await.expect_status(500);
        let log = gateway.log().clone();
        gateway.stop().await;
        let lines = log.lines().into_iter().filter(|line| line.message() == "recalled");
        let mut hooks: Vec<_> = lines
            .map(|line| {
                assert_eq!(seen(&line, "text"), "whole", "{}", line.text);
                seen(&line, "hook")
            })
            .collect();
        hooks.sort();
        hooks.dedup();
        assert_eq!(hooks, ["on_llm_end", "on_llm_error", "on_llm_new_token"]);
    }
}

#[tokio::test]
async fn images_and_tool_calls_survive_a_neighbours_edit() {
    let upstream = upstream(Answer::default()).await;
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let call =
        json!({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]},
        {"role": "assistant", "content": null, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "user", "content": "my number is 555"},
    ]);
    for make in [faulty, faulty_async, faulty_blocking] {
        let edits =
            json!([{"set_message_text": [0, "what?"]}, {"set_message_text": [3, "masked"]}]);
        let gateway =
            gateway(&upstream, &json!([make("mask", json!({"on_llm_start": edits}))])).await;
        let request = gateway.client().chat("gpt").set("messages", messages.clone());
        let _ = request.send().await.expect_status(200);
        let mut expected = messages.clone();
        expected[0]["content"][0]["text"] = json!("what?");
        expected[3]["content"] = json!("masked");
        assert_eq!(upstream.requests().pop().unwrap().json()["messages"], expected);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_is_one_completion_for_those_who_ask() {
    let upstream = upstream(Answer::default()).await;
    for (name, is_whole) in [("recorder", true), ("recorder_async", false)] {
        let gateway = gateway(&upstream, &json!([entry(name, "r", json!({}))])).await;
        for model in ["gpt", "llama", "gemma"] {
            let call = gateway.client().chat(model).streaming();
            let _ = call.header("x-litellm-call-id", model).send().await.expect_status(200);
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        for model in ["gpt", "llama", "gemma"] {
            let lines = recorded(&log, model);
            let end = lines.iter().find(|line| seen(line, "hook") == "on_llm_end").unwrap();
            let completion = seen(end, "completion");
            assert_eq!(!completion.is_empty(), is_whole, "{name} {model}: {completion}");
            if is_whole {
                let whole: Value = serde_json::from_str(&completion).unwrap();
                assert_eq!(whole["object"], "chat.completion");
                assert_eq!(whole["choices"][0]["message"]["content"], seen(end, "text"));
                assert_eq!(whole["choices"][0]["finish_reason"], seen(end, "finish_reason"));
            }
        }
    }
}
