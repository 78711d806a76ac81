//! The parameter tables: what is never sent, what Ollama cannot do, what stands beside `options`.
//!
//! Whatever is in none of them is an option of Ollama's. Used by `params`; `request` asks what is internal.

use serde_json::Value;

/// Keys that mean something to the gateway or to OpenAI but never reach Ollama: what the call is made of, what
/// belongs to the proxy, and hints that do not change the answer. Prefixes are in [`INTERNAL_PREFIXES`].
const INTERNAL: [&str; 47] = [
    "allowed_openai_params",
    "additional_drop_params",
    "api_base",
    "api_key",
    "api_version",
    "base_url",
    "cache",
    "caching",
    "cooldown_time",
    "custom_llm_provider",
    "disable_fallbacks",
    "drop_params",
    "extra_body",
    "extra_headers",
    "fallbacks",
    "guardrails",
    "headers",
    "keepalive_seconds",
    "max_parallel_requests",
    "max_retries",
    "messages",
    "metadata",
    "model",
    "model_info",
    "no-log",
    "num_retries",
    "order",
    "organization",
    "policies",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "request_timeout",
    "rpm",
    "safety_identifier",
    "service_tier",
    "ssl_verify",
    "store",
    "stream",
    "stream_options",
    "stream_timeout",
    "tags",
    "timeout",
    "tpm",
    "user",
    "verbosity",
    "weight",
];

const INTERNAL_PREFIXES: [&str; 4] = ["input_cost_", "litellm_", "mock_", "output_cost_"];

/// OpenAI parameters Ollama has no counterpart for, with the value under which they change nothing. Any other value
/// is refused, unless dropping is allowed.
pub(super) const UNSUPPORTED: [(&str, &[&str]); 10] = [
    ("audio", &[]),
    ("function_call", &[r#""auto""#, r#""none""#]),
    ("logit_bias", &["{}", "[]"]),
    ("logprobs", &["false"]),
    ("modalities", &[r#"["text"]"#]),
    ("n", &["1"]),
    ("parallel_tool_calls", &["true"]),
    ("presence_penalty", &["0"]),
    ("top_logprobs", &["0"]),
    ("web_search_options", &[]),
];

/// Ollama's own members beside `options`.
pub(super) const TOP_LEVEL: [&str; 5] = ["format", "keep_alive", "think", "truncate", "shift"];

/// Whether `key` must never be sent upstream as an option.
pub(in super::super) fn is_internal(key: &str) -> bool {
    INTERNAL.contains(&key) || INTERNAL_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// Compares two JSON texts by value; numbers by size, so that `1` equals `1.0`.
pub(super) fn same_value(left: &str, right: &str) -> bool {
    // No neutral value is longer; a tree of a long one would be many times its length.
    const LONGEST: usize = 256;
    let parse = |text: &str| {
        let short = text.len() <= LONGEST;
        short.then(|| serde_json::from_str::<Value>(text).ok()).flatten()
    };
    match (parse(left), parse(right)) {
        (Some(Value::Number(left)), Some(Value::Number(right))) => left.as_f64() == right.as_f64(),
        (left, right) => left.is_some() && left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::same_value;

    #[test]
    fn numbers_compare_by_size_and_the_rest_by_value() {
        for (left, right, same) in [
            ("1", "1.0", true),
            ("0e5", "0", true),
            ("-0.0", "0", true),
            ("2", "1", false),
            ("{ }", "{}", true),
            ("\"1\"", "1", false),
            ("false", "0", false),
            ("[[[", "[]", false),
        ] {
            assert_eq!(same_value(left, right), same, "{left} {right}");
        }
    }
}
