//! The schema against configs, and against the readers.

use super::json_schema;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn schema() -> Value {
    let rate_limit = json!({
        "type": "object",
        "properties": {"limits": {"type": "array", "items": {"$ref": "#/$defs/limit"}}},
        "additionalProperties": false,
        "$defs": {"limit": {"type": "object", "required": ["per"]}},
    });
    json_schema(&BTreeMap::from([("rate_limit".to_owned(), rate_limit)]))
}

/// What the schema says against a config, with its path.
fn complaints(config: &Value) -> Vec<String> {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(config).map(|error| error.instance_path().to_string()).collect()
}

#[test]
fn configs_that_start_fit() {
    for text in [
        include_str!("../../../../config.yaml"),
        include_str!("../../../../tests/fixtures/seed/config.yaml"),
        include_str!("../../../../tests/fixtures/seed/config.langsmith.yaml"),
        include_str!("../../../../tests/fixtures/litellm/reliability.yaml"),
        include_str!("../../../../tests/fixtures/litellm/logging.yaml"),
        include_str!("../../../../tests/fixtures/litellm/providers.yaml"),
    ] {
        let config: Value = serde_yaml::from_str(text).unwrap();
        assert_eq!(complaints(&config), [""; 0], "{text}");
    }
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let callback = |entry: Value| json!({"litellm_settings": {"callbacks": [entry]}});
    let limit = |limit: Value| json!({"name": "rate_limit", "settings": {"limits": [limit]}});
    for (config, path) in [
        (json!({"modle_list": []}), ""),
        (json!({"model_list": [{"model_name": "a"}]}), "/model_list/0"),
        (json!({"general_settings": {"mastr_key": "x"}}), "/general_settings"),
        (json!({"callgate": {"limits": {"body_timeot": 1}}}), "/callgate/limits"),
        (json!({"callgate": {"keys": [{"nme": "a"}]}}), "/callgate/keys/0"),
        (callback(json!({"name": "a", "onyl": {}})), "/litellm_settings/callbacks"),
        (callback(json!({"name": "a", "only": {"modles": []}})), "/litellm_settings/callbacks"),
        (callback(limit(json!({}))), "/litellm_settings/callbacks"),
        (
            json!({"callback_settings": {"rate_limit": {"limit": 1}}}),
            "/callback_settings/rate_limit",
        ),
    ] {
        assert_eq!(complaints(&config), [path], "{config}");
    }
    for good in [
        callback(limit(json!({"per": "1m"}))),
        callback(json!("rate_limit")),
        json!({"litellm_settings": {"callbacks": "langsmith"}}),
        json!({"model_list": [{"model_name": "a", "litellm_params": {"model": "b", "own": 1}}]}),
    ] {
        assert_eq!(complaints(&good), [""; 0], "{good}");
    }
}

#[test]
fn a_key_says_what_becomes_of_it() {
    let schema = schema();
    let general = &schema["properties"]["general_settings"];
    assert_eq!(general["properties"]["master_key"], json!({"description": "honoured"}));
    let database = &general["properties"]["database_url"]["deprecationMessage"];
    assert!(database.as_str().unwrap().starts_with("not supported: there is no database"));
    let patterns = &general["patternProperties"];
    assert!(patterns["^maximum_spend_logs_"]["description"].is_string(), "{patterns}");
}
