//! Callbacks that answer a call with a stream of their own.

use crate::callbacks::faulty::{
    faulty, faulty_async, faulty_blocking, hooks, recorded, recorder, report, seen, with,
};
use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

/// The kind of `HostError` for a stream that nobody takes.
const CLOSED: &str = "10";

async fn gateway(upstream: &ScriptedUpstream, callbacks: &Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), callbacks);
    Gateway::with_config(config).start().await
}

fn answering(plan: &Value) -> Value {
    json!({"on_llm_start": [{"answer_stream": plan}]})
}

#[tokio::test]
async fn a_stream_is_relayed_and_put_together() {
    let upstream = upstream(Answer::default()).await;
    let plan = json!({"parts": ["Hel", "lo\n\"wörld\""], "usage": [3, 4]});
    for make in [faulty, faulty_async, faulty_blocking] {
        let callbacks =
            json!([recorder("before"), make("s", answering(&plan)), recorder("after"),]);
        let gateway = gateway(&upstream, &callbacks).await;
        let call = |id: &str| gateway.client().chat("gpt").header("x-litellm-call-id", id);
        let options = json!({"include_usage": true});
        let stream = call("stream").set("stream_options", options).streaming().send().await;
        let events = stream.expect_status(200).events();
        assert_eq!(sse::text(&events), "Hello\n\"wörld\"");
        assert_eq!(events.last(), Some(&Event::Done));
        let first = events[0].json();
        assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(
            (&first["model"], &first["object"]),
            (&json!("gpt"), &json!("chat.completion.chunk"))
        );
        assert!(first["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{first}");
        assert_eq!(events[events.len() - 2].json()["usage"]["total_tokens"], 7);
        let reply = call("json").send().await.expect_status(200).json();
        let choice = &reply["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!("Hello\n\"wörld\""), &json!("stop"))
        );
        assert_eq!(
            (&reply["usage"]["total_tokens"], &reply["object"]),
            (&json!(7), &json!("chat.completion"))
        );
        assert!(upstream.requests().is_empty());
        let log = gateway.log().clone();
        gateway.stop().await;
        for id in ["stream", "json"] {
            assert_eq!(hooks(&log, id), ["before on_llm_start", "before on_llm_end"], "{id}");
            let lines = recorded(&log, id);
            let end = lines.iter().find(|line| seen(line, "hook") == "on_llm_end").unwrap();
            assert_eq!(
                (seen(end, "from_callback"), seen(end, "total_tokens")),
                ("true".to_owned(), "7".to_owned()),
                "{}",
                end.text
            );
        }
        let chunks = recorded(&log, "stream").into_iter();
        assert!(chunks.filter(|line| seen(line, "hook") == "on_llm_new_token").count() >= 3);
    }
}

#[tokio::test]
async fn whole_chunks_may_have_anything_and_end_the_choice_themselves() {
    let upstream = upstream(Answer::default()).await;
    let call = r#"{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    let finish = "{\"choices\":\n[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}";
    let plan = json!({"parts": [call, finish], "end": "done"});
    let gateway = gateway(&upstream, &json!([faulty("s", answering(&plan))])).await;
    let events = gateway.client().chat("gpt").streaming().send().await.expect_status(200).events();
    let name =
        |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"][0]["function"]["name"].clone();
    assert_eq!((name(events[0].json()), events.last()), (json!("f"), Some(&Event::Done)));
    let reply = gateway.client().chat("gpt").send().await.expect_status(200).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "f");
    assert_eq!(choice["finish_reason"], "tool_calls");
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_that_does_not_end_is_broken() {
    let upstream = upstream(Answer::default()).await;
    for (parts, end) in [
        (json!(["Hel"]), "drop"),
        (json!(["Hel"]), "panic"),
        (json!([]), "drop"),
        (json!([]), "done"),
    ] {
        let plan = json!({"parts": parts, "end": end});
        let callbacks = json!([recorder("r"), faulty("s", answering(&plan))]);
        let gateway = gateway(&upstream, &callbacks).await;
        let call = |id: &str| gateway.client().chat("gpt").header("x-litellm-call-id", id);
        let reply = call("stream").streaming().send().await;
        let error = if parts == json!([]) {
            reply.expect_status(502).error()
        } else {
            let events = reply.expect_status(200).events();
            assert_eq!(sse::text(&events), "Hel", "{plan}");
            sse::error(&events).unwrap_or_else(|| panic!("{plan}: {events:?}")).clone()
        };
        assert_eq!(error["code"], "incomplete_stream", "{plan}");
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with("the stream of callback `s` is incomplete: "), "{message}");
        let error = call("json").send().await.expect_status(502).error();
        assert_eq!(error["code"], "incomplete_stream", "{plan}");
        let log = gateway.log().clone();
        gateway.stop().await;
        for id in ["stream", "json"] {
            assert_eq!(hooks(&log, id), ["r on_llm_start", "r on_llm_error"], "{plan} {id}");
        }
    }
}

