//! Settings checked against schemas: refusals, with location and remedy.

use super::check;
use crate::resolve::tests::entry;
use callgate_config::Problem;
use serde_json::{Value, json};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "limits": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["requests"],
                    "additionalProperties": false,
                    "properties": {
                        "provider": {"type": "string", "minLength": 1},
                        "requests": {"type": "integer", "minimum": 1},
                        "per": {"oneOf": [{"type": "string", "pattern": "^[0-9]+(ms|s|m|h)$"}, {"type": "number"}]},
                    },
                },
            },
            "action": {"enum": ["refuse", "wait"]},
            "api_key": {"type": "integer"},
        },
    })
}

/// `path: text; remedy`, without the file.
fn told(schema: &Value, settings: Value) -> Vec<String> {
    let tell = |problem: Problem| {
        let remedy = problem.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        format!("{}: {}{remedy}", problem.place.path, problem.text)
    };
    check(schema, &entry("x", settings)).into_iter().map(tell).collect()
}

#[test]
fn complaints_name_the_setting_and_both_sides() {
    let rows = [
        (json!({"limits": [{"requests": 90, "per": "60s"}], "action": "wait"}), ""),
        (json!({}), ""),
        (
            json!({"limits": [{"requests": "90"}]}),
            "s.limits[0].requests: expected a whole number, found text",
        ),
        (
            json!({"limits": [{"requests": 0}]}),
            "s.limits[0].requests: expected at least 1, found 0",
        ),
        (json!({"limits": [{}]}), "s.limits[0]: expected the setting `requests`, found none"),
        (json!({"limits": []}), "s.limits: expected at least 1 item, found none"),
        (json!({"limits": {}}), "s.limits: expected a list, found a mapping"),
        (
            json!({"limits": [{"requests": 1, "provider": ""}]}),
            "s.limits[0].provider: expected at least 1 character, found none",
        ),
        (json!({"action": "wat"}), r#"s.action: expected "refuse" or "wait", found another"#),
        (
            json!({"limit": []}),
            "s.limit: expected a setting of the plugin, found an unknown one; did you mean `limits`?",
        ),
        (
            json!({"limits": [{"requests": 1, "unknown": 1}]}),
            "s.limits[0].unknown: expected a setting of the plugin, found an unknown one; it has `provider`, `requests`, `per`",
        ),
        (
            json!({"limits": [{"requests": 1, "per": true}]}),
            "s.limits[0].per: expected text or a number, found true",
        ),
        (
            json!({"limits": [{"requests": 1, "per": "1 minute"}]}),
            "s.limits[0].per: expected text that matches `^[0-9]+(ms|s|m|h)$` or a number, found text",
        ),
        (
            json!({"a.b": 1}),
            "s[\"a.b\"]: expected a setting of the plugin, found an unknown one; it has `limits`, `action`, `api_key`",
        ),
    ];
    for (settings, expected) in rows {
        assert_eq!(told(&schema(), settings.clone()).join("\n"), expected, "{settings}");
    }
}

#[test]
fn all_complaints_are_reported_without_text() {
    let settings =
        json!({"api_key": "sk-private", "action": "sk-private", "limits": ["sk-private"]});
    let told = told(&schema(), settings);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(!told.concat().contains("private"), "{told:?}");
}

#[test]
fn a_schema_may_allow_more() {
    for open in [
        json!({"type": "object"}),
        json!({}),
        json!(true),
        json!({"properties": {}, "additionalProperties": true}),
        json!({"properties": {}, "patternProperties": {"^x": {"type": "integer"}}}),
    ] {
        assert_eq!(told(&open, json!({"x": 1})), Vec::<String>::new(), "{open}");
    }
    assert_eq!(told(&json!({"properties": {}}), json!({"x": 1})).len(), 1);
}

#[test]
fn a_broken_schema_is_the_authors_fault_and_no_panic() {
    for broken in [
        json!({"type": "no such type"}),
        json!({"properties": 1}),
        json!({"$ref": "https://example.invalid/schema.json"}),
        json!({"$ref": "#/nowhere"}),
        json!({"properties": {"x": {"pattern": "("}}}),
        json!(7),
    ] {
        let told = told(&broken, json!({"x": "y"}));
        assert_eq!(told.len(), 1, "{broken}");
        assert!(told[0].contains("broken settings schema"), "{told:?}");
    }
}
