//! The upstream's request in each dialect for the same client request: path, key and body, byte for
//! byte.

use callgate_tests::{
    Answer, Gateway, UPSTREAM_KEY,
    config::{config, deployment, every_dialect, with_param},
    upstream,
};
use serde_json::json;

#[tokio::test]
async fn each_dialect_gets_its_path_its_key_and_its_body() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let key = format!("Bearer {UPSTREAM_KEY}");
    let cases = [
        (
            "gpt",
            "/v1/chat/completions",
            Some(key.as_str()),
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#,
        ),
        (
            "llama",
            "/openai/v1/chat/completions",
            Some(key.as_str()),
            r#"{"model":"llama-3.3-70b-versatile","messages":[{"role":"user","content":"hi"}],"temperature":0.5}"#,
        ),
    ];
    for (model, path, authorization, body) in cases {
        let _ =
            gateway.client().chat(model).set("temperature", 0.5).send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", path));
        assert_eq!(sent.header("authorization"), authorization);
        assert_eq!(sent.header("content-type"), Some("application/json"));
        assert_eq!(String::from_utf8_lossy(&sent.body), body);
    }
    let _ = gateway.client().chat("gemma").set("temperature", 0.5).send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/api/chat"));
    assert_eq!(sent.header("authorization"), None);
    let message = json!({"role": "user", "content": "hi", "images": []});
    let expected = json!({"model": "gemma3:4b", "messages": [message],
                          "options": {"temperature": 0.5}, "stream": false});
    assert_eq!(sent.json(), expected);
}

#[tokio::test]
async fn a_streamed_request_differs_only_in_what_it_must() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in ["gpt", "llama"] {
        let reply = gateway.client().chat(model).streaming().send().await;
        let mut sent = upstream.requests().pop().unwrap().json();
        let _ = reply.expect_status(200);
        let options = sent.as_object_mut().unwrap().remove("stream_options");
        assert_eq!(options, Some(json!({"include_usage": true})));
        assert_eq!(sent["stream"], true);
        assert_eq!(sent["messages"], json!([{"role": "user", "content": "hi"}]));
        assert_eq!(sent.as_object().unwrap().len(), 3, "{sent}");
    }
}

#[tokio::test]
async fn bases_lead_where_their_author_meant() {
    let upstream = upstream(Answer::default()).await;
    let origin = upstream.ollama_base();
    let cases = [
        ("openai/m", "/v1", "/v1/chat/completions"),
        ("openai/m", "/v1/", "/v1/chat/completions"),
        ("openai/m", "/api/v1", "/api/v1/chat/completions"),
        ("groq/m", "/openai/v1", "/openai/v1/chat/completions"),
        ("hosted_vllm/m", "/v1", "/v1/chat/completions"),
        ("lm_studio/m", "/v1", "/v1/chat/completions"),
        ("m", "/v1", "/v1/chat/completions"),
        ("ollama_chat/ns/m:tag", "", "/api/chat"),
        ("ollama_chat/ns/m:tag", "/", "/api/chat"),
        ("ollama_chat/ns/m:tag", "/api/chat", "/api/chat"),
    ];
    let models: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(index, (model, base, _))| {
            deployment(&format!("case-{index}"), model, &format!("{origin}{base}"))
        })
        .collect();
    let gateway = Gateway::with_config(config(&models)).start().await;
    for (index, (model, base, path)) in cases.iter().enumerate() {
        let reply = gateway.client().chat(&format!("case-{index}")).send().await;
        assert_eq!(reply.status, 200, "{model} at `{base}`: {}", reply.text());
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(&sent.path, path, "{model} at `{base}`");
        let name = model.split_once('/').map_or(*model, |(_, name)| name);
        assert_eq!(sent.model(), name);
    }
}

#[tokio::test]
async fn base_url_and_environment_bases_are_honoured() {
    let upstream = upstream(Answer::default()).await;
    let bare =
        |name: &str, model: &str| json!({"model_name": name, "litellm_params": {"model": model}});
    let by_url = json!({"model_name": "by-url", "litellm_params":
        {"model": "openai/m", "base_url": "${MY_BASE}", "api_key": "os.environ/MY_KEY"}});
    let models = [by_url, bare("o", "openai/m"), bare("g", "groq/m"), bare("l", "ollama_chat/m")];
    let gateway = Gateway::with_config(config(&models))
        .env("MY_BASE", &upstream.openai_base())
        .env("MY_KEY", "sk-mine")
        .env("OPENAI_API_BASE", &upstream.openai_base())
        .env("OPENAI_API_KEY", "sk-openai")
        .env("GROQ_API_BASE", &upstream.groq_base())
        .env("GROQ_API_KEY", "gsk-groq")
        .env("OLLAMA_API_BASE", &upstream.ollama_base())
        .start()
        .await;
    for (name, key) in [
        ("by-url", Some("Bearer sk-mine")),
        ("o", Some("Bearer sk-openai")),
        ("g", Some("Bearer gsk-groq")),
        ("l", None),
    ] {
        let _ = gateway.client().chat(name).send().await.expect_status(200);
        assert_eq!(upstream.requests().pop().unwrap().header("authorization"), key, "{name}");
    }
}

#[tokio::test]
async fn an_unset_variable_fails_only_the_calls_that_need_it() {
    let upstream = upstream(Answer::default()).await;
    let keyless =
        with_param(deployment("a", "openai/m", &upstream.openai_base()), "api_key", "${NO_KEY}");
    let baseless = deployment("b", "openai/m", "${NO_BASE}");
    let partly = deployment("c", "openai/m", "http://${NO_HOST}:1/v1");
    let fine = deployment("d", "openai/m", &upstream.openai_base());
    let gateway = Gateway::with_config(config(&[keyless, baseless, partly, fine])).start().await;
    for (model, variable) in [("a", "NO_KEY"), ("b", "NO_BASE"), ("c", "NO_HOST")] {
        gateway.log().containing(variable).await;
        let reply = gateway.client().chat(model).send().await;
        assert!(reply.status >= 500, "{model}: {}", reply.status);
        assert!(reply.text().contains(variable), "{model}: {}", reply.text());
    }
    assert_eq!(upstream.requests().len(), 0, "a literal or empty value was sent");
    let _ = gateway.client().chat("d").send().await.expect_status(200);
}
