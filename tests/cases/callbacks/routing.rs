//! The shipped routing callback, loaded from its shared object: the requested name decides the
//! provider.

use callgate_tests::{
    Answer, Gateway, ScriptedUpstream, build,
    config::{deployment, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

fn operators_models(upstream: &ScriptedUpstream) -> Vec<Value> {
    let groq = upstream.groq_base();
    let openai = upstream.openai_base();
    vec![
        deployment("groq-llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile", &groq),
        deployment("openai-oss-120b", "openai/gpt-4o-mini", &openai),
        deployment("openai-04mini", "openai/gpt-4o-mini", &openai),
        deployment("gemma3", "ollama_chat/gemma3:4b", &upstream.ollama_base()),
    ]
}

async fn gateway(upstream: &ScriptedUpstream, callbacks: Value) -> Gateway {
    for plugin in ["routing", "rate_limit"] {
        let _ = build::plugin(plugin);
    }
    Gateway::with_config(with_callbacks(&operators_models(upstream), &callbacks)).start().await
}

#[tokio::test]
async fn the_name_decides_the_provider() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!(["routing"])).await;
    let (groq, openai) = ("/openai/v1/chat/completions", "/v1/chat/completions");
    for (asked, path, model) in [
        ("groq-llama-3.3-70b-versatile", groq, "llama-3.3-70b-versatile"),
        ("openai-oss-120b", openai, "gpt-4o-mini"),
        ("openai-04mini", openai, "gpt-4o-mini"),
        ("gemma3", "/api/chat", "gemma3:4b"),
        // Not in the model list: uses the provider's configured default.
        ("groq-anything", groq, "llama-3.3-70b-versatile"),
        ("openai-anything", openai, "gpt-4o-mini"),
        // Matches both prefixes: the first rule wins.
        ("groq-openai-x", groq, "llama-3.3-70b-versatile"),
    ] {
        for stream in [false, true] {
            let request = gateway.client().chat(asked).set("stream", stream);
            let reply = request.send().await.expect_status(200);
            let sent = upstream.requests().pop().unwrap();
            assert_eq!((sent.path.as_str(), sent.model().as_str()), (path, model), "{asked}");
            let said = if stream {
                reply.events()[0].json()["model"].clone()
            } else {
                reply.json()["model"].clone()
            };
            assert_eq!(said, asked, "the reply must show the requested name");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn other_unknown_names_stay_unknown() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!(["routing"])).await;
    for name in ["nope", "Groq-x", "xgroq-y", "groq", "openai", "gemma"] {
        let _ = gateway.client().chat(name).send().await.expect_status(400).error();
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn names_of_python_days_still_load_it() {
    let upstream = upstream(Answer::default()).await;
    for callbacks in [
        json!(["src.callbacks.routing", "src.callbacks.rate_limit"]),
        json!([{"name": "routing"}, {"name": "rate_limit"}]),
        json!([build::plugin("routing").display().to_string()]),
        json!("routing"),
    ] {
        let gateway = gateway(&upstream, callbacks).await;
        let _ = gateway.client().chat("groq-anything").send().await.expect_status(200);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn without_the_callback_an_unlisted_name_is_unknown() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!([])).await;
    let _ = gateway.client().chat("groq-anything").send().await.expect_status(400).error();
}

#[tokio::test]
async fn a_refusal_never_shows_a_providers_key() {
    let answer = Answer::error(401, "invalid_request_error", "invalid_api_key", "bad key");
    let upstream = upstream(answer).await;
    let gateway = gateway(&upstream, json!(["routing", "rate_limit"])).await;
    let reply = gateway.client().chat("groq-anything").send().await.expect_status(401);
    assert!(!reply.text().contains(callgate_tests::UPSTREAM_KEY), "{}", reply.text());
}
