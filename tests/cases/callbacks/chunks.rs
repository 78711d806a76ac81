//! Chunk hooks that send several chunks for one, or hold text back.

use crate::callbacks::faulty::{
    faulty, faulty_async, faulty_blocking, recorded, recorder, refusal, report, seen, with,
    with_policy,
};
use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream, ToolCall,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream, callbacks: &Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), callbacks);
    Gateway::with_config(config).start().await
}

async fn streamed(gateway: &Gateway, id: &str) -> Vec<Event> {
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", id).streaming();
    call.send().await.expect_status(200).events()
}

/// The texts of the chunks, without empty ones.
fn texts(events: &[Event]) -> Vec<&str> {
    let deltas = events.iter().map(|event| &event.json()["choices"][0]["delta"]["content"]);
    deltas.filter_map(Value::as_str).filter(|text| !text.is_empty()).collect()
}

fn at_chunks(acts: &Value) -> Value {
    json!({"on_llm_new_token": acts})
}

#[tokio::test]
async fn a_hook_sends_several_chunks_for_one() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    for make in [faulty, faulty_async, faulty_blocking] {
        let mut adding = at_chunks(&json!([{"emit_text": "a"}, {"emit_text": "b"}, "chunk_drop"]));
        adding["at_chunk"] = json!(1);
        let callbacks =
            json!([make("adds", adding), faulty("loud", at_chunks(&json!(["chunk_upper"])))]);
        let gateway = gateway(&upstream, &callbacks).await;
        let events = streamed(&gateway, "c").await;
        assert_eq!(texts(&events), ["A", "B", "TWO"]);
        assert_eq!(events.last(), Some(&Event::Done));
        for event in &events[1..events.len() - 1] {
            for name in ["id", "model", "created", "object"] {
                assert_eq!(event.json()[name], events[0].json()[name], "{name}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_a_failed_hook_sent_and_held_is_undone() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let acts = at_chunks(&json!([{"emit_text": "a"}, {"hold_back": 2}, {"internal": "oops"}]));
    for make in [faulty, faulty_async, faulty_blocking] {
        let callbacks = json!([with_policy(make("broken", acts.clone()), "ignore")]);
        let gateway = gateway(&upstream, &callbacks).await;
        assert_eq!(texts(&streamed(&gateway, "c").await), ["one", "two"]);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn bad_chunks_are_refused_and_change_nothing() {
    let upstream = upstream(Answer::text(["one"])).await;
    let acts = json!([
        {"emit_json": "{"}, {"emit_json": "[]"}, {"emit_big": 2_000_000}, {"hold_back": 5000},
        "chunk_drop", {"emit_text": "still"}, {"hold_back": 1},
    ]);
    let mut acts = at_chunks(&acts);
    acts["at_chunk"] = json!(1);
    let gateway = gateway(&upstream, &json!([faulty("f", acts)])).await;
    assert_eq!(texts(&streamed(&gateway, "c").await), ["still"]);
    let log = gateway.log().clone();
    gateway.stop().await;
    let refused = log.lines().into_iter().filter(|line| line.message() == "edit refused");
    assert_eq!(refused.count(), 4);
}

#[tokio::test]
async fn held_text_comes_with_the_next_chunk_and_at_the_end() {
    let upstream = upstream(Answer::text(["mail bo", "b@x.y no", "w 👩‍👧"])).await;
    for make in [faulty, faulty_async, faulty_blocking] {
        let acts = at_chunks(&json!([{"hold_back": 3}]));
        let gateway = gateway(&upstream, &json!([make("h", acts), recorder("after")])).await;
        let events = streamed(&gateway, "c").await;
        assert_eq!(sse::text(&events), "mail bob@x.y now 👩‍👧");
        assert_eq!(texts(&events)[..2], ["mail", " bob@x.y"]);
        let finish =
            events.iter().position(|it| it.json()["choices"][0]["finish_reason"] == "stop");
        assert_eq!(finish, Some(events.len() - 2), "{events:?}");
        let log = gateway.log().clone();
        gateway.stop().await;
        let end = recorded(&log, "c").into_iter().find(|line| seen(line, "hook") == "on_llm_end");
        assert_eq!(seen(&end.unwrap(), "text"), "mail bob@x.y now 👩‍👧");
    }
}

#[tokio::test]
async fn held_text_comes_before_a_tool_call_and_before_a_break() {
    let hold = json!([faulty("h", at_chunks(&json!([{"hold_back": 100}]))), recorder("after")]);
    let calling = Answer::tool_calls([ToolCall {
        id: Some("call-1".to_owned()),
        name: "f".to_owned(),
        arguments: "{}".to_owned(),
    }]);
    let upstream = upstream(calling).await;
    let gateway = gateway(&upstream, &hold).await;
    let _ = streamed(&gateway, "tool").await;
    upstream.push(Answer::text(["one", "two", "three"]).closing_after(3));
    let events = streamed(&gateway, "broken").await;
    assert_eq!(texts(&events), ["onetwo"]);
    assert_eq!(sse::error(&events).unwrap()["code"], "incomplete_stream");
    let log = gateway.log().clone();
    gateway.stop().await;
    let lines = recorded(&log, "broken");
    let error = lines.iter().find(|line| seen(line, "hook") == "on_llm_error").unwrap();
    assert_eq!(seen(error, "text"), "onetwo");
}

#[tokio::test]
async fn a_refusal_leaves_held_text_unsent() {
    let upstream = upstream(Answer::text(["one", "two", "three"])).await;
    let mut refusing = at_chunks(&json!([refusal("no")]));
    refusing["at_chunk"] = json!(2);
    let hold = faulty("h", at_chunks(&json!([{"hold_back": 100}])));
    let gateway = gateway(&upstream, &json!([hold, faulty("r", refusing.clone())])).await;
    let events = streamed(&gateway, "c").await;
    assert_eq!(sse::text(&events), "onetwothree", "the second never got a third chunk");
    gateway.stop().await;
    let both = json!([faulty("r", refusing), faulty("h", at_chunks(&json!([{"hold_back": 100}])))]);
    let gateway = self::gateway(&upstream, &both).await;
    let events = streamed(&gateway, "c").await;
    let error = sse::error(&events).expect("an error frame");
    assert_eq!((sse::text(&events), &error["message"]), (String::new(), &json!("no")), "{error}");
    gateway.stop().await;
}

#[tokio::test]
async fn choices_that_come_by_turns_are_held_apart() {
    let chunk = |index: u64, text: &str| {
        let choice = json!({"index": index, "delta": {"content": text}, "finish_reason": null});
        format!(
            "data: {}\n\n",
            json!({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})
        )
    };
    let end = |index: u64| {
        let choice = json!({"index": index, "delta": {}, "finish_reason": "stop"});
        format!(
            "data: {}\n\n",
            json!({"id": "x", "object": "chat.completion.chunk", "choices": [choice]})
        )
    };
    let parts = [
        chunk(0, "ab"),
        chunk(1, "vw"),
        chunk(0, "cd"),
        chunk(1, "xy"),
        end(1),
        chunk(0, "e"),
        end(0),
    ];
    let body = parts.concat() + "data: [DONE]\n\n";
    let upstream = upstream(Answer::fixed(200, "text/event-stream", body)).await;
    let acts = at_chunks(&json!(["chunk_upper", {"hold_back": 1}]));
    let gateway = gateway(&upstream, &json!([faulty("h", acts)])).await;
    let call = gateway.client().chat("gpt").set("n", 2).streaming();
    let events = call.send().await.expect_status(200).events();
    let of = |index: u64| -> String {
        let choices = events.iter().map(|event| &event.json()["choices"][0]);
        let its = choices.filter(|choice| choice["index"] == index);
        its.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
    };
    assert_eq!((of(0), of(1)), ("ABCDE".to_owned(), "VWXY".to_owned()));
    gateway.stop().await;
}

#[tokio::test]
async fn in_shadow_nothing_is_sent_or_held() {
    let upstream = upstream(Answer::text(["one", "two"])).await;
    let acts = at_chunks(&json!([{"emit_text": "more"}, {"hold_back": 2}]));
    for make in [faulty, faulty_async] {
        let entry = with(make("s", acts.clone()), "mode", json!("shadow"));
        let gateway = gateway(&upstream, &json!([entry])).await;
        assert_eq!(texts(&streamed(&gateway, "c").await), ["one", "two"]);
        let told = report(&gateway).await[0].clone();
        assert!(told["hooks"]["on_llm_new_token"]["shadow_edits"].as_u64() >= Some(2), "{told}");
        gateway.stop().await;
    }
}
