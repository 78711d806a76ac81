//! After a panic a callback is restarted: the new instance serves later calls, and the old one ends
//! after the last call that began with it. Nothing else waits for either.

use crate::callbacks::faulty::{faulty, faulty_async, seen, with_policy};
use callgate_tests::{
    Answer, Gate, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    log::Log,
    upstream, within,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callback: Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!([callback]));
    Gateway::with_config(config).start().await
}

/// The log lines of a callback's instances, in order.
fn said(log: &Log, label: &str) -> Vec<String> {
    let own = log.lines().into_iter().filter(|line| seen(line, "label") == label);
    own.map(|line| line.message().to_owned()).collect()
}

#[tokio::test]
async fn each_panic_gets_a_new_instance() {
    let upstream = upstream(Answer::default()).await;
    for make in [faulty, faulty_async] {
        // Each instance panics in its first call only: if the next call fails, too, there is a new
        // instance.
        let acts = json!({"times": 1, "on_llm_start": [{"panic": "boom"}]});
        let gateway = gateway(&upstream, make("p", acts)).await;
        for round in 1..=2 {
            let reply = gateway.client().chat("gpt").send().await.expect_status(503);
            assert_eq!(reply.error()["code"], "callback_failed");
            gateway.log().times("was restarted after a panic", round).await;
            gateway.log().times("\"dropped\"", round).await;
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        let [created, shut_down, dropped] = ["created", "shut down", "dropped"]
            .map(|message| said(&log, "p").iter().filter(|said| *said == message).count());
        assert_eq!((created, shut_down), (3, 3), "{}", log.text());
        assert!(dropped >= 2, "{}", log.text());
    }
}

#[tokio::test]
async fn a_call_in_flight_keeps_the_instance_it_began_with() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let acts = json!({"on_llm_error": [{"panic": "boom"}], "on_llm_end": [{"log": "ended"}]});
    let gateway = gateway(&upstream, faulty("p", acts)).await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a call in flight", gate.arrived(1)).await;
    let unknown = gateway.client().chat("nope").send().await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    gateway.log().times("was restarted after a panic", 1).await;
    gate.open();
    let _ = call.await.unwrap().expect_status(200);
    gateway.log().times("\"dropped\"", 1).await;
    let expected = ["created", "created", "ended", "shut down", "dropped"];
    assert_eq!(said(gateway.log(), "p"), expected, "{}", gateway.log().text());
    gateway.stop().await;
}

#[tokio::test]
async fn one_that_cannot_be_restarted_fails_calls_until_it_can() {
    let upstream = upstream(Answer::default()).await;
    for (policy, status) in [("fail", 503), ("ignore", 200)] {
        let acts = json!({"unmade": [2], "only_model": "gpt", "on_llm_start": [{"panic": "boom"}]});
        let gateway = gateway(&upstream, with_policy(faulty("p", acts), policy)).await;
        let client = gateway.client();
        let _ = client.chat("llama").send().await.expect_status(200);
        let _ = client.chat("gpt").send().await.expect_status(status);
        gateway.log().containing("cannot be restarted after a panic").await;
        // Calls of its harmless model fail, too, because no instance can decide.
        let _ = client.chat("llama").send().await.expect_status(status);
        gateway.log().times("was restarted after a panic", 1).await;
        let _ = client.chat("llama").send().await.expect_status(200);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn other_faults_keep_the_instance() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_start": [{"internal": "panicked, it says"}]});
    let gateway = gateway(&upstream, faulty("p", acts)).await;
    for _ in 0..3 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(503);
    }
    let log = gateway.stop().await;
    assert!(!log.contains("restarted"), "{log}");
}
