//! Streams that succeed: framing, promptness, the model echo, and usage only for clients that
//! asked.

use crate::callbacks::faulty::faulty;
use callgate_tests::{
    Answer, Event, Gate, Gateway, Script, ToolCall,
    config::{config, every_dialect, openai, with_callbacks},
    scripted, sse, upstream, within,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

#[tokio::test]
async fn a_stream_is_clean_sse_from_every_dialect() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
        assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
        assert_eq!(reply.header("cache-control"), "no-cache");
        assert_eq!(reply.header("x-accel-buffering"), "no");
        let events = reply.events();
        check_chunks(model, &events);
        assert_eq!(sse::text(&events), "Hello world!", "{model}");
        assert!(reply.complete);
    }
}

/// The properties of every good stream, in any dialect.
#[track_caller]
fn check_chunks(model: &str, events: &[Event]) {
    assert_eq!(events.last(), Some(&Event::Done), "{model}: {events:?}");
    let chunks: Vec<&Value> = events[..events.len() - 1].iter().map(Event::json).collect();
    assert!(chunks.iter().all(|chunk| chunk.is_object()), "{model}: {events:?}");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk", "{model}");
        assert_eq!(chunk["model"], model);
        assert_eq!(chunk["id"], chunks[0]["id"], "{model}: the id changed");
        assert!(chunk["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{chunk}");
        assert!(chunk["created"].is_u64(), "{chunk}");
    }
    let roles = chunks.iter().filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string());
    assert_eq!(roles.count(), 1, "{model}: {events:?}");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant", "{model}");
    let finishes = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"].is_string());
    assert_eq!(finishes.count(), 1, "{model}: {events:?}");
}

#[tokio::test]
async fn usage_is_always_asked_for_and_shown_only_on_request() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        for (options, shown) in [
            (Value::Null, false),
            (json!({"include_usage": false}), false),
            (json!({}), false),
            (json!({"include_usage": true}), true),
            (json!({"include_usage": true, "include_obfuscation": false}), true),
        ] {
            let mut request = gateway.client().chat(model).streaming();
            if !options.is_null() {
                request = request.set("stream_options", options.clone());
            }
            let events = request.send().await.expect_status(200).events();
            let with_usage: Vec<&Value> =
                events.iter().map(Event::json).filter(|e| e["usage"].is_object()).collect();
            assert_eq!(with_usage.len(), usize::from(shown), "{model} {options}: {events:?}");
            if let Some(chunk) = with_usage.first() {
                assert_eq!(chunk["choices"], json!([]), "{model}");
                assert!(chunk["usage"]["total_tokens"].as_u64() > Some(0), "{model}");
                let last = &events[events.len() - 2];
                assert_eq!(last.json(), *chunk, "{model}: usage comes last before [DONE]");
            }
            let sent = upstream.requests().pop().unwrap().json();
            if model == "gemma" {
                assert_eq!(sent.get("stream_options"), None, "{sent}");
            } else {
                // A client's own value stays.
                let refused = options["include_usage"] == false;
                assert_eq!(sent["stream_options"]["include_usage"], !refused, "{sent}");
            }
            check_chunks(model, &without_usage(events));
        }
    }
}

fn without_usage(events: Vec<Event>) -> Vec<Event> {
    events.into_iter().filter(|event| !event.json()["usage"].is_object()).collect()
}

#[tokio::test]
async fn each_event_is_relayed_before_the_next_one_exists() {
    for model in MODELS {
        let gate = Gate::new();
        let upstream = upstream(Answer::default().held_before_each(4, &gate)).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        let opening = gateway.client().chat(model).streaming();
        gate.admit(1);
        let mut stream = opening.open().await;
        let mut seen = Vec::new();
        for turn in 1..4 {
            within("the upstream at its gate", gate.arrived(turn + 1)).await;
            // The upstream holds the next event, so this can only be the previous one.
            seen.push(stream.event().await.expect("an event"));
            gate.admit(1);
        }
        seen.extend(stream.events().await);
        check_chunks(model, &seen);
        assert_eq!(sse::text(&seen), "Hello world!", "{model}");
    }
}

