//! `litellm_params` of an entry. A key that no group names is taken for a request parameter.

use super::{
    reasons::{
        BUDGET, CONTENT, FIELDS, NO_BATCHES, NO_CACHE, NO_COOLDOWN, NO_COSTS, NO_DIALECT,
        NO_FALLBACKS, NO_LIMIT, NO_LOGGER, NO_PROMPTS, NO_RETRIES, NO_ROUTER, NO_SEARCH, NO_TAGS,
        NO_VECTORS, OTHER_TIMING, PARALLEL, SILENCE,
    },
    standing::{
        KeyGroup,
        Standing::{Approximated, Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const LITELLM_PARAMS: &[KeyGroup] = &[
    group(
        Honoured,
        "additional_drop_params allowed_openai_params api_base api_key api_version \
         azure_ad_token azure_scope base_model base_url client_id client_secret \
         custom_llm_provider drop_params extra_body extra_headers first_content_timeout headers \
         merge_reasoning_content_in_choices mock_response model order organization proxy \
         request_timeout ssl_certificate ssl_certificate_key ssl_verify stream_timeout \
         stream_usage tenant_id timeout weight",
    ),
    group(
        Approximated("it weighs the choice among entries of one name; it does not limit calls"),
        "rpm tpm",
    ),
    // Request parameters that OpenAI's API or a provider knows.
    group(
        Honoured,
        "audio context_management dimensions encoding_format format frequency_penalty \
         function_call functions keep_alive keywords language languages logit_bias logprobs \
         max_completion_tokens max_tokens min_p mirostat mirostat_eta mirostat_tau modalities \
         num_batch num_ctx num_gpu num_keep num_predict num_thread options parallel_tool_calls \
         prediction presence_penalty prompt_cache_key prompt_cache_retention reasoning_effort \
         reasoning_format repeat_last_n repeat_penalty response_format safety_identifier seed \
         service_tier stop store stream_options suffix temperature tfs_z think thinking \
         timestamp_granularities tool_choice tools top_k top_logprobs top_p user verbosity \
         web_search_options",
    ),
    group(Harmless("each call sets it"), "messages n prompt stream"),
    group(BUDGET, "budget_duration budget_limits max_budget"),
    group(CONTENT, "guardrails policies"),
    group(FIELDS, "enforced_params"),
    group(PARALLEL, "max_parallel_requests"),
    group(SILENCE, "turn_off_message_logging"),
    group(NO_BATCHES, "allow_legacy_cloud_file_ids bedrock_tags max_file_size_mb s3_*"),
    group(NO_CACHE, "cache caching enable_prompt_caching"),
    group(Harmless("replies are not cached"), "caching_groups ttl"),
    group(NO_COOLDOWN, "cooldown_time"),
    group(
        NO_COSTS,
        "*_cost* cost_per_query cost_per_second fedramp_uplift_multiplier \
         output_vector_size regional_endpoint_uplift_multiplier \
         regional_processing_uplift_multiplier_* tiered_pricing",
    ),
    group(
        NO_DIALECT,
        "anthropic_* aws_* azure bucket_name chatgpt_auth_file fireworks_forward_user_id gcs_* \
         gigachat_* github_copilot_* hf_model_name openai_identity_* openai_service_account_id \
         predibase_tenant_id region_name responses_api_version token_exchange_* use_xai_oauth \
         vertex_* watsonx_*",
    ),
    group(
        Unsupported("tokens are fetched with `client_id` and `client_secret` only"),
        "azure_password azure_username",
    ),
    group(
        NO_FALLBACKS,
        "content_policy_fallbacks context_window_fallback_dict context_window_fallbacks \
         fallbacks silent_model",
    ),
    group(
        NO_LIMIT,
        "daily_reset_time default_api_key_rpm_limit default_api_key_tpm_limit itpm otpm rpd tpd",
    ),
    group(
        NO_LOGGER,
        "arize_* dd_* humanloop_* langfuse_* langsmith_* newrelic_* posthog_* signoz_* wandb_* \
         weave_project_id",
    ),
    group(
        NO_PROMPTS,
        "assistant_continue_message bos_token cache_control_injection_points custom_prompt_dict \
         disable_add_transform_inline_image_block ensure_alternating_roles eos_token \
         final_prompt_value initial_prompt_value litellm_system_prompt prompt_environment \
         prompt_id prompt_label prompt_variables prompt_version roles supports_system_message \
         user_continue_message",
    ),
    group(NO_RETRIES, "max_retries num_retries retry_policy retry_strategy"),
    group(
        NO_ROUTER,
        "adaptive_router_* auto_router_* complexity_router_* fastest_response \
         provider_affinity_header quality_router_* switchyard_router_config",
    ),
    group(NO_SEARCH, "max_agentic_loops search_tool_name"),
    group(NO_TAGS, "allowed_model_region enable_tag_filtering tag_regex"),
    group(
        NO_VECTORS,
        "embedding_model index_name milvus_* valkey_* vector_bucket_name vector_store_id",
    ),
    group(
        OTHER_TIMING,
        "allow_client_keepalive_override force_timeout keepalive_seconds mock_timeout \
         stream_chunk_size stream_timeout_by_service_tier timeout_by_service_tier",
    ),
    group(
        Unsupported("an entry cannot name shared credentials; write its key in `api_key`"),
        "litellm_credential_name",
    ),
    group(
        Unsupported("every call of the entry uses the entry's own base and key"),
        "configurable_clientside_auth_params",
    ),
    group(
        Unsupported("the query of the URL and headers for one provider are not set"),
        "extra_query provider_specific_header",
    ),
    group(
        Unsupported("replies pass without a check against a schema"),
        "enable_json_schema_validation",
    ),
    group(Unsupported("one entry is one server"), "kubernetes_pod_discovery"),
    group(
        Unsupported("the client gets a stream if it asks for one, and only then"),
        "complete_response fake_stream",
    ),
    group(
        Unsupported("tool calls keep the ids that the provider gives them"),
        "include_server_side_tool_invocations thought_signature_in_tool_call_id",
    ),
    group(
        Harmless("chat calls are sent as chat calls, with every provider that is served"),
        "use_chat_completions_api use_litellm_proxy",
    ),
    group(Harmless("there are no pass-through paths"), "use_in_pass_through"),
    group(Harmless("models are not called to check their health"), "health_check_model"),
    group(Harmless("it has an effect in `model_info` only"), "id model_info"),
    group(
        Harmless("it is for the gateway's log and callbacks in LiteLLM; it is never sent upstream"),
        "litellm_disabled_callbacks litellm_metadata litellm_request_debug litellm_session_id \
         litellm_trace_id log_client_error_tracebacks metadata no-log tags verbose",
    ),
    group(Harmless("a part of the router's memory in LiteLLM"), "model_list routing_strategy"),
];
