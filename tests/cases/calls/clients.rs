//! Clients that do not read, read slowly, stop writing, or do not speak proper HTTP: none keeps a
//! connection forever, none that makes progress is disconnected, and each that still reads gets an
//! error.

use crate::callbacks::faulty::{recorder, with};
use callgate_tests::{
    Answer, Event, Gateway, Raw, Script,
    config::{config, deployment, every_dialect, openai, with_callbacks, with_param},
    raw::{chat_request, status},
    scripted, upstream, within,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

/// Far more than all socket buffers hold.
const HUGE: usize = 32 * 1024 * 1024;

fn streaming(model: &str) -> String {
    let body = json!({"model": model, "stream": true, "messages": []}).to_string();
    chat_request(&format!("Content-Length: {}\r\n", body.len()), &body)
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go() {
    let upstream = upstream(Answer::huge(HUGE)).await;
    let recorder =
        with(recorder("r"), "hooks", json!(["on_llm_start", "on_llm_end", "on_llm_error"]));
    let mut config = with_callbacks(&every_dialect(&upstream), &json!([recorder]));
    config["callgate"] = json!({"limits": {"write_timeout": "300ms"}});
    let gateway = Gateway::with_config(config).start().await;
    for (index, model) in MODELS.iter().enumerate() {
        let mut client = Raw::connect(gateway.address()).await;
        client.send(streaming(model)).await;
        within("the upstream call's end", upstream.hung_up(index + 1)).await;
        gateway.log().times("client_closed_request", index + 1).await;
        assert!(!client.read_to_end().await.contains("[DONE]"));
    }
    let log = gateway.stop().await;
    let ended = log.lines().filter(|line| line.contains("\"call failed\"")).count();
    assert_eq!(ended, MODELS.len());
    let told = |hook: &str| log.matches(&format!("\"label\":\"r\",\"hook\":\"{hook}\"")).count();
    assert_eq!((told("on_llm_end"), told("on_llm_error")), (0, MODELS.len()));
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_not_cut() {
    let script = Script::always(Answer::huge(HUGE)).model("silent", Answer::silence());
    let upstream = scripted(script).await;
    let silent = deployment("silent", "openai/silent", &upstream.openai_base());
    let mut config = config(&[openai(&upstream), with_param(silent, "timeout", 0.3)]);
    config["callgate"] = json!({"limits": {"write_timeout": "2s"}});
    let gateway = Gateway::with_config(config).start().await;
    let mut stream = gateway.client().chat("gpt").streaming().open().await;
    // Calls that time out serve as the clock: ten of them take longer than the limit.
    for _ in 0..10 {
        for _ in 0..64 {
            assert!(stream.event().await.is_some());
        }
        let _ = gateway.client().chat("silent").send().await.expect_status(504);
    }
    assert_eq!(stream.events().await.last(), Some(&Event::Done));
    gateway.stop().await;
}

async fn answer(gateway: &Gateway, request: &[u8]) -> String {
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(request).await;
    raw.read_to_end().await
}

#[tokio::test]
async fn what_is_no_request_is_answered_in_openais_form() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1_000_000));
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    let two_lengths = chat_request("Content-Length: 2\r\nContent-Length: 5\r\n", "{}");
    let negative = chat_request("Content-Length: -1\r\n", "{}");
    let unknown = chat_request("Transfer-Encoding: xchunked\r\n", "{}");
    let after_a_good_one = "GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\nGET\r\n\r\n";
    let requests: [(&[u8], u16); 12] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400),
        (two_lengths.as_bytes(), 400),
        (negative.as_bytes(), 400),
        (unknown.as_bytes(), 400),
        (many.as_bytes(), 431),
        (long_header.as_bytes(), 431),
        (long_line.as_bytes(), 431),
        (after_a_good_one.as_bytes(), 400),
    ];
    for (index, (request, expected)) in requests.iter().enumerate() {
        let answer = answer(&gateway, request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]);
        let last = answer.rfind("HTTP/1.1 ").map(|at| &answer[at..]).unwrap_or_default();
        let (head, body) = last.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(status(last), *expected, "{shown}: {answer}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/json"), "{shown}: {answer}");
        assert!(head.contains("connection: close"), "{shown}: {answer}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{shown}: {answer}");
        let error = &serde_json::from_str::<Value>(body).unwrap()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{shown}: {body}");
        assert_eq!(error["code"], expected.to_string(), "{shown}: {body}");
        assert!(error["param"].is_null() && error["message"].is_string(), "{shown}: {body}");
        gateway.log().times("request refused", index + 1).await;
    }
    let line = gateway.log().containing("request refused").await;
    assert_eq!(line.field("status"), 400);
    assert!(line.field("path").is_null(), "{}", line.text);
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_closed_its_sending_side_gets_what_is_ready() {
    let upstream = upstream(Answer::silence()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let body = r#"{"model":"nope","messages":[]}"#;
    let unknown = chat_request(&format!("Content-Length: {}\r\n", body.len()), body);
    let alive = "GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\n";
    for (request, expected) in [(alive, 200), (&*unknown, 400), ("GET\r\n\r\n", 400)] {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(request).await;
        raw.finish().await;
        let answer = raw.read_to_end().await;
        assert_eq!(status(&answer), expected, "{request}: {answer}");
    }
    // A call that has to wait is cancelled, because such a client looks like one that left.
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(streaming("gpt")).await;
    within("the upstream call", upstream.received(1)).await;
    raw.finish().await;
    within("the upstream call's end", upstream.hung_up(1)).await;
    gateway.stop().await;
}
