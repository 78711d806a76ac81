//! A JSON chat call through an OpenAI-dialect deployment: requests and replies pass byte for byte,
//! except for the model name and members that must not pass.

use callgate_tests::{
    Answer, Gateway, Raw,
    config::{config, every_dialect, openai, with_param},
    raw::{chat_request, status},
    upstream,
};
use serde_json::{Value, json};

#[tokio::test]
async fn the_reply_is_the_upstreams_bytes_with_the_requested_model() {
    let body = "{\n  \"id\" : \"chatcmpl-1\",\n  \"model\": \"gpt-4o-mini-2024-07-18\", \"x\":[1e3, 0.10, \
                12345678901234567890123],\n  \"choices\": [{\"index\":0,\"message\":{\"role\":\"assistant\",\
                \"content\":\"caf\\u00e9 \\\"model\\\" ✓\",\"model\":\"inner\"},\"finish_reason\":\"stop\"}], \
                \"usage\": null }\n";
    let upstream = upstream(Answer::fixed(200, "application/json", body)).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.text(), body.replace("gpt-4o-mini-2024-07-18", "gpt"));
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn the_request_is_the_clients_bytes_with_the_upstream_model() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let requests = [
        "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{ \"messages\" : [ {\"role\":\"user\", \"content\":\"\\u00e9\\ud83d\\ude00 \\\"model\\\": \\\\\" } ],\n\
         \t\"seed\": 12345678901234567890123, \"temperature\":0.10, \"top_p\": 1E-2 ,\"model\" : \"gpt\" }\r\n",
        "{\"n\":1,\"model\":\"gpt\",\"x_unknown\":{\"model\":\"inner\"},\"messages\":[],\"stop\":null}",
    ];
    for request in requests {
        let reply = gateway.client().chat("").body(request).send().await;
        let _ = reply.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        let sent = String::from_utf8(sent.body.to_vec()).unwrap();
        assert_eq!(sent, request.replace("\"gpt\"", "\"gpt-4o-mini\""));
    }
}

#[tokio::test]
async fn of_duplicate_members_the_last_one_counts() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let body = r#"{"model":"nope","messages":[],"model":"gpt","stream":true,"stream":false}"#;
    let reply = gateway.client().chat("").body(body).send().await.expect_status(200);
    assert_eq!(reply.json()["model"], "gpt");
    assert_eq!(upstream.requests()[0].model(), "gpt-4o-mini");
}

#[tokio::test]
async fn proxy_internal_members_never_travel() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let internal = json!({
        "metadata": {"team": "secret-team"}, "litellm_metadata": {"a": 1}, "tags": ["t"],
        "litellm_params": {"api_key": "sk-injected"}, "fallbacks": ["gpt"], "num_retries": 0,
        "cache": {"no-cache": true}, "guardrails": ["g"], "drop_params": true,
        "disable_fallbacks": true, "mock_response": "no", "timeout": 60, "litellm_session_id": "s",
        "litellm_trace_id": "t", "no-log": true, "caching": true, "ttl": 5, "s-maxage": 5,
        "additional_drop_params": ["temperature"], "user_api_key_hash": "h", "litellm_new": 1,
        "disable_global_guardrails": true, "input_cost_per_token": 0,
    });
    for (model, nested) in
        [("gpt", false), ("llama", false), ("gemma", false), ("gpt", true), ("gemma", true)]
    {
        let mut request = gateway.client().chat(model);
        if nested {
            let mut extra = internal.clone();
            extra["temperature"] = json!(0.5);
            request = request.set("extra_body", extra);
        } else {
            let members = internal.as_object().unwrap().iter();
            request = members.fold(request, |r, (n, v)| r.set(n, v.clone()));
            request = request.set("temperature", 0.5);
        }
        let _ = request.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap().json();
        for name in internal.as_object().unwrap().keys() {
            assert!(sent.get(name).is_none(), "{model}: `{name}` reached the upstream: {sent}");
            assert!(sent["options"].get(name).is_none(), "{model}: `{name}` in options: {sent}");
        }
        assert!(sent.to_string().contains("0.5"), "{sent}");
    }
}

#[tokio::test]
async fn the_deployments_parameters_are_defaults_under_the_clients() {
    let upstream = upstream(Answer::default()).await;
    let deployment = with_param(openai(&upstream), "temperature", 0.1);
    let deployment = with_param(deployment, "max_tokens", 77);
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let client = gateway.client();
    let _ = client.chat("gpt").set("temperature", 0.9).send().await.expect_status(200);
    let sent = upstream.requests()[0].json();
    assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(0.9), &json!(77)));
    for name in ["api_base", "api_key", "model_name"] {
        assert_eq!(sent.get(name), None, "{sent}");
    }
}

