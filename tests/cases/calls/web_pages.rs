//! Web pages: without a key, those of other sites are refused for every request, and CORS is the
//! same on every path and status.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY, Raw, ScriptedUpstream,
    config::{config, openai},
    raw::status,
    upstream,
};
use serde_json::{Value, json};

const PATHS: [(&str, &str); 10] = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/engines/gpt/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/gpt"),
    ("GET", "/callbacks"),
    ("GET", "/active/callbacks"),
    ("GET", "/metrics"),
    ("GET", "/health/liveness"),
    ("GET", "/health/readiness"),
    ("GET", "/nope"),
];

fn keyless(upstream: &ScriptedUpstream) -> Value {
    json!({"model_list": [openai(upstream)]})
}

async fn raw(gateway: &Gateway, request: &str) -> String {
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(request).await;
    raw.read_to_end().await
}

#[tokio::test]
async fn without_a_key_foreign_pages_are_refused_on_every_path() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(keyless(&upstream)).start().await;
    let client = gateway.client().without_key();
    let foreign: [(&str, &str, &str); 4] = [
        ("origin", "http://evil.example", "callgate.cors.allow_origins"),
        ("origin", "null", "callgate.cors.allow_origins"),
        ("sec-fetch-site", "cross-site", "callgate.cors.allow_origins"),
        ("host", "rebind.evil.example", "callgate.allow_hosts"),
    ];
    for (method, path) in PATHS {
        for (name, value, setting) in foreign {
            let host = if name == "host" { value } else { "localhost" };
            let other = if name == "host" { String::new() } else { format!("{name}: {value}\r\n") };
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{other}connection: close\r\n\r\n"
            );
            let answer = raw(&gateway, &request).await;
            assert_eq!(status(&answer), 403, "{request}{answer}");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let error = &serde_json::from_str::<Value>(body).unwrap()["error"];
            assert!(error["message"].as_str().unwrap().contains(setting), "{request}{body}");
            assert_eq!(error["type"], "permission_error", "{body}");
            assert!(!head.contains("access-control-allow-origin"), "{head}");
        }
        let own = client.request(method, path).header("origin", "http://localhost:3000");
        let reply = own.json(json!({"model": "gpt", "messages": []})).send().await;
        assert_ne!(reply.status, 403, "{method} {path}");
        assert_eq!(reply.header("access-control-allow-origin"), "http://localhost:3000", "{path}");
        assert_eq!(reply.header("vary"), "origin", "{path}");
    }
    assert_eq!(upstream.requests().len(), 2, "a refused page reached the upstream");
    let log = gateway.stop().await;
    let refused = log.lines().filter(|line| line.contains("\"status\":403")).count();
    assert_eq!(refused, PATHS.len() * foreign.len(), "{log}");
    assert!(log.contains("there is no master key"), "{log}");
}

#[tokio::test]
async fn listed_pages_and_names_pass_without_a_key() {
    let upstream = upstream(Answer::default()).await;
    let mut config = keyless(&upstream);
    config["callgate"] = json!({
        "cors": {"allow_origins": ["https://app.example"]}, "allow_hosts": ["gateway.internal"]
    });
    let gateway = Gateway::with_config(config).start().await;
    let request = gateway.client().without_key().chat("gpt");
    let reply = request.header("origin", "https://app.example").send().await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
    let named = "GET /v1/models HTTP/1.1\r\nHost: gateway.internal\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&raw(&gateway, named).await), 200);
}

#[tokio::test]
async fn pages_can_read_every_answer() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let origin = "https://app.example";
    let bare = gateway.client().without_key();
    for (method, path) in PATHS.into_iter().chain([("PUT", "/v1/models"), ("GET", "/engines/%FF")])
    {
        for client in [gateway.client(), bare.clone()] {
            let reply = client.request(method, path).header("origin", origin).send().await;
            assert_eq!(reply.header("access-control-allow-origin"), "*", "{method} {path}");
            assert_eq!(reply.header("access-control-expose-headers"), "*", "{method} {path}");
            assert_eq!(reply.header("access-control-allow-credentials"), "");
        }
        let preflight = bare.request("OPTIONS", path).header("origin", origin);
        let preflight = preflight
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization, x-a")
            .header("access-control-request-private-network", "true");
        let reply = preflight.send().await.expect_status(200);
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(reply.header("access-control-allow-headers"), "authorization, x-a", "{path}");
        assert_eq!(reply.header("access-control-allow-private-network"), "true", "{path}");
    }
    let stream = gateway.client().chat("gpt").header("origin", origin).streaming();
    let reply = stream.send().await.expect_status(200);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let reply = gateway.client().chat("gpt").send().await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn with_a_key_origins_can_be_listed() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"cors": {"allow_origins": ["https://app.example"]}});
    let gateway = Gateway::with_config(config).start().await;
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let expected = if allowed { origin } else { "" };
        let reply = gateway.client().chat("gpt").header("origin", origin).send().await;
        let reply = reply.expect_status(200);
        assert_eq!(reply.header("access-control-allow-origin"), expected);
        let preflight = gateway.client().request("OPTIONS", "/v1/models").header("origin", origin);
        let reply = preflight.send().await;
        assert_eq!(reply.status, if allowed { 200 } else { 403 });
        assert_eq!(reply.header("access-control-allow-origin"), expected);
        assert_eq!(reply.header("vary"), "origin");
    }
}

#[tokio::test]
async fn a_host_header_is_there_once_and_well_formed() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for hosts in [
        "",
        "Host: a\r\nHost: b\r\n",
        "Host: a/b\r\n",
        "Host: user@a\r\n",
        "Host: a,b\r\n",
        "Host: a b\r\n",
    ] {
        for (method, path) in PATHS {
            let request = format!(
                "{method} {path} HTTP/1.1\r\n{hosts}Authorization: Bearer {MASTER_KEY}\r\n\
                 Connection: close\r\n\r\n"
            );
            let answer = raw(&gateway, &request).await;
            assert_eq!(status(&answer), 400, "{request}{answer}");
            assert!(answer.contains("`Host` header"), "{answer}");
        }
    }
    let old = format!("GET /v1/models HTTP/1.0\r\nAuthorization: Bearer {MASTER_KEY}\r\n\r\n");
    assert!(raw(&gateway, &old).await.starts_with("HTTP/1.0 200"));
    assert_eq!(upstream.requests().len(), 0);
}
