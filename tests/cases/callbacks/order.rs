//! The chain as clients and operators see it: order, verdicts, edits, faults and their policies,
//! with real shared objects.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, refusal, seen, with_policy};
use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream,
    config::{config, deployment, every_dialect, openai, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    Gateway::with_config(config).start().await
}

#[tokio::test]
async fn hooks_run_in_list_order_and_see_earlier_edits() {
    let upstream = upstream(Answer::default()).await;
    for tags in [["a", "b", "c"], ["c", "a", "b"]] {
        let append = |tag: &str| json!({"on_llm_start": [{"append_message": ["user", tag]}]});
        let mut callbacks: Vec<_> = tags.iter().map(|tag| faulty(tag, append(tag))).collect();
        callbacks.extend(tags.iter().map(|tag| recorder(&format!("after-{tag}"))));
        let gateway = gateway(&upstream, &callbacks).await;
        for model in ["gpt", "llama", "gemma"] {
            let request = gateway.client().chat(model).header("x-litellm-call-id", model);
            let _ = request.send().await.expect_status(200);
            let sent = upstream.requests().pop().unwrap().json();
            let texts: Vec<_> =
                sent["messages"].as_array().unwrap().iter().map(|m| m["content"].clone()).collect();
            assert_eq!(texts, ["hi", tags[0], tags[1], tags[2]], "{model}");
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        let expected: Vec<_> = ["on_llm_start", "on_llm_end"]
            .iter()
            .flat_map(|hook| tags.map(|tag| format!("after-{tag} {hook}")))
            .collect();
        assert_eq!(hooks(&log, "gpt"), expected);
    }
}

#[tokio::test]
async fn a_rejection_stops_the_chain_and_is_the_answer() {
    let upstream = upstream(Answer::default()).await;
    let callbacks = [
        recorder("a"),
        faulty("b", json!({"on_llm_start": [refusal("refused by b")]})),
        recorder("c"),
    ];
    let gateway = gateway(&upstream, &callbacks).await;
    for stream in [false, true] {
        let id = format!("call-{stream}");
        let request = gateway.client().chat("gpt").set("stream", stream);
        let reply = request.header("x-litellm-call-id", &id).send().await.expect_status(418);
        let error = reply.error();
        assert_eq!((&error["message"], &error["code"]), (&json!("refused by b"), &json!("teapot")));
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!(reply.header("retry-after"), "7");
    }
    assert_eq!(upstream.requests().len(), 0);
    let log = gateway.log().clone();
    gateway.stop().await;
    for id in ["call-false", "call-true"] {
        assert_eq!(hooks(&log, id), ["a on_llm_start", "a on_llm_error"]);
    }
}

#[tokio::test]
async fn a_callback_may_answer_itself() {
    let upstream = upstream(Answer::default()).await;
    let callbacks =
        [recorder("a"), faulty("b", json!({"on_llm_start": [{"answer_text": "reply from b"}]}))];
    let gateway = gateway(&upstream, &callbacks).await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200).json();
    assert_eq!(reply["choices"][0]["message"]["content"], "reply from b");
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("gpt")));
    let events = gateway.client().chat("gpt").streaming().send().await.expect_status(200).events();
    assert_eq!(sse::text(&events), "reply from b");
    assert_eq!(events.last(), Some(&Event::Done));
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn chunks_can_be_edited_and_dropped() {
    let upstream = upstream(Answer::default()).await;
    let acting = |act: Value| [faulty("a", json!({"on_llm_new_token": [act]}))];
    let edit = gateway(&upstream, &acting(json!("chunk_upper"))).await;
    let drop = gateway(&upstream, &acting(json!("chunk_drop"))).await;
    let reject = gateway(&upstream, &acting(refusal("no"))).await;
    for model in ["gpt", "llama", "gemma"] {
        let stream = |gateway: &Gateway| gateway.client().chat(model).streaming().send();
        let events = stream(&edit).await.expect_status(200).events();
        assert_eq!(sse::text(&events), "HELLO WORLD!", "{model}");
        assert_eq!(events.last(), Some(&Event::Done), "{model}");
        let events = stream(&drop).await.expect_status(200).events();
        assert_eq!(sse::text(&events), "", "{model}");
        let reply = stream(&reject).await;
        if reply.status == 200 {
            let events = reply.events();
            assert!(sse::error(&events).is_some() && !events.contains(&Event::Done), "{events:?}");
        } else {
            let _ = reply.expect_status(418).error();
        }
    }
}

#[tokio::test]
async fn replies_and_failures_can_be_edited_before_they_go_out() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({
        "on_llm_end": [{"reply_header": ["x-seen-by", "a"]}],
        "on_llm_error": [{"failure_status": 503}, {"failure_message": "softened by a"}],
    });
    let gateway = gateway(&upstream, &[faulty("a", acts)]).await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.header("x-seen-by"), "a");
    upstream.push(Answer::error(500, "server_error", "x", "oops"));
    let reply = gateway.client().chat("gpt").send().await.expect_status(503);
    assert_eq!(reply.error()["message"], "softened by a");
}

