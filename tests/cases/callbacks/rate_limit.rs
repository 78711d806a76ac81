//! The shipped rate limit, loaded from its shared object: exact counts, correct waits, and no place
//! taken by a call that was never sent.

use callgate_tests::{
    Answer, Gate, Gateway, Reply, ScriptedUpstream, build,
    config::{deployment, with_callbacks},
    upstream, within,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

fn models(upstream: &ScriptedUpstream) -> Vec<Value> {
    vec![
        deployment("groq-a", "groq/a", &upstream.groq_base()),
        deployment("groq-b", "groq/b", &upstream.groq_base()),
        deployment("openai-a", "openai/a", &upstream.openai_base()),
        deployment("gemma3", "ollama_chat/gemma3:4b", &upstream.ollama_base()),
    ]
}

async fn gateway(upstream: &ScriptedUpstream, callbacks: Value) -> Gateway {
    Gateway::with_config(with_callbacks(&models(upstream), &callbacks)).start().await
}

async fn limited(upstream: &ScriptedUpstream, limits: Value) -> Gateway {
    let mut config = with_callbacks(&models(upstream), &json!(["routing", "rate_limit"]));
    config["callback_settings"] = json!({"rate_limit": {"limits": limits}});
    Gateway::with_config(config).start().await
}

#[tokio::test]
async fn of_95_quick_requests_the_first_90_pass() {
    let upstream = upstream(Answer::default()).await;
    let gateway =
        gateway(&upstream, json!(["src.callbacks.routing", "src.callbacks.rate_limit"])).await;
    let mut statuses = Vec::new();
    for index in 0..95 {
        // Across models and both kinds of reply, because they share one budget.
        let model = ["groq-a", "groq-b", "groq-unlisted"][index % 3];
        let reply = gateway.client().chat(model).set("stream", index % 2 == 0).send().await;
        if reply.status == 429 {
            check_refusal(&reply);
        }
        statuses.push(reply.status);
    }
    assert!(statuses[..90].iter().all(|status| *status == 200), "{statuses:?}");
    assert!(statuses[90..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(upstream.requests().len(), 90);
    // Another provider has its own budget.
    let _ = gateway.client().chat("openai-a").send().await.expect_status(200);
    gateway.stop().await;
}

#[track_caller]
fn check_refusal(reply: &Reply) {
    let wait: u64 = reply.header("retry-after").parse().expect("whole seconds in Retry-After");
    assert!((1..=60).contains(&wait), "{wait}");
    let error = reply.error();
    assert_eq!(error["type"], "rate_limit_error", "{error}");
    assert!(error["message"].as_str().unwrap().contains("groq"), "{error}");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn sixty_four_at_a_time_still_exactly_90_pass() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held(&gate)).await;
    let gateway = gateway(&upstream, json!(["routing", "rate_limit"])).await;
    let first: Vec<_> = (0..64).map(|_| gateway.client().chat("groq-a").spawn()).collect();
    within("64 calls in flight", gate.arrived(64)).await;
    let second: Vec<_> = (0..64).map(|_| gateway.client().chat("groq-b").spawn()).collect();
    within("the 90th call", gate.arrived(90)).await;
    gate.open();
    let mut passed = 0;
    for call in first.into_iter().chain(second) {
        match call.await.unwrap().status {
            200 => passed += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!((passed, upstream.requests().len()), (90, 90));
}

#[tokio::test]
async fn of_95_requests_64_at_a_time_exactly_90_pass() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!(["routing", "rate_limit"])).await;
    let slots = Arc::new(Semaphore::new(64));
    let calls = (0..95).map(|_| {
        let (client, slots) = (gateway.client(), Arc::clone(&slots));
        tokio::spawn(async move {
            let _slot = slots.acquire_owned().await.unwrap();
            client.chat("groq-a").send().await
        })
    });
    let mut passed = 0;
    for call in calls.collect::<Vec<_>>() {
        let reply = call.await.unwrap();
        passed += usize::from(reply.status == 200);
        if reply.status != 200 {
            check_refusal(&reply.expect_status(429));
        }
    }
    assert_eq!((passed, upstream.requests().len()), (90, 90));
}

#[tokio::test]
async fn openai_has_100_and_ollama_no_limit() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!(["routing", "rate_limit"])).await;
    let mut passed = 0;
    for _ in 0..102 {
        passed += usize::from(gateway.client().chat("openai-a").send().await.status == 200);
        let _ = gateway.client().chat("gemma3").send().await.expect_status(200);
    }
    assert_eq!(passed, 100);
}

#[tokio::test]
async fn calls_that_never_went_out_take_no_place() {
    let upstream = upstream(Answer::default()).await;
    let limits = json!([{"provider": "groq", "requests": 2, "per": "60s"}]);
    let gateway = limited(&upstream, limits).await;
    for _ in 0..5 {
        let _ = gateway.client().without_key().chat("groq-a").send().await.expect_status(401);
        let _ = gateway.client().chat("groq-a").body("{broken").send().await.expect_status(400);
        let no_messages = gateway.client().chat("").json(json!({"model": "groq-a"}));
        let _ = no_messages.send().await.expect_status(400);
    }
    for status in [200, 200, 429] {
        let _ = gateway.client().chat("groq-a").send().await.expect_status(status);
    }
}

