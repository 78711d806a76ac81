//! Azure OpenAI and Azure AI Foundry: URL, header and body of a call, and what comes back.

use callgate_tests::{
    Answer, Event, Gateway,
    config::{config, deployment, with_param},
    upstream,
};
use serde_json::{Value, json};

const BODY: &str = r#"{"model":"my-gpt","messages":[{"role":"user","content":"hi"}]}"#;

#[tokio::test]
async fn calls_go_where_azure_serves_them() {
    let upstream = upstream(Answer::default()).await;
    let origin = upstream.ollama_base();
    let classic = "/openai/deployments/my-gpt/chat/completions?api-version=";
    // The model, the base's path, the entry's version, and the URL.
    let cases = [
        ("azure/my-gpt", "", None, format!("{classic}2025-02-01-preview")),
        ("azure/my-gpt", "/", Some("2024-06-01"), format!("{classic}2024-06-01")),
        ("azure/my-gpt", "/openai/", Some("2024-06-01"), format!("{classic}2024-06-01")),
        (
            "azure/my-gpt",
            "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
            None,
            format!("{classic}2024-10-21"),
        ),
        ("azure/my-gpt", "", Some("v1"), "/openai/v1/chat/completions".to_owned()),
        ("azure/my-gpt", "/openai/v1/", None, "/openai/v1/chat/completions".to_owned()),
        ("azure/o_series/my-gpt", "", Some("x"), format!("{classic}x")),
        (
            "azure_ai/my-gpt",
            "/models",
            None,
            "/models/chat/completions?api-version=2024-05-01-preview".to_owned(),
        ),
        (
            "azure_ai/my-gpt",
            "/models/chat/completions?api-version=2024-09-01-preview",
            None,
            "/models/chat/completions?api-version=2024-09-01-preview".to_owned(),
        ),
        ("azure_ai/my-gpt", "/v1", None, "/v1/chat/completions".to_owned()),
    ];
    let entry = |(at, (model, path, version, _)): (usize, &(&str, &str, Option<&str>, String))| {
        let entry = deployment(&format!("case-{at}"), model, &format!("{origin}{path}"));
        with_param(entry, "api_version", *version)
    };
    let models: Vec<_> = cases.iter().enumerate().map(entry).collect();
    let gateway = Gateway::with_config(config(&models)).start().await;
    for (at, (model, path, version, url)) in cases.iter().enumerate() {
        let reply = gateway.client().chat(&format!("case-{at}")).send().await;
        assert_eq!(reply.status, 200, "{model} at `{path}`: {}", reply.text());
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(&sent.path, url, "{model} at `{path}` with {version:?}");
        assert_eq!(String::from_utf8_lossy(&sent.body), BODY);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn base_version_and_key_come_from_azures_variables() {
    let upstream = upstream(Answer::default()).await;
    let params = json!({"model": "azure/*", "base_model": "azure/gpt-4o"});
    let models = [json!({"model_name": "az/*", "litellm_params": params})];
    let setup = Gateway::with_config(config(&models)).arg("--strict");
    let gateway = setup
        .env("AZURE_API_BASE", &upstream.ollama_base())
        .env("AZURE_API_VERSION", "2024-06-01")
        .env("AZURE_API_KEY", "key-of-azure")
        .start()
        .await;
    for model in ["one", "two"] {
        let reply = gateway.client().chat(&format!("az/{model}")).streaming().send().await;
        let _ = reply.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        let path = format!("/openai/deployments/{model}/chat/completions?api-version=2024-06-01");
        assert_eq!(sent.path, path);
        assert_eq!(sent.header("api-key"), Some("key-of-azure"));
        assert_eq!(sent.header("authorization"), None);
        // This version refuses it.
        assert_eq!(sent.json()["stream_options"], Value::Null);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_token_is_sent_as_bearer_in_place_of_a_key() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.ollama_base();
    let keyless = |name: &str, model: &str| {
        let params = json!({"model": model, "api_base": base});
        json!({"model_name": name, "litellm_params": params})
    };
    let models = [
        with_param(keyless("own", "azure/d"), "azure_ad_token", "${MY_TOKEN}"),
        keyless("variable", "azure/d"),
        keyless("foundry", "azure_ai/d"),
        with_param(keyless("key", "azure/d"), "api_key", "k-1"),
        with_param(keyless("single", "azure_ai/d"), "api_key", "k-1"),
    ];
    let gateway = Gateway::with_config(config(&models))
        .env("MY_TOKEN", "eyJ-own")
        .env("AZURE_AD_TOKEN", "eyJ-env")
        .start()
        .await;
    for (model, bearer, key) in [
        ("own", Some("Bearer eyJ-own"), None),
        ("variable", Some("Bearer eyJ-env"), None),
        ("foundry", Some("Bearer eyJ-env"), None),
        ("key", None, Some("k-1")),
        ("single", Some("Bearer k-1"), None),
    ] {
        let _ = gateway.client().chat(model).send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(
            (sent.header("authorization"), sent.header("api-key")),
            (bearer, key),
            "{model}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_filtered_prompt_is_refused_in_the_providers_words() {
    let body = json!({"error": {
        "message": "The response was filtered due to the prompt triggering a policy.",
        "type": null, "param": "prompt", "code": "content_filter", "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation",
                       "content_filter_result": {"hate": {"filtered": true, "severity": "high"}}}}});
    let upstream = upstream(Answer::fixed(400, "application/json", body.to_string())).await;
    let models = [deployment("az", "azure/d", &upstream.ollama_base())];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let error = gateway.client().chat("az").send().await.expect_status(400).error();
    let expected = json!({
        "message": "The response was filtered due to the prompt triggering a policy.",
        "type": "invalid_request_error", "param": "prompt", "code": "content_filter"});
    assert_eq!(error, expected);
    gateway.stop().await;
}

#[tokio::test]
async fn results_of_filters_pass_in_a_stream() {
    const EVENTS: [&str; 5] = [
        r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}"#,
        r#"{"choices":[{"content_filter_results":{},"delta":{"content":"","role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"created":1,"id":"c","model":"gpt-4o","object":"chat.completion.chunk"}"#,
        r#"{"choices":[{"content_filter_results":{"hate":{"filtered":false}},"delta":{"content":"Hi"},"finish_reason":null,"index":0,"logprobs":null}],"created":1,"id":"c","model":"gpt-4o","object":"chat.completion.chunk"}"#,
        r#"{"choices":[{"content_filter_offsets":{"check_offset":1,"start_offset":1,"end_offset":9},"content_filter_results":{"hate":{"filtered":false}},"finish_reason":null,"index":0}],"created":0,"id":"","model":"","object":""}"#,
        r#"{"choices":[{"content_filter_results":{},"delta":{},"finish_reason":"content_filter","index":0,"logprobs":null}],"created":1,"id":"c","model":"gpt-4o","object":"chat.completion.chunk"}"#,
    ];
    let events: String = EVENTS.iter().map(|event| format!("data: {event}\n\n")).collect();
    let stream = events + "data: [DONE]\n\n";
    let upstream = upstream(Answer::fixed(200, "text/event-stream", stream)).await;
    let models = [deployment("az", "azure/d", &upstream.ollama_base())];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let reply = gateway.client().chat("az").streaming().send().await.expect_status(200);
    let mut passed = reply.events();
    assert_eq!((passed.pop(), passed.len()), (Some(Event::Done), EVENTS.len()));
    for (passed, sent) in passed.iter().zip(EVENTS) {
        let mut sent: Value = serde_json::from_str(sent).unwrap();
        sent["model"] = json!("az");
        assert_eq!(*passed.json(), sent);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_azure_cannot_be_asked_is_said_at_the_start() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.ollama_base();
    let models = [
        deployment("claude", "azure_ai/claude-sonnet-4-5", &base),
        with_param(deployment("gpt", "openai/m", &base), "api_version", "2024-06-01"),
    ];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let reply = gateway.client().chat("claude").send().await.expect_status(400);
    let said = "model `claude` is not served by this gateway: Claude at Azure AI Foundry has \
                Anthropic's own API, which is not supported";
    assert_eq!(reply.error()["message"], said);
    let log = gateway.stop().await;
    let place = "model_list[1].litellm_params.api_version: `api_version` has no effect at the \
                 provider `openai`";
    assert!(log.contains(place), "{log}");
    for (name, value) in
        [("api_base", format!("{base}/?api-version=x")), ("api_base", format!("{base}/?a=b"))]
    {
        let ended =
            Gateway::with_config(config(&[deployment("gpt", "openai/m", &value)])).refused().await;
        assert!(ended.stderr.contains("expected a URL without `?`"), "{name}: {}", ended.stderr);
    }
    let wrong = with_param(deployment("az", "azure/m", &base), "api_version", "2024 06&x");
    let ended = Gateway::with_config(config(&[wrong])).refused().await;
    let said = "litellm_params.api_version: expected a version such as `2024-10-21`, found";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}
