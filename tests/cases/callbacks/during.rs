//! `on_llm_during`: runs beside the upstream call and holds the answer back until its verdict.

use crate::callbacks::faulty::{
    entry, faulty, faulty_beside, recorded, refusal, report, seen, with, with_policy,
};
use callgate_tests::{
    Answer, Gate, Gateway, ScriptedUpstream,
    config::{deployment, every_dialect, openai, with_callbacks, with_param},
    log::{Log, LogLine},
    sse, upstream, within,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

async fn gateway(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    Gateway::with_config(config).start().await
}

/// An entry that acts beside the upstream call, with all the time it wants.
#[expect(clippy::needless_pass_by_value, reason = "as `faulty` and its siblings")]
fn beside(tag: &str, acts: Value) -> Value {
    with(faulty_beside(tag, json!({"on_llm_during": acts})), "timeout", json!("1h"))
}

/// The hooks that the callback `label` had for a call.
fn hooks_of(log: &Log, call: &str, label: &str) -> Vec<String> {
    let lines = recorded(log, call);
    let own = lines.iter().filter(|line| seen(line, "label") == label);
    own.map(|line| seen(line, "hook")).collect()
}

#[tokio::test]
async fn the_upstream_answers_meanwhile_and_the_client_waits_for_all_verdicts() {
    let (upstream, folder) = (upstream(Answer::default()).await, tempfile::tempdir().unwrap());
    for (index, (model, stream)) in
        MODELS.iter().flat_map(|model| [(model, false), (model, true)]).enumerate()
    {
        let go = folder.path().join(index.to_string());
        let acts = json!([{"log": "waits"}, {"until_file": go}, {"log": "goes on"}]);
        let gateway = gateway(&upstream, &[beside("a", acts.clone()), beside("b", acts)]).await;
        let call = gateway.client().chat(model).set("stream", stream).spawn();
        // Both hooks and the upstream call run at the same time.
        gateway.log().times("\"waits\"", 2).await;
        within("the upstream's answer", upstream.answered(index + 1)).await;
        assert!(!call.is_finished(), "{model} {stream}");
        std::fs::write(&go, "").unwrap();
        let reply = call.await.unwrap().expect_status(200);
        assert!(reply.complete, "{model} {stream}");
        gateway.log().times("\"goes on\"", 2).await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_rejection_cancels_the_upstream_call_at_once() {
    let upstream = upstream(Answer::silence()).await;
    let rejects = beside("guard", json!([{"wait_ms": 5}, refusal("not this")]));
    let after = with(entry("recorder", "r", json!({})), "instance", json!("r"));
    let gateway = gateway(&upstream, &[rejects, after]).await;
    let mut left = 0;
    for model in MODELS {
        for stream in [false, true] {
            let id = format!("{model}-{stream}");
            let call = gateway.client().chat(model).set("stream", stream);
            let call = call.header("x-litellm-call-id", &id);
            let reply = call.send().await.expect_status(418);
            assert_eq!(reply.error()["code"], "teapot");
            assert_eq!(reply.header("retry-after"), "7");
            left += 1;
            within("the upstream call's end", upstream.hung_up(left)).await;
        }
    }
    let told = report(&gateway).await[0].clone();
    assert_eq!(told["hooks"]["on_llm_during"]["rejections"], left, "{told}");
    assert_eq!(told["hooks"]["on_llm_error"]["calls"], left, "{told}");
    let log = gateway.log().clone();
    gateway.stop().await;
    for model in MODELS {
        for stream in [false, true] {
            let told = recorded(&log, &format!("{model}-{stream}"));
            assert_eq!(told.len(), 2, "{told:?}");
            let of = |name: &str| seen(&told[1], name);
            assert_eq!((of("hook"), of("kind")), ("on_llm_error".into(), "reply_refused".into()));
            assert_eq!((of("callback"), of("before_upstream")), ("guard".into(), "false".into()));
        }
    }
    assert_eq!(log.text().matches("call failed").count(), left, "{}", log.text());
}

#[tokio::test]
async fn not_even_a_comment_is_sent_before_the_verdict() {
    let gate = Gate::new();
    gate.open();
    for answer in [Answer::default(), Answer::default().held_before_each(9, &gate)] {
        let upstream = upstream(answer).await;
        let rejects = beside("guard", json!([{"wait_ms": 60}, refusal("not this")]));
        let mut config = with_callbacks(&[openai(&upstream)], &json!([rejects]));
        config["callgate"] = json!({"stream_keepalive": "5ms"});
        let gateway = Gateway::with_config(config).start().await;
        let reply = gateway.client().chat("gpt").streaming().send().await.expect_status(418);
        assert_eq!(reply.error()["message"], "not this");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_goes_on_after_the_verdict_with_comments_and_all_chunks() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held(&gate)).await;
    let passes = beside("guard", json!([{"wait_ms": 20}]));
    let mut config = with_callbacks(&every_dialect(&upstream), &json!([passes]));
    config["callgate"] = json!({"stream_keepalive": "5ms"});
    let gateway = Gateway::with_config(config).start().await;
    for (count, model) in MODELS.into_iter().enumerate() {
        let mut open = gateway.client().chat(model).streaming().open().await;
        within("the upstream call", gate.arrived(count + 1)).await;
        gate.admit(1);
        assert_eq!(sse::text(&open.events().await), "Hello world!", "{model}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_upstream_that_fails_first_ends_the_hook() {
    let upstream = upstream(Answer::error(500, "t", "c", "oops")).await;
    let gateway = gateway(&upstream, &[beside("guard", json!([{"log": "waits"}, "never"]))]).await;
    for model in MODELS {
        for stream in [false, true] {
            let call = gateway.client().chat(model).set("stream", stream);
            assert_eq!(call.send().await.status, 500, "{model} {stream}");
        }
    }
    let told = report(&gateway).await[0].clone();
    assert_eq!((&told["faults"], &told["hooks"]["on_llm_error"]["calls"]), (&json!(0), &json!(6)));
    assert_eq!(told["hooks"]["on_llm_during"]["calls"], 0, "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_hook_and_upstream_call() {
    let upstream = upstream(Answer::silence()).await;
    let gateway = gateway(&upstream, &[beside("guard", json!([{"log": "waits"}, "never"]))]).await;
    for (count, stream) in [(1, false), (2, true)] {
        let call = gateway.client().chat("gpt").set("stream", stream).spawn();
        gateway.log().times("\"waits\"", count).await;
        within("the upstream call", upstream.received(count)).await;
        call.abort();
        within("the upstream call's end", upstream.hung_up(count)).await;
        gateway.log().times("\"client_closed_request\"", count).await;
    }
    let told = report(&gateway).await[0].clone();
    assert_eq!(told["hooks"]["on_llm_error"]["calls"], 2, "{told}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_fault_is_treated_by_the_policy() {
    let upstream = upstream(Answer::default()).await;
    for (act, said) in [
        (json!({"internal": "oops"}), "oops"),
        (json!({"panic": "oops"}), "panicked at"),
        (json!("never"), "not done within 50 ms"),
        (json!({"answer_text": "hi"}), "which only on_llm_start may"),
    ] {
        for (policy, status) in [("fail", 503), ("ignore", 200), ("disable", 200)] {
            let acts = faulty_beside("guard", json!({"on_llm_during": [act]}));
            let guard = with_policy(with(acts, "timeout", json!("50ms")), policy);
            let gateway = gateway(&upstream, &[guard]).await;
            for stream in [false, true] {
                let call = gateway.client().chat("gpt").set("stream", stream);
                let reply = call.send().await.expect_status(status);
                if status == 503 {
                    assert_eq!(reply.error()["code"], "callback_failed");
                }
            }
            let line = gateway.log().containing("failed in on_llm_during").await;
            assert!(line.message().contains(said), "{policy}: {line:?}");
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn metadata_is_kept_and_nothing_else_can_be_changed() {
    let upstream = upstream(Answer::default()).await;
    let a = beside("a", json!([{"set_metadata": ["a", "1"]}, {"wait_ms": 5}]));
    let b = beside("b", json!([{"wait_ms": 1}, {"set_metadata": ["b", "2"]}]));
    let lost = json!([{"set_metadata": ["a", "lost"]}, {"internal": "oops"}]);
    let lost = with_policy(beside("lost", lost), "ignore");
    let reads = entry("recorder", "r", json!({"metadata": ["a", "b"]}));
    let gateway = gateway(&upstream, &[a, b, lost, reads]).await;
    for stream in [false, true] {
        let id = format!("call-{stream}");
        let call = gateway.client().chat("gpt").set("stream", stream);
        let _ = call.header("x-litellm-call-id", &id).send().await.expect_status(200);
        let is_end =
            |line: &LogLine| seen(line, "call") == id && seen(line, "hook") == "on_llm_end";
        let end = gateway.log().find(is_end).await.unwrap();
        assert_eq!((seen(&end, "metadata.a"), seen(&end, "metadata.b")), ("1".into(), "2".into()));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn it_runs_only_for_calls_that_go_to_an_upstream() {
    let upstream = upstream(Answer::default()).await;
    let records = |tag: &str| faulty_beside(tag, json!({"record": true}));
    let answers = json!({"only_model": "llama", "on_llm_start": [{"answer_text": "hi"}]});
    let refuses = json!({"only_model": "gemma", "on_llm_start": [refusal("no")]});
    let callbacks = json!([
        records("first"),
        with(records("without"), "hooks", json!(["on_llm_start", "on_llm_end"])),
        with(records("other"), "only", json!({"models": ["other"]})),
        faulty("answers", answers),
        faulty("refuses", refuses),
    ]);
    let mock = deployment("mock", "openai/m", "http://127.0.0.1:9/v1");
    let mut models = every_dialect(&upstream);
    models.push(with_param(mock, "mock_response", "mocked"));
    let gateway = Gateway::with_config(with_callbacks(&models, &callbacks)).start().await;
    let cases = [
        ("gpt", 200, &["on_llm_start", "on_llm_during", "on_llm_end"][..]),
        ("mock", 200, &["on_llm_start", "on_llm_during", "on_llm_end"]),
        ("llama", 200, &["on_llm_start", "on_llm_end"]),
        ("gemma", 418, &["on_llm_start", "on_llm_error"]),
    ];
    for (model, status, _) in cases {
        let call = gateway.client().chat(model).header("x-litellm-call-id", model);
        let _ = call.send().await.expect_status(status);
    }
    let told = report(&gateway).await;
    assert!(told[0]["hooks"]["on_llm_during"].is_object(), "{told:?}");
    assert!(told[1]["hooks"]["on_llm_during"].is_null(), "{told:?}");
    let log = gateway.log().clone();
    gateway.stop().await;
    for (model, _, expected) in cases {
        assert_eq!(hooks_of(&log, model, "first"), expected, "{model}");
        let without = hooks_of(&log, model, "without");
        assert!(!without.contains(&"on_llm_during".to_owned()), "{without:?}");
        assert_eq!(hooks_of(&log, model, "other"), [""; 0]);
    }
}

#[tokio::test]
async fn in_shadow_it_only_counts() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!([{"set_metadata": ["a", "1"]}, refusal("not this")]);
    let shadow = with(beside("guard", acts), "mode", json!("shadow"));
    let reads = entry("recorder", "r", json!({"metadata": ["a"]}));
    let gateway = gateway(&upstream, &[shadow, reads]).await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "c");
    let _ = call.send().await.expect_status(200);
    let told = report(&gateway).await[0]["hooks"]["on_llm_during"].clone();
    assert_eq!((&told["shadow_edits"], &told["rejections"]), (&json!(1), &json!(1)), "{told}");
    let would = "would have failed the call with status 418 in on_llm_during";
    let _ = gateway.log().containing(would).await;
    let log = gateway.log().clone();
    gateway.stop().await;
    let end = recorded(&log, "c").pop().unwrap();
    assert_eq!((seen(&end, "hook"), seen(&end, "metadata.a")), ("on_llm_end".into(), "".into()));
}

#[tokio::test]
async fn its_faults_open_the_breaker() {
    let upstream = upstream(Answer::default()).await;
    let fails = faulty_beside("guard", json!({"on_llm_during": [{"internal": "oops"}]}));
    let guard = with(fails, "breaker", json!({"faults": 2, "open": "1h"}));
    let gateway = gateway(&upstream, &[guard]).await;
    for said in ["failed, so the call was stopped", "failed, so the call", "its breaker is open"] {
        let reply = gateway.client().chat("gpt").send().await.expect_status(503);
        assert!(reply.error()["message"].as_str().unwrap().contains(said), "{said}: {reply:?}");
    }
    assert_eq!(report(&gateway).await[0]["breaker"], "open");
    gateway.stop().await;
}

#[tokio::test]
async fn a_hook_that_never_ends_does_not_hold_the_stop() {
    let upstream = upstream(Answer::default()).await;
    let guard = beside("guard", json!([{"log": "waits"}, "never"]));
    let mut config = with_callbacks(&[openai(&upstream)], &json!([guard]));
    config["callgate"] = json!({"limits": {"drain_timeout": "100ms"}});
    let mut gateway = Gateway::with_config(config).start().await;
    let calls = [false, true].map(|stream| {
        let client = gateway.client();
        client.chat("gpt").set("stream", stream).spawn()
    });
    gateway.log().times("\"waits\"", 2).await;
    gateway.terminate();
    for call in calls {
        let reply = call.await.unwrap().expect_status(503);
        assert_eq!(reply.error()["code"], "shutting_down");
    }
    let _ = gateway.exit().await;
}

#[tokio::test]
async fn a_reload_leaves_the_hooks_that_run_and_a_stop_waits_for_them() {
    let (upstream, folder) = (upstream(Answer::default()).await, tempfile::tempdir().unwrap());
    for stops in [false, true] {
        for verdict in [json!({"log": "passes"}), refusal("not this")] {
            let status = if verdict["log"] == "passes" { 200 } else { 418 };
            let go = folder.path().join(format!("{stops}-{status}"));
            let acts = json!([{"log": "waits"}, {"until_file": go}, verdict]);
            let mut config = with_callbacks(&every_dialect(&upstream), &json!([beside("a", acts)]));
            config["callgate"] = json!({"limits": {"drain_timeout": "1h"}});
            let mut gateway = Gateway::with_config(&config).start().await;
            let call = |stream: bool| gateway.client().chat("gpt").set("stream", stream).spawn();
            let calls = [call(false), call(true)];
            gateway.log().times("\"waits\"", 2).await;
            if stops {
                gateway.terminate();
                gateway.log().containing("draining").await;
            } else {
                config["litellm_settings"]["callbacks"] = json!([]);
                let file = gateway.folder().join("config.yaml");
                std::fs::write(file, config.to_string()).unwrap();
                let reload = gateway.client().request("POST", "/admin/reload").send().await;
                let _ = reload.expect_status(200);
                // New calls no longer wait for the hook.
                let _ = gateway.client().chat("gpt").send().await.expect_status(200);
            }
            std::fs::write(&go, "").unwrap();
            for call in calls {
                let reply = within("the call's end", call).await.unwrap().expect_status(status);
                assert!(reply.complete, "{stops} {status}");
            }
            if stops {
                // A second signal would abort the calls if it came before the end.
                assert_eq!(gateway.exit().await.code(), Some(0));
            } else {
                gateway.stop().await;
            }
        }
    }
}
