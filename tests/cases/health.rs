//! Health and the edges of the route table.

use callgate_tests::config::{config, openai};
use callgate_tests::{Answer, Gateway, upstream};
use serde_json::json;

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
async fn unknown_paths_and_wrong_methods_are_told_apart() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let client = gateway.client().without_key();
    for path in ["/nope", "/v1/nope", "/v1/chat", "/v1/chat/completions/x", "/../etc/passwd", "//"]
    {
        assert_eq!(client.get(path).await.status, 404, "{path}");
    }
    for (method, path) in [
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/health/liveliness"),
    ] {
        assert_eq!(client.request(method, path).send().await.status, 405, "{method} {path}");
    }
}
