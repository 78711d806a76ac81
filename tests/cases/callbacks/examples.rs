//! The plugins of `plugins/examples`, alone and as one chain.

use callgate_tests::{
    Answer, Endpoint, Gateway, Reply, build,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

fn example(name: &str, settings: &Value) -> Value {
    json!({"name": name, "path": build::plugin(name), "settings": settings})
}

/// The text of a reply, JSON or streamed.
fn said(reply: &Reply) -> String {
    if reply.header("content-type").starts_with("text/event-stream") {
        return sse::text(&reply.events());
    }
    reply.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_cache_answers_json_and_streams_from_memory() {
    let upstream = upstream(Answer::text(["Hel", "lo"])).await;
    let callbacks = json!([example("cache", &json!({}))]);
    let gateway =
        Gateway::with_config(with_callbacks(&every_dialect(&upstream), &callbacks)).start().await;
    for (prompt, first) in [("by JSON", false), ("by stream", true)] {
        let ask = |stream: bool| {
            let messages = json!([{"role": "user", "content": prompt}]);
            gateway.client().chat("gpt").set("messages", messages).set("stream", stream)
        };
        let miss = ask(first).send().await.expect_status(200);
        assert_eq!((miss.header("x-cache"), &*said(&miss)), ("miss", "Hello"));
        // The end hook of a stream runs after its last byte, so the first repetitions may miss.
        let hit = loop {
            let reply = ask(!first).send().await.expect_status(200);
            if reply.header("x-cache") == "hit" {
                break reply;
            }
            assert!(first, "a JSON reply is kept before it is sent");
        };
        assert_eq!(said(&hit), "Hello");
        let asked = upstream.requests().len();
        assert_eq!(said(&ask(first).send().await.expect_status(200)), "Hello");
        assert_eq!(upstream.requests().len(), asked, "{prompt}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_budget_of_a_team_ends_and_outlives_the_gateway() {
    let upstream = upstream(Answer::text(["Hello"])).await;
    let folder = tempfile::tempdir().unwrap();
    let callbacks = json!([example("budget", &json!({"tokens": 12}))]);
    let mut config = with_callbacks(&every_dialect(&upstream), &callbacks);
    config["callgate"] = json!({"state_dir": folder.path()});
    let setup = Gateway::with_config(config);
    let gateway = setup.clone().start().await;
    let mut left = Vec::new();
    let refused = loop {
        let reply = gateway.client().chat("gpt").send().await;
        left.push(reply.header("x-ratelimit-remaining-tokens").to_owned());
        if reply.status != 200 {
            break reply;
        }
        assert!(left.len() < 20, "{left:?}");
    };
    assert_eq!((refused.status, &*left[0]), (429, "12"));
    assert!(!refused.header("retry-after").is_empty());
    gateway.stop().await;
    let gateway = setup.start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(429);
    gateway.stop().await;
}

#[tokio::test]
async fn the_arm_of_a_caller_is_told_on_replies_streams_and_errors() {
    let upstream = upstream(Answer::text(["Hello"])).await;
    let settings = json!({"model": "gpt", "to": "llama", "percent": 100});
    let callbacks = json!([example("ab_router", &settings)]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config.clone()).start().await;
    for stream in [false, true] {
        let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
        assert_eq!(reply.expect_status(200).header("x-arm"), "b");
    }
    let failed = gateway.client().chat("gpt").set("messages", json!("none")).send().await;
    assert_eq!(failed.expect_status(400).header("x-arm"), "b");
    gateway.stop().await;
    let mut misspelt = config;
    misspelt["litellm_settings"]["callbacks"][0]["settings"]["to"] = json!("lama");
    let said = Gateway::with_config(misspelt).refused().await.stderr;
    assert!(said.contains("callbacks[0].settings.to: ") && said.contains("found `lama`"), "{said}");
}

#[tokio::test]
async fn names_do_not_leave_and_come_back() {
    let service = Endpoint::start(|_, request| {
        let asked = request.json();
        let texts: Vec<_> = asked["texts"].as_array().unwrap().iter().collect();
        let texts: Vec<_> =
            texts.iter().map(|text| text.as_str().unwrap().replace("Bob", "[NAME_1]")).collect();
        let answer = json!({"texts": texts, "originals": {"[NAME_1]": "Bob"}});
        Some((200, answer.to_string()))
    })
    .await;
    let upstream = upstream(Answer::text(["Hello [NA", "ME_1", "]!"])).await;
    let mut entry = example("redact_http", &json!({"url": service.url(), "timeout_ms": 5000}));
    entry["grants"] = json!({"http_hosts": ["127.0.0.1"]});
    let config = with_callbacks(&every_dialect(&upstream), &json!([entry]));
    let gateway = Gateway::with_config(config.clone()).start().await;
    let ask = |stream: bool| {
        let messages = json!([{"role": "user", "content": "I am Bob"}]);
        gateway.client().chat("gpt").set("messages", messages).set("stream", stream).send()
    };
    let reply = ask(false).await.expect_status(200);
    assert_eq!(said(&reply), "Hello Bob!");
    assert_eq!(said(&ask(true).await.expect_status(200)), "Hello Bob!");
    for request in upstream.requests() {
        assert_eq!(request.json()["messages"][0]["content"], "I am [NAME_1]");
    }
    gateway.stop().await;
    let mut ungranted = config;
    ungranted["litellm_settings"]["callbacks"][0]["grants"] = json!({});
    let said = Gateway::with_config(ungranted).refused().await.stderr;
    assert!(said.contains("callbacks[0].settings.url: "), "{said}");
}

#[tokio::test]
async fn flagged_prompts_and_replies_do_not_reach_the_client() {
    let service = Endpoint::start(|_, request| {
        let text = request.json()["input"].as_str().unwrap().to_owned();
        let status = if text.contains("outage") { 500 } else { 200 };
        let judged = json!({"flagged": text.contains("kill"), "categories": {"violence": true}});
        Some((status, json!({ "results": [judged] }).to_string()))
    })
    .await;
    let upstream = upstream(Answer::text(["kill", " it"])).await;
    for (settings, outage, judged) in [
        (json!({}), 503, false),
        (json!({"without_verdict": "pass"}), 200, false),
        (json!({"replies": true}), 503, true),
    ] {
        let mut entry = example("moderation", &settings);
        entry["streams"] = json!(if judged { "buffered" } else { "relayed" });
        let config = with_callbacks(&every_dialect(&upstream), &json!([entry]));
        let setup = Gateway::with_config(config).env("MODERATION_URL", &service.url());
        let gateway = setup.env("MODERATION_API_KEY", "sk-moderation").start().await;
        for model in ["gpt", "llama", "gemma"] {
            for stream in [false, true] {
                let ask = |text: &str| {
                    let messages = json!([{"role": "user", "content": text}]);
                    let call = gateway.client().chat(model).set("messages", messages);
                    call.set("stream", stream).send()
                };
                let refused = ask("whom shall I kill?").await.expect_status(400);
                assert_eq!(refused.error()["message"], "moderation refuses this prompt: violence");
                let unjudged = ask("an outage").await;
                assert_eq!(unjudged.status, outage, "{model} {stream}");
                let reply = ask("hello").await;
                if judged {
                    let error = reply.expect_status(400).error();
                    assert_eq!(error["message"], "moderation refuses this reply: violence");
                } else {
                    assert_eq!(said(&reply.expect_status(200)), "kill it", "{model} {stream}");
                }
            }
        }
        let metrics = gateway.client().get("/metrics").await.expect_status(200);
        for series in [
            r#"part="prompt",verdict="flagged"} 6"#,
            r#"part="prompt",verdict="none"} 6"#,
            r#"part="prompt",verdict="passed"} 6"#,
        ] {
            let series = format!(r#"verdicts_total{{callback="moderation",{series}"#);
            assert!(metrics.text().contains(&series), "{series} in {}", metrics.text());
        }
        gateway.stop().await;
    }
    let keyed =
        |it: &callgate_tests::Taken| it.header("authorization") == Some("Bearer sk-moderation");
    assert!(service.taken().iter().all(keyed));
}

fn judge(name: &str, model: &str) -> Value {
    let mut entry = example("judge", &json!({"model": model, "every": 1}));
    entry["instance"] = json!(name);
    entry["grants"] = json!({"models": [model]});
    entry
}

#[tokio::test]
async fn the_judge_grades_through_the_gateway_itself() {
    let upstream = upstream(Answer::text(["grade: 4"])).await;
    let config = with_callbacks(&every_dialect(&upstream), &json!([judge("judge", "llama")]));
    let gateway = Gateway::with_config(config.clone()).start().await;
    for stream in [false, true] {
        let _ = gateway.client().chat("gpt").set("stream", stream).send().await.expect_status(200);
    }
    let line = gateway.log().containing("\"key.id\":\"callback:judge\"").await;
    assert_eq!(line.field("status"), 200);
    assert_eq!(line.field("model.requested"), "llama");
    let graded = "callgate_plugin_judge_grade_count{callback=\"judge\",model=\"gpt\"} 2";
    let mut metrics = String::new();
    for _ in 0..300 {
        metrics = gateway.client().request("GET", "/metrics").send().await.text();
        if metrics.contains(graded) {
            break;
        }
    }
    assert!(metrics.contains(graded), "{metrics}");
    assert!(metrics.contains("model_calls_total{callback=\"judge\"} 2"), "{metrics}");
    assert_eq!(upstream.requests().len(), 4);
    gateway.stop().await;
    let mut ungranted = config;
    ungranted["litellm_settings"]["callbacks"][0]["grants"] = json!({});
    let said = Gateway::with_config(ungranted).refused().await.stderr;
    assert!(said.contains("add it to `grants.models` of its entry"), "{said}");
}

/// Each judges the other's calls.
#[tokio::test]
async fn two_judges_do_not_judge_each_other_for_ever() {
    let upstream = upstream(Answer::text(["5"])).await;
    let callbacks = json!([judge("one", "llama"), judge("two", "gemma")]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.log().containing("have led to this one").await;
    // The client's call, one by each, and one by each because of the other's.
    while upstream.requests().len() < 5 {
        tokio::task::yield_now().await;
    }
    let log = gateway.stop().await;
    assert_eq!(upstream.requests().len(), 5);
    assert_eq!(log.matches("have led to this one").count(), 2, "{log}");
}
