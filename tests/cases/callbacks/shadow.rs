//! `mode: shadow`: hooks run on copies, and what they would have done is counted. `canary`: a share
//! of the callers, the same ones each time.

use crate::callbacks::faulty::{
    faulty, faulty_async, recorded, recorder, refusal, report, seen, with,
};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callbacks: &Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), callbacks);
    Gateway::with_config(config).start().await
}

fn in_shadow(entry: Value) -> Value {
    with(entry, "mode", json!("shadow"))
}

#[tokio::test]
async fn a_callback_in_shadow_changes_nothing_and_is_counted() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({
        "on_llm_start": [
            {"set_reply_header": ["x-mark", "yes"]},
            {"append_message": ["user", "more"]},
            {"set_metadata": ["mark", "yes"]},
        ],
        "on_llm_new_token": ["chunk_drop"],
        "on_llm_end": [{"reply_header": ["x-end", "yes"]}],
        "on_llm_error": [{"failure_status": 418}],
    });
    for make in [faulty, faulty_async] {
        let callbacks = json!([in_shadow(make("s", acts.clone())), recorder("after")]);
        let gateway = gateway(&upstream, &callbacks).await;
        let whole = gateway.client().chat("gpt").send().await.expect_status(200);
        assert_eq!((whole.header("x-mark"), whole.header("x-end")), ("", ""));
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
        let stream = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
        assert_eq!(sse::text(&stream.events()), "Hello world!");
        upstream.push(Answer::error(429, "t", "c", "slow down"));
        let _ = gateway.client().chat("gpt").send().await.expect_status(429);
        let told = report(&gateway).await[0].clone();
        assert_eq!(told["mode"], "shadow");
        for (hook, edits) in [("on_llm_start", 3), ("on_llm_end", 1), ("on_llm_error", 1)] {
            assert_eq!(told["hooks"][hook]["shadow_edits"], edits, "{hook}: {told}");
        }
        assert!(told["hooks"]["on_llm_new_token"]["shadow_edits"].as_u64() > Some(0), "{told}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_note_in_shadow_is_there_for_later_hooks() {
    let upstream = upstream(Answer::default()).await;
    let entry = in_shadow(with(recorder("r"), "settings", json!({"label": "r", "note": "kept"})));
    let gateway = gateway(&upstream, &json!([entry])).await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "c");
    let _ = call.send().await.expect_status(200);
    let log = gateway.log().clone();
    gateway.stop().await;
    let lines = recorded(&log, "c");
    let end = lines.iter().find(|line| seen(line, "hook") == "on_llm_end").unwrap();
    assert_eq!(seen(end, "note"), "kept");
}

#[tokio::test]
async fn refusals_answers_and_faults_in_shadow_end_no_call() {
    let upstream = upstream(Answer::default()).await;
    for (act, counted, line) in [
        (refusal("no"), "rejections", "would have failed the call with status 418"),
        (json!({"answer_text": "mine"}), "replies", "would have answered the call"),
        (json!({"internal": "broken"}), "faults", "failed in on_llm_start: broken"),
        (json!({"panic": "boom"}), "faults", "boom"),
    ] {
        for make in [faulty, faulty_async] {
            let entry = in_shadow(make("s", json!({"on_llm_start": [act]})));
            let gateway = gateway(&upstream, &json!([entry])).await;
            let reply = gateway.client().chat("gpt").send().await.expect_status(200);
            assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello world!");
            let told = report(&gateway).await[0].clone();
            assert_eq!(told["hooks"]["on_llm_start"][counted], 1, "{told}");
            gateway.log().containing(line).await;
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_canary_is_for_the_same_callers_each_time_and_its_rest_for_the_others() {
    let upstream = upstream(Answer::default()).await;
    let share = |tag: &str, canary: &str| with(recorder(tag), "canary", json!(canary));
    let callbacks = json!([share("new", "25%"), share("old", "25%-100%")]);
    let gateway = gateway(&upstream, &callbacks).await;
    let users: Vec<_> = (0..120).map(|at| format!("user-{at}")).collect();
    for round in ["a", "b"] {
        for user in &users {
            let call = gateway.client().chat("gpt").set("user", user.as_str());
            let call = call.header("x-litellm-call-id", &format!("{round}-{user}"));
            let _ = call.send().await.expect_status(200);
        }
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    let serving = |round: &str, user: &str| -> Vec<String> {
        let id = format!("{round}-{user}");
        let of = |line: &&_| seen(line, "call") == id && seen(line, "hook") == "on_llm_start";
        log.lines().iter().filter(of).map(|line| seen(line, "label")).collect()
    };
    let mut new = 0;
    for user in &users {
        let labels = serving("a", user);
        assert_eq!(labels.len(), 1, "{user}: {labels:?}");
        assert_eq!(labels, serving("b", user), "{user}");
        new += usize::from(labels == ["new"]);
    }
    assert!((12..=48).contains(&new), "{new} of 120");
}

#[tokio::test]
async fn a_share_that_makes_no_sense_is_refused_with_its_place() {
    let upstream = upstream(Answer::default()).await;
    for wrong in ["10", "110%", "20%-10%", "5%-5%", "some"] {
        let callbacks = json!([with(recorder("r"), "canary", json!(wrong))]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let refused = Gateway::with_config(config).refused().await;
        assert!(refused.stderr.contains("expected a share of the callers"), "{wrong}");
    }
}
