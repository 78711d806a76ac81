//! A callback's fault affects at most one call: whatever it does in any hook, sync or async, the
//! gateway names it, follows its policy, and goes on.

use crate::callbacks::faulty::{faulty, faulty_async, hooks, recorder, refusal, with, with_policy};
use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    Gateway::with_config(config).start().await
}

#[tokio::test]
async fn a_panic_anywhere_leaves_the_gateway_running() {
    let upstream = upstream(Answer::default()).await;
    let panics = json!([{"panic": "boom"}]);
    for make in [faulty, faulty_async] {
        for hook in ["on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"] {
            let mut acts = json!({"shutdown": panics, "drop": [{"panic_with_number": 7}]});
            acts[hook] = panics.clone();
            let gateway = gateway(&upstream, &[recorder("r"), make("p", acts)]).await;
            for round in 0..3 {
                for stream in [false, true] {
                    let id = format!("call-{round}-{stream}");
                    let request = gateway.client().chat("gpt").set("stream", stream);
                    let reply = request.header("x-litellm-call-id", &id).send().await;
                    let fails = match hook {
                        "on_llm_start" => true,
                        "on_llm_new_token" => stream,
                        "on_llm_end" => !stream,
                        _ => false,
                    };
                    let status = if fails && hook != "on_llm_new_token" { 503 } else { 200 };
                    let reply = reply.expect_status(status);
                    if stream && status == 200 {
                        let events = reply.events();
                        assert_eq!(events.contains(&Event::Done), !fails, "{hook}: {events:?}");
                        assert_eq!(sse::error(&events).is_some(), fails, "{hook}: {events:?}");
                    }
                }
                // A call that fails upstream, so that the error hook runs.
                let nope = gateway.client().chat("nope").send().await;
                assert!(nope.status >= 400, "{}", nope.text());
            }
            let log = gateway.log().clone();
            let text = gateway.stop().await;
            assert!(
                text.contains("callback `p` failed in") && text.contains("panicked at"),
                "{text}"
            );
            for round in 0..3 {
                let ran = hooks(&log, &format!("call-{round}-false"));
                assert_eq!(ran.len(), 2, "{hook}: {ran:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_async_hook_that_never_ends_is_cut_off() {
    let upstream = upstream(Answer::default()).await;
    for (policy, status) in [("fail", 503), ("ignore", 200), ("disable", 200)] {
        for act in [json!("never"), json!({"wait_ms": 60_000})] {
            let mut entry = faulty_async("slow", json!({"on_llm_start": [act]}));
            entry["timeout"] = json!("50ms");
            let gateway = gateway(&upstream, &[with_policy(entry, policy)]).await;
            let reply = gateway.client().chat("gpt").send().await.expect_status(status);
            if status == 503 {
                assert_eq!(reply.error()["code"], "callback_failed");
            }
            gateway.log().containing("not done within 50 ms").await;
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn hooks_that_are_never_ready_weaken_no_other_callback_and_do_not_hold_the_end() {
    const CALLS: usize = 70;
    let upstream = upstream(Answer::default()).await;
    let wedged = faulty_async("wedged", json!({"on_llm_start": [{"log": "waiting"}, "never"]}));
    let wedged = with(wedged, "only", json!({"models": ["llama"]}));
    let guard = faulty("guard", json!({"only_model": "gpt", "on_llm_start": [refusal("no")]}));
    let mut gateway = gateway(&upstream, &[with(wedged, "timeout", json!("1s")), guard]).await;
    let calls: Vec<_> = (0..CALLS).map(|_| gateway.client().chat("llama").spawn()).collect();
    gateway.log().times("\"waiting\"", CALLS).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(418);
    gateway.terminate();
    for call in calls {
        let _ = call.await.unwrap().expect_status(503);
    }
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log().text());
}

#[tokio::test]
async fn an_async_hook_may_take_its_time() {
    let upstream = upstream(Answer::default()).await;
    let waits = json!([{"wait_ms": 20}, {"append_message": ["user", "later"]}]);
    let gateway = gateway(&upstream, &[faulty_async("slow", json!({"on_llm_start": waits}))]).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(upstream.requests()[0].json()["messages"][1]["content"], "later");
}

#[tokio::test]
async fn disable_switches_off_after_the_first_fault() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_start": [{"append_message": ["user", "x"]}, {"panic": "boom"}]});
    let entry = with_policy(faulty("once", acts), "disable");
    let gateway = gateway(&upstream, &[entry]).await;
    for _ in 0..5 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    let sent = upstream.requests();
    assert!(sent.iter().all(|it| it.json()["messages"].as_array().unwrap().len() == 1));
    let log = gateway.stop().await;
    assert_eq!(log.matches("boom").count(), 1, "it ran again: {log}");
    assert_eq!(log.matches("is switched off until the next start").count(), 1, "{log}");
}

#[tokio::test]
async fn a_reply_refused_at_the_end_is_an_error_for_those_behind() {
    let upstream = upstream(Answer::default()).await;
    let refuse = faulty("no", json!({"on_llm_end": [refusal("not this")]}));
    let gateway = gateway(&upstream, &[recorder("a"), refuse, recorder("b")]).await;
    let request = gateway.client().chat("gpt").header("x-litellm-call-id", "call-1");
    let reply = request.send().await.expect_status(418);
    assert_eq!(reply.error()["message"], "not this");
    let log = gateway.log().clone();
    gateway.stop().await;
    let expected = ["a on_llm_start", "b on_llm_start", "a on_llm_end", "b on_llm_error"];
    assert_eq!(hooks(&log, "call-1"), expected);
    assert_eq!(log.text().matches("call failed").count(), 1, "{}", log.text());
}

#[tokio::test]
async fn what_a_callback_may_not_do_is_refused_to_it_and_hurts_nobody() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!([
        {"set_upstream_header": ["bad name", "x"]}, {"set_upstream_header": ["x-a", "a\r\nb: c"]},
        {"set_param": ["temperature", "not json"]}, {"set_message_text": [99, "x"]},
        {"replace_body": "[]"}, {"set_route": {"provider": "nobody"}},
        {"set_route": {"api_base": "http://127.0.0.1:65616/v1"}},
        {"set_route": {"api_base": "http://user:pass@127.0.0.1/v1"}},
        {"set_route": {"api_base": "http://127.0.0.1/v1?key=x"}},
    ]);
    let gateway = gateway(&upstream, &[faulty("odd", json!({"on_llm_start": acts}))]).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!((sent.header("x-a"), sent.header("b")), (None, None));
    assert_eq!(sent.json()["messages"], json!([{"role": "user", "content": "hi"}]));
    let log = gateway.stop().await;
    assert_eq!(log.matches("edit refused").count(), 9, "{log}");
}

#[tokio::test]
async fn invalid_replies_and_odd_rejections_are_a_503_or_500() {
    let upstream = upstream(Answer::default()).await;
    let odd = |status: u16| json!({"reject": {"status": status, "message": "odd"}});
    for (act, status) in [
        (json!({"answer_json": "not json"}), 503),
        (json!({"answer_json": "{}"}), 503),
        (odd(200), 500),
        (odd(99), 500),
        (odd(0), 500),
        (
            json!({"reject": {"status": 403, "message": "x", "headers": [["bad name", "\r\n"], ["content-length", "1"]]}}),
            403,
        ),
    ] {
        let gateway = gateway(&upstream, &[faulty("odd", json!({"on_llm_start": [&act]}))]).await;
        for stream in [false, true] {
            let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
            let _ = reply.expect_status(status).error();
        }
        gateway.stop().await;
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_callback_without_the_hook_it_lists_is_passed_over() {
    let upstream = upstream(Answer::default()).await;
    let liar = json!({"name": "liar", "path": callgate_tests::build::plugin("faulty")});
    let mut config = with_callbacks(&every_dialect(&upstream), &json!([liar, recorder("r")]));
    // The trial would refuse it.
    config["callgate"] = json!({"probe": "never"});
    let gateway = Gateway::with_config(config).start().await;
    for stream in [false, true] {
        let _ = gateway.client().chat("gpt").set("stream", stream).send().await.expect_status(200);
    }
    gateway.stop().await;
}
