//! Providers: where a call goes, with which key, and as which model. Entries that
//! cannot be served, and what their calls get.

use callgate_tests::{Answer, Gateway, config::config, upstream};
use serde_json::{Value, json};

/// Prefix, variable of its key, and the model behind the prefix.
const FIFTEEN: [(&str, &str, &str); 15] = [
    ("openrouter", "OPENROUTER_API_KEY", "meta-llama/llama-3.3-70b-instruct"),
    ("mistral", "MISTRAL_API_KEY", "mistral-small-latest"),
    ("deepseek", "DEEPSEEK_API_KEY", "deepseek-chat"),
    ("cerebras", "CEREBRAS_API_KEY", "llama3.1-8b"),
    ("together_ai", "TOGETHER_API_KEY", "meta-llama/Llama-3-70b-chat-hf"),
    ("xai", "XAI_API_KEY", "grok-3"),
    ("nvidia_nim", "NVIDIA_NIM_API_KEY", "meta/llama3-70b-instruct"),
    ("perplexity", "PERPLEXITYAI_API_KEY", "sonar"),
    ("fireworks_ai", "FIREWORKS_API_KEY", "accounts/fireworks/models/kimi-k2"),
    ("moonshot", "MOONSHOT_API_KEY", "kimi-k2"),
    ("dashscope", "DASHSCOPE_API_KEY", "qwen-plus"),
    ("zai", "ZAI_API_KEY", "glm-4.6"),
    ("gemini", "GEMINI_API_KEY", "gemini-2.5-flash"),
    ("anthropic", "ANTHROPIC_API_KEY", "claude-sonnet-4-5"),
    ("litellm_proxy", "LITELLM_PROXY_API_KEY", "gpt-4o"),
];

#[tokio::test]
async fn each_provider_gets_its_own_key_and_the_model_without_the_prefix() {
    let upstream = upstream(Answer::default()).await;
    let entry = |(provider, _, model): &(&str, &str, &str)| {
        let base = format!("{}/of/{provider}", upstream.ollama_base());
        let params = json!({"model": format!("{provider}/{model}"), "api_base": base});
        json!({"model_name": provider, "litellm_params": params})
    };
    let mut gateway = Gateway::with_config(config(&FIFTEEN.iter().map(entry).collect::<Vec<_>>()));
    for (provider, variable, _) in FIFTEEN {
        gateway = gateway.env(variable, &format!("key-of-{provider}"));
    }
    let gateway = gateway.start().await;
    for (at, (provider, _, model)) in FIFTEEN.iter().enumerate() {
        let body = json!({"model": provider, "messages": [{"role": "user", "content": "Hi"}]});
        let reply = gateway.client().chat("").body(body.to_string()).send().await;
        let _ = reply.expect_status(200);
        let received = &upstream.requests()[at];
        let (path, header, scheme) = match *provider {
            "anthropic" => ("/v1/messages", "x-api-key", ""),
            _ => ("/chat/completions", "authorization", "Bearer "),
        };
        assert_eq!(received.path, format!("/of/{provider}{path}"));
        let key = format!("{scheme}key-of-{provider}");
        assert_eq!(received.header(header), Some(&*key), "{provider}");
        assert_eq!(received.model(), *model, "{provider}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_has_only_what_its_provider_knows() {
    let upstream = upstream(Answer::default()).await;
    let model = |name: &str, model: &str| {
        let params = json!({"model": model, "api_base": upstream.openai_base(), "api_key": "k"});
        json!({"model_name": name, "litellm_params": params})
    };
    let models = [model("strict", "mistral/m"), model("whole", "openai/m")];
    let gateway = Gateway::with_config(config(&models)).start().await;
    for name in ["strict", "whole"] {
        let body = json!({"model": name, "stream": true, "max_completion_tokens": 9, "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": "a", "reasoning_content": "r"},
        ]});
        let reply = gateway.client().chat("").body(body.to_string()).send().await;
        let _ = reply.expect_status(200);
    }
    let [strict, whole] = &upstream.requests()[..] else { panic!("two calls") };
    let (strict, whole) = (strict.json(), whole.json());
    assert_eq!(
        (&strict["max_tokens"], &strict["max_completion_tokens"]),
        (&json!(9), &Value::Null)
    );
    assert_eq!(strict["stream_options"], Value::Null);
    assert_eq!(strict["messages"][0]["role"], "system");
    assert_eq!(strict["messages"][1], json!({"role": "assistant", "content": "a"}));
    assert_eq!((&whole["max_completion_tokens"], &whole["max_tokens"]), (&json!(9), &Value::Null));
    assert_eq!(whole["stream_options"], json!({"include_usage": true}));
    assert_eq!(whole["messages"][0]["role"], "developer");
    assert_eq!(whole["messages"][1]["reasoning_content"], "r");
    gateway.stop().await;
}

/// An entry of a provider that is not supported.
fn bedrock() -> Value {
    json!({"model_name": "br", "litellm_params": {"model": "bedrock/gpt", "api_key": "k"}})
}

#[tokio::test]
async fn an_entry_that_cannot_be_served_warns_and_its_calls_say_why() {
    let upstream = upstream(Answer::default()).await;
    let models = [bedrock(), callgate_tests::config::openai(&upstream)];
    let setup = Gateway::with_config(config(&models));
    let ended = setup.clone().arg("--strict").check().await;
    assert!(!ended.status.success(), "{}", ended.stdout);
    let gateway = setup.start().await;
    let reply = gateway.client().chat("").body(r#"{"model":"br","messages":[]}"#).send().await;
    let error = reply.expect_status(400).error();
    let said = "model `br` is not served by this gateway: the provider `bedrock` is not supported";
    assert_eq!(error["message"], said);
    assert_eq!(
        (&error["type"], &error["code"]),
        (&json!("invalid_request_error"), &json!("model_not_served"))
    );
    let reply = gateway.client().chat("").body(r#"{"model":"gpt","messages":[]}"#).send().await;
    let _ = reply.expect_status(200);
    assert_eq!(upstream.requests().len(), 1);
    let log = gateway.stop().await;
    let place =
        "model_list[0].litellm_params.model: the provider `bedrock` is not supported; calls of";
    assert!(log.contains(place), "{log}");
}

#[tokio::test]
async fn a_config_without_one_entry_that_works_is_refused() {
    let ended = Gateway::with_config(config(&[bedrock()])).refused().await;
    let said = "the provider `bedrock` is not supported, and no entry of `model_list` works";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}
