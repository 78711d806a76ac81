//! LiteLLM's own keys and forms of values.

use super::{read, warned};
use crate::Standing;

#[test]
fn what_litellm_takes_is_taken_with_a_warning() {
    let config = warned(
        "environment_variables: {A: {b: c}}\nlitellm_settings: {drop_params: [temperature]}\n",
        &[
            ":1:28: environment_variables.A: expected text, found a mapping; this variable is not set",
            ":2:33: litellm_settings.drop_params: expected true or false, found a list, which counts as \
             true; names of parameters belong in `additional_drop_params` of a model",
        ],
    );
    assert!(config.litellm.drop_params);
    assert_eq!(config.environment.var("A"), None);
}

#[test]
fn content_is_asked_to_stay_out_of_callbacks_that_are_loaded() {
    let text = "litellm_settings: {turn_off_message_logging: true}\n";
    let mut kept = read(text).unwrap();
    assert!(kept.problems.is_empty());
    let said = kept.settle_silence(true);
    assert!(said.len() == 1 && said[0].is_error(), "{said:?}");
    assert!(said[0].to_string().contains("`turn_off_message_logging` protects"), "{said:?}");
    let mut accepted =
        read(&format!("{text}callgate: {{accept_unprotected: [turn_off_message_logging]}}\n"))
            .unwrap();
    assert!(accepted.settle_silence(true).iter().all(|problem| !problem.is_error()));
    let mut without = read(text).unwrap();
    assert_eq!(without.settle_silence(false), []);
    let key = &without.keys[0];
    assert!(key.place.path.ends_with("turn_off_message_logging"), "{key:?}");
    assert!(matches!(key.standing, Standing::Harmless(_)), "{key:?}");
}

#[test]
fn a_key_in_the_wrong_place_is_sent_to_the_right_one() {
    let entry = |more: &str, params: &str| {
        format!(
            "model_list:\n- model_name: m\n  {more}\n  litellm_params: {{model: openai/m{params}}}\n"
        )
    };
    for (text, said) in [
        ("general_settings: {cache_params: {ttl: 1}}\n".to_owned(), "`litellm_settings`"),
        ("litellm_settings: {retry_after: 1}\n".to_owned(), "`router_settings`"),
        ("num_retries: 1\n".to_owned(), "`litellm_settings`"),
        (entry("", ", supports_vision: true"), "`model_info`"),
        (entry("api_version: x", ""), "`litellm_params`"),
        (entry("mode: chat", ""), "`model_info`"),
    ] {
        let config = read(&text).unwrap();
        let problems: Vec<_> = config.problems.iter().map(ToString::to_string).collect();
        let end = format!("it belongs to {said}");
        assert!(problems.len() == 1 && problems[0].ends_with(&end), "{text}: {problems:?}");
        let unknown = config.keys.iter().find(|key| key.standing == Standing::Unknown).unwrap();
        assert_eq!(unknown.text, end, "{text}");
    }
}

/// Keys of LiteLLM's that public configs have and that were once called unknown.
#[test]
fn litellms_own_keys_are_known() {
    for (section, keys) in [
        (
            "litellm_settings",
            "custom_provider_map prometheus_initialize_budget_metrics extra_spend_tag_headers \
             log_raw_request_response overwrite_user_with_key_hash disable_end_user_cost_tracking \
             mcp_semantic_tool_filter check_provider_endpoint websearch_interception_params \
             enable_json_schema_validation retry",
        ),
        (
            "general_settings",
            "maximum_spend_logs_retention_period user_header_mappings user_header_name \
             maximum_spend_logs_retention_interval disable_master_key_return \
             always_include_stream_usage use_azure_key_vault database_extra_connection_params \
             disable_reset_budget otel",
        ),
    ] {
        for key in keys.split_whitespace() {
            let config = read(&format!("{section}: {{{key}: x}}\n")).unwrap();
            let reported: Vec<_> = config.keys.iter().map(|it| it.standing).collect();
            let is_known =
                matches!(reported[..], [Standing::Harmless(_) | Standing::Unsupported(_)]);
            assert!(is_known, "{key}: {reported:?}");
            let said: Vec<_> = config.problems.iter().map(ToString::to_string).collect();
            let told = said.iter().all(|it| it.contains(&format!("`{key}` is not used: ")));
            let expected = usize::from(matches!(reported[0], Standing::Unsupported(_)));
            assert!(said.len() == expected && told, "{said:?}");
        }
    }
    for (section, key) in [
        ("litellm_settings", "budget_duration"),
        ("litellm_settings", "max_end_user_budget_id"),
        ("general_settings", "custom_auth_run_common_checks"),
    ] {
        let said = read(&format!("{section}: {{{key}: x}}\n")).unwrap_err().to_string();
        assert!(said.contains(&format!("`{key}` protects")), "{said}");
    }
}

#[test]
fn names_that_no_client_can_send_are_reported() {
    let entry = |mode: &str| {
        format!(
            "model_list: [{{model_name: a, litellm_params: {{model: openai/a}}, model_info: {{mode: {mode}}}}}]"
        )
    };
    for (mode, told) in
        [("chat", false), ("embedding", false), ("audio_speech", false), ("video_generation", true)]
    {
        let config = read(&entry(mode)).unwrap();
        let said =
            config.problems.iter().any(|problem| problem.text.contains("no endpoint serves"));
        assert_eq!(said, told, "{mode}");
    }
}
