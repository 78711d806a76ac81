//! The known names in a `model_list` entry that no code reads by name. A name that is neither in
//! these lists nor one of the gateway's own members (`providers::gateway_members`) causes a
//! warning.

use crate::closest::closest;
use callgate_providers::gateway_members;

/// Known names beside `model_name` that this gateway ignores.
pub(super) const ENTRY_NOT_YET: &[&str] = &["access_groups", "model_group", "tpm", "rpm"];

/// Parameters that every call needs, so that they cannot be dropped.
pub(super) const OF_CALLS: &[&str] = &["model", "messages", "stream"];

/// Parameters that only the client may set: it gets a stream, or several choices, only if it asks
/// for them. They are ignored in `litellm_params`.
pub(super) const OF_CLIENTS: &[&str] = &["messages", "n", "prompt", "stream"];

/// Request parameters in `litellm_params` that OpenAI's API or a provider knows.
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

/// The keys for the server and the credentials of a call. A misspelt one is never sent as a request
/// parameter: the body would carry a secret, or a prompt would reach another server.
const OF_DESTINATION: &[&str] =
    &["api_base", "api_key", "base_url", "extra_headers", "headers", "organization", "proxy"];

/// The destination key that an unknown `key` was most likely meant to be.
pub(super) fn of_destination(key: &str) -> Option<&'static str> {
    let plain = key.to_lowercase().replace('-', "_");
    let known = OF_DESTINATION.iter().copied();
    known.clone().find(|name| plain.ends_with(name)).or_else(|| closest(key, known))
}

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    gateway_members::NAMES.iter().chain(REQUEST_PARAMS).copied()
}
