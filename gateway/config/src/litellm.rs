//! `litellm_settings`, without its callbacks.

use super::{
    reader::{Field, Reader},
    section::Section,
    yaml::Kind,
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
    "budget_duration",
    "cache",
    "cache_params",
    "check_provider_endpoint",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "cooldown_time",
    "custom_provider_map",
    "default_fallbacks",
    "default_internal_user_params",
    "default_key_generate_params",
    "default_team_settings",
    "default_vertex_config",
    "disable_end_user_cost_tracking",
    "drop_unknown_params",
    "enable_json_schema_validation",
    "enable_preview_features",
    "expose_router_debug_in_errors",
    "extra_spend_tag_headers",
    "fallbacks",
    "force_ipv4",
    "forward_traceparent_to_llm_provider",
    "include_cost_in_streaming_usage",
    "json_logs",
    "key_generation_settings",
    "langfuse_default_tags",
    "log_raw_request_response",
    "max_budget",
    "max_end_user_budget",
    "max_end_user_budget_id",
    "mcp_semantic_tool_filter",
    "modify_params",
    "num_retries",
    "num_retries_per_request",
    "overwrite_user_with_key_hash",
    "post_call_rules",
    "pre_call_rules",
    "prometheus_initialize_budget_metrics",
    "public_model_groups",
    "redact_messages_in_exceptions",
    "redact_user_api_key_info",
    "retry",
    "return_response_headers",
    "set_verbose",
    "sse_keepalive_ping_interval_seconds",
    "ssl_verify",
    "telemetry",
    "turn_off_message_logging",
    "upperbound_key_generate_params",
    "use_chat_completions_url_for_anthropic_messages",
    "websearch_interception_params",
];

/// LiteLLM's lists of callbacks that only observe.
const OBSERVERS: [&str; 3] = ["success_callback", "failure_callback", "service_callback"];

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
    /// The items of the lists of callbacks that only observe.
    pub(super) observers: Vec<Field<'n>>,
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
        drop_params: drop_params
            .and_then(|field| reader.boolean_or_list(&field))
            .unwrap_or_default(),
        metrics_auth: metrics_auth.and_then(|field| reader.boolean(&field)).unwrap_or(true),
    };
    let callbacks = section.take("callbacks");
    let of_callback = |&(key, callback, name): &(&'static str, _, _)| {
        section.take(key).map(|field| SettingOf { callback, name, field })
    };
    let of_callbacks = OF_CALLBACKS.iter().filter_map(of_callback).collect();
    let observers = OBSERVERS.iter().filter_map(|key| section.take(key));
    let observers = observers.flat_map(|field| items(reader, &field)).collect();
    section.finish(reader, NOT_YET);
    (settings, Listed { callbacks, observers, settings: of_callbacks })
}

/// The items of a list, or the one item that stands in its place.
fn items<'n>(reader: &mut Reader<'_>, field: &Field<'n>) -> Vec<Field<'n>> {
    match &field.node.kind {
        Kind::Sequence(_) => reader.list(field),
        Kind::Scalar(_) | Kind::Mapping(_) => vec![field.clone()],
    }
}