#[tokio::test]
async fn a_failed_upstream_call_was_still_a_call() {
    let upstream = upstream(Answer::error(500, "server_error", "x", "oops")).await;
    let limits = json!([{"provider": "groq", "requests": 2, "per": "1m"}]);
    let gateway = limited(&upstream, limits).await;
    for status in [500, 500, 429] {
        let _ = gateway.client().chat("groq-a").send().await.expect_status(status);
    }
}

#[tokio::test]
async fn limits_by_model_stand_beside_limits_by_provider() {
    let upstream = upstream(Answer::default()).await;
    let limits = json!([
        {"provider": "groq", "requests": 3, "per": "60s"},
        {"model": "groq-a", "requests": 1, "per": "60s"},
    ]);
    let gateway = limited(&upstream, limits).await;
    for (model, status) in [
        ("groq-a", 200),
        ("groq-a", 429),
        ("groq-b", 200),
        ("groq-b", 200),
        ("groq-b", 429),
        ("openai-a", 200),
    ] {
        let reply = gateway.client().chat(model).send().await;
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
    }
}

#[tokio::test]
async fn wrong_settings_refuse_the_start_with_their_place() {
    let upstream = upstream(Answer::default()).await;
    for (settings, mentioned) in [
        (json!({"limits": [{"provider": "groq", "requests": 0, "per": "60s"}]}), "requests"),
        (json!({"limits": [{"provider": "groq", "requests": "many", "per": "60s"}]}), "requests"),
        (json!({"limits": [{"provider": "groq", "requests": 1, "per": "soon"}]}), "per"),
        (json!({"limitz": []}), "limitz"),
    ] {
        let mut config = with_callbacks(&models(&upstream), &json!(["rate_limit"]));
        config["callback_settings"] = json!({"rate_limit": settings});
        let refused = Gateway::with_config(config).refused().await;
        assert!(refused.stderr.contains("rate_limit"), "{}", refused.stderr);
        assert!(refused.stderr.contains(mentioned), "{mentioned}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn entries_count_in_windows_of_their_own_unless_they_share() {
    let limits = json!({"limits": [{"key": "*", "requests": 2, "per": "1h"}]});
    for (share, passing) in [(None, 2), (Some("budget"), 1)] {
        let upstream = upstream(Answer::default()).await;
        let entry = |instance: &str| {
            let mut entry = json!({"name": "rate_limit", "instance": instance, "settings": limits});
            if let Some(share) = share {
                entry["share"] = json!(share);
            }
            entry
        };
        let gateway = gateway(&upstream, json!([entry("one"), entry("two")])).await;
        for index in 0..3 {
            let expected = if index < passing { 200 } else { 429 };
            let _ = gateway.client().chat("groq-a").send().await.expect_status(expected);
        }
    }
}

#[tokio::test]
async fn no_other_spelling_of_a_model_leads_around_its_limit() {
    let upstream = upstream(Answer::default()).await;
    let mut config = with_callbacks(&models(&upstream), &json!(["rate_limit"]));
    config["router_settings"] = json!({"model_group_alias": {"nick": "openai-a"}});
    let any = deployment("any-*", "openai/*", &upstream.openai_base());
    config["model_list"].as_array_mut().unwrap().push(any);
    let limits = json!([{"model": "openai-a", "requests": 1, "per": "1h"},
                        {"model": "any-*", "requests": 1, "per": "1h"}]);
    config["callback_settings"] = json!({"rate_limit": {"limits": limits}});
    let gateway = Gateway::with_config(config).start().await;
    for (model, status) in [
        ("openai/a", 200),
        ("openai-a", 429),
        ("nick", 429),
        ("openai/a", 429),
        ("any-x", 200),
        ("any-y", 429),
        ("any-X", 429),
    ] {
        let reply = gateway.client().chat(model).send().await;
        assert_eq!(reply.status, status, "{model}: {}", reply.text());
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_an_upstream_was_asked_gives_its_place_back() {
    let upstream = upstream(Answer::default()).await;
    let limits = json!({"limits": [{"provider": "groq", "requests": 1, "per": "1h"}]});
    let waits = json!({"name": "faulty_async", "path": build::plugin("faulty"), "timeout": "1h",
        "settings": {"times": 1, "only_served": true,
                     "on_llm_start": [{"log": "waiting"}, "never"]}});
    let callbacks = json!([{"name": "rate_limit", "settings": limits}, waits]);
    let gateway = gateway(&upstream, callbacks).await;
    let call = gateway.client().chat("groq-a").spawn();
    let _ = gateway.log().containing("waiting").await;
    call.abort();
    let _ = gateway.log().containing("client_closed_request").await;
    let _ = gateway.client().chat("groq-a").send().await.expect_status(200);
    let _ = gateway.client().chat("groq-a").send().await.expect_status(429);
}
