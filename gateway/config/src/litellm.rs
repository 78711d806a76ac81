//! `litellm_settings`, without its callbacks.

use super::{
    problem::Problem,
    quote::quoted,
    reader::{Field, Reader},
    section::Section,
    yaml::{Kind, Node},
};
use std::time::Duration;

/// `litellm_settings`, without the callbacks.
#[derive(Clone, Debug)]
pub struct LitellmSettings {
    /// The timeout of calls whose deployment sets none.
    pub request_timeout: Option<Duration>,
    /// Drops parameters that a provider does not support instead of refusing the call.
    pub drop_params: bool,
    /// Whether `GET /metrics` needs the key (`true` by default).
    pub metrics_auth: bool,
}

impl Default for LitellmSettings {
    fn default() -> Self {
        Self { request_timeout: None, drop_params: false, metrics_auth: true }
    }
}

const NOT_YET: &[&str] = &[
    "allowed_fails",
    "audio_transcription_callbacks",
    "cache",
    "cache_params",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "cooldown_time",
    "default_fallbacks",
    "default_internal_user_params",
    "default_key_generate_params",
    "default_team_settings",
    "default_vertex_config",
    "drop_unknown_params",
    "enable_preview_features",
    "expose_router_debug_in_errors",
    "fallbacks",
    "force_ipv4",
    "forward_traceparent_to_llm_provider",
    "include_cost_in_streaming_usage",
    "json_logs",
    "key_generation_settings",
    "langfuse_default_tags",
    "max_budget",
    "max_end_user_budget",
    "modify_params",
    "num_retries",
    "num_retries_per_request",
    "post_call_rules",
    "pre_call_rules",
    "public_model_groups",
    "redact_messages_in_exceptions",
    "redact_user_api_key_info",
    "return_response_headers",
    "set_verbose",
    "sse_keepalive_ping_interval_seconds",
    "ssl_verify",
    "telemetry",
    "turn_off_message_logging",
    "upperbound_key_generate_params",
    "use_chat_completions_url_for_anthropic_messages",
];

/// Keys that are settings of a callback: key, callback, setting.
const OF_CALLBACKS: &[(&str, &str, &str)] = &[
    ("langsmith_batch_size", "langsmith", "batch_size"),
    ("langsmith_default_run_name", "langsmith", "default_run_name"),
    ("langsmith_project", "langsmith", "project"),
];

/// The section's values about callbacks, not yet read.
#[derive(Default)]
pub(super) struct Listed<'n> {
    pub(super) callbacks: Option<Field<'n>>,
    pub(super) settings: Vec<SettingOf<'n>>,
}

/// A callback's setting that LiteLLM keeps beside the list.
pub(super) struct SettingOf<'n> {
    pub(super) callback: &'static str,
    pub(super) name: &'static str,
    pub(super) field: Field<'n>,
}

/// Returns the settings and, not yet read, the values about callbacks.
pub(super) fn read<'n>(
    reader: &mut Reader<'_>,
    mut section: Section<'n>,
) -> (LitellmSettings, Listed<'n>) {
    let timeout = section.take("request_timeout");
    let drop_params = section.take("drop_params");
    let metrics_auth = section.take("require_auth_for_metrics_endpoint");
    let settings = LitellmSettings {
        request_timeout: timeout.and_then(|field| reader.duration(&field)),
        drop_params: drop_params.and_then(|field| reader.boolean(&field)).unwrap_or_default(),
        metrics_auth: metrics_auth.and_then(|field| reader.boolean(&field)).unwrap_or(true),
    };
    let callbacks = section.take("callbacks");
    let of_callback = |&(key, callback, name): &(&'static str, _, _)| {
        section.take(key).map(|field| SettingOf { callback, name, field })
    };
    let of_callbacks = OF_CALLBACKS.iter().filter_map(of_callback).collect();
    for key in ["success_callback", "failure_callback", "service_callback"] {
        if let Some(field) = section.take(key) {
            observers(reader, key, &field);
        }
    }
    section.finish(reader, NOT_YET);
    (settings, Listed { callbacks, settings: of_callbacks })
}

/// LiteLLM's lists of callbacks that only observe.
fn observers(reader: &mut Reader<'_>, key: &str, field: &Field<'_>) {
    let names: Vec<_> = match &field.node.kind {
        Kind::Sequence(items) => items.iter().collect(),
        _ => vec![field.node],
    };
    let name = |node: &&Node| match &node.kind {
        Kind::Scalar(scalar) => Some(format!("`{}`", quoted(&scalar.text))),
        Kind::Sequence(_) | Kind::Mapping(_) => None,
    };
    let names: Vec<_> = names.iter().filter_map(name).collect();
    let listed = if names.is_empty() { "them".to_owned() } else { names.join(", ") };
    let problem = Problem::warning(reader.place(field), format!("`{key}` is not used"));
    reader.problems.push(problem.remedy(format!("list {listed} under `callbacks`")));
}
