//! Request members for a gateway, not for an upstream: they control a proxy, or hold its accounts
//! and secrets.
//!
//! None of them reaches an upstream, from wherever it comes: a body, `extra_body`, or a
//! deployment's `litellm_params`. The names are those that LiteLLM does not pass on. A client's
//! value has no effect, except where the gateway reads it itself (`drop_params`, `timeout`).

/// Whether a member of this name is for the gateway only.
pub fn is_own(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let Some(first) = name.first() else { return false };
    let first = usize::from(*first);
    NAMES[NAME_STARTS[first]..NAME_STARTS[first + 1]].iter().any(|own| own.as_bytes() == name)
        || PREFIXES[PREFIX_STARTS[first]..PREFIX_STARTS[first + 1]]
            .iter()
            .any(|prefix| name.starts_with(prefix.as_bytes()))
}

/// For each first byte, the index of the first name that begins with it; the next entry ends the
/// range.
static NAME_STARTS: [usize; 257] = starts(&NAMES);
static PREFIX_STARTS: [usize; 257] = starts(&PREFIXES);

const fn starts(sorted: &[&str]) -> [usize; 257] {
    let mut starts = [0; 257];
    let (mut at, mut byte) = (0, 0);
    while byte < 257 {
        while at < sorted.len() && (sorted[at].as_bytes()[0] as usize) < byte {
            at += 1;
        }
        starts[byte] = at;
        byte += 1;
    }
    starts
}

/// Sorted; no prefix begins with another one.
const PREFIXES: [&str; 37] = [
    "_agentic_loop_",
    "_code_interpreter_interception_",
    "_headroom_",
    "_litellm_",
    "_websearch_interception_",
    "anthropic_federation_",
    "anthropic_identity_",
    "anthropic_issuer_",
    "anthropic_keycloak_",
    "arize_",
    "auto_router_",
    "aws_",
    "azure_",
    "cache_creation_input_",
    "cache_read_input_",
    "dd_",
    "gcs_",
    "gigachat_",
    "github_copilot_",
    "humanloop_",
    "input_cost_per_",
    "langfuse_",
    "langsmith_",
    "litellm_",
    "mock_",
    "newrelic_",
    "ocr_cost_per_",
    "openai_identity_",
    "output_cost_per_",
    "posthog_",
    "s3_",
    "signoz_",
    "token_exchange_",
    "user_api_key",
    "vertex_",
    "wandb_",
    "watsonx_",
];

