//! Every kind of bad request has its one response: the right 4xx in OpenAI's shape, within limits,
//! before any upstream is asked; and the next request on a new connection works.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY, Raw,
    config::{config, openai},
    raw::{chat_request, status},
    upstream,
};
use serde_json::{Value, json};

/// A description, the body, and the expected status.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let with = |member: &str| format!(r#"{{"model":"gpt","messages":[],{member}}}"#).into_bytes();
    let deep = |open: &str, close: &str| {
        with(&format!(r#""x":{}1{}"#, open.repeat(20_000), close.repeat(20_000)))
    };
    vec![
        ("empty", Vec::new(), 400),
        ("not JSON", text("hello"), 400),
        ("cut off", text(r#"{"model":"gpt","mess"#), 400),
        ("a list", text("[]"), 400),
        ("a string", text(r#""gpt""#), 400),
        ("null", text("null"), 400),
        ("two values", text(r#"{"model":"gpt","messages":[]}{}"#), 400),
        ("deep lists", deep("[", "]"), 400),
        ("deep objects", deep(r#"{"a":"#, "}"), 400),
        ("deep and cut off", with(&format!(r#""x":{}"#, "[".repeat(40_000))), 400),
        ("invalid UTF-8", b"{\"model\":\"gpt\",\"messages\":[\"\xc3\x28\"]}".to_vec(), 400),
        ("overlong UTF-8", b"{\"model\":\"gpt\",\"messages\":[\"\xc0\xaf\"]}".to_vec(), 400),
        (
            "surrogate in UTF-8",
            b"{\"model\":\"gpt\",\"messages\":[\"\xed\xa0\x80\"]}".to_vec(),
            400,
        ),
        ("UTF-16", b"\xff\xfe{\x00}\x00".to_vec(), 400),
        ("control character", text("{\"model\":\"gpt\",\"messages\":[\"a\nb\"]}"), 400),
        ("a NUL byte", text("{\"model\":\"gpt\",\"messages\":[]}\0"), 400),
        ("NaN", with(r#""temperature":NaN"#), 400),
        ("Infinity", with(r#""temperature":-Infinity"#), 400),
        ("hexadecimal", with(r#""seed":0x10"#), 400),
        ("a leading zero", with(r#""seed":010"#), 400),
        ("a bare escape", with(r#""x":"\u12""#), 400),
        ("a lone surrogate as the model", text(r#"{"model":"\ud800","messages":[]}"#), 400),
        ("a number as the model", text(r#"{"model":7,"messages":[]}"#), 400),
        ("no model", text(r#"{"messages":[]}"#), 400),
        ("an empty model", text(r#"{"model":"","messages":[]}"#), 400),
        ("an unknown model", text(r#"{"model":"nope","messages":[]}"#), 400),
        ("no messages", text(r#"{"model":"gpt"}"#), 400),
        ("text as messages", text(r#"{"model":"gpt","messages":"hi"}"#), 400),
        ("an object as messages", text(r#"{"model":"gpt","messages":{}}"#), 400),
        ("text as stream", with(r#""stream":"yes""#), 400),
        ("a number as stream", with(r#""stream":1"#), 400),
        ("a list as timeout", with(r#""timeout":[]"#), 400),
        ("no time at all", with(r#""timeout":0"#), 400),
        ("an endless timeout", with(r#""timeout":1e300"#), 400),
        ("a key of its own", with(r#""api_key":"sk-x""#), 401),
        ("a base of its own", with(r#""api_base":"http://169.254.169.254/""#), 401),
        (
            "an endless model name",
            format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(2_000)).into_bytes(),
            400,
        ),
        ("members without end", with(&vec![r#""x":1"#; 5_000].join(",")), 400),
        ("huge", with(&format!(r#""x":"{}""#, "x".repeat(300_000))), 413),
    ]
}

/// The gateway's own error object, after checking its shape.
#[track_caller]
fn check_shape(what: &str, status: u16, error: &Value) {
    let message = error["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.len() < 600, "{what}: {error}");
    assert!(!message.contains("src/") && !message.contains("panicked"), "{what}: {error}");
    let expected = if status == 401 { "auth_error" } else { "invalid_request_error" };
    let error_type = error["type"].as_str().unwrap();
    assert!([expected, "bad_request_error"].contains(&error_type), "{what}: {error}");
}

#[tokio::test]
async fn every_bad_body_has_its_answer_and_the_next_request_works() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"max_body_bytes": 200_000}});
    let gateway = Gateway::with_config(config).start().await;
    let mut served = 0;
    for (what, body, status) in bodies() {
        let reply = gateway.client().chat("").body(body).send().await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/json", "{what}");
        check_shape(what, status, &reply.error());
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        served += 1;
        assert_eq!(upstream.requests().len(), served, "{what}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn limits_on_time_and_size_answer_in_the_same_shape() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"max_body_bytes": 2000, "max_header_bytes": 4000,
        "header_timeout": "300ms", "body_timeout": "300ms"}});
    let gateway = Gateway::with_config(config).start().await;
    let large_header = format!("X-Large: {}\r\nContent-Length: 2\r\n", "x".repeat(5000));
    let cases = [
        ("a slow body", chat_request("Content-Length: 50\r\n", "{"), 408),
        ("a slow chunk", chat_request("Transfer-Encoding: chunked\r\n", "5\r\n{\"mod"), 408),
        ("an announced size", chat_request("Content-Length: 2001\r\n", ""), 413),
        ("large headers", chat_request(&large_header, "{}"), 431),
    ];
    for (what, request, expected) in cases {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(request).await;
        let answer = raw.read_until("}}").await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let error: Value = serde_json::from_str(body).unwrap();
        check_shape(what, expected, &error["error"]);
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_spoken_here_is_named_to_client_and_operator() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let mut refused = 0;
    for (first, words) in [
        (&b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"[..], "does not serve HTTPS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "found HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "not well-formed HTTP/1.1"),
    ] {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(first).await;
        let answer = raw.read_until("}}").await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert!(answer.contains(words), "{answer}");
        refused += 1;
        gateway.log().times("\"request refused\"", refused).await;
        let line = gateway.log().containing(words).await;
        assert_eq!(line.field("status"), 400, "{}", line.text);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_is_framed_in_one_way() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let body = r#"{"model": "gpt", "messages": []}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (codings, expected) in [
        ("Transfer-Encoding: Chunked\r\n", 200),
        ("Transfer-Encoding: identity, chunked\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 400),
        ("Transfer-Encoding: chunked, chunked\r\n", 400),
        ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
    ] {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(chat_request(codings, &chunked)).await;
        let answer = raw.read_until("}").await;
        assert_eq!(status(&answer), expected, "{codings}{answer}");
        assert_eq!(answer.contains("connection: close"), expected == 400, "{codings}{answer}");
    }
    assert_eq!(upstream.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn bad_keys_are_refused_before_the_body_is_read() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let wrong = format!("Bearer {MASTER_KEY}x");
    for value in ["Bearer", "Bearer ", "Bearer wrong", "Token x", MASTER_KEY, &wrong, "\u{e9}"] {
        let mut raw = Raw::connect(gateway.address()).await;
        // The body is announced and never sent.
        let head = chat_request("Content-Length: 1000\r\n", "");
        raw.send(head.replace(&format!("Bearer {MASTER_KEY}"), value)).await;
        let answer = raw.read_until("}}").await;
        assert_eq!(status(&answer), 401, "{value}: {answer}");
        assert!(answer.contains("\"type\":\"auth_error\""), "{value}: {answer}");
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    gateway.stop().await;
}
