//! `general_settings`.

use super::{
    reasons::{
        ADDRESSES, AUTH, CONTENT, CUSTOM_AUTH, FIELDS, NO_ADMIN, NO_ALERTS, NO_BATCHES,
        NO_DATABASE, NO_DATABASE_DETAIL, NO_FALLBACKS_DETAIL, NO_HEALTH_CHECKS,
        NO_HEALTH_CHECKS_DETAIL, NO_KEY_MAKING, NO_MCP_DETAIL, NO_SEARCH, NO_SECRETS,
        NO_SHARED_STATE, NO_SPEND_LOGS, NO_TRACES, PARALLEL, ROUTES,
    },
    standing::{
        KeyGroup,
        Standing::{Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const GENERAL_SETTINGS: &[KeyGroup] = &[
    group(
        Honoured,
        "completion_model dangerously_permit_weak_or_unset_master_key litellm_key_header_name \
         master_key max_request_size_mb",
    ),
    group(ADDRESSES, "allowed_ips"),
    group(
        AUTH,
        "custom_auth_run_common_checks enable_jwt_auth enable_oauth2_auth \
         enable_oauth2_proxy_auth enforce_rbac litellm_jwtauth oauth2_config_mappings \
         role_permissions",
    ),
    group(CUSTOM_AUTH, "custom_auth"),
    group(CONTENT, "skill_scanner"),
    group(FIELDS, "enforce_user_param enforced_params service_account_settings"),
    group(
        PARALLEL,
        "global_max_parallel_requests max_in_flight_requests_per_worker max_parallel_requests",
    ),
    group(ROUTES, "allowed_routes"),
    group(
        NO_ADMIN,
        "admin_only_routes allow_cli_sso_verification_uri_complete allow_user_auth \
         auto_redirect_ui_login_to_sso claude_code_gateway_managed_settings \
         claude_code_marketplace_auth_required control_plane_url custom_sso \
         custom_ui_sso_sign_in_handler disable_env_credential_login \
         disable_password_login_when_sso_enabled enable_claude_code_gateway \
         enable_public_model_hub failed_login_block_seconds failed_login_window_seconds \
         hide_default_credentials_hint litellm_license max_failed_login_attempts_per_source \
         max_failed_login_attempts_per_source_overrides password_policy_* plugins \
         trusted_proxy_ranges ui_access_mode",
    ),
    group(NO_ALERTS, "alerting spend_report_frequency"),
    group(
        Harmless("no alerts are sent"),
        "alert_to_webhook_url alert_type_config alert_types alerting_args alerting_threshold",
    ),
    group(
        NO_BATCHES,
        "allowed_client_side_s3_buckets allowed_client_side_s3_endpoint_urls \
         allowed_file_extensions blocked_file_extensions disable_batch_input_file_rate_limiting \
         max_batch_file_records max_batch_file_size_mb max_batch_file_uploads_per_day \
         max_file_downloads_per_minute max_file_size_mb passthrough_managed_object_ids \
         skip_batch_input_file_rate_limiting_for_models \
         skip_batch_input_file_rate_limiting_for_providers track_unmanaged_batch_cost \
         transcribe_media_buckets",
    ),
    group(NO_DATABASE, "database_type database_url store_model_in_db"),
    group(
        NO_DATABASE_DETAIL,
        "allow_requests_on_db_unavailable database_args database_connect_timeout \
         database_connection_pool_limit database_connection_pool_timeout \
         database_connection_timeout database_disable_prepared_statements \
         database_extra_connection_params database_max_idle_connection_lifetime \
         database_socket_timeout disable_prisma_schema_update \
         proxy_config_reload_interval_seconds scheduled_job_stagger supported_db_objects",
    ),
    group(
        NO_FALLBACKS_DETAIL,
        "disable_fallbacks_on_per_model_rate_limits enforce_fallback_model_access \
         expose_fallback_errors_to_caller",
    ),
    group(NO_HEALTH_CHECKS, "background_health_checks enable_health_check_routing"),
    group(
        NO_HEALTH_CHECKS_DETAIL,
        "allow_public_health_readiness_details background_health_check_model_groups \
         health_check_* maximum_health_check_retention_period model_list_healthy_only \
         use_shared_health_check",
    ),
    group(
        NO_KEY_MAKING,
        "agent_access_default_deny apply_user_budget_to_team_keys custom_key_generate \
         custom_key_policy custom_key_update custom_team_metadata_validate \
         default_team_disabled disable_auto_add_proxy_admin_to_teams disable_custom_api_keys \
         disable_key_generate_for_org_admin self_serve_budget_policy team_metadata_* \
         use_team_public_model_name user_api_key_cache_max_size user_api_key_cache_ttl",
    ),
    group(
        NO_MCP_DETAIL,
        "enable_mcp_registry mcp_* require_end_user_mcp_access_defined \
         require_key_mcp_access_defined user_mcp_management_mode",
    ),
    group(NO_SEARCH, "search_tools"),
    group(Harmless("the gateway does not search for a model"), "search_tool_deny_by_default"),
    group(NO_SECRETS, "key_management_system use_azure_key_vault use_google_kms"),
    group(
        Harmless("secrets come from the environment and from `.env` only"),
        "key_management_settings",
    ),
    group(NO_SHARED_STATE, "coordination_redis use_redis_transaction_buffer"),
    group(
        NO_SPEND_LOGS,
        "disable_budget_reservation disable_error_logs disable_requester_ip_address_logging \
         disable_reset_budget disable_spend_logs disable_spend_updates \
         fail_closed_budget_enforcement maximum_autorouter_session_retention_period \
         maximum_daily_tag_spend_retention_period maximum_spend_logs_* \
         proxy_batch_polling_interval proxy_batch_write_at proxy_budget_rescheduler_max_time \
         proxy_budget_rescheduler_min_time request_tag_mappings spend_capture_rate_check \
         spend_logs_metadata_fields spend_logs_prompt_storage use_spend_logs_ledger \
         use_spend_logs_partitioning",
    ),
    group(
        Unsupported("prompts are not kept; the callback `audit_log` can record calls"),
        "store_prompts_in_spend_logs",
    ),
    group(NO_TRACES, "otel tracing"),
    group(
        Unsupported("these paths are answered with 404"),
        "enable_drain_endpoint enable_openai_websocket_passthrough pass_through_endpoints",
    ),
    group(
        Harmless("there are no pass-through paths"),
        "disable_bedrock_agent_runtime_passthrough drain_endpoint_token \
         pass_through_request_timeout vertex_ai_pass_through_drop_anthropic_betas",
    ),
    group(
        Unsupported("the user of a call is the one of its key, or the member `user` of the call"),
        "user_header_mappings user_header_name",
    ),
    group(
        Unsupported("headers of clients are not sent upstream; `extra_headers` of an entry are"),
        "forward_client_headers_to_llm_api forward_openai_org_id",
    ),
    group(
        Unsupported("a stream has its usage if the client asks for it"),
        "always_include_stream_usage",
    ),
    group(
        Unsupported("the size of a reply is bounded by `callgate.limits.max_reply_bytes`"),
        "max_response_size_mb",
    ),
    group(
        Unsupported("calls do not wait in a queue; they run at once"),
        "admission_queue_timeout_seconds max_queued_requests_per_worker",
    ),
    group(
        Unsupported("every call of an entry uses the entry's own base and key"),
        "allow_client_side_credentials",
    ),
    group(Unsupported("these paths need a key, as the others do"), "public_routes"),
    group(Unsupported("the address of a client is that of its connection"), "use_x_forwarded_for"),
    group(
        Unsupported("`/v1/models` lists the names of `model_list` without wildcards"),
        "infer_model_from_keys return_wildcard_routes",
    ),
    group(
        Unsupported("an error has the call's id in the header `x-litellm-call-id` only"),
        "include_call_id_in_error_body",
    ),
    group(Harmless("a call whose client leaves always ends upstream, too"), "cancel_on_disconnect"),
    group(Harmless("the master key is never returned"), "disable_master_key_return"),
    group(
        Harmless("limits are counted in this process, by the callback `rate_limit`"),
        "disable_retry_on_max_parallel_request_limit_error fail_closed_rate_limit_enforcement \
         token_rate_limit_type",
    ),
    group(
        Harmless("clients cannot name the server of a call"),
        "provider_url_destination_allowed_hosts user_url_allowed_hosts user_url_validation",
    ),
    group(
        Harmless("tags and sessions that a client sends have no effect"),
        "missing_session_id reject_clientside_metadata_tags",
    ),
    group(
        Harmless("`/v1/responses` passes ids on as the provider gives them"),
        "allow_unmanaged_response_ids disable_responses_id_security \
         responses_websocket_session_limit_seconds",
    ),
    group(Harmless("there are no vector stores"), "vector_store_deny_by_default"),
    group(Harmless("prices and limits of models are not looked up"), "disable_model_info_refresh"),
];
