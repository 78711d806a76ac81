//! Malicious input: the gateway answers or closes, never crashes, never waits forever, and never
//! lets one request hide inside another.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY, Raw, ScriptedUpstream,
    config::{config, openai},
    raw::{chat_request, status},
    upstream,
};
use serde_json::{Value, json};

async fn gateway(upstream: &ScriptedUpstream) -> Gateway {
    let mut config = config(&[openai(upstream)]);
    config["callgate"] = json!({"limits":
        {"max_body_bytes": 100_000, "header_timeout": "300ms", "body_timeout": "300ms"}});
    Gateway::with_config(config).start().await
}

async fn answer(gateway: &Gateway, request: impl AsRef<[u8]>) -> String {
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(request).await;
    raw.read_to_end().await
}

#[tokio::test]
async fn what_is_no_http_is_answered_with_an_error() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1_000_000));
    let long_header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    let requests: [(&[u8], u16); 11] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00\x00\x00\x00\r\n\r\n", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbroken header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET http://[::1 HTTP/1.1\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (long_line.as_bytes(), 431),
        (long_header.as_bytes(), 431),
        (many.as_bytes(), 431),
    ];
    for (request, expected) in requests {
        let answer = answer(&gateway, request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        assert_eq!(status(&answer), expected, "{shown}: {answer}");
        assert!(answer.contains(r#"{"error":{"message":"#), "{shown}: {answer}");
    }
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    let length = body.len();
    let smuggled = "0\r\n\r\nGET /v1/models HTTP/1.1\r\n\r\n";
    let requests = [
        chat_request(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), body),
        chat_request("Content-Length: -1\r\n", body),
        chat_request("Content-Length: 1e3\r\n", body),
        chat_request("Content-Length: 99999999999999999999999\r\n", body),
        chat_request("Transfer-Encoding: chunked, identity\r\n", smuggled),
        chat_request("Transfer-Encoding: xchunked\r\n", smuggled),
        chat_request("Transfer-Encoding: chunked\r\n", "ffffffffffffffff1\r\n"),
        chat_request("Transfer-Encoding: chunked\r\n", "-1\r\nx\r\n0\r\n\r\n"),
    ];
    for request in requests {
        let answer = answer(&gateway, &request).await;
        assert_eq!(status(&answer), 400, "{request}\n{answer}");
        let heads = answer.lines().filter(|line| line.starts_with("HTTP/1.1 "));
        assert_eq!(heads.count(), 1, "{answer}");
    }
    // Both framings at once: the length must lose, and the bytes after it must not become a
    // request.
    let headers = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", smuggled.len());
    let answer = answer(&gateway, chat_request(&headers, smuggled)).await;
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(!answer.contains("\"object\":\"list\""), "a smuggled request was served: {answer}");
    assert_eq!(upstream.requests().len(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_before_they_are_read() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let fits = "x".repeat(99_000);
    let _ = gateway.client().chat("gpt").set("x", fits).send().await.expect_status(200);
    // Announced only.
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(chat_request("Content-Length: 100001\r\n", "{")).await;
    assert_eq!(status(&raw.read_until("}}").await), 413);
    // Not announced: chunk after chunk.
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(chat_request("Transfer-Encoding: chunked\r\n", "6\r\n{\"x\":\"\r\n")).await;
    for _ in 0..200 {
        raw.send(format!("3e8\r\n{}\r\n", "x".repeat(1000))).await;
    }
    let answer = raw.read_until("}}").await;
    // A reset may overtake the response while the client is still sending.
    assert!(answer.is_empty() || status(&answer) == 413, "{answer}");
    assert_eq!(upstream.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn heads_over_the_limit_are_refused_on_every_path() {
    let mut config = config(&[]);
    config["callgate"] = json!({"limits": {"max_header_bytes": 2000}});
    let gateway = Gateway::with_config(config).start().await;
    for line in [
        "GET /v1/models",
        "GET /v1/models/gpt",
        "GET /health/liveliness",
        "GET /",
        "GET /no/such/path",
        "GET /v1/chat/completions",
        "POST /v1/models",
        "POST /v1/chat/completions",
    ] {
        for (size, refused) in [(1, false), (2001, true)] {
            let large = "x".repeat(size);
            let request = format!(
                "{line} HTTP/1.1\r\nHost: x\r\nX-Large: {large}\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
            let answer = answer(&gateway, request).await;
            assert_eq!(status(&answer) == 431, refused, "{line} {size}: {answer}");
            assert_eq!(answer.contains("max_header_bytes"), refused, "{line} {size}: {answer}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_dawdles_is_let_go() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    // Before its head is complete there is no request to answer.
    for head in ["POST /v1/chat", "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"] {
        assert_eq!(answer(&gateway, head).await, "", "{head}");
    }
    for request in [
        chat_request("Content-Length: 1000\r\n", "{\"model\":"),
        chat_request("Transfer-Encoding: chunked\r\n", "5\r\n{\"mod"),
    ] {
        let answer = answer(&gateway, &request).await;
        assert_eq!(status(&answer), 408, "{request}\n{answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let get = |path: &str, headers: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER_KEY}\r\n{headers}\r\n"
        )
    };
    let requests =
        [get("/v1/models", ""), get("/nope", ""), get("/v1/models/gpt", "Connection: close\r\n")];
    let answer = answer(&gateway, requests.concat()).await;
    let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
    assert_eq!(statuses, ["200", "404", "200"], "{answer}");
}

#[tokio::test]
async fn odd_requests_from_key_holders_do_no_harm() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let client = gateway.client();
    let deep =
        format!("{{\"model\":\"gpt\",\"messages\":{}{}}}", "[".repeat(40_000), "]".repeat(40_000));
    let wide = format!("{{\"model\":\"gpt\",\"messages\":[]{}}}", ",\"a\":1".repeat(10_000));
    for body in [
        deep.as_str(),
        wide.as_str(),
        r#"{"model":"gpt","messages":[{"role":"user","content":"\ud800"}]}"#,
        r#"{"model":"gpt","messages":[NaN]}"#,
        r#"{"model":"gpt","messages":[],"stream":"yes"}"#,
        r#"{"model":"gpt","messages":[],"stream":1,"stream_options":7}"#,
        r#"{"model":"gpt","messages":[],"stream":true,"stream_options":[]}"#,
        r#"{"model":"gpt","messages":[],"":1,"\u0000":2,"\u006dodel":"gpt"}"#,
        r#"{"\u006dodel":"gpt","messages":[]}"#,
    ] {
        let reply = client.chat("").body(body.to_owned()).send().await;
        assert!([200, 400].contains(&reply.status), "{:.80}: {}", body, reply.text());
    }
    let _ = client.chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}

#[tokio::test]
async fn hundreds_of_half_open_connections_do_not_block_a_call() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send("POST /v1/chat/completions HTTP/1.1\r\nHost").await;
        idle.push(raw);
    }
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    drop(idle);
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_names_its_host_once_and_plainly() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    let request = |path: &str, version: &str, hosts: &str| {
        let length = body.len();
        format!(
            "POST {path} HTTP/{version}\r\n{hosts}Authorization: Bearer {MASTER_KEY}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
    };
    let mut refused = 0;
    for (version, hosts, expected) in [
        ("1.1", "Host: gateway\r\n", 200),
        ("1.1", "host: [::1]:4000\r\n", 200),
        ("1.0", "", 200),
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", "Host: a\r\nHost: b\r\n", 400),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host: a/v1\r\n", 400),
        ("1.1", "Host: user@a\r\n", 400),
        ("1.1", "Host: a, b\r\n", 400),
    ] {
        for path in ["/v1/chat/completions", "/engines/gpt/chat/completions", "/v1/models"] {
            let mut raw = Raw::connect(gateway.address()).await;
            raw.send(request(path, version, hosts)).await;
            let answer = raw.read_to_end().await;
            let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
            if expected == 400 {
                assert_eq!(status, 400, "{version} {hosts} {path}: {answer}");
                let error: Value =
                    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
                assert_eq!(error["error"]["type"], "invalid_request_error", "{answer}");
                refused += 1;
            } else {
                assert_ne!(status, 400, "{version} {hosts} {path}: {answer}");
            }
        }
    }
    gateway.log().times("\"request refused\"", refused).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_refusal_that_closes_the_connection_says_so() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"max_body_bytes": 1000}});
    let gateway = Gateway::with_config(config).start().await;
    let head = |path: &str, key: &str, headers: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {key}\r\n{headers}\r\n")
    };
    let chat = "/v1/chat/completions";
    for (what, request, expected) in [
        ("a wrong key", head(chat, "sk-wrong", "Content-Length: 500\r\n") + "{", 401),
        ("a large body", head(chat, MASTER_KEY, "Content-Length: 1001\r\n"), 413),
        (
            "a large body in chunks",
            head(chat, MASTER_KEY, "Transfer-Encoding: chunked\r\n")
                + &format!("3e9\r\n{{{}\r\n", " ".repeat(1000)),
            413,
        ),
        (
            "a body held back",
            head(chat, "sk-wrong", "Content-Length: 5\r\nExpect: 100-continue\r\n"),
            401,
        ),
        ("no such path", head("/v1/nope", MASTER_KEY, "Content-Length: 500\r\n") + "{", 404),
        ("no such method", head("/v1/models", MASTER_KEY, "Content-Length: 500\r\n"), 405),
    ] {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(request).await;
        let answer = raw.read_to_end().await;
        assert_eq!(status(&answer), expected, "{what}: {answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{what}: {answer}");
    }
    // A complete request leaves the connection usable.
    let mut raw = Raw::connect(gateway.address()).await;
    for _ in 0..2 {
        raw.send(head(chat, "sk-wrong", "Content-Length: 2\r\n") + "{}").await;
        let answer = raw.read_until("}}").await;
        assert_eq!(status(&answer), 401, "{answer}");
        assert!(!answer.to_lowercase().contains("connection: close"), "{answer}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_head_has_its_time_from_its_first_byte_and_an_idle_connection_another() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"header_timeout": "200ms", "keepalive_timeout": "1h"}});
    let gateway = Gateway::with_config(config.clone()).start().await;
    let health = "GET /health/liveness HTTP/1.1\r\nHost: g\r\n\r\n";
    let mut idle = Raw::connect(gateway.address()).await;
    idle.send(health).await;
    assert_eq!(status(&idle.read_until("alive!\"").await), 200);
    // A silent connection, and one that begins a second head, outlast their time limits.
    let mut silent = Raw::connect(gateway.address()).await;
    let mut slow = Raw::connect(gateway.address()).await;
    slow.send(health).await;
    assert_eq!(status(&slow.read_until("alive!\"").await), 200);
    slow.send("GET /health").await;
    silent.read_to_end().await;
    slow.read_to_end().await;
    idle.send(health).await;
    assert_eq!(status(&idle.read_until("alive!\"").await), 200, "an idle one is still there");
    gateway.stop().await;

    config["callgate"] = json!({"limits": {"header_timeout": "1h", "keepalive_timeout": "200ms"}});
    let gateway = Gateway::with_config(config).start().await;
    let mut idle = Raw::connect(gateway.address()).await;
    idle.send(health).await;
    assert_eq!(status(&idle.read_until("alive!\"").await), 200);
    assert_eq!(idle.read_to_end().await, "", "an idle connection ends without an answer");
    gateway.stop().await;
}

/// Whether TCP keep-alive is on at the gateway's side of this connection, by the timer that the
/// system shows.
fn is_probed(gateway: std::net::SocketAddr, client: std::net::SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ends = [gateway.port(), client.port()].map(|port| format!(":{port:04X}"));
    let line = table.lines().find(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 5 && fields[1].ends_with(&ends[0]) && fields[2].ends_with(&ends[1])
    });
    // The field is `kind:time`, and kind 2 is the keep-alive timer.
    line.expect("a line").split_whitespace().nth(5).unwrap().starts_with("02:")
}

#[tokio::test]
async fn a_client_that_vanishes_is_looked_for() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send("GET /health/liveness HTTP/1.1\r\nHost: g\r\n\r\n").await;
    assert_eq!(status(&raw.read_until("alive!\"").await), 200);
    assert!(is_probed(gateway.address(), raw.address()), "no keep-alive timer");
    gateway.stop().await;
}
