//! A callback with repeated faults is skipped for a while: its calls are refused at once, or go on
//! without it, as `on_error` says; then one call probes it.

use crate::callbacks::faulty::{
    faulty, faulty_async, faulty_blocking, hooks, recorder, report, with, with_policy,
};
use callgate_tests::{
    Answer, Gateway,
    config::{every_dialect, with_callbacks},
    upstream, within,
};
use serde_json::{Value, json};

#[tokio::test]
async fn open_it_fails_closed_or_is_skipped_for_the_whole_call() {
    let upstream = upstream(Answer::default()).await;
    for make in [faulty, faulty_async, faulty_blocking] {
        for (policy, status) in [("fail", 503), ("ignore", 200)] {
            let acts = json!({
                "on_llm_start": [{"internal": "oops"}], "on_llm_end": [{"log": "its end ran"}],
            });
            let limits = json!({"faults": 3, "within": "1h", "open": "1h"});
            let bad = with(with_policy(make("bad", acts), policy), "breaker", limits);
            let config = with_callbacks(
                &every_dialect(&upstream),
                &json!([recorder("a"), bad, recorder("b")]),
            );
            let gateway = Gateway::with_config(config).start().await;
            let call = |id: &str| gateway.client().chat("gpt").header("x-litellm-call-id", id);
            for round in 0..3 {
                let reply = call(&format!("before-{round}")).send().await.expect_status(status);
                assert!(!reply.text().contains("breaker is open"), "{}", reply.text());
            }
            let reply = call("after").send().await.expect_status(status);
            if status == 503 {
                assert_eq!(reply.error()["code"], "callback_failed");
                let wait: u64 = reply.header("retry-after").parse().unwrap();
                assert!((1..=3600).contains(&wait), "{wait}");
                assert!(reply.text().contains("breaker is open"), "{}", reply.text());
            }
            let told = &report(&gateway).await[1];
            let start = &told["hooks"]["on_llm_start"];
            assert_eq!((&told["breaker"], &told["faults"]), (&json!("open"), &json!(3)), "{told}");
            assert_eq!((&start["calls"], &start["skipped"]), (&json!(3), &json!(1)), "{told}");
            let log = gateway.log().clone();
            let text = gateway.stop().await;
            assert_eq!(text.matches("its breaker is open for 3600 s").count(), 1, "{text}");
            // With `ignore` a call passes a faulty start, so its end hook runs, but not while the
            // breaker is open.
            let ends = if policy == "ignore" { 3 } else { 0 };
            assert_eq!(text.matches("its end ran").count(), ends, "{text}");
            let expected: &[&str] = if status == 503 {
                &["a on_llm_start", "a on_llm_error"]
            } else {
                &["a on_llm_start", "b on_llm_start", "a on_llm_end", "b on_llm_end"]
            };
            assert_eq!(hooks(&log, "after"), expected);
        }
    }
}

#[tokio::test]
async fn a_callback_without_a_start_hook_refuses_before_the_upstream_is_asked() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_end": [{"internal": "oops"}]});
    let limits = json!({"faults": 2, "within": "1h", "open": "1h"});
    let bad = with(with(faulty("bad", acts), "breaker", limits), "hooks", json!(["on_llm_end"]));
    let config = with_callbacks(&every_dialect(&upstream), &json!([bad]));
    let gateway = Gateway::with_config(config).start().await;
    for _ in 0..4 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(503);
    }
    assert_eq!(upstream.requests().len(), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn after_a_while_one_call_is_tried_and_closes_it() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"times": 3, "on_llm_start": [{"internal": "oops"}]});
    let limits = json!({"faults": 2, "within": "1h", "open": "30ms"});
    let config = with_callbacks(
        &every_dialect(&upstream),
        &json!([with(faulty("bad", acts), "breaker", limits)]),
    );
    let gateway = Gateway::with_config(config).start().await;
    let answered = async { while gateway.client().chat("gpt").send().await.status != 200 {} };
    within("a call that is answered", answered).await;
    let told = &report(&gateway).await[0];
    assert_eq!((&told["breaker"], &told["faults"]), (&json!("closed"), &json!(3)), "{told}");
    let log = gateway.stop().await;
    // The third fault was the first probe's; the breaker was already open.
    assert_eq!(log.matches("its breaker is open for 0.03 s").count(), 1, "{log}");
    assert_eq!(log.matches("works again").count(), 1, "{log}");
}

#[tokio::test]
async fn rare_faults_between_good_calls_open_nothing() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"only_model": "llama", "on_llm_start": [{"internal": "oops"}]});
    let limits = json!({"faults": 2, "within": "1h", "open": "1h"});
    let callbacks: Value = json!([with(faulty("odd", acts), "breaker", limits)]);
    let gateway = Gateway::with_config(with_callbacks(&every_dialect(&upstream), &callbacks));
    let gateway = gateway.start().await;
    for _ in 0..3 {
        let _ = gateway.client().chat("llama").send().await.expect_status(503);
        for _ in 0..4 {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        }
    }
    assert_eq!(report(&gateway).await[0]["breaker"], "closed");
    gateway.stop().await;
}
