//! The names that may stand in a `model_list` entry beside those that are read by name. A name that
//! is neither in these lists nor among the gateway's own members (`providers::gateway_members`)
//! draws a warning.

use crate::section::closest;
use callgate_providers::gateway_members;

/// Beside `model_name`.
pub(super) const ENTRY_NOT_YET: &[&str] = &["access_groups", "model_group", "tpm", "rpm"];

/// What makes a call, so that it cannot be left out of one.
pub(super) const OF_CALLS: &[&str] = &["model", "messages", "stream"];

/// In `litellm_params`, what would speak against the client: it gets a stream, or several choices,
/// when it asks.
pub(super) const OF_CLIENTS: &[&str] = &["messages", "n", "prompt", "stream"];

/// In `litellm_params`, known to OpenAI's API or to a provider.
pub(super) const REQUEST_PARAMS: &[&str] = &[
    "audio",
    "dimensions",
    "encoding_format",
    "format",
    "frequency_penalty",
    "function_call",
    "functions",
    "keep_alive",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "min_p",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "modalities",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_predict",
    "num_thread",
    "options",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "reasoning_format",
    "repeat_last_n",
    "repeat_penalty",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "suffix",
    "temperature",
    "tfs_z",
    "think",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// The keys that decide where a call goes, and with which credentials. A misspelt one is never sent
/// as a request parameter: a secret would leave in the body, or a prompt would reach another
/// server.
const OF_DESTINATION: &[&str] =
    &["api_base", "api_key", "base_url", "extra_headers", "headers", "organization"];

/// The member of the destination that an unknown `key` was most likely meant to be.
pub(super) fn of_destination(key: &str) -> Option<&'static str> {
    let plain = key.to_lowercase().replace('-', "_");
    let known = OF_DESTINATION.iter().copied();
    known.clone().find(|name| plain.ends_with(name)).or_else(|| closest(key, known))
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    gateway_members::NAMES.iter().chain(REQUEST_PARAMS).copied()
}
