//! Health and the edges of the route table.

use crate::callbacks::faulty::recorder;
use callgate_tests::{
    Answer, Gateway, Raw, Script,
    config::{config, deployment, openai, with_callbacks, with_param},
    raw::status,
    scripted, upstream,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[tokio::test]
async fn liveness_and_readiness_are_open() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let client = gateway.client().without_key();
    for path in ["/health/liveliness", "/health/liveness"] {
        let reply = client.get(path).await.expect_status(200);
        assert_eq!(reply.json(), json!("I'm alive!"), "{path}");
    }
    let reply = client.get("/health/readiness").await.expect_status(200);
    assert_eq!(reply.json()["status"], "healthy");
    assert_eq!(upstream.requests().len(), 0, "a probe costs no upstream call");
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_distinguished() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let client = gateway.client().without_key();
    for path in ["/nope", "/v1/nope", "/v1/chat", "/v1/chat/completions/x", "/../etc/passwd", "//"]
    {
        let reply = client.get(path).await.expect_status(404);
        assert_eq!(reply.json()["detail"], "Not Found", "{path}");
        assert_eq!(reply.error()["code"], "404", "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/chat/completions", "POST, OPTIONS"),
        ("DELETE", "/v1/chat/completions", "POST, OPTIONS"),
        ("PUT", "/engines/m/chat/completions", "POST, OPTIONS"),
        ("POST", "/v1/models", "GET, HEAD, OPTIONS"),
        ("POST", "/health/liveliness", "GET, HEAD, OPTIONS"),
    ] {
        let reply = client.request(method, path).send().await.expect_status(405);
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
        assert_eq!(reply.json()["detail"], "Method Not Allowed", "{method} {path}");
        assert_eq!(reply.error()["code"], "405", "{method} {path}");
        let called = !reply.header("x-litellm-call-id").is_empty();
        assert_eq!(called, path.ends_with("completions"), "{method} {path}");
        let reply = client.request("OPTIONS", path).send().await.expect_status(204);
        assert_eq!(reply.header("allow"), allow, "{path}");
    }
    let log = gateway.stop().await;
    assert_eq!(log.matches("\"error.code\":\"404\"").count(), 6, "{log}");
    assert_eq!(log.matches("\"error.code\":\"405\"").count(), 5, "{log}");
}

#[tokio::test]
async fn a_slash_too_many_leads_to_the_same_path_and_nowhere_else() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    for (path, location) in [
        ("/v1/models/", Some("/v1/models")),
        ("/health/readiness//?a=b", Some("/health/readiness?a=b")),
        ("/\\evil.example/", None),
        ("//evil.example/", None),
        ("//evil.example/v1/models/", None),
        ("/%5Cevil.example/", None),
        ("/\tevil.example/", None),
    ] {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        let answer = raw.read_to_end().await;
        let found = answer.lines().find_map(|line| line.strip_prefix("location: "));
        assert_eq!(found, location, "{path}: {answer}");
        assert_eq!(status(&answer) == 307, location.is_some(), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_path_takes_little_room_in_the_log() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let client = gateway.client().without_key();
    let long = "a".repeat(50_000);
    for path in [format!("/{long}"), format!("/engines/{long}/chat/completions")] {
        let _ = client.request("POST", &path).body("{}").send().await;
        let _ = client.get(&path).await;
        let _ = client.get(&format!("/v1/models/{long}")).await;
    }
    let log = gateway.stop().await;
    assert!(log.lines().all(|line| line.len() < 2000), "{log}");
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_says_that_the_connection_ends() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    for path in ["/v1/chat/completions", "/nope", "/v1/models"] {
        let mut raw = Raw::connect(gateway.address()).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        raw.send(head).await;
        let answer = raw.read_to_end().await;
        assert!(answer.contains("connection: close"), "{path}: {answer}");
    }
}

/// Only a client that says so has the models asked, and only with the master key.
#[tokio::test]
async fn models_are_asked_for_whom_says_so() {
    let script = Script::default()
        .model("down", Answer::error(503, "t", "c", "down for sk-upstream-test"))
        .model("cut", Answer::fixed(200, "application/json", "{\"choices\": ["));
    let upstream = scripted(script).await;
    let of = |name: &str, model: &str| deployment(name, model, &upstream.openai_base());
    let mut vectors = of("vectors", "openai/vectors");
    vectors["model_info"] = json!({"mode": "embedding"});
    let mut pictures = of("pictures", "openai/pictures");
    pictures["model_info"] = json!({"mode": "image_generation"});
    let fixed = with_param(of("fixed", "openai/fixed"), "mock_response", "mocked");
    let claude = of("claude", "anthropic/claude-x");
    let gemma = deployment("gemma", "ollama_chat/gemma", &upstream.ollama_base());
    let models = [
        of("up", "openai/up"),
        of("down", "openai/down"),
        of("cut", "openai/cut"),
        vectors,
        pictures,
        fixed,
        claude,
        gemma,
    ];
    let mut config = with_callbacks(&models, &json!([recorder("r")]));
    config["callgate"] = json!({"keys": [{"name": "app", "key": "sk-only-calls-4f9c2a7b"}]});
    let gateway = Gateway::with_config(config).start().await;
    let get = async |query: &str| {
        gateway.client().request("GET", &format!("/health{query}")).send().await.expect_status(200)
    };
    let unasked = get("").await.json();
    assert_eq!((&unasked["healthy_count"], upstream.requests().len()), (&json!(8), 0));
    let asked = get("?ask=true").await.json();
    assert_eq!(upstream.requests().len(), 6);
    let of = |list: &str, member: &str| -> BTreeMap<String, String> {
        let entries = asked[list].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        entries.map(|it| (text(&it["model_name"]), text(&it[member]))).collect()
    };
    let unhealthy = of("unhealthy_endpoints", "error");
    assert_eq!(unhealthy.keys().collect::<Vec<_>>(), ["cut", "down"], "{asked:#}");
    assert!(unhealthy["down"].contains("down for"), "{asked:#}");
    assert!(unhealthy["cut"].contains("ends too soon"), "{asked:#}");
    assert!(!asked.to_string().contains(callgate_tests::UPSTREAM_KEY), "{asked:#}");
    let healthy = of("healthy_endpoints", "not_asked");
    let unasked = healthy.iter().filter(|(_, reason)| !reason.is_empty()).map(|(name, _)| name);
    assert_eq!(unasked.collect::<Vec<_>>(), ["fixed", "pictures"], "{asked:#}");
    let one = get("?ask=true&model=up").await.json();
    assert_eq!((&one["healthy_count"], &one["unhealthy_count"]), (&json!(1), &json!(0)));
    assert_eq!(upstream.requests().pop().unwrap().json()["messages"][0]["content"], "ping");
    let client = gateway.client().without_key();
    let with_key = |query: &str| {
        let request = client.request("GET", &format!("/health{query}"));
        request.header("authorization", "Bearer sk-only-calls-4f9c2a7b")
    };
    let refused = with_key("?ask=true").send().await.expect_status(403);
    assert!(refused.text().contains("admin"), "{}", refused.text());
    let _ = with_key("").send().await.expect_status(200);
    assert_eq!(upstream.requests().len(), 7);
    let log = gateway.stop().await;
    assert!(!log.contains(r#""hook":"#), "a hook ran: {log}");
}