#[tokio::test]
async fn every_chat_path_leads_to_the_same_place() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "/engines/gpt/chat/completions",
        "/openai/deployments/gpt/chat/completions",
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
    ] {
        let reply = gateway.client().chat("gpt").path(path).send().await;
        let _ = reply.expect_status(200);
        assert_eq!(upstream.requests().pop().unwrap().path, "/v1/chat/completions", "{path}");
    }
    for path in ["/engines/gpt/chat/completions", "/openai/deployments/gpt/chat/completions"] {
        let request = gateway.client().request("POST", path).json(json!({"messages": []}));
        let _ = request.send().await.expect_status(200);
        assert_eq!(upstream.requests().pop().unwrap().model(), "gpt-4o-mini", "{path}");
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for content_type in ["application/json", "application/json; charset=utf-8", "text/plain"] {
        let request = gateway.client().chat("gpt").header("content-type", content_type);
        let _ = request.send().await.expect_status(200);
    }
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn bodies_arrive_in_every_framing_http_allows() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    let length = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
    let (first, second) = body.split_at(9);
    let chunks = format!("9\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", second.len());
    let requests = [
        chat_request(&length, body),
        chat_request("Transfer-Encoding: chunked\r\nConnection: close\r\n", &chunks),
        chat_request(&length, body).replacen("HTTP/1.1", "HTTP/1.0", 1),
    ];
    for request in requests {
        let mut raw = Raw::connect(gateway.address()).await;
        raw.send(&request).await;
        let answer = raw.read_to_end().await.replacen("HTTP/1.0", "HTTP/1.1", 1);
        assert_eq!(status(&answer), 200, "{request}\n{answer}");
        assert_eq!(upstream.requests().pop().unwrap().model(), "gpt-4o-mini");
    }
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(chat_request(&format!("Expect: 100-continue\r\n{length}"), "")).await;
    assert_eq!(status(&raw.read_until("\r\n\r\n").await), 100);
    raw.send(body).await;
    assert_eq!(status(&raw.read_to_end().await), 200);
}

#[tokio::test]
async fn upstream_replies_arrive_whole_in_every_framing() {
    let size = 8 * 1024 * 1024;
    let answers = [
        Answer::default().chunked(),
        Answer::default().until_close(),
        Answer::default().in_writes_of(1),
        Answer::default().in_writes_of(1).chunked(),
        Answer::huge(size),
        Answer::huge(size).chunked().in_writes_of(100_000),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in ["gpt", "llama", "gemma"] {
            let reply = gateway.client().chat(model).send().await.expect_status(200);
            let body = reply.json();
            let content = body["choices"][0]["message"]["content"].as_str().unwrap();
            let expected = if index < 4 { "Hello world!".len() } else { size };
            assert_eq!(content.len(), expected, "answer {index}, {model}");
            assert_eq!(body["model"], model);
        }
    }
}

#[tokio::test]
async fn upstream_connections_are_kept_and_reused() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for _ in 0..10 {
        for model in ["gpt", "llama", "gemma"] {
            let _ = gateway.client().chat(model).send().await.expect_status(200);
            let _ = gateway.client().chat(model).streaming().send().await.expect_status(200);
        }
    }
    let journal = upstream.journal();
    // At most one connection for each worker and pool, because the calls came one at a time.
    assert_eq!(journal.requests.len(), 60);
    assert!(journal.connections <= 12, "{} connections for 60 calls", journal.connections);
}

#[tokio::test]
async fn tools_and_their_calls_pass_unchanged() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let tools = json!([{"type": "function", "function": {"name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    for model in ["gpt", "llama", "gemma"] {
        let reply = gateway.client().chat(model).set("tools", tools.clone()).send().await;
        let choice = reply.expect_status(200).json()["choices"][0].clone();
        let call = &choice["message"]["tool_calls"][0];
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": "Paris"}), "{model}");
        assert_eq!(call["function"]["name"], "get_weather");
        assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()), "{model}: {choice}");
        assert_eq!(choice["finish_reason"], "tool_calls", "{model}");
        assert_eq!(upstream.requests().pop().unwrap().json()["tools"], tools);
    }
}
