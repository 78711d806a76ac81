//! `mode: blocking`: hooks on the callback's own threads. They can do all that other hooks can; a
//! stuck one affects only its own calls, and its later changes are dropped.

use crate::callbacks::faulty::{
    entry, faulty, faulty_blocking, recorded, refusal, report, seen, with, with_policy,
};
use callgate_tests::{
    Answer, Gate, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream, within,
};
use serde_json::{Value, json};

/// The most threads of a callback.
const THREADS: usize = 32;

async fn gateway(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    Gateway::with_config(config).start().await
}

#[tokio::test]
async fn what_hooks_do_there_is_what_they_do_elsewhere() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({
        "on_llm_start": [{"append_message": ["user", "added"]}, {"set_upstream_header": ["x-a", "1"]}],
        "on_llm_new_token": ["chunk_upper"],
        "on_llm_end": [{"reply_header": ["x-seen-by", "a"]}],
        "on_llm_error": [{"failure_message": "softened"}],
    });
    let gateway = gateway(&upstream, &[faulty_blocking("a", acts)]).await;
    for model in ["gpt", "llama", "gemma"] {
        let reply = gateway.client().chat(model).send().await.expect_status(200);
        assert_eq!(reply.header("x-seen-by"), "a", "{model}");
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.json()["messages"][1]["content"], "added", "{model}");
        assert_eq!(sent.header("x-a"), Some("1"), "{model}");
        let events = gateway.client().chat(model).streaming().send().await.events();
        assert_eq!(sse::text(&events), "HELLO WORLD!", "{model}");
    }
    upstream.push(Answer::error(500, "t", "c", "oops"));
    let failed = gateway.client().chat("gpt").send().await.expect_status(500);
    assert_eq!(failed.error()["message"], "softened");
    gateway.stop().await;
}

#[tokio::test]
async fn its_verdicts_count() {
    let upstream = upstream(Answer::default()).await;
    for (act, status) in [
        (refusal("no"), 418),
        (json!({"answer_text": "hello"}), 200),
        (json!({"internal": "oops"}), 503),
        (json!({"panic": "oops"}), 503),
        (json!({"panic_with_number": 7}), 503),
    ] {
        let callback = faulty_blocking("a", json!({"on_llm_start": [act]}));
        let gateway = gateway(&upstream, &[callback]).await;
        for _ in 0..3 {
            let _ = gateway.client().chat("gpt").send().await.expect_status(status);
        }
        gateway.stop().await;
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn one_that_is_stuck_weakens_no_other_and_does_not_hold_the_end() {
    let upstream = upstream(Answer::default()).await;
    for (policy, status) in [("fail", 503), ("ignore", 200)] {
        let wedged = faulty_blocking("wedged", json!({"on_llm_start": ["block"]}));
        let wedged = with(wedged, "timeout", json!("50ms"));
        let wedged = with(wedged, "only", json!({"models": ["llama"]}));
        let guard = |make: fn(&str, Value) -> Value, tag: &str, model: &str| {
            make(tag, json!({"only_model": model, "on_llm_start": [refusal("guarded")]}))
        };
        let callbacks = [
            with_policy(wedged, policy),
            guard(faulty, "inline", "gpt"),
            guard(faulty_blocking, "blocking", "gemma"),
        ];
        let gateway = gateway(&upstream, &callbacks).await;
        let calls: Vec<_> =
            (0..THREADS + 8).map(|_| gateway.client().chat("llama").spawn()).collect();
        for call in calls {
            let _ = call.await.unwrap().expect_status(status);
        }
        // Calls that waited for a thread in vain do not block later ones.
        while report(&gateway).await[0]["threads"]["stuck"] != THREADS {
            let _ = gateway.client().chat("llama").send().await.expect_status(status);
        }
        gateway.log().containing("threads are stuck").await;
        for model in ["gpt", "gemma"] {
            let guarded = gateway.client().chat(model).send().await.expect_status(418);
            assert_eq!(guarded.error()["message"], "guarded");
        }
        let wedged = &report(&gateway).await[0];
        assert_eq!(wedged["threads"]["limit"], THREADS);
        let start = &wedged["hooks"]["on_llm_start"];
        assert!(start["timeouts"].as_u64().unwrap() >= THREADS as u64, "{wedged}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_comes_too_late_changes_nothing() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let acts = json!({"on_llm_start": [
        {"sleep_ms": 200}, {"set_metadata": ["k", "late"]}, {"set_local": "late"},
        {"append_message": ["user", "late"]}, {"log": "came late"},
    ]});
    let late = with(faulty_blocking("late", acts), "timeout", json!("20ms"));
    let callbacks =
        [with_policy(late, "ignore"), entry("recorder", "r", json!({"metadata": ["k"]}))];
    let gateway = gateway(&upstream, &callbacks).await;
    let request = gateway.client().chat("gpt").streaming().header("x-litellm-call-id", "call-1");
    let call = request.spawn();
    within("a call in flight", gate.arrived(1)).await;
    gateway.log().containing("came late").await;
    gate.open();
    assert_eq!(sse::text(&call.await.unwrap().expect_status(200).events()), "Hello world!");
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.json()["messages"], json!([{"role": "user", "content": "hi"}]));
    let log = gateway.log().clone();
    gateway.stop().await;
    let lines = recorded(&log, "call-1");
    assert!(lines.len() >= 2 && lines.iter().all(|line| seen(line, "metadata.k").is_empty()));
}

#[tokio::test]
async fn a_client_that_leaves_a_stuck_hook_is_logged_once() {
    let upstream = upstream(Answer::default()).await;
    let stuck = faulty_blocking("stuck", json!({"on_llm_start": ["block"]}));
    let stuck = with(stuck, "timeout", json!("1h"));
    let gateway = gateway(&upstream, &[entry("recorder", "r", json!({})), stuck]).await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "call-1").spawn();
    gateway.log().containing("\"blocked\"").await;
    call.abort();
    gateway.log().containing("client_closed_request").await;
    let log = gateway.log().clone();
    gateway.stop().await;
    let hooks: Vec<_> = recorded(&log, "call-1").iter().map(|line| seen(line, "hook")).collect();
    assert_eq!(hooks, ["on_llm_start", "on_llm_error"]);
}

#[tokio::test]
async fn a_callback_that_will_not_end_is_left_behind_alone() {
    let upstream = upstream(Answer::default()).await;
    let callbacks =
        [faulty("stuck", json!({"shutdown": ["block"]})), faulty("b", json!({"on_llm_end": []}))];
    let gateway = gateway(&upstream, &callbacks).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let log = gateway.log().clone();
    let text = gateway.stop().await;
    assert!(text.contains("callbacks had not shut down after 8 s"), "{text}");
    let told = |tag: &str| {
        let lines = log.lines().into_iter();
        lines.filter(|line| line.message() == "shut down" && seen(line, "label") == tag).count()
    };
    assert_eq!((told("stuck"), told("b")), (1, 1), "{text}");
}
