//! `model_info` of an entry. LiteLLM keeps any key here; so does this gateway, and shows the whole
//! to callbacks.

use super::{
    reasons::{NO_COSTS, NO_HEALTH_CHECKS_DETAIL, NO_KEY_MAKING},
    standing::{
        KeyGroup,
        Standing::{Harmless, Honoured, Unsupported},
        group,
    },
};

pub(super) const MODEL_INFO: &[KeyGroup] = &[
    group(Honoured, "id mode"),
    group(
        NO_COSTS,
        "*_cost* MAX_COST_PER_PTU_PER_HOUR MAX_PTU_COUNT base_model cost_per_ptu_per_hour \
         cost_per_second fedramp_uplift_multiplier litellm_provider off_peak_pricing \
         pricing_provider provider_specific_entry ptu_count ptu_effective_from ptu_effective_to \
         ptu_shares regional_endpoint_uplift_multiplier regional_processing_uplift_multiplier_* \
         search_free_requests tiered_pricing web_search_billing_unit",
    ),
    group(NO_HEALTH_CHECKS_DETAIL, "disable_background_health_check health_check_*"),
    group(
        NO_KEY_MAKING,
        "access_groups access_via_team_ids created_at created_by db_model discoverable key \
         member_auto_router supported_environments team_id team_public_model_name tier \
         updated_at updated_by",
    ),
    group(Harmless("it is read in `litellm_params` only"), "rpm tpm"),
    group(
        Unsupported("the entry serves calls; remove it from the list to stop that"),
        "access_windows blocked",
    ),
    group(
        Harmless("callbacks see it; the gateway sends calls without a look at it"),
        "aliases allow_fail_open audio_transcription_config bedrock_* cache_control_ttl \
         custom_metadata custom_tags custom_tokenizer default_reasoning_effort deprecation_date \
         deprecation_source display_name enable_tag_filtering enforce_supported_endpoints \
         gemini_audio_only_live gemini_native_audio internal_router_model \
         litellm_routing_preferences max_embedding_batch_size max_input_tokens \
         max_output_tokens max_tokens output_vector_size prompt_cache_min_tokens \
         reasoning_contexts reasoning_effort_levels reasoning_modes source successor_model \
         supported_audio_formats supported_endpoints supported_modalities \
         supported_openai_params supported_output_modalities supported_regions supports_* \
         thinking_always_on thinking_on_by_default token_count_* use_openai_responses_path \
         uses_embed_content vertex_ai_audio_api",
    ),
];