#[tokio::test]
async fn a_fault_fails_the_call_unless_the_policy_says_otherwise() {
    let upstream = upstream(Answer::default()).await;
    for act in [json!({"internal": "oops"}), json!({"panic": "oops"})] {
        for (policy, status, calls) in [("fail", 503, 0), ("ignore", 200, 1), ("disable", 200, 1)] {
            let before = upstream.requests().len();
            let entry = with_policy(faulty("a", json!({"on_llm_start": [&act]})), policy);
            let gateway = gateway(&upstream, &[entry, recorder("b")]).await;
            let reply = gateway.client().chat("gpt").send().await;
            assert_eq!(reply.status, status, "{act}, {policy}: {}", reply.text());
            assert_eq!(upstream.requests().len() - before, calls, "{act}, {policy}");
            if status == 503 {
                let error = reply.error();
                assert!(error["message"].as_str().unwrap().contains("`a`"), "{error}");
                assert!(!error.to_string().contains("oops"), "internals in {error}");
            }
            let line = gateway.log().containing("oops").await;
            assert!(line.text.contains("`a`") && line.level() == "WARN", "{}", line.text);
            // A fault affects one call; the gateway goes on.
            let again = gateway.client().chat("gpt").send().await;
            assert_eq!(again.status, status, "{act}, {policy}");
            gateway.terminate();
        }
    }
}

#[tokio::test]
async fn edits_of_a_faulty_hook_are_rolled_back_when_it_is_ignored() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!([
        {"append_message": ["user", "lost"]}, {"set_param": ["seed", "1"]},
        {"set_upstream_header": ["x-lost", "1"]}, {"internal": "oops"},
    ]);
    let entry = with_policy(faulty("a", json!({"on_llm_start": acts})), "ignore");
    let gateway = gateway(&upstream, &[entry]).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.json()["messages"], json!([{"role": "user", "content": "hi"}]));
    assert_eq!((sent.json().get("seed"), sent.header("x-lost")), (None, None));
}

#[tokio::test]
async fn a_constructor_that_fails_refuses_the_start() {
    let upstream = upstream(Answer::default()).await;
    for act in [json!({"internal": "no luck"}), json!({"panic": "no luck"})] {
        let config =
            with_callbacks(&[openai(&upstream)], &json!([faulty("a", json!({"new": [act]}))]));
        let refused = Gateway::with_config(config).refused().await;
        for word in ["config.yaml:1", "`faulty`", "no luck"] {
            assert!(refused.stderr.contains(word), "{act}: {}", refused.stderr);
        }
    }
    let config = with_callbacks(&[openai(&upstream)], &json!([faulty("a", json!({"typo": 1}))]));
    let refused = Gateway::with_config(config).refused().await;
    assert!(refused.stderr.contains("typo"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_later_refusal_gives_the_rate_limits_place_back() {
    let upstream = upstream(Answer::default()).await;
    let limits = json!({"limits": [{"provider": "openai", "requests": 2, "per": "60s"}]});
    let refuse = json!({"on_llm_start": [refusal("no")], "only_model": "refused"});
    let refuse = faulty("no", refuse);
    let other = deployment("refused", "openai/m", &upstream.openai_base());
    let mut config = config(&[openai(&upstream), other]);
    config["litellm_settings"] =
        json!({"callbacks": [{"name": "rate_limit", "settings": limits}, refuse]});
    let gateway = Gateway::with_config(config).start().await;
    for _ in 0..5 {
        let _ = gateway.client().chat("refused").send().await.expect_status(418);
    }
    for status in [200, 200, 429] {
        let _ = gateway.client().chat("gpt").send().await.expect_status(status);
    }
}

#[tokio::test]
async fn chunk_hooks_see_every_chunk_once() {
    let upstream = upstream(Answer::text(["a", "b", "c"])).await;
    let gateway = gateway(&upstream, &[recorder("x")]).await;
    let mut sent = Vec::new();
    for model in ["gpt", "llama", "gemma"] {
        let request = gateway.client().chat(model).streaming().header("x-litellm-call-id", model);
        let mut events = request.send().await.expect_status(200).events();
        assert_eq!(events.pop(), Some(Event::Done), "{model}");
        assert_eq!(sse::text(&events), "abc", "{model}");
        sent.push((model, events));
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for (model, events) in sent {
        let hooks = recorded(&log, model).into_iter();
        let chunks = hooks.filter(|line| seen(line, "hook") == "on_llm_new_token");
        let chunks: Vec<_> =
            chunks.map(|line| (seen(&line, "index"), seen(&line, "text"))).collect();
        // Nothing more: the chunk with usage, for which the client did not ask, is not shown.
        let expected = events.iter().enumerate().map(|(index, event)| {
            let text = event.json()["choices"][0]["delta"]["content"].as_str();
            (index.to_string(), text.unwrap_or_default().to_owned())
        });
        assert_eq!(chunks, expected.collect::<Vec<_>>(), "{model}");
    }
}