#[tokio::test]
async fn the_way_bytes_are_cut_makes_no_difference() {
    let answer = || Answer::text(["né", "✓ \"quoted\\n\"", "data: [DONE]\n\n", "end"]);
    let answers = [
        answer().in_writes_of(1),
        answer().in_writes_of(7),
        answer().in_one_write(),
        answer().with_crlf(),
        answer().with_crlf().in_writes_of(1),
        answer().with_comments(),
        answer().with_comments().in_writes_of(3),
        answer().until_close(),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let reply = gateway.client().chat(model).streaming().send().await;
            let events = reply.expect_status(200).events();
            let text = sse::text(&events);
            assert_eq!(text, "né✓ \"quoted\\n\"data: [DONE]\n\nend", "answer {index}, {model}");
            // CRLF line ends are valid SSE; only the gateway's own frames are checked strictly.
            if !(3..=4).contains(&index) {
                check_chunks(model, &events);
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_before_the_first_event_is_json_with_its_status() {
    let answer = Answer::error(429, "tokens", "rate_limit_exceeded", "slow down");
    let upstream = upstream(answer.header("retry-after", "7")).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        let reply = gateway.client().chat(model).streaming().send().await.expect_status(429);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("retry-after"), "7");
        assert!(reply.error()["message"].as_str().unwrap().contains("slow down"), "{model}");
    }
}

#[tokio::test]
async fn parallel_tool_calls_stay_apart() {
    let call = |name: &str, id: Option<&str>, arguments: &str| ToolCall {
        id: id.map(str::to_owned),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let known = [call("a", Some("call_a"), r#"{"x":1}"#), call("b", Some("call_b"), "{}")];
    let anonymous = [call("a", None, r#"{"x":1}"#), call("b", None, "{}")];
    let script = Script::default()
        .model("gpt-4o-mini", Answer::tool_calls(known.clone()))
        .model("llama-3.3-70b-versatile", Answer::tool_calls(known))
        .model("gemma3:4b", Answer::tool_calls(anonymous));
    let upstream = scripted(script).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
        let mut calls = [(String::new(), String::new()), (String::new(), String::new())];
        for event in reply.events() {
            for part in
                event.json()["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten()
            {
                let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
                calls[index].0.push_str(part["id"].as_str().unwrap_or_default());
                calls[index].1.push_str(part["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
        let arguments =
            calls.each_ref().map(|(_, text)| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(arguments, [json!({"x": 1}), json!({})], "{model}");
        assert!(!calls[0].0.is_empty() && !calls[1].0.is_empty(), "{model}: a call without id");
        assert_ne!(calls[0].0, calls[1].0, "{model}");
    }
}

#[tokio::test]
async fn many_streams_at_once_do_not_mix() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let calls: Vec<_> =
        (0..48).map(|index| gateway.client().chat(MODELS[index % 3]).streaming().spawn()).collect();
    within("all streams open at once", gate.arrived(48)).await;
    gate.open();
    for (index, call) in calls.into_iter().enumerate() {
        let events = call.await.unwrap().expect_status(200).events();
        check_chunks(MODELS[index % 3], &events);
        assert_eq!(sse::text(&events), "Hello world!");
    }
    gateway.stop().await;
}

/// JSON may have line breaks between values, an event may not: the text after a break would be
/// lost.
#[tokio::test]
async fn an_event_stays_on_one_line_whoever_breaks_it() {
    let event = "data: {\"id\":\"1\",\r\ndata: \"choices\":[{\"index\":0,\"delta\":{\"content\":\"whole\"},\
                 \"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let broken = "{\n\"choices\":\r\n\n[{\"index\":0,\"delta\":{\"content\":\"whole\"}}]}";
    let edit = faulty("edit", json!({"on_llm_new_token": [{"chunk_json": broken}]}));
    for callbacks in [json!([]), json!([edit])] {
        let upstream = upstream(Answer::fixed(200, "text/event-stream", event)).await;
        let gateway = Gateway::with_config(with_callbacks(&[openai(&upstream)], &callbacks));
        let gateway = gateway.start().await;
        let reply = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
        let text = reply.text();
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines.iter().all(|line| line.starts_with("data: ")), "{text}");
        assert_eq!((lines.len(), lines.last()), (2, Some(&"data: [DONE]")), "{text}");
        assert_eq!(sse::text(&reply.events()), "whole", "{text}");
    }
}
