//! Authentication: header precedence, the exact refusals, and that a refused client costs nothing.

use callgate_tests::{
    Answer, Client, Gateway, MASTER_KEY, Raw,
    build::repository,
    config::{config, openai},
    raw::status,
    upstream,
};
use serde_json::json;
use std::fs;

const NO_KEY: &str = r#"{"error":{"message":"Authentication Error, No api key passed in.","type":"auth_error","param":"None","code":"401"}}"#;
const MALFORMED: &str = r#"{"error":{"message":"Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.","type":"auth_error","param":"None","code":"401"}}"#;

#[tokio::test]
async fn keys_are_taken_from_the_first_header_present() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let client = gateway.client().without_key();
    let bearer = format!("Bearer {MASTER_KEY}");
    let lower = format!("bearer {MASTER_KEY}");
    let basic = format!("Basic {MASTER_KEY}");
    let shouted = format!("BEARER {MASTER_KEY}");
    let two_spaces = format!("Bearer  {MASTER_KEY}");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("authorization", &bearer)], 200),
        (&[("authorization", &lower)], 200),
        (&[("authorization", &basic)], 200),
        (&[("authorization", &shouted)], 200),
        (&[("authorization", &two_spaces)], 200),
        (&[("x-litellm-api-key", MASTER_KEY)], 200),
        (&[("x-litellm-api-key", &bearer)], 200),
        (&[("api-key", MASTER_KEY)], 200),
        (&[("x-api-key", MASTER_KEY)], 200),
        (&[("x-goog-api-key", MASTER_KEY)], 200),
        (&[("ocp-apim-subscription-key", MASTER_KEY)], 200),
        (&[("x-api-key", "wrong"), ("authorization", &bearer)], 200),
        (&[("x-litellm-api-key", MASTER_KEY), ("authorization", "Bearer wrong")], 200),
        (&[], 401),
        (&[("authorization", MASTER_KEY)], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("authorization", "Bearer wrong")], 401),
        (&[("authorization", "")], 401),
        (&[("x-litellm-api-key", "wrong"), ("authorization", &bearer)], 401),
        (&[("x-api-key", MASTER_KEY), ("authorization", "Bearer wrong")], 401),
    ];
    for (headers, expected) in cases {
        let request = client.chat("gpt");
        let request = headers.iter().fold(request, |request, (n, v)| request.header(n, v));
        let reply = request.send().await;
        assert_eq!(reply.status, *expected, "{headers:?}: {}", reply.text());
    }
    let admitted = cases.iter().filter(|(_, status)| *status == 200).count();
    assert_eq!(upstream.requests().len(), admitted, "a refused call reached the upstream");
    gateway.stop().await;
}

#[tokio::test]
async fn refusals_have_the_bodies_clients_know() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let client = gateway.client().without_key();
    let chat = || client.chat("gpt");
    assert_eq!(chat().send().await.text(), NO_KEY);
    for malformed in [MASTER_KEY, "Bearer ", "Digest x"] {
        let reply = chat().header("authorization", malformed).send().await.expect_status(401);
        assert_eq!(reply.text(), MALFORMED, "{malformed}");
    }
    let reply = chat().header("authorization", "Bearer sk-guess-4711").send().await;
    let error = reply.expect_status(401).error();
    assert_eq!((&error["type"], &error["code"]), (&json!("auth_error"), &json!("401")));
    assert!(!error.to_string().contains("4711"), "the key is echoed: {error}");
}

#[tokio::test]
async fn every_path_but_the_open_ones_refuses_without_the_key() {
    let open = ["/", "/health/liveliness", "/health/liveness", "/health/readiness"];
    let paths = documented_paths();
    assert!(open.iter().all(|path| paths.iter().any(|(_, known)| known == path)), "{paths:?}");
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["litellm_settings"] = json!({"require_auth_for_metrics_endpoint": true});
    let gateway = Gateway::with_config(config).start().await;
    let (with, without) = (gateway.client(), gateway.client().without_key());
    for (method, path) in &paths {
        let chat = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
        let ask = |client: &Client| client.request(method, path).json(chat.clone());
        let _ = ask(&with).send().await.expect_status(200);
        let reply = ask(&without).send().await;
        if open.contains(&&**path) {
            let _ = reply.expect_status(200);
        } else {
            assert_eq!(reply.expect_status(401).text(), NO_KEY, "{method} {path}");
        }
    }
}