#[tokio::test]
async fn bad_parts_are_refused_and_the_stream_goes_on() {
    let upstream = upstream(Answer::default()).await;
    let long = "x".repeat((1 << 20) + 1);
    let plan = json!({"parts": ["a", "!nonsense", "[]", "{", long, "b"]});
    let gateway = gateway(&upstream, &json!([faulty("s", answering(&plan))])).await;
    let events = gateway.client().chat("gpt").streaming().send().await.expect_status(200).events();
    assert_eq!((sse::text(&events), events.last()), ("ab".to_owned(), Some(&Event::Done)));
    let log = gateway.log().clone();
    gateway.stop().await;
    let refused = log.lines().into_iter().filter(|line| line.message() == "part refused");
    let kinds: Vec<_> = refused.map(|line| seen(&line, "kind")).collect();
    assert_eq!(kinds, ["3", "3", "3", "4"]);
}

#[tokio::test]
async fn an_error_in_a_chunk_is_the_calls_error() {
    let upstream = upstream(Answer::default()).await;
    let error = r#"{"error":{"message":"no more credit","type":"t","code":"402"}}"#;
    let plan = json!({"parts": [error], "end": "drop"});
    let gateway = gateway(&upstream, &json!([faulty("s", answering(&plan))])).await;
    for stream in [true, false] {
        let call = gateway.client().chat("gpt").set("stream", stream).send().await;
        let error = call.expect_status(402).error();
        assert_eq!(error["message"], "no more credit");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_stream() {
    let upstream = upstream(Answer::default()).await;
    let callbacks = json!([
        recorder("r"),
        faulty("s", answering(&json!({"parts": ["a"], "end": "until_closed"}))),
    ]);
    let gateway = gateway(&upstream, &callbacks).await;
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "c").streaming();
    let mut open = call.open().await;
    assert_eq!(open.event().await.unwrap().json()["choices"][0]["delta"]["content"], "a");
    drop(open);
    let ended = gateway.log().containing("stream ended").await;
    assert_eq!(seen(&ended, "error"), CLOSED);
    let log = gateway.log().clone();
    gateway.stop().await;
    assert_eq!(hooks(&log, "c"), ["r on_llm_start", "r on_llm_error"]);
}

#[tokio::test]
async fn a_stream_that_never_comes_is_a_timeout() {
    let upstream = upstream(Answer::default()).await;
    let plan = json!({"end": "hang"});
    let gateway = gateway(&upstream, &json!([faulty("s", answering(&plan))])).await;
    for stream in [true, false] {
        let call = gateway.client().chat("gpt").set("stream", stream).set("timeout", 0.2);
        let error = call.send().await.expect_status(504).error();
        assert_eq!(error["code"], "timeout");
        assert_eq!(error["message"], "callback `s` sent nothing for 0.2 s");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_no_answer_is_closed_and_the_call_goes_on() {
    let upstream = upstream(Answer::default()).await;
    let plan = json!({"parts": ["a"], "end": "until_closed"});
    let opening = json!({"on_llm_start": [{"open_stream": plan}]});
    let shadow = with(faulty("s", answering(&plan)), "mode", json!("shadow"));
    for (entry, replies) in [(faulty("o", opening), 0), (shadow, 1)] {
        let gateway = gateway(&upstream, &json!([entry])).await;
        let call = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
        assert_eq!(sse::text(&call.events()), "Hello world!");
        let ended = gateway.log().containing("stream ended").await;
        assert_eq!(seen(&ended, "error"), CLOSED);
        let told = report(&gateway).await[0].clone();
        assert_eq!(told["hooks"]["on_llm_start"]["replies"], replies, "{told}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn chunk_hooks_edit_and_hold_a_callbacks_stream() {
    let upstream = upstream(Answer::default()).await;
    let editing = json!({"on_llm_new_token": ["chunk_upper", {"hold_back": 2}]});
    let plan = json!({"parts": ["abc", "def"]});
    let callbacks = json!([faulty("loud", editing), faulty("s", answering(&plan))]);
    let gateway = gateway(&upstream, &callbacks).await;
    let events = gateway.client().chat("gpt").streaming().send().await.expect_status(200).events();
    assert_eq!((sse::text(&events), events.last()), ("ABCDEF".to_owned(), Some(&Event::Done)));
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_outlives_a_reload_that_removes_its_callback() {
    let upstream = upstream(Answer::default()).await;
    let plan = json!({"parts": ["a"], "end": "until_closed"});
    let gateway = gateway(&upstream, &json!([faulty("s", answering(&plan))])).await;
    let mut open = gateway.client().chat("gpt").streaming().open().await;
    let _ = open.event().await.expect("a chunk");
    gateway.write("config.yaml", with_callbacks(&every_dialect(&upstream), &json!([])));
    let reload = gateway.client().request("POST", "/admin/reload").send().await;
    assert_eq!(reload.expect_status(200).json()["applied"], true);
    let next = gateway.client().chat("gpt").send().await.expect_status(200).json();
    assert_eq!(next["choices"][0]["message"]["content"], "Hello world!");
    // Far more than what can have waited when the config changed.
    for _ in 0..2000 {
        let event = open.event().await.expect("a chunk");
        assert!(event.json()["choices"][0]["delta"]["content"].is_string(), "{event:?}");
    }
    drop(open);
    let ended = gateway.log().containing("stream ended").await;
    assert_eq!(seen(&ended, "error"), CLOSED);
    gateway.stop().await;
}
