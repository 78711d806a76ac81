//! `litellm_settings`.

use super::{
    reasons::{
        AUTH, BUDGET, CONTENT, NO_ADMIN, NO_ALERTS, NO_BATCHES, NO_CACHE, NO_COOLDOWN, NO_COSTS,
        NO_DIALECT, NO_FALLBACKS, NO_FALLBACKS_DETAIL, NO_KEY_MAKING, NO_LOGGER, NO_MCP,
        NO_MCP_DETAIL, NO_PROMPTS, NO_RETRIES, NO_ROUTER, NO_SEARCH, NO_SHARED_STATE,
        NO_SPEND_LOGS, NO_TRACES, NO_VECTORS, OWN_METRICS, PROVIDER_KEY, SILENCE,
    },
    standing::{
        KeyGroup,
        Standing::{Approximated, Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const LITELLM_SETTINGS: &[KeyGroup] = &[
    group(
        Honoured,
        "callbacks drop_params langsmith_batch_size langsmith_default_run_name \
         langsmith_project request_timeout require_auth_for_metrics_endpoint ssl_certificate \
         ssl_certificate_key ssl_verify",
    ),
    group(
        Approximated("a name with a plugin is loaded, and gets calls of every outcome"),
        "failure_callback service_callback success_callback",
    ),
    group(AUTH, "blocked_user_list validate_end_user_id_in_db"),
    group(
        BUDGET,
        "block_requests_for_models_without_pricing budget_duration \
         default_max_internal_user_budget internal_user_budget_duration max_budget \
         max_end_user_budget max_end_user_budget_id max_internal_user_budget max_user_budget \
         tag_budget_config",
    ),
    group(CONTENT, "banned_keywords_list guardrails post_call_rules pre_call_rules"),
    group(SILENCE, "standard_logging_payload_excluded_fields turn_off_message_logging"),
    group(
        NO_ADMIN,
        "blog_posts_url max_ui_session_budget proxy_auth scim_admin_group scim_upsert_user",
    ),
    group(NO_ALERTS, "default_key_max_budget_alert_emails default_soft_budget"),
    group(
        NO_BATCHES,
        "batch_line_item_callbacks disable_vertex_batch_output_transformation \
         enable_loadbalancing_on_batch_endpoints require_managed_files",
    ),
    group(NO_CACHE, "cache caching enable_anthropic_prompt_caching"),
    group(
        Harmless("replies are not cached"),
        "anthropic_prompt_caching_ttl cache_params default_in_memory_ttl \
         default_redis_batch_cache_expiry default_redis_ttl \
         enable_caching_on_provider_specific_optional_params force_redis_hash_tag_grouping",
    ),
    group(NO_COOLDOWN, "allowed_fails cooldown_time"),
    group(
        NO_COSTS,
        "apply_search_free_tier budget_exceeded_status_code budget_exceeded_throttle_percentage \
         budget_reset_time budget_rollover cost_discount_config cost_margin_config \
         disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only \
         enable_end_user_cost_tracking_prometheus_only include_cost_in_streaming_usage \
         model_cost_map_url",
    ),
    group(
        NO_DIALECT,
        "anthropic_beta_headers_url bedrock_* \
         disable_anthropic_gemini_context_caching_transform disable_copilot_system_to_assistant \
         enable_azure_ad_token_refresh enable_gemini_default_thinking_level_low gdc_* gemini_* \
         strip_anthropic_total_tokens vertex_ai_safety_settings",
    ),
    group(
        NO_FALLBACKS,
        "content_policy_fallbacks context_window_fallbacks default_fallbacks fallbacks \
         longer_context_model_fallback_dict model_fallbacks",
    ),
    group(NO_FALLBACKS_DETAIL, "max_fallbacks"),
    group(
        NO_KEY_MAKING,
        "default_internal_user_params default_key_generate_params default_team_params \
         enable_key_alias_format_validation key_alias_pattern key_generation_settings \
         personal_key_model_access_from_teams upperbound_key_generate_params",
    ),
    group(
        Unsupported("there are no teams; a callback's `only: {keys: […]}` limits it to keys"),
        "default_team_settings",
    ),
    group(
        NO_LOGGER,
        "argilla_batch_size aws_sqs_callback_params azure_content_safety_params \
         code_interpreter_interception_params cold_storage_custom_logger \
         compression_interception_params datadog_* disable_streaming_logging \
         dynamodb_table_name gcs_pub_sub_use_v1 generic_api_use_v1 generic_logger_headers \
         google_moderation_confidence_threshold langfuse_default_tags \
         langfuse_enable_update_trace_keys llamaguard_* llm_guard_mode \
         logged_real_time_event_types newrelic_params openai_moderations_model_name \
         output_parse_pii pointfive_params presidio_* prompt_injection_params \
         s3_audit_callback_params s3_callback_params skip_system_message_in_guardrail \
         skip_tool_message_in_guardrail websearch_interception_params zerobus_params",
    ),
    group(NO_MCP, "mcp_semantic_tool_filter mcp_tool_search"),
    group(NO_MCP_DETAIL, "mcp_aliases public_mcp_hub_strict_whitelist public_mcp_servers"),
    group(
        NO_PROMPTS,
        "add_function_to_prompt custom_prompt_dict disable_add_prefix_to_prompt \
         global_bitbucket_config global_gitlab_config global_prompt_directory \
         openai_system_messages_first",
    ),
    group(NO_RETRIES, "num_retries num_retries_per_request retry"),
    group(NO_ROUTER, "autorouter_presets_url model_group_settings"),
    group(NO_SEARCH, "agent_search_embedding_model skill_search_embedding_model"),
    group(
        NO_SHARED_STATE,
        "enable_redis_auth_cache priority_reservation priority_reservation_settings",
    ),
    group(
        NO_SPEND_LOGS,
        "audit_log_callbacks disable_add_user_agent_to_request_tags extra_spend_tag_headers \
         store_audit_logs",
    ),
    group(NO_TRACES, "forward_traceparent_to_llm_provider otel_tenant_destination_mode"),
    group(NO_VECTORS, "vector_store_search_failure_mode"),
    group(OWN_METRICS, "custom_prometheus_metadata_labels custom_prometheus_tags prometheus_*"),
    group(
        PROVIDER_KEY,
        "ai21_key aleph_alpha_key amazon_nova_api_key anthropic_key api_base api_key \
         api_version azure_key baseten_key bytez_key clarifai_key cloudflare_api_key cohere_key \
         cometapi_key credential_list databricks_key datarobot_key default_vertex_config \
         gigachat_key gradient_ai_api_key groq_key headers heroku_key huggingface_key \
         inception_key infinity_key lemonade_key llama_api_key maritalk_key nebius_key \
         nlp_cloud_key novita_api_key ollama_key openai_key openai_like_key openrouter_key \
         organization ovhcloud_key predibase_key predibase_tenant_id project replicate_key \
         sap_service_key snowflake_key togetherai_api_key token vercel_ai_gateway_key \
         vertex_location vertex_project wandb_key xai_key",
    ),
    group(
        Unsupported("this gateway does not run Python, so it cannot call the custom provider"),
        "custom_provider_map",
    ),
    group(
        Unsupported("calls are not handed to a callback before they run; list it in `callbacks`"),
        "audio_transcription_callbacks input_callback",
    ),
    group(
        Unsupported("TLS 1.2 and 1.3 are spoken with safe ciphers and curves only"),
        "ssl_ecdh_curve ssl_security_level",
    ),
    group(Unsupported("use `router_settings.model_group_alias`"), "model_alias_map"),
    group(
        Harmless("it fits calls to Anthropic's and Bedrock's own APIs, which are not called"),
        "modify_params",
    ),
    group(
        Unsupported("messages and parameters go to the provider as the client sent them"),
        "reasoning_auto_summary reasoning_effort_rounding",
    ),
    group(
        Unsupported("a call's `user` goes to the provider as the client sent it"),
        "add_user_information_to_llm_headers overwrite_user_with_key_hash",
    ),
    group(
        Unsupported("an error has the provider's own words, and the log has the id of the key"),
        "redact_messages_in_exceptions redact_user_api_key_info",
    ),
    group(
        Unsupported("only `callgate.record` and callbacks can keep what was sent to a provider"),
        "log_raw_request_response",
    ),
    group(
        Unsupported("no comment lines are sent while a stream is silent"),
        "anthropic_sse_ping_interval_seconds sse_keepalive_ping_interval_seconds",
    ),
    group(
        Unsupported("replies pass without a check against a schema"),
        "enable_json_schema_validation",
    ),
    group(Unsupported("`/v1/models` lists the names of `model_list`"), "check_provider_endpoint"),
    group(
        Unsupported("chat calls are not turned into calls of `/v1/responses`"),
        "responses route_all_chat_openai_to_responses",
    ),
    group(
        Harmless("`/v1/messages` becomes a chat where the provider serves no messages"),
        "anthropic_messages_estimate_initial_input_tokens \
         use_chat_completions_url_for_anthropic_messages",
    ),
    group(
        Unsupported("it has no effect for all entries; write it in the entry's `litellm_params`"),
        "common_cloud_provider_auth_params enable_model_config_credential_overrides max_tokens \
         use_litellm_proxy",
    ),
    group(
        Harmless("there is no public list of models, agents or skills"),
        "public_agent_groups public_model_groups public_model_groups_links public_skills_index",
    ),
    group(
        Harmless("clients cannot name the server of a call"),
        "provider_url_destination_allowed_hosts user_url_allowed_hosts user_url_validation",
    ),
    group(
        Harmless("clients cannot switch callbacks or logging off, but for `skippable_by`"),
        "allow_dynamic_callback_disabling global_disable_no_log_param",
    ),
    group(
        Harmless("`RUST_LOG` and `--log-format` set what is logged, and how"),
        "json_logs log_auth_failure_key_identity log_client_error_tracebacks logging \
         request_correlation_in_logs set_verbose suppress_debug_info suppress_startup_output",
    ),
    group(
        Unsupported(
            "the environment's proxies are used; except upstreams by `NO_PROXY` or `proxy: none`",
        ),
        "disable_aiohttp_trust_env",
    ),
    group(
        Harmless("it tunes LiteLLM's own HTTP client or tokenizer"),
        "aiohttp_trust_env disable_aiohttp_transport disable_hf_tokenizer_download \
          disable_token_counter filter_invalid_headers force_ipv4 \
         http2 network_mock safe_memory_mode use_aiohttp_transport",
    ),
    group(Harmless("this gateway reports nothing to anybody"), "telemetry"),
    group(
        Harmless("it has no effect on chat calls as they are served here"),
        "disable_add_transform_inline_image_block disable_stop_sequence_limit \
         drop_unknown_params enable_preview_features expose_router_debug_in_errors litellm_mode \
         return_response_headers",
    ),
];
