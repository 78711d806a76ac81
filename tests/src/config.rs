//! Configurations for the tests as JSON values, which are also YAML. Cases that test the file
//! itself write YAML by hand.

use crate::ScriptedUpstream;
use serde_json::{Value, json};

/// The master key of every test's gateway.
pub const MASTER_KEY: &str = "sk-master-9f3c1e";

/// The key every test's deployment sends upstream.
pub const UPSTREAM_KEY: &str = "sk-upstream-77ab02";

/// A configuration with these deployments and the tests' master key.
#[must_use]
pub fn config(models: &[Value]) -> Value {
    json!({"general_settings": {"master_key": MASTER_KEY}, "model_list": models})
}

/// The same with callbacks, in this order.
#[must_use]
pub fn with_callbacks(models: &[Value], callbacks: &Value) -> Value {
    let mut config = config(models);
    config["litellm_settings"] = json!({"callbacks": callbacks});
    config
}

/// `gpt` → `gpt-4o-mini` at the scripted upstream, OpenAI's dialect.
#[must_use]
pub fn openai(upstream: &ScriptedUpstream) -> Value {
    deployment("gpt", "openai/gpt-4o-mini", &upstream.openai_base())
}

/// `llama` → `llama-3.3-70b-versatile` at the scripted upstream, Groq's dialect.
#[must_use]
pub fn groq(upstream: &ScriptedUpstream) -> Value {
    deployment("llama", "groq/llama-3.3-70b-versatile", &upstream.groq_base())
}

/// `gemma` → `gemma3:4b` at the scripted upstream, Ollama's dialect. No key, as on a laptop.
#[must_use]
pub fn ollama(upstream: &ScriptedUpstream) -> Value {
    let mut deployment = deployment("gemma", "ollama_chat/gemma3:4b", &upstream.ollama_base());
    if let Some(params) = deployment["litellm_params"].as_object_mut() {
        params.remove("api_key");
    }
    deployment
}

/// `gpt`, `llama` and `gemma`: one deployment per dialect.
#[must_use]
pub fn every_dialect(upstream: &ScriptedUpstream) -> Vec<Value> {
    vec![openai(upstream), groq(upstream), ollama(upstream)]
}

/// One entry of `model_list`.
#[must_use]
pub fn deployment(name: &str, model: &str, base: &str) -> Value {
    let params = json!({"model": model, "api_base": base, "api_key": UPSTREAM_KEY});
    json!({"model_name": name, "litellm_params": params})
}

/// `deployment` with one more parameter.
#[must_use]
pub fn with_param(mut deployment: Value, name: &str, value: impl Into<Value>) -> Value {
    deployment["litellm_params"][name] = value.into();
    deployment
}
