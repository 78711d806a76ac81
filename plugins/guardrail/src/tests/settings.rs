//! Tests valid and invalid settings.

use crate::Guardrail;
use plugin_api::testing::Tester;
use serde_json::{Value, json};

#[test]
fn settings_that_cannot_work_are_refused_with_rule_and_remedy() {
    let cases = [
        (json!({}), "missing field `rules`"),
        (json!({"rules": []}), "expected 1 to 64 rules, found 0"),
        (json!({"rules": vec![json!({"pattern": "x", "action": "mask"}); 65]}), "found 65"),
        (json!({"rules": [{"action": "mask"}]}), "rule `rule 1`: expected a `pattern` or"),
        (json!({"rules": [{"action": "mask", "pattern": "x", "preset": "email"}]}), "found both"),
        (json!({"rules": [{"action": "mask", "preset": "phone"}]}), "unknown variant `phone`"),
        (json!({"rules": [{"action": "hide", "preset": "email"}]}), "unknown variant `hide`"),
        (
            json!({"rules": [{"name": "n", "action": "mask", "pattern": "a("}]}),
            "rule `n`: expected a regular expression: unclosed group at character 2",
        ),
        (
            json!({"rules": [{"name": "n", "action": "mask", "pattern": "(?=a)b"}]}),
            "rule `n`: expected a regular expression: look-around",
        ),
        (json!({"rules": [{"action": "mask", "pattern": "a*"}]}), "matches empty text"),
        (
            json!({"rules": [{"action": "mask", "pattern": "a+"}]}),
            "found one without a bound; bound its repetitions",
        ),
        (
            json!({"rules": [{"action": "mask", "pattern": "a{257}"}]}),
            "found one of up to 257 bytes",
        ),
        (json!({"rules": [{"action": "mask", "pattern": "ab"}], "hold_back": 1}), "(1) bytes"),
        (
            json!({"rules": [{"action": "mask", "pattern": "x"}], "hold_back": 0}),
            "`hold_back` from 1 to 65536",
        ),
        (
            json!({"rules": [{"action": "mask", "pattern": "(?:\\w{50}){50}\\w{50}", "on": ["prompt"]}]}),
            "compiles to at most",
        ),
        (json!({"rules": [{"action": "mask", "pattern": "x", "on": []}]}), "remove it for both"),
        (
            json!({"rules": [{"action": "mask", "pattern": "x", "status": 400}]}),
            "`status` is for `action: deny`",
        ),
        (
            json!({"rules": [{"action": "deny", "pattern": "x", "replacement": ""}]}),
            "`replacement` is for `action: mask`",
        ),
        (
            json!({"rules": [{"action": "deny", "pattern": "x", "status": 200}]}),
            "from 400 to 599, found 200",
        ),
        (json!({"rules": [{"action": "deny", "pattern": "x", "onn": 1}]}), "unknown field `onn`"),
    ];
    for (settings, expected) in cases {
        let error = Tester::of::<Guardrail>(settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

#[test]
fn patterns_for_prompts_alone_need_no_bound_and_long_ones_are_no_trouble() {
    let long = "x".repeat(60_000);
    for settings in [
        json!({"rules": [{"action": "mask", "pattern": "secret: .*", "on": ["prompt"]}]}),
        json!({"rules": [{"action": "mask", "pattern": "a{1,9000}"}], "hold_back": 65536}),
        json!({"rules": [{"action": "mask", "pattern": &long[..5_000]}], "hold_back": 65536}),
    ] {
        let made = Tester::of::<Guardrail>(settings);
        assert!(made.is_ok(), "{:?}", made.err());
    }
    let settings = json!({"rules": [{"action": "mask", "pattern": long}], "hold_back": 65536});
    // Both outcomes are fine, but the stack must not overflow.
    if let Err(error) = Tester::of::<Guardrail>(settings) {
        assert!(error.to_string().contains("compiles to at most"), "{error}");
    }
}

#[test]
fn the_schema_is_json() {
    let schema = include_str!("../../settings.schema.json");
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap()["type"], "object");
}
