//! Calls in OpenAI's dialect translated for Anthropic's Messages API and back, as a client sees
//! them. Unit tests cover the details of the translation.

use crate::callbacks::faulty::{recorded, recorder, seen};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream, UPSTREAM_KEY,
    config::{config, deployment, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};

fn claude(upstream: &ScriptedUpstream) -> [Value; 1] {
    [deployment("claude", "anthropic/claude-sonnet-4-5", &upstream.openai_base())]
}

#[tokio::test]
async fn a_chat_becomes_a_message_and_back() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&claude(&upstream))).start().await;
    let request = json!({
        "model": "claude", "max_tokens": 50, "stop": "END", "messages": [
            {"role": "system", "content": "sys"},
            {"role": "user", "content": "hi"}],
    });
    let call = gateway.client().chat("").json(request).header("anthropic-beta", "not-for-chats");
    let reply = call.send().await.expect_status(200).json();
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.path, "/v1/messages");
    assert_eq!(sent.header("x-api-key"), Some(UPSTREAM_KEY));
    assert_eq!(sent.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!((sent.header("authorization"), sent.header("anthropic-beta")), (None, None));
    assert_eq!(
        sent.json(),
        json!({
            "model": "claude-sonnet-4-5", "max_tokens": 50, "stop_sequences": ["END"],
            "system": [{"type": "text", "text": "sys"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        })
    );
    assert_eq!(reply["choices"][0]["message"]["content"], "Hello world");
    assert_eq!((&reply["id"], &reply["model"]), (&json!("msg_up1"), &json!("claude")));
    assert_eq!(reply["usage"]["total_tokens"], 15);
    let log = gateway.stop().await;
    assert!(log.contains(r#""tokens.prompt":11,"tokens.completion":4"#), "{log}");
}

#[tokio::test]
async fn streams_have_openais_chunks_for_clients_and_callbacks() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&claude(&upstream), &json!([recorder("r")]));
    let gateway = Gateway::with_config(config).start().await;
    let mut ids = Vec::new();
    for answer in [Answer::default(), Answer::default().in_writes_of(5)] {
        upstream.push(answer);
        let call = gateway.client().chat("claude").streaming();
        let call = call.set("stream_options", json!({"include_usage": true}));
        let reply = call.send().await.expect_status(200);
        let (text, id) = (reply.text(), reply.header("x-litellm-call-id").to_owned());
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert!(text.contains(r#""finish_reason":"stop""#), "{text}");
        assert!(text.contains(r#""total_tokens":15"#), "{text}");
        ids.push(id);
    }
    let open = gateway.client().chat("claude").streaming().open().await.events().await;
    assert_eq!(sse::text(&open), "Hello world");
    let log = gateway.log().clone();
    gateway.stop().await;
    for id in ids {
        let end = recorded(&log, &id).pop().unwrap();
        let of = |name: &str| seen(&end, name);
        assert_eq!((of("hook"), of("text")), ("on_llm_end".into(), "Hello world".into()));
    }
}

#[tokio::test]
async fn its_errors_keep_their_status_and_words() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&claude(&upstream))).start().await;
    for (status, kind, words) in [
        (401, "authentication_error", "invalid x-api-key"),
        (404, "not_found_error", "model: claude-x"),
        (413, "request_too_large", "Request exceeds the maximum size"),
        (429, "rate_limit_error", "This request would exceed your rate limit"),
        (500, "api_error", "Internal server error"),
        (529, "overloaded_error", "Overloaded"),
    ] {
        let body = json!({"type": "error", "error": {"type": kind, "message": words},
                          "request_id": "req_1"});
        for stream in [false, true] {
            upstream.push(Answer::fixed(status, "application/json", body.to_string()));
            let call = gateway.client().chat("claude").set("stream", stream).send().await;
            let error = call.expect_status(status).error();
            assert!(error["message"].as_str().unwrap().contains(words), "{status}: {error}");
            assert_eq!(error["type"], kind, "{status}");
        }
    }
    // Amid a stream.
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "usage": {}}});
    let text = json!({"type": "content_block_delta", "index": 0,
                      "delta": {"type": "text_delta", "text": "par"}});
    let busy =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let wire = [start, text, busy].map(|event| format!("data: {event}\n\n")).concat();
    upstream.push(Answer::fixed(200, "text/event-stream", wire));
    let reply = gateway.client().chat("claude").streaming().send().await.expect_status(200);
    let said = reply.text();
    assert!(said.contains("par") && said.contains("Overloaded"), "{said}");
    assert!(!said.contains("[DONE]"), "{said}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_it_does_not_take_is_refused_or_dropped() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&claude(&upstream))).start().await;
    for (name, value) in [("seed", json!(1)), ("n", json!(2)), ("logprobs", json!(true))] {
        let call = gateway.client().chat("claude").set(name, value.clone());
        let error = call.send().await.expect_status(400).error();
        assert_eq!(error["param"], name, "{error}");
        let call = gateway.client().chat("claude").set(name, value).set("drop_params", true);
        let _ = call.send().await.expect_status(200);
        assert_eq!(upstream.requests().pop().unwrap().json().get(name), None, "{name}");
    }
    gateway.stop().await;
}