/// The method and path of every endpoint, from the reference.
fn documented_paths() -> Vec<(String, String)> {
    let reference = fs::read_to_string(repository().join("docs/reference.md")).unwrap();
    let (_, paths) = reference.split_once("\n## Paths\n").unwrap();
    let rows = paths.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        let method = if cell.contains("`POST ") { "POST" } else { "GET" };
        let named = cell.split('`').skip(1).step_by(2);
        // A path without a method has that of the first one.
        let named = named.map(|path| path.split_once(' ').unwrap_or((method, path)));
        let paths = named.map(|(method, path)| match path {
            "/{id}" => (method, "/v1/models/gpt".to_owned()),
            path => (method, path.replace("{model}", "gpt")),
        });
        paths.map(|(method, path)| (method.to_owned(), path)).collect::<Vec<_>>()
    })
    .collect()
}

#[tokio::test]
async fn the_key_is_checked_before_the_body_is_read() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let reply = gateway.client().without_key().chat("gpt").body("{not json").send().await;
    assert_eq!(reply.expect_status(401).text(), NO_KEY);
    // The body is announced and never sent: the response must not wait for it.
    for key in ["", "Authorization: Bearer wrong\r\n"] {
        let mut raw = Raw::connect(gateway.address()).await;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 1000\r\n\r\n"
        );
        raw.send(head).await;
        assert_eq!(status(&raw.read_until("}}").await), 401);
    }
}

#[tokio::test]
async fn a_key_header_of_the_operators_choice_works_too() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["general_settings"]["litellm_key_header_name"] = json!("X-Team-Key");
    let gateway = Gateway::with_config(config).start().await;
    let chat = || gateway.client().without_key().chat("gpt");
    let bearer = format!("Bearer {MASTER_KEY}");
    let _ = chat().header("x-team-key", &bearer).send().await.expect_status(200);
    let _ = chat().header("x-team-key", "Bearer wrong").send().await.expect_status(401);
}

#[tokio::test]
async fn without_a_master_key_only_loopback_is_served() {
    let upstream = upstream(Answer::default()).await;
    let open = json!({"model_list": [openai(&upstream)]});
    let refused = Gateway::with_config(&open).arg("--host").arg("0.0.0.0").refused().await;
    assert!(refused.stderr.contains("master_key"), "{}", refused.stderr);

    let gateway = Gateway::with_config(&open).start().await;
    let _ = gateway.client().without_key().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;

    let mut told = open.clone();
    told["general_settings"] = json!({"dangerously_permit_weak_or_unset_master_key": true});
    let gateway = Gateway::with_config(&told).arg("--host").arg("0.0.0.0").start().await;
    gateway.stop().await;
}

#[tokio::test]
async fn weak_or_missing_keys_refuse_the_start() {
    let upstream = upstream(Answer::default()).await;
    for key in ["", "  ", "sk-1234", "os.environ/NOT_SET_ANYWHERE", "${NOT_SET_ANYWHERE}"] {
        let mut config = config(&[openai(&upstream)]);
        config["general_settings"]["master_key"] = json!(key);
        let refused = Gateway::with_config(config).refused().await;
        assert!(refused.stderr.contains("master_key"), "`{key}`: {}", refused.stderr);
    }
}

#[tokio::test]
async fn the_key_may_come_from_the_environment() {
    let upstream = upstream(Answer::default()).await;
    let bare = json!({"model_list": [openai(&upstream)]});
    let gateway = Gateway::with_config(bare).env("LITELLM_MASTER_KEY", MASTER_KEY).start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let _ = gateway.client().without_key().chat("gpt").send().await.expect_status(401);
}
