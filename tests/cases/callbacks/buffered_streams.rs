//! `streams: buffered`: the end hooks of a stream may change or reject it.

use crate::callbacks::faulty::{
    all_hooks, entry, faulty, faulty_async, faulty_blocking, hooks, recorded, recorder, refusal,
    report, seen, with,
};
use callgate_tests::{
    Answer, Event, Gate, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

async fn gateway_with(upstream: &ScriptedUpstream, callbacks: &Value, own: Value) -> Gateway {
    let mut config = with_callbacks(&every_dialect(upstream), callbacks);
    config["callgate"] = own;
    Gateway::with_config(config).start().await
}

async fn gateway(upstream: &ScriptedUpstream, callbacks: &Value) -> Gateway {
    gateway_with(upstream, callbacks, json!({})).await
}

fn buffered(entry: Value) -> Value {
    with(entry, "streams", json!("buffered"))
}

fn at_end(acts: &Value) -> Value {
    json!({"on_llm_end": acts})
}

fn texts(events: &[Event]) -> Vec<&str> {
    let deltas = events.iter().map(|event| &event.json()["choices"][0]["delta"]["content"]);
    deltas.filter_map(Value::as_str).filter(|text| !text.is_empty()).collect()
}

const KEEP_ALIVE: &str = ": keep-alive";

#[tokio::test]
async fn the_end_hook_changes_a_stream_and_every_hook_runs_once() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let choice = json!({
        "index": 0, "message": {"role": "assistant", "content": "three"}, "finish_reason": "length",
    });
    let other = json!({"id": "chatcmpl-own", "object": "chat.completion", "choices": [choice],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
    let acts = json!([{"reply_json": other.to_string()}, {"reply_header": ["x-mark", "yes"]}]);
    for make in [faulty, faulty_async, faulty_blocking] {
        let editing = buffered(make("edits", at_end(&acts)));
        let callbacks = json!([recorder("before"), editing, recorder("after")]);
        let gateway = gateway(&upstream, &callbacks).await;
        for model in ["gpt", "gemma"] {
            let call = gateway.client().chat(model).header("x-litellm-call-id", model);
            let call = call.set("stream_options", json!({"include_usage": true})).streaming();
            let reply = call.send().await.expect_status(200);
            assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
            assert_eq!(reply.header("x-mark"), "yes");
            let events = reply.events();
            assert_eq!((texts(&events), events.last()), (vec!["three"], Some(&Event::Done)));
            let reasons = events.iter().map(|it| &it.json()["choices"][0]["finish_reason"]);
            assert_eq!(reasons.filter(|reason| **reason == "length").count(), 1, "{events:?}");
            assert_eq!(events[events.len() - 2].json()["usage"]["total_tokens"], 3);
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        for model in ["gpt", "gemma"] {
            let expected = [
                "before on_llm_start",
                "after on_llm_start",
                "before on_llm_end",
                "after on_llm_end",
            ];
            assert_eq!(hooks(&log, model), expected);
            let chunks = all_hooks(&log, model);
            assert!(chunks.iter().filter(|hook| *hook == "after on_llm_new_token").count() >= 2);
            let ends = recorded(&log, model).into_iter();
            let ends: Vec<_> = ends.filter(|line| seen(line, "hook") == "on_llm_end").collect();
            assert_eq!(
                (seen(&ends[0], "text"), seen(&ends[1], "text")),
                ("onetwo".to_owned(), "three".to_owned())
            );
        }
    }
}

#[tokio::test]
async fn a_rejection_and_a_break_have_a_status_of_their_own() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let refusing = buffered(faulty("refuses", at_end(&json!([refusal("no")]))));
    let callbacks = json!([recorder("before"), refusing, recorder("after")]);
    let gateway = gateway(&upstream, &callbacks).await;
    let call = |id: &str| gateway.client().chat("gpt").header("x-litellm-call-id", id).streaming();
    let refused = call("refused").send().await.expect_status(418);
    assert_eq!(refused.error()["message"], "no");
    upstream.push(Answer::text(["one", "two"]).closing_after(2));
    let broken = call("broken").send().await.expect_status(502);
    assert_eq!(broken.error()["code"], "incomplete_stream");
    let log = gateway.log().clone();
    gateway.stop().await;
    let start = ["before on_llm_start", "after on_llm_start"];
    let ends = ["before on_llm_end", "after on_llm_error"];
    assert_eq!(hooks(&log, "refused"), [start, ends].concat());
    let errors = ["before on_llm_error", "after on_llm_error"];
    assert_eq!(hooks(&log, "broken"), [start, errors].concat());
}

#[tokio::test]
async fn the_client_gets_signs_of_life_and_then_the_result_or_an_error_frame() {
    for (acts, text) in [(json!([]), "Hello world!"), (json!([refusal("no")]), "")] {
        let gate = Gate::new();
        let upstream = upstream(Answer::default().held_after(2, &gate)).await;
        let entry = buffered(faulty("f", at_end(&acts)));
        let own = json!({"stream_keepalive": 0.05});
        let gateway = gateway_with(&upstream, &json!([entry, recorder("r")]), own).await;
        let call = gateway.client().chat("gpt").header("x-litellm-call-id", "c").streaming();
        let mut open = call.open().await;
        for _ in 0..3 {
            let event = open.event().await.expect("a comment");
            assert_eq!(event, Event::Other(KEEP_ALIVE.to_owned()));
        }
        gate.open();
        let mut events = open.events().await;
        events.retain(|event| *event != Event::Other(KEEP_ALIVE.to_owned()));
        assert_eq!(sse::text(&events), text);
        let message = sse::error(&events).map(|error| error["message"].clone());
        assert_eq!(message, text.is_empty().then(|| json!("no")), "{events:?}");
        let log = gateway.log().clone();
        gateway.stop().await;
        let last = if text.is_empty() { "r on_llm_error" } else { "r on_llm_end" };
        assert_eq!(hooks(&log, "c"), ["r on_llm_start", last]);
    }
}

#[tokio::test]
async fn a_client_that_leaves_meanwhile_ends_the_call_once() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(2, &gate)).await;
    let own = json!({"stream_keepalive": 0.05});
    let gateway = gateway_with(&upstream, &json!([buffered(recorder("r"))]), own).await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "c").streaming();
    let mut open = call.open().await;
    assert_eq!(open.event().await, Some(Event::Other(KEEP_ALIVE.to_owned())));
    drop(open);
    gateway.log().containing("client_closed_request").await;
    let log = gateway.log().clone();
    gateway.stop().await;
    assert_eq!(hooks(&log, "c"), ["r on_llm_start", "r on_llm_error"]);
    gate.open();
}

