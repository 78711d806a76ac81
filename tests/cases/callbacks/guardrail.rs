//! The shipped guardrail, loaded from its shared object: text that its rules match reaches neither
//! the upstream nor the client, however a stream is split.

use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

fn config(upstream: &ScriptedUpstream, settings: &Value) -> Value {
    let entry = json!([{"name": "guardrail", "settings": settings}]);
    with_callbacks(&every_dialect(upstream), &entry)
}

async fn guarded(upstream: &ScriptedUpstream, rules: &Value) -> Gateway {
    Gateway::with_config(config(upstream, &json!({"rules": rules}))).start().await
}

fn masking() -> Value {
    json!([
        {"preset": "email", "action": "mask"},
        {"pattern": "(?i)nightfall", "action": "mask", "replacement": "#"},
    ])
}

#[tokio::test]
async fn what_is_to_be_embedded_is_masked_too() {
    let upstream = upstream(Answer::default()).await;
    let gateway = guarded(&upstream, &masking()).await;
    for model in ["gpt", "gemma"] {
        let request = gateway.client().request("POST", "/v1/embeddings");
        let input = json!(["ann@example.com on Nightfall", "plain"]);
        let reply = request.json(json!({"model": model, "input": input})).send().await;
        let list = reply.expect_status(200).json();
        assert_eq!(list["data"][0]["embedding"], json!([0.5, -1.0]));
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent["input"], json!(["[email] on #", "plain"]));
    }
}

#[tokio::test]
async fn what_a_prompt_masks_never_reaches_the_upstream() {
    let upstream = upstream(Answer::default()).await;
    let gateway = guarded(&upstream, &masking()).await;
    for model in MODELS {
        let request = gateway.client().chat(model).set(
            "messages",
            json!([
                {"role": "system", "content": "plain"},
                {"role": "user", "content": "ann@example.com on Nightfall"},
                {"role": "user", "content": [
                    {"type": "text", "text": "bob@example.com"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                ]},
            ]),
        );
        let _ = request.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        let text = String::from_utf8_lossy(&sent.body).into_owned();
        for (word, there) in [
            ("[email] on #", true),
            ("aGk=", true),
            ("plain", true),
            ("example.com", false),
            ("Nightfall", false),
        ] {
            assert_eq!(text.contains(word), there, "{model}: {word}: {text}");
        }
    }
}

#[tokio::test]
async fn a_denied_prompt_asks_no_upstream_and_is_not_logged() {
    let upstream = upstream(Answer::default()).await;
    let rules = json!([{"preset": "credit_card", "action": "deny", "status": 422}]);
    let gateway = guarded(&upstream, &rules).await;
    for stream in [false, true] {
        let messages = json!([{"role": "user", "content": "pay with 4111 1111 1111 1111"}]);
        let request = gateway.client().chat("gpt").set("messages", messages);
        let reply = request.set("stream", stream).send().await.expect_status(422);
        let error = reply.error();
        assert_eq!(error["code"], "guardrail", "{error}");
        assert_eq!(error["message"], "the prompt is refused by the rule `credit_card`");
    }
    assert_eq!(upstream.requests().len(), 0);
    let log = gateway.stop().await;
    assert!(!log.contains("4111"), "{log}");
}

#[tokio::test]
async fn a_match_is_found_over_chunks_in_every_dialect() {
    let pieces = ["Ask a", "nn@ex", "ample.c", "om about night", "fall. Good ni", "ght, nightfal"];
    let expected = "Ask [email] about #. Good night, nightfal";
    for answer in [
        Answer::text(pieces),
        Answer::text(pieces).in_writes_of(1),
        Answer::text(pieces).in_one_write(),
    ] {
        let upstream = upstream(answer).await;
        let gateway = guarded(&upstream, &masking()).await;
        for model in MODELS {
            for usage in [false, true] {
                let request = gateway.client().chat(model).streaming();
                let request = request.set("stream_options", json!({"include_usage": usage}));
                let events = request.send().await.expect_status(200).events();
                assert_eq!(sse::text(&events), expected, "{model}");
                assert_eq!(events.last(), Some(&Event::Done), "{model}");
                let finish =
                    |event: &&Event| !event.json()["choices"][0]["finish_reason"].is_null();
                assert_eq!(events.iter().filter(finish).count(), 1, "{model}: {events:?}");
            }
            let reply = gateway.client().chat(model).send().await.expect_status(200).json();
            assert_eq!(reply["choices"][0]["message"]["content"], expected, "{model}");
        }
    }
}

#[tokio::test]
async fn reasoning_is_masked_too() {
    let upstream = upstream(Answer::text(["fine"]).thinking("they mean nightfall")).await;
    let gateway = guarded(&upstream, &masking()).await;
    for model in MODELS {
        for stream in [false, true] {
            let request = gateway.client().chat(model).set("stream", stream);
            let text = request.send().await.expect_status(200).text();
            assert!(!text.contains("nightfall"), "{model}: {text}");
        }
    }
}

#[tokio::test]
async fn a_denied_reply_is_an_error_before_any_of_the_match_is_sent() {
    let upstream = upstream(Answer::text(["It is night", "fall, they", " say"])).await;
    let rules = json!([{"name": "no", "pattern": "nightfall", "action": "deny", "on": ["reply"]}]);
    let gateway = guarded(&upstream, &rules).await;
    for model in MODELS {
        let reply = gateway.client().chat(model).send().await.expect_status(400);
        assert_eq!(reply.error()["message"], "the reply is withheld by the rule `no`", "{model}");
        let events = gateway.client().chat(model).streaming().send().await.events();
        assert_eq!(sse::text(&events), "It is ", "{model}");
        assert_eq!(sse::error(&events).unwrap()["code"], "guardrail", "{model}");
        assert!(!events.contains(&Event::Done), "{model}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn rules_that_cannot_work_refuse_the_start_and_are_named() {
    let upstream = upstream(Answer::default()).await;
    for (rule, words) in [
        (
            json!({"name": "mine", "pattern": "a(", "action": "mask"}),
            &["rule `mine`", "unclosed"][..],
        ),
        (json!({"name": "mine", "pattern": "a+", "action": "mask"}), &["rule `mine`", "{1,64}"]),
        (json!({"pattern": "a", "action": "hide"}), &["rules[0].action"]),
        (json!({"pattern": "a"}), &["rules[0]", "`action`"]),
    ] {
        let config = config(&upstream, &json!({"rules": [rule]}));
        let checked = Gateway::with_config(&config).check().await;
        let refused = Gateway::with_config(&config).refused().await;
        for said in [&checked.stderr, &refused.stderr] {
            for word in [&["config.yaml:1:", "guardrail"], words].concat() {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
    }
}
