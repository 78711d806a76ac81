//! Response headers a client may rely on, and request headers that must or must not travel.

use callgate_tests::{
    Answer, Gateway, UPSTREAM_KEY,
    config::{config, every_dialect, openai, with_param},
    upstream,
};
use serde_json::json;

#[tokio::test]
async fn success_carries_the_headers_operators_graph() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (model, base) in [
        ("gpt", upstream.openai_base()),
        ("llama", upstream.groq_base()),
        ("gemma", upstream.ollama_base()),
    ] {
        for stream in [false, true] {
            let request = gateway.client().chat(model).set("stream", stream);
            let reply = request.send().await.expect_status(200);
            assert_eq!(reply.header("x-litellm-model-group"), model);
            assert_eq!(reply.header("x-litellm-model-api-base"), base);
            assert_eq!(reply.header("x-litellm-attempted-retries"), "0");
            assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "0");
            for name in ["x-litellm-call-id", "x-litellm-model-id", "x-litellm-version"] {
                assert!(!reply.header(name).is_empty(), "{model}, stream {stream}: no `{name}`");
            }
        }
        let reply = gateway.client().chat(model).send().await;
        for name in ["x-litellm-response-duration-ms", "x-litellm-overhead-duration-ms"] {
            let value: f64 = reply.header(name).parse().unwrap_or(-1.0);
            assert!(value >= 0.0, "{model}: `{name}` is `{}`", reply.header(name));
        }
    }
}

#[tokio::test]
async fn the_providers_rate_limit_headers_pass_through() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for stream in [false, true] {
        let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
        assert_eq!(reply.header("x-ratelimit-remaining-requests"), "999");
        assert_eq!(reply.header("x-ratelimit-limit-tokens"), "6000");
    }
}

#[tokio::test]
async fn a_call_has_one_id_and_the_client_may_choose_it() {
    let upstream = upstream(Answer::error(500, "server_error", "x", "oops")).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let client = gateway.client();
    let first = client.chat("gpt").send().await.expect_status(500);
    let second = client.chat("nope").send().await.expect_status(400);
    let ids = [first.header("x-litellm-call-id"), second.header("x-litellm-call-id")];
    assert!(ids.iter().all(|id| id.len() == 36) && ids[0] != ids[1], "{ids:?}");
    let chosen = client.chat("nope").header("x-litellm-call-id", "my-id-1").send().await;
    assert_eq!(chosen.header("x-litellm-call-id"), "my-id-1");
    let endless = client.chat("nope").header("x-litellm-call-id", &"x".repeat(4000)).send().await;
    assert!(endless.header("x-litellm-call-id").len() < 1000);
}

#[tokio::test]
async fn the_upstream_gets_the_deployments_headers_and_none_of_the_clients() {
    let upstream = upstream(Answer::default()).await;
    let headers = json!({"X-Team": "blue", "X-Project": "7"});
    let deployment = with_param(openai(&upstream), "extra_headers", headers);
    let deployment = with_param(deployment, "organization", "org-1");
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let request = gateway.client().chat("gpt");
    let request = request.header("cookie", "session=1").header("x-client-thing", "1");
    let request = request.header("openai-beta", "x").header("user-agent", "curl/8");
    let _ = request.header("te", "trailers").send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {UPSTREAM_KEY}").as_str()));
    assert_eq!(sent.header("x-team"), Some("blue"));
    assert_eq!(sent.header("x-project"), Some("7"));
    assert_eq!(sent.header("openai-organization"), Some("org-1"));
    assert_eq!(sent.header("host"), Some(upstream.addr().to_string().as_str()));
    assert_eq!(sent.header("content-length"), Some(sent.body.len().to_string().as_str()));
    for name in ["cookie", "x-client-thing", "openai-beta", "te", "transfer-encoding"] {
        assert_eq!(sent.header(name), None, "`{name}` travelled");
    }
    assert_ne!(sent.header("user-agent"), Some("curl/8"));
}

#[tokio::test]
async fn a_model_name_cannot_smuggle_headers() {
    let upstream = upstream(Answer::default()).await;
    let mut deployment = openai(&upstream);
    deployment["model_name"] = json!("evil\r\nx-injected: 1");
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let reply = gateway.client().chat("evil\r\nx-injected: 1").send().await.expect_status(200);
    assert_eq!(reply.json()["model"], "evil\r\nx-injected: 1");
    // A header cannot have such a value, so the one that names the model is left out.
    for name in ["x-injected", "x-litellm-model-group"] {
        assert_eq!(reply.header(name), "", "`{name}`");
    }
    assert_eq!(upstream.requests().pop().unwrap().header("x-injected"), None);
}