#[tokio::test]
async fn a_stream_larger_than_a_reply_may_be_is_refused() {
    let upstream = upstream(Answer::huge(3_000_000)).await;
    let callbacks = json!([buffered(recorder("r"))]);
    let own = json!({"limits": {"max_reply_bytes": 1_000_000}});
    let gateway = gateway_with(&upstream, &callbacks, own).await;
    let call = gateway.client().chat("gpt").streaming().send().await;
    assert_eq!(call.expect_status(502).error()["code"], "reply_too_large");
    gateway.stop().await;
    let gateway = self::gateway(&upstream, &callbacks).await;
    let call = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
    assert_eq!(sse::text(&call.events()).len(), 3_000_000);
    gateway.stop().await;
}

#[tokio::test]
async fn only_calls_with_such_a_callback_are_collected() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let only = |models: &str| with(buffered(recorder("r")), "only", json!({"models": [models]}));
    let shadow = with(buffered(recorder("r")), "mode", json!("shadow"));
    let startless = with(buffered(recorder("r")), "hooks", json!(["on_llm_start"]));
    for (entry, expected) in [
        (only("gpt"), &["onetwo"][..]),
        (only("other"), &["one", "two"]),
        (shadow, &["one", "two"]),
        (startless, &["one", "two"]),
    ] {
        let gateway = gateway(&upstream, &json!([entry])).await;
        let call = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
        assert_eq!(texts(&call.events()), expected, "{entry}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn streams_of_callbacks_and_edited_chunks_are_collected_too() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let editing = json!({"on_llm_new_token": ["chunk_upper", {"hold_back": 2}]});
    let answering = json!({"on_llm_start": [{"answer_stream": {"parts": ["a", "b"]}}]});
    let answering = with(faulty("s", answering), "only", json!({"models": ["llama"]}));
    let callbacks = json!([buffered(faulty("f", editing)), answering]);
    let gateway = gateway(&upstream, &callbacks).await;
    for (model, expected) in [("gpt", "ONETWO"), ("llama", "AB")] {
        let call = gateway.client().chat(model).streaming().send().await.expect_status(200);
        let events = call.events();
        assert_eq!((texts(&events), events.last()), (vec![expected], Some(&Event::Done)));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_no_completion_is_an_error() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let entry = buffered(faulty("f", at_end(&json!([{"reply_json": "{}"}]))));
    let gateway = gateway(&upstream, &json!([entry])).await;
    let call = gateway.client().chat("gpt").streaming().send().await.expect_status(503);
    assert_eq!(call.error()["code"], "callback_failed");
    gateway.stop().await;
}

#[tokio::test]
async fn a_plugin_asks_for_it_unless_the_operator_says_otherwise() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let judge = entry("judge", "j", at_end(&json!([refusal("no")])));
    for (entry, status) in [
        (judge.clone(), 418),
        (with(judge.clone(), "streams", json!("buffered")), 418),
        (with(judge, "streams", json!("relayed")), 200),
    ] {
        let gateway = gateway(&upstream, &json!([entry])).await;
        let _ = gateway.client().chat("gpt").streaming().send().await.expect_status(status);
        let streams = if status == 418 { json!("buffered") } else { Value::Null };
        assert_eq!(report(&gateway).await[0]["streams"], streams);
        gateway.stop().await;
    }
    let wrong = with(recorder("r"), "streams", json!("kept"));
    let config = with_callbacks(&every_dialect(&upstream), &json!([wrong]));
    let refused = Gateway::with_config(config).refused().await;
    assert!(refused.stderr.contains("`relayed` or `buffered`"), "{}", refused.stderr);
}
