//! Requests that cannot be served: each gets one clear 400 and never reaches an upstream.

use callgate_tests::{
    Answer, Gateway,
    config::{config, openai},
    upstream,
};
use serde_json::json;

const NO_MESSAGES: &str = r#"{"message":"/chat/completions: Missing required parameter: 'messages'.","type":"invalid_request_error","param":"messages","code":"400"}"#;
const BAD_MODEL: &str = r#"{"message":"'model' must be a string.","type":"bad_request_error","param":"model","code":"400"}"#;

#[tokio::test]
async fn the_exact_bodies_clients_know() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for (body, error) in [
        (r#"{"model":"gpt"}"#, NO_MESSAGES),
        (r#"{"model":"gpt","messages":null}"#, NO_MESSAGES),
        (r#"{"model":7,"messages":[]}"#, BAD_MODEL),
        (r#"{"model":["gpt"],"messages":[]}"#, BAD_MODEL),
    ] {
        for stream in ["", r#","stream":true"#] {
            let body = body.replace('}', &format!("{stream}}}"));
            let reply = gateway.client().chat("").body(body.clone()).send().await;
            let reply = reply.expect_status(400);
            assert_eq!(reply.text(), format!("{{\"error\":{error}}}"), "{body}");
            assert_eq!(reply.header("content-type"), "application/json");
        }
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn an_unknown_model_is_named_and_the_list_pointed_to() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for name in ["nope", "GPT", "gpt ", "ns/gpt", "\\\"quoted\\u0000"] {
        let body = format!(r#"{{"model":"{name}","messages":[]}}"#);
        let reply = gateway.client().chat("").body(body).send().await.expect_status(400);
        let error = reply.error();
        assert_eq!(error["type"], "invalid_request_error");
        assert_eq!((&error["param"], &error["code"]), (&json!(null), &json!("400")));
        if name == "nope" {
            let expected = "/chat/completions: Invalid model name passed in model=nope. Call \
                            `/v1/models` to view available models for your key.";
            assert_eq!(error["message"], expected);
        }
    }
    for body in [r#"{"messages":[]}"#, r#"{"model":null,"messages":[]}"#] {
        let _ = gateway.client().chat("").body(body).send().await.expect_status(400).error();
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn what_is_no_json_object_is_refused_without_harm() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let deep = format!("{{\"model\":\"gpt\",\"messages\":{}", "[".repeat(200_000));
    let bodies: &[&[u8]] = &[
        b"{not json",
        b"{\"model\":\"gpt\",\"messages\":[]",
        b"{\"model\":\"gpt\",\"messages\":[]}}",
        b"{\"model\":\"gpt\",\"messages\":[]} trailing",
        b"{\"model\":\"gpt\" \"messages\":[]}",
        b"{'model':'gpt'}",
        b"[]",
        b"[{\"model\":\"gpt\"}]",
        b"\"gpt\"",
        b"null",
        b"1",
        b"",
        b"   ",
        b"model=gpt&messages=hi",
        b"{\"model\":\"gpt\",\"messages\":[\"\xff\xfe\"]}",
        b"\xef\xbb\xbf{\"model\":",
        deep.as_bytes(),
    ];
    for body in bodies {
        let reply = gateway.client().chat("").body(body.to_vec()).send().await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(reply.status, 400, "{shown}: {}", reply.text());
        let error = reply.error();
        assert!(error["message"].as_str().unwrap().len() < 600, "{shown}: {error}");
        assert_eq!(error["type"], "invalid_request_error", "{shown}: {error}");
    }
    let reply = gateway.client().chat("").body("{not json").send().await;
    assert_eq!(reply.error()["param"], "request_body");
    assert_eq!(upstream.requests().len(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn what_only_the_upstream_can_judge_is_left_to_it() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for body in [
        r#"{"model":"gpt","messages":[]}"#,
        r#"{"model":"gpt","messages":[{"content":"no role"}]}"#,
        r#"{"model":"gpt","messages":[],"temperature":"hot","x_new_param":{"a":[1]}}"#,
    ] {
        let _ = gateway.client().chat("").body(body).send().await.expect_status(200);
    }
    assert_eq!(upstream.requests().len(), 3);
}
