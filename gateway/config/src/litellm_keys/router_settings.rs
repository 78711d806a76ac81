//! `router_settings`.

use super::{
    reasons::{
        BUDGET, CONTENT, NO_ALERTS, NO_CACHE, NO_COOLDOWN, NO_FALLBACKS, NO_FALLBACKS_DETAIL,
        NO_HEALTH_CHECKS, NO_HEALTH_CHECKS_DETAIL, NO_RETRIES, NO_ROUTER, NO_SHARED_STATE, NO_TAGS,
        PARALLEL,
    },
    standing::{
        KeyGroup,
        Standing::{Approximated, Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const ROUTER_SETTINGS: &[KeyGroup] = &[
    group(Honoured, "model_group_alias stream_timeout timeout"),
    group(
        Approximated("an entry is chosen at random by its weight, as `simple-shuffle` does"),
        "routing_strategy",
    ),
    group(BUDGET, "provider_budget_config"),
    group(CONTENT, "guardrail_list"),
    group(PARALLEL, "default_max_parallel_requests"),
    group(NO_ALERTS, "alerting_config"),
    group(NO_CACHE, "cache_responses"),
    group(Harmless("replies are not cached"), "cache_kwargs caching_groups client_ttl"),
    group(NO_COOLDOWN, "allowed_fails allowed_fails_policy cooldown_time"),
    group(Harmless("an entry is never taken out of service after failures"), "disable_cooldowns"),
    group(
        NO_FALLBACKS,
        "content_policy_fallbacks context_window_fallbacks default_fallbacks \
         enable_mid_stream_fallback_continuation enable_weighted_failover \
         fallback_on_unsupported_params fallbacks",
    ),
    group(NO_FALLBACKS_DETAIL, "max_fallbacks session_affinity_repin_on_failover"),
    group(NO_HEALTH_CHECKS, "enable_health_check_routing health_check_interval"),
    group(
        NO_HEALTH_CHECKS_DETAIL,
        "background_health_check_model_groups health_check_concurrency \
         health_check_ignore_transient_errors health_check_staleness_threshold",
    ),
    group(NO_RETRIES, "max_retries model_group_retry_policy num_retries retry_policy"),
    group(Harmless("a failed call is not tried again"), "retry_after"),
    group(NO_ROUTER, "plugins routing_groups"),
    group(NO_SHARED_STATE, "redis_db redis_host redis_password redis_port redis_url"),
    group(NO_TAGS, "enable_tag_filtering tag_filtering_match_any tag_routing_prefix"),
    group(
        Unsupported("an entry is chosen without a look at the size or the kind of the call"),
        "enable_pre_call_checks",
    ),
    group(
        Unsupported("calls of one session or prompt may go to different entries"),
        "deployment_affinity_ttl_seconds model_group_affinity_config optional_pre_call_checks",
    ),
    group(
        Unsupported("write these parameters in the entries; a YAML anchor saves repeating them"),
        "default_litellm_params",
    ),
    group(Unsupported("entries are weighed by their own `weight`, `rpm` or `tpm`"), "weights"),
    group(Harmless("only `simple-shuffle` is there, which has none"), "routing_strategy_args"),
    group(Harmless("calls do not wait in a queue"), "default_priority polling_interval"),
    group(Harmless("`RUST_LOG` sets what is logged"), "debug_level set_verbose"),
    group(
        Harmless("LiteLLM's config does not read it here either"),
        "ignore_invalid_deployments router_general_settings",
    ),
];