/// Sorted.
pub const NAMES: [&str; 218] = [
    "_context_compaction_state",
    "_encrypted_content_affinity_pinned",
    "_is_litellm_internal_call",
    "_router_weights",
    "_skip_mcp_handler",
    "_skip_responses_api_bridge",
    "acompletion",
    "adaptive_router_config",
    "adaptive_router_default_model",
    "additional_drop_params",
    "aembedding",
    "aimg_generation",
    "allm_passthrough_route",
    "allow_client_keepalive_override",
    "allowed_model_region",
    "allowed_openai_params",
    "annotation_cost_per_page",
    "annotation_cost_per_page_batches",
    "anthropic_disable_workload_identity_federation",
    "anthropic_organization_id",
    "anthropic_service_account_id",
    "api_base",
    "api_key",
    "api_version",
    "applied_guardrails",
    "assistant_continue_message",
    "async_call",
    "async_complete_streaming_response",
    "atext_completion",
    "attempted_targets",
    "azure",
    "base_model",
    "base_url",
    "bedrock_tags",
    "bos_token",
    "budget_duration",
    "budget_limits",
    "cache",
    "cache_control_injection_points",
    "cache_key",
    "caching",
    "caching_groups",
    "callbacks",
    "candidate_deployment_id",
    "chatgpt_auth_file",
    "citation_cost_per_token",
    "client",
    "client_id",
    "client_secret",
    "client_side_timeout",
    "complete_response",
    "complete_streaming_response",
    "completion_call_id",
    "complexity_router_config",
    "complexity_router_default_model",
    "configurable_clientside_auth_params",
    "content_policy_fallbacks",
    "context_window_fallback_dict",
    "context_window_fallbacks",
    "cooldown_time",
    "cost_per_query",
    "cost_per_second",
    "current_deployment_id",
    "custom_llm_provider",
    "custom_prompt_dict",
    "daily_reset_time",
    "data_residency",
    "default_api_key_rpm_limit",
    "default_api_key_tpm_limit",
    "disable_add_transform_inline_image_block",
    "disable_fallbacks",
    "disable_global_guardrails",
    "drop_params",
    "enable_json_schema_validation",
    "enable_prompt_caching",
    "enable_tag_filtering",
    "end_user_id",
    "enforced_params",
    "engine",
    "ensure_alternating_roles",
    "eos_token",
    "explicit_cache_read_input_token_cost",
    "extra_body",
    "extra_headers",
    "extra_query",
    "failure_callback",
    "fake_stream",
    "fallback_depth",
    "fallbacks",
    "fastest_response",
    "fedramp_uplift_multiplier",
    "final_prompt_value",
    "fireworks_forward_user_id",
    "force_timeout",
    "google_maps_grounding_cost_per_query",
    "guardrail_config",
    "guardrail_context",
    "guardrail_to_apply",
    "guardrails",
    "headers",
    "hf_model_name",
    "id",
    "include_fallback_errors",
    "include_guardrail_response",
    "include_server_side_tool_invocations",
    "incoming_bearer_token",
    "initial_prompt_value",
    "itpm",
    "keepalive_seconds",
    "kubernetes_pod_discovery",
    "log_client_error_tracebacks",
    "logger_fn",
    "logging_obj",
    "max_agentic_loops",
    "max_budget",
    "max_fallbacks",
    "max_file_size_mb",
    "max_parallel_requests",
    "max_retries",
    "merge_reasoning_content_in_choices",
    "metadata",
    "model_alias_map",
    "model_config",
    "model_file_id_mapping",
    "model_info",
    "model_list",
    "model_rpm_limit",
    "model_tpm_limit",
    "no-cache",
    "no-log",
    "no-store",
    "num_retries",
    "openai_service_account_id",
    "opted_out_global_guardrails",
    "optional_params",
    "order",
    "organization",
    "organization_id",
    "original_function",
    "otpm",
    "output_vector_size",
    "policies",
    "predibase_tenant_id",
    "preset_cache_key",
    "prompt_environment",
    "prompt_id",
    "prompt_label",
    "prompt_variables",
    "prompt_version",
    "provider_affinity_header",
    "provider_specific_header",
    "proxy_server_request",
    "quality_router_config",
    "quality_router_default_model",
    "redis_namespace",
    "region_name",
    "regional_endpoint_uplift_multiplier",
    "regional_processing_uplift_multiplier_eu",
    "regional_processing_uplift_multiplier_us",
    "request_timeout",
    "requester_metadata",
    "responses_api_version",
    "retry_policy",
    "retry_strategy",
    "roles",
    "router_settings_override",
    "routing_decision",
    "routing_strategy",
    "rpd",
    "rpm",
    "rust",
    "s-maxage",
    "search_context_cost_per_query",
    "search_queries_cost_per_query",
    "search_tool_name",
    "secret_fields",
    "self",
    "service_callback",
    "shared_session",
    "silent_model",
    "soft_budget_alerting_emails",
    "spend_logs_metadata",
    "ssl_verify",
    "standard_logging_guardrail_information",
    "standard_logging_object",
    "stream_chunk_size",
    "stream_response",
    "stream_scope",
    "stream_timeout",
    "stream_timeout_by_service_tier",
    "success_callback",
    "supports_system_message",
    "switchyard_router_config",
    "tag_regex",
    "tag_rpm_limit",
    "tags",
    "team_id",
    "tenant_id",
    "text_completion",
    "thought_signature_in_tool_call_id",
    "tiered_pricing",
    "timeout",
    "timeout_by_service_tier",
    "tpd",
    "tpm",
    "ttl",
    "turn_off_message_logging",
    "use_chat_completions_api",
    "use_chat_completions_url_for_anthropic_messages",
    "use_client",
    "use_in_pass_through",
    "use_litellm_proxy",
    "use_xai_oauth",
    "user_config",
    "user_continue_message",
    "verbose",
    "weave_project_id",
    "weight",
];

#[cfg(test)]
mod tests {
    use super::{NAMES, PREFIXES, is_own};
    use callgate_json::KNOWN;

    #[test]
    fn names_are_found() {
        assert!(NAMES.is_sorted(), "a name is out of its order");
        for pair in PREFIXES.windows(2) {
            let [before, after] = pair else { continue };
            assert!(before < after && !after.starts_with(before), "{before} before {after}");
        }
        for name in NAMES {
            assert!(
                !PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
                "{name} is said twice"
            );
        }
        for name in [
            "additional_drop_params",
            "api_key",
            "cache",
            "caching",
            "guardrails",
            "input_cost_per_token",
            "langfuse_secret_key",
            "litellm_session_id",
            "litellm_trace_id",
            "metadata",
            "mock_response",
            "no-log",
            "s-maxage",
            "tags",
            "ttl",
            "user_api_key_hash",
        ] {
            assert!(is_own(name), "{name}");
        }
    }

    #[test]
    fn what_a_model_is_asked_is_not_the_gateways() {
        // These are also parameters of chat APIs, but here for the gateway only; `id` is allowed
        // below the top level.
        let own: Vec<_> = KNOWN.iter().filter(|name| is_own(name)).collect();
        assert_eq!(own, [&"extra_body", &"id", &"metadata"]);
        for name in ["priority", "prompt_cache_retention", "reasoning_format", "web_search_options"]
        {
            assert!(!is_own(name), "{name}");
        }
    }
}
