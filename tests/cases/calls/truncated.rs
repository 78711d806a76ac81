//! Streams that break: the client gets an error frame, and never a `[DONE]` or a made-up finish
//! reason.

use callgate_tests::{
    Answer, Event, Gateway, Reply, Script,
    config::{config, every_dialect},
    scripted, sse,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

#[tokio::test]
async fn a_broken_stream_ends_in_an_error_frame() {
    let breaks = [
        ("closed in the middle", Answer::default().closing_after(2)),
        ("closed after the first event", Answer::default().closing_after(1)),
        ("reset in the middle", Answer::default().resetting_after(2)),
        ("ended cleanly without a finish", Answer::default().ending_after(2)),
        ("ended by a close without a finish", Answer::default().until_close().ending_after(2)),
        ("ended inside an event", {
            let half = "data: {\"id\":\"chatcmpl-up1\",\"choices\":[{\"del";
            Answer::default().inserting(2, half).ending_after(2)
        }),
    ];
    for (what, answer) in breaks {
        let upstream = scripted(Script::always(answer)).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let reply = gateway.client().chat(model).streaming().send().await;
            let _ = check_broken(&format!("{what}, {model}"), &reply);
        }
        gateway.stop().await;
    }
}

/// The error of a broken stream: in its last frame or, if it broke before anything was sent, as a
/// status.
#[track_caller]
fn check_broken(what: &str, reply: &Reply) -> Value {
    if reply.status != 200 {
        assert!(reply.status >= 500, "{what}: {}", reply.text());
        return reply.error();
    }
    let events = &reply.events();
    assert!(!events.contains(&Event::Done), "{what}: a broken stream got [DONE]: {events:?}");
    let invented = events.iter().any(|e| e.json()["choices"][0]["finish_reason"].is_string());
    assert!(!invented, "{what}: a finish reason nobody gave: {events:?}");
    let error = sse::error(events).unwrap_or_else(|| panic!("{what}: no error frame: {events:?}"));
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {error}");
    assert!(error["type"].is_string() && error["code"].is_string(), "{what}: {error}");
    let errors = events.iter().filter(|event| event.json()["error"].is_object());
    assert_eq!(errors.count(), 1, "{what}: {events:?}");
    error.clone()
}

#[tokio::test]
async fn the_upstreams_own_error_frame_keeps_its_type_and_code() {
    let frame = "data: {\"error\":{\"message\":\"overloaded now\",\"type\":\"overloaded_error\",\
                 \"param\":null,\"code\":\"overloaded\"}}\n\n";
    let broken = |frame: &str| Answer::default().inserting(2, frame.to_owned()).ending_after(2);
    let script = Script::always(broken(frame))
        .model("gemma3:4b", broken("{\"error\":\"overloaded now\"}\n"));
    let upstream = scripted(script).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        let reply = gateway.client().chat(model).streaming().send().await;
        let error = check_broken(model, &reply);
        assert!(error["message"].as_str().unwrap().contains("overloaded now"), "{error}");
        if model != "gemma" {
            assert_eq!(error["type"], "overloaded_error");
            assert_eq!(error["code"], "overloaded");
        }
    }
}

#[tokio::test]
async fn a_200_that_is_no_stream_is_never_an_empty_answer() {
    for answer in [
        Answer::fixed(200, "text/html", "<html><body>Please log in</body></html>"),
        Answer::fixed(200, "text/event-stream", ""),
        Answer::fixed(200, "application/json", "{}"),
        Answer::fixed(200, "text/event-stream", "garbage\n\nmore garbage\n\n"),
    ] {
        let upstream = scripted(Script::always(answer)).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let reply = gateway.client().chat(model).streaming().send().await;
            let _ = check_broken(model, &reply);
        }
    }
}

#[tokio::test]
async fn garbage_inside_an_ollama_stream_is_an_error() {
    for garbage in ["not json\n", "{\"message\": 7}\n", "[]\n", "\u{0}\n"] {
        let answer = Answer::default().inserting(2, garbage);
        let upstream = scripted(Script::always(answer)).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        let reply = gateway.client().chat("gemma").streaming().send().await;
        let _ = check_broken(garbage, &reply);
    }
}

#[tokio::test]
async fn a_broken_json_reply_is_a_502() {
    let whole = json!({"id": "x", "model": "m", "choices": [], "object": "chat.completion"});
    for answer in [
        Answer::fixed(200, "application/json", whole.to_string()).closing_after(1),
        Answer::fixed(200, "application/json", whole.to_string()).resetting_after(1),
        Answer::fixed(200, "application/json", whole.to_string()).chunked().closing_after(1),
    ] {
        let upstream = scripted(Script::always(answer)).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let reply = gateway.client().chat(model).send().await;
            // The head may already be sent; then the client must see a broken body, not a short
            // one.
            if reply.status == 200 {
                assert!(!reply.complete, "{model}: half a reply passed as whole: {}", reply.text());
            } else {
                let _ = reply.expect_status(502).error();
            }
        }
    }
}
