//! Nobody can bypass a callback that masks secrets: if it fails, in any hook and in any way, nobody
//! gets the unmasked text, and the gateway reports it.

use crate::callbacks::faulty::{faulty, faulty_async, faulty_blocking, report, with};
use callgate_tests::{
    Answer, Event, Gateway,
    config::{openai, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

type Way = (&'static str, fn(&str, Value) -> Value, Value);

/// Every way to fail.
fn ways() -> Vec<Way> {
    vec![
        ("an error", faulty, json!({"internal": "oops"})),
        ("a panic", faulty, json!({"panic": "oops"})),
        ("an async panic", faulty_async, json!({"panic": "oops"})),
        ("never ready", faulty_async, json!("never")),
        ("a panic on its thread", faulty_blocking, json!({"panic": "oops"})),
        ("a stuck thread", faulty_blocking, json!("block")),
    ]
}

#[tokio::test]
async fn a_mask_that_breaks_lets_nothing_through() {
    for (what, make, act) in ways() {
        for hook in ["on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"] {
            let answer = match hook {
                "on_llm_error" => Answer::error(500, "t", "c", "secret words"),
                _ => Answer::text(["secret", " words"]),
            };
            let upstream = upstream(answer).await;
            let mut acts = json!({});
            acts[hook] = json!([act]);
            let mask = with(make("mask", acts), "timeout", json!("30ms"));
            let config = with_callbacks(&[openai(&upstream)], &json!([mask]));
            let gateway = Gateway::with_config(config).start().await;
            let request = gateway.client().chat("gpt").set("stream", hook == "on_llm_new_token");
            let reply = request.send().await;
            assert!(!reply.text().contains("secret"), "{what} in {hook}: {}", reply.text());
            if hook == "on_llm_new_token" && reply.status == 200 {
                let events = reply.events();
                let ended = events.contains(&Event::Done) || sse::error(&events).is_none();
                assert!(!ended, "{what}: {events:?}");
            } else {
                assert_eq!(reply.status, 503, "{what} in {hook}: {}", reply.text());
                assert_eq!(reply.error()["code"], "callback_failed", "{what} in {hook}");
            }
            let asked = usize::from(hook != "on_llm_start");
            assert_eq!(upstream.requests().len(), asked, "{what} in {hook}");
            let told = &report(&gateway).await[0];
            assert_eq!(told["hooks"][hook]["faults"], 1, "{what} in {hook}: {told}");
            assert_eq!(told["last_fault"]["hook"], hook, "{what}");
            gateway.log().containing(&format!("callback `mask` failed in {hook}")).await;
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn faults_at_the_rate_of_requests_do_not_fill_the_log() {
    const CALLS: usize = 200;
    let upstream = upstream(Answer::default()).await;
    for (_, make, act) in ways().into_iter().take(2) {
        let config = with_callbacks(
            &[openai(&upstream)],
            &json!([make("mask", json!({"on_llm_start": [act]}))]),
        );
        let gateway = Gateway::with_config(config).start().await;
        let calls: Vec<_> = (0..CALLS).map(|_| gateway.client().chat("gpt").spawn()).collect();
        for call in calls {
            let _ = call.await.unwrap().expect_status(503);
        }
        assert_eq!(report(&gateway).await[0]["faults"], CALLS);
        let log = gateway.log().clone();
        gateway.stop().await;
        let lines: Vec<_> =
            log.lines().into_iter().filter(|line| line.text.contains("failed in")).collect();
        let told: u64 =
            lines.iter().map(|line| 1 + line.field("suppressed").as_u64().unwrap()).sum();
        assert!(lines.len() < CALLS / 4 && told <= CALLS as u64, "{} lines", lines.len());
    }
}
