//! Upstreams that do not respond as asked: errors say what they did, and usable responses are used.

use callgate_tests::{
    Answer, Event, Gateway, Reply, Script,
    config::{config, deployment, every_dialect, openai},
    scripted, sse, upstream,
};
use serde_json::json;

async fn asked(answer: Answer, stream: bool) -> Reply {
    let upstream = upstream(answer).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
    gateway.stop().await;
    reply
}

fn message(reply: &Reply) -> String {
    reply.error()["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_whole_completion_becomes_a_stream() {
    let call = json!({"id": "call_1", "type": "function",
        "function": {"name": "f", "arguments": "{}"}});
    let whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"},
            {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [call]},
             "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
    for answer in [
        Answer::fixed(200, "application/json", whole.to_string()),
        Answer::fixed(200, "application/json", format!("\n {whole}\n")).chunked().in_writes_of(7),
        Answer::fixed(200, "text/event-stream", whole.to_string()).until_close(),
    ] {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
        let request = gateway.client().chat("gpt").streaming();
        let reply = request.set("stream_options", json!({"include_usage": true})).send().await;
        let events = reply.expect_status(200).events();
        assert_eq!(sse::text(&events), "Hello");
        assert_eq!(events.last(), Some(&Event::Done));
        let chunks: Vec<_> = events.iter().map(Event::json).collect();
        for chunk in &chunks[..5] {
            assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
            assert_eq!(chunk["model"], "gpt", "{chunk}");
        }
        assert_eq!(chunks[1]["choices"][0]["delta"]["tool_calls"][0]["index"], 0);
        assert_eq!(chunks[3]["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(chunks[4]["usage"]["total_tokens"], 7);
        let line = gateway.log().containing("\"tokens.prompt\":3").await;
        assert_eq!(line.field("status"), 200);
        gateway.stop().await;
    }
}

/// No callback saw an unreadable completion, so its text goes nowhere.
#[tokio::test]
async fn data_that_cannot_be_read_is_not_quoted() {
    let chunk = r#"{"choices":[{"index":0,"text":"SECRET","finish_reason":"stop"}]}"#;
    let broken = r#"{"choices":[{"index":0,"delta":{"content":"SECRET"},x}]}"#;
    for (kind, body) in [
        ("text/event-stream", format!("data: {chunk}\n\ndata: [DONE]\n\n")),
        ("application/json", format!("data: {broken}\n\ndata: [DONE]\n\n")),
        ("text/plain", format!("event: x\rdata: {broken}\r\r")),
        ("text/event-stream", "data: SECRET\n\n".to_owned()),
        ("application/json", format!("[{chunk}]")),
        ("application/json", format!("ok\n{broken}\n")),
    ] {
        for stream in [false, true] {
            let upstream = upstream(Answer::fixed(200, kind, body.clone()).until_close()).await;
            let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
            let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
            let reply = format!("{:?}", reply.expect_status(500));
            let line = gateway.log().containing("call failed").await;
            assert!(!reply.contains("SECRET"), "{body}: {reply}");
            assert!(!format!("{line:?}").contains("SECRET"), "{body}: {line:?}");
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn an_error_object_in_place_of_a_stream_is_that_error() {
    let error = json!({"error": {"message": "no such model", "type": "invalid_request_error",
        "param": "model", "code": "model_not_found"}});
    let reply = asked(Answer::fixed(200, "application/json", error.to_string()), true).await;
    let error = reply.expect_status(500).error();
    assert_eq!(error["message"], "no such model");
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
}

#[tokio::test]
async fn what_came_in_place_of_a_stream_is_reported() {
    for (answer, expected) in [
        (Answer::fixed(200, "application/json", "{}"), "JSON that is not a chat completion"),
        (Answer::fixed(200, "application/json", "{broken"), "JSON that is not a chat completion"),
        (Answer::fixed(200, "text/html", "<html>Log in"), "neither events nor JSON"),
        (Answer::fixed(200, "text/event-stream", ""), "an empty body"),
        (Answer::fixed(204, "text/plain", ""), "an empty body"),
    ] {
        let reply = asked(answer, true).await.expect_status(500);
        assert!(message(&reply).contains(expected), "{expected}: {}", reply.text());
    }
}

#[tokio::test]
async fn an_empty_reply_is_called_empty() {
    for status in [200, 204] {
        let reply = asked(Answer::fixed(status, "application/json", ""), false).await;
        let reply = reply.expect_status(500);
        let expected = format!("answered {status} with an empty body");
        assert!(message(&reply).contains(&expected), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_http_is_not_called_absent() {
    for (answer, expected) in [
        (Answer::raw("SSH-2.0-OpenSSH_9.9\r\n"), "not HTTP/1.1"),
        (
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
            "does not accept: its answer has a content length",
        ),
        (Answer::close(), "broke the connection"),
        (Answer::reset(), "broke the connection"),
    ] {
        for stream in [false, true] {
            let reply = asked(answer.clone(), stream).await.expect_status(502);
            let message = message(&reply);
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("does something listen"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_reply_over_the_limit_is_refused() {
    for answer in [Answer::huge(200_000), Answer::huge(200_000).chunked()] {
        let upstream = upstream(answer).await;
        let mut config = config(&every_dialect(&upstream));
        config["callgate"] = json!({"limits": {"max_reply_bytes": 100_000}});
        let gateway = Gateway::with_config(config).start().await;
        for model in ["gpt", "llama", "gemma"] {
            let reply = gateway.client().chat(model).send().await.expect_status(502);
            assert_eq!(reply.error()["code"], "reply_too_large");
            assert!(message(&reply).contains("callgate.limits.max_reply_bytes"));
            // A stream is not kept, so it has no such limit.
            let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
            assert_eq!(reply.events().last(), Some(&Event::Done));
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn memory_of_huge_replies_is_given_back() {
    const HUGE: usize = 24 * 1024 * 1024;
    let script = Script::default().model("gpt-4o-mini", Answer::huge(HUGE));
    let upstream = scripted(script).await;
    let small = deployment("small", "openai/small", &upstream.openai_base());
    let gateway = Gateway::with_config(config(&[openai(&upstream), small])).start().await;
    let before = gateway.memory();
    let calls: Vec<_> = (0..6).map(|_| gateway.client().chat("gpt").spawn()).collect();
    for call in calls {
        assert!(call.await.unwrap().expect_status(200).body.len() > HUGE);
    }
    // Enough for every worker to finish its earlier work.
    for _ in 0..std::thread::available_parallelism().unwrap().get() {
        let _ = gateway.client().chat("small").send().await.expect_status(200);
    }
    let kept = gateway.memory().saturating_sub(before);
    assert!(kept < 2 * HUGE, "{kept} bytes of {} are kept", 6 * HUGE);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_neither_an_answer_nor_an_error_is_named() {
    let raw = |head: &str| Answer::raw(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n"));
    for (head, code, expected) in [
        ("304 Not Modified", "502", "304, Not Modified, which does not answer"),
        ("300 Choices", "502", "300, which is neither an answer nor an error"),
        ("300 Choices\r\nLocation: /x", "upstream_redirect", "300, a redirect"),
        ("302 Found\r\nLocation: /x", "upstream_redirect", "`/x` on the same server"),
        ("101 Switching Protocols", "upstream_unreachable", "switched protocols (101)"),
        ("200 OK\r\nContent-Length: 5", "upstream_unreachable", "two content lengths"),
        ("100 Continue", "upstream_unreachable", "broke the connection"),
    ] {
        for stream in [false, true] {
            let reply = asked(raw(head), stream).await.expect_status(502);
            assert_eq!(reply.error()["code"], code, "{head}: {}", reply.text());
            assert!(message(&reply).contains(expected), "{head}: {}", reply.text());
        }
    }
}

#[tokio::test]
async fn a_status_that_http_does_not_have_is_not_passed_on() {
    for stream in [false, true] {
        let answer = Answer::raw("HTTP/1.1 999 Odd\r\ncontent-length: 2\r\n\r\n{}");
        let error = asked(answer, stream).await.expect_status(502).error();
        assert!(error["message"].as_str().unwrap().contains("999"), "{error}");
    }
}
