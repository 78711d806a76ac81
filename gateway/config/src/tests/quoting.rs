//! A value in the wrong place may be a key: no message repeats one, nor the value of a variable.

use super::*;

/// Places where a value can be wrong; `@` stands for it.
const PLACES: &[&str] = &[
    "callgate: {probe: @}",
    "callgate: {verify_owner: @}",
    "callgate: {strict: @}",
    "callgate: {probe_timeout: @}",
    "callgate: {trusted_proxies: [@]}",
    "callgate: {cors: {allow_origins: ['@/x/y']}}",
    "callgate: {allow_hosts: ['@/x']}",
    "callgate: {limits: {max_body_bytes: @, drain_timeout: @}}",
    "callgate: {@: 1}",
    "@: 1",
    "general_settings: {max_request_size_mb: @}",
    "general_settings: {litellm_key_header_name: 'a @'}",
    "general_settings: {@: 1}",
    "router_settings: {routing_strategy: @}",
    "router_settings: {timeout: @, num_retries: @}",
    "router_settings: {model_group_alias: {@: {model: x, @: 1}}}",
    "litellm_settings: {request_timeout: @, drop_params: @}",
    "litellm_settings: {success_callback: [{name: x, on_error: @}]}",
    "litellm_settings: {callbacks: [{name: x, on_error: @, mode: @, timeout: @}]}",
    "litellm_settings: {callbacks: [{name: x, hooks: [@], only: {endpoints: [@]}}]}",
    "litellm_settings: {callbacks: [{name: x, sha256: @}]}",
    "litellm_settings: {callbacks: [{name: x, share: @, breaker: @}]}",
    "litellm_settings: {callbacks: [{name: x, grants: {secrets: ['@ '], http_hosts: ['@/']}}]}",
    "litellm_settings: {callbacks: [@, @]}",
    "litellm_settings: {callbacks: [{name: x, instance: @}, {name: y, instance: @}]}",
    "callback_settings: {@: {a: 1}}",
    "model_list: [{model_name: a, litellm_params: {model: openai/x, timeout: @, rpm: @}}]",
    "model_list: [{model_name: a, litellm_params: {model: openai/x, @: 1}}]",
    "model_list: [{model_name: a, litellm_params: {model: openai/x, additional_drop_params: ['@.']}}]",
    "model_list: [{model_name: a, model_info: {mode: @}, litellm_params: {model: openai/x}}]",
    "model_list: [{model_name: a, @: 1, litellm_params: {model: openai/x}}]",
    "{a: 1, @: 1, @: 2}",
];

fn said(text: &str) -> String {
    let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
    let env = Environment::from_pairs([("OF_THE_ENVIRONMENT", "hunter2-of-the-environment")]);
    match parse(&file, text, &env, UnknownKeys::Refuse) {
        Err(problems) => problems.to_string(),
        Ok(config) => Problems(config.problems).to_string(),
    }
}

#[test]
fn no_key_and_no_variable_is_repeated() {
    for place in PLACES {
        for (value, leaks) in [
            ("sk-live-4f9c2a", "4f9c2a"),
            ("9f3c1e77aa02bd4e9f3z", "9f3c1e77"),
            ("os.environ/OF_THE_ENVIRONMENT", "hunter2"),
            ("\"${OF_THE_ENVIRONMENT}\"", "hunter2"),
        ] {
            // The place already has quotes, so the value gets none.
            let plain = value.trim_matches('"');
            let value = if place.contains("'@") || place.contains("@'") { plain } else { value };
            let said = said(&place.replace('@', value));
            assert!(!said.is_empty() && !said.contains(leaks), "{place} {value}: {said}");
        }
    }
}

#[test]
fn what_is_repeated_is_short_and_on_one_line() {
    for place in PLACES {
        let long = format!("\"a\\n\\e[31m{}\"", "b".repeat(5000));
        let plain = "b".repeat(5000);
        let quotes = place.contains("'@") || place.contains("@'");
        let said = said(&place.replace('@', if quotes { &plain } else { &long }));
        for line in said.lines() {
            assert!(line.starts_with("c.yaml") && line.chars().count() < 900, "{place}: {line}");
        }
        assert!(!said.contains('\u{1b}'), "{place}: {said}");
    }
}
