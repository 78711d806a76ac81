//! The promise callbacks are built on: whoever's start hook was passed gets exactly one of end and
//! error, whatever became of the call. One table: outcome × dialect × {JSON, stream}.

use callgate_tests::config::{every_dialect, with_callbacks, with_param};
use callgate_tests::{Answer, Gateway, Script, scripted, within};
use serde_json::{Value, json};

use crate::faulty::{faulty, faulty_async, hooks, recorder, refusal, with};

/// What happens, what the upstream does, what the second callback does, and the hook the first one
/// must see.
type Outcome = (&'static str, Answer, Value, &'static str);

fn outcomes() -> Vec<Outcome> {
    let none = || json!({});
    let end = "on_llm_end";
    let error = "on_llm_error";
    vec![
        ("success", Answer::default(), none(), end),
        ("a tool call", Answer::default(), none(), end),
        (
            "reply from a callback",
            Answer::default(),
            json!({"on_llm_start": [{"answer_text": "hello"}]}),
            end,
        ),
        ("refusal", Answer::default(), json!({"on_llm_start": [refusal("no")]}), error),
        (
            "fault of a later callback",
            Answer::default(),
            json!({"on_llm_start": [{"internal": "oops"}]}),
            error,
        ),
        (
            "panic of a later callback",
            Answer::default(),
            json!({"on_llm_start": [{"panic": "oops"}]}),
            error,
        ),
        ("upstream error", Answer::error(500, "t", "c", "oops"), none(), error),
        ("upstream refusal", Answer::error(429, "t", "c", "slow"), none(), error),
        ("reset", Answer::reset(), none(), error),
        ("garbage", Answer::fixed(200, "text/html", "<html>"), none(), error),
        ("timeout", Answer::silence(), none(), error),
        ("broken body", Answer::default().closing_after(1), none(), error),
        ("broken stream", Answer::default().resetting_after(2), none(), error),
        ("stalled stream", Answer::default().stalling_after(1), none(), error),
    ]
}

#[tokio::test]
async fn end_or_error_exactly_once() {
    for (what, answer, acts, last) in outcomes() {
        let upstream = scripted(Script::always(answer)).await;
        let models: Vec<_> = every_dialect(&upstream)
            .into_iter()
            .map(|deployment| with_param(deployment, "timeout", 0.3))
            .collect();
        let callbacks = json!([recorder("first"), faulty("second", acts)]);
        let gateway = Gateway::with_config(with_callbacks(&models, &callbacks)).start().await;
        let mut ids = Vec::new();
        for model in ["gpt", "llama", "gemma"] {
            for stream in [false, true] {
                let id = format!("call-{model}-{stream}");
                let request = gateway.client().chat(model).set("stream", stream);
                let _ = request.header("x-litellm-call-id", &id).send().await;
                // A body can only be cut in half when it is not a stream of two events or more.
                let whole = what == "broken stream" && !stream;
                ids.push((id, if whole { "" } else { last }));
            }
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        for (id, last) in ids {
            let ran: Vec<_> =
                hooks(&log, &id).into_iter().filter(|h| h.starts_with("first ")).collect();
            assert_eq!(ran.len(), 2, "{what}, {id}: {ran:?}");
            assert_eq!(ran[0], "first on_llm_start", "{what}, {id}");
            assert!(ran[1].ends_with(last), "{what}, {id}: {ran:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_an_error_once() {
    for answer in [Answer::silence(), Answer::default().stalling_after(1)] {
        let upstream = scripted(Script::always(answer)).await;
        let callbacks = json!([recorder("first"), recorder("second")]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        let mut ids = Vec::new();
        for model in ["gpt", "llama", "gemma"] {
            for stream in [false, true] {
                let id = format!("call-{model}-{stream}");
                let request = gateway.client().chat(model).set("stream", stream);
                let call = request.header("x-litellm-call-id", &id).spawn();
                ids.push(id);
                within("the upstream call", upstream.received(ids.len())).await;
                call.abort();
                within("the upstream call's end", upstream.hung_up(ids.len())).await;
            }
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        for id in ids {
            let mut ran = hooks(&log, &id);
            ran.sort();
            let expected = [
                "first on_llm_error",
                "first on_llm_start",
                "second on_llm_error",
                "second on_llm_start",
            ];
            assert_eq!(ran, expected, "{id}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_the_end_hooks_run_brings_no_second_last_hook() {
    let upstream = scripted(Script::default()).await;
    let waits = json!({"on_llm_end": [{"log": "waiting"}, "never"]});
    let waits = with(faulty_async("waits", waits), "timeout", json!("1h"));
    let callbacks = json!([recorder("a"), waits, recorder("b")]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "call-1").spawn();
    gateway.log().containing("\"waiting\"").await;
    call.abort();
    gateway.log().containing("client_closed_request").await;
    let log = gateway.log().clone();
    gateway.stop().await;
    let expected = ["a on_llm_start", "b on_llm_start", "a on_llm_end", "b on_llm_error"];
    assert_eq!(hooks(&log, "call-1"), expected);
}

#[tokio::test]
async fn refused_before_the_chain_means_no_hook_at_all() {
    let upstream = scripted(Script::default()).await;
    let callbacks = json!([recorder("first")]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let chat = || gateway.client().chat("gpt").header("x-litellm-call-id", "call-refused");
    let _ = chat().body("{broken").send().await.expect_status(400);
    let anonymous = gateway.client().without_key().chat("gpt");
    let _ = anonymous.header("x-litellm-call-id", "call-refused").send().await.expect_status(401);
    let unknown = gateway.client().chat("nope").header("x-litellm-call-id", "call-unknown");
    let _ = unknown.send().await.expect_status(400);
    let log = gateway.log().clone();
    gateway.stop().await;
    assert_eq!(hooks(&log, "call-refused"), Vec::<String>::new());
    // Start hooks run before the model is looked up: they may still give the call a route.
    assert_eq!(hooks(&log, "call-unknown"), ["first on_llm_start", "first on_llm_error"]);
}
