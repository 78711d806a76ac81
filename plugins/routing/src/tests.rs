//! Tests the destinations of names under various settings, through the same tables as those of a
//! loaded plugin.

use crate::Routing;
use plugin_api::testing::{Outcome, TestCall, Tester, conformance};
use serde_json::{Value, json};

/// Returns the provider and upstream model of a call.
#[track_caller]
fn routed(settings: &Value, call: TestCall) -> (Option<String>, Option<String>) {
    let tester = Tester::of::<Routing>(settings.clone()).unwrap();
    let mut call = call;
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    let route = call.route();
    assert_eq!((route.api_base, route.api_key), (None, None));
    (route.provider.map(str::to_owned), route.model.map(str::to_owned))
}

fn to(provider: &str, model: &str) -> (Option<String>, Option<String>) {
    (Some(provider.to_owned()), Some(model.to_owned()))
}

const UNCHANGED: (Option<String>, Option<String>) = (None, None);

#[test]
fn by_default_unlisted_groq_and_openai_names_get_their_default_model() {
    let cases = [
        ("groq-unknown", to("groq", "llama-3.3-70b-versatile")),
        ("groq-", to("groq", "llama-3.3-70b-versatile")),
        ("groq-openai-x", to("groq", "llama-3.3-70b-versatile")),
        ("openai-new", to("openai", "gpt-4o-mini")),
        ("openai-groq-x", to("openai", "gpt-4o-mini")),
        ("groq", UNCHANGED),
        ("Groq-x", UNCHANGED),
        ("my-groq-x", UNCHANGED),
        ("gemma3", UNCHANGED),
        ("", UNCHANGED),
    ];
    for (name, expected) in cases {
        assert_eq!(routed(&json!({}), TestCall::chat(name)), expected, "{name}");
    }
}

#[test]
fn a_listed_name_is_left_as_the_config_says() {
    for (name, provider) in [("groq-llama", "groq"), ("openai-x", "ollama"), ("gemma3", "ollama")] {
        let call = TestCall::chat(name).provider(provider);
        assert_eq!(routed(&json!({"otherwise": {"provider": "openai"}}), call), UNCHANGED);
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let settings = json!({
        "rules": [
            {"exact": "groq-special", "provider": "ollama", "model": "gemma3:4b"},
            {"suffix": ":cloud", "provider": "openai"},
            {"prefix": "groq-", "provider": "groq", "model": "m", "always": true},
        ],
        "otherwise": {"provider": "ollama"},
    });
    let cases = [
        (TestCall::chat("groq-special"), to("ollama", "gemma3:4b")),
        (TestCall::chat("groq-x:cloud"), to("openai", "groq-x:cloud")),
        (TestCall::chat("groq-x"), to("groq", "m")),
        (TestCall::chat("groq-x").provider("openai"), to("groq", "m")),
        (TestCall::chat("groq-special").provider("openai"), to("groq", "m")),
        (TestCall::chat("rnj-1:latest"), to("ollama", "rnj-1:latest")),
        (TestCall::chat("rnj-1").provider("groq"), UNCHANGED),
    ];
    for (call, expected) in cases {
        let name = call.model().to_owned();
        assert_eq!(routed(&settings, call), expected, "{name}");
    }
}

#[test]
fn an_earlier_callbacks_route_is_kept() {
    let earlier = || TestCall::chat("groq-x").deployment("groq-x", "openai", "gpt-4o");
    assert_eq!(routed(&json!({}), earlier()), UNCHANGED);
}

#[test]
fn settings_that_cannot_be_followed_are_refused_with_a_remedy() {
    let cases = [
        (json!({"rules": [{"provider": "groq"}]}), "rules[0]: expected one of"),
        (
            json!({"rules": [
                {"prefix": "a", "provider": "groq"},
                {"prefix": "a", "suffix": "b", "provider": "groq"},
            ]}),
            "rules[1]: expected one of `exact`, `prefix`, `suffix`, found several",
        ),
        (json!({"rules": [{"prefix": "", "provider": "groq"}]}), "rules[0]: expected a text"),
        (json!({"rules": [{"prefix": "a", "provider": ""}]}), "rules[0]: expected a text"),
        (json!({"rules": [{"prefix": "a"}]}), "missing field `provider`"),
        (json!({"otherwise": {"provider": "x", "model": ""}}), "otherwise: expected a text"),
        (json!({"rule": []}), "unknown field `rule`"),
        (json!({"otherwise": {"provider": "x", "always": true}}), "unknown field `always`"),
        (json!([]), "settings: "),
    ];
    for (settings, expected) in cases {
        let error = Tester::of::<Routing>(settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

#[test]
fn a_provider_the_gateway_lacks_is_a_refusal_that_names_it() {
    let settings = json!({"rules": [{"prefix": "x", "provider": "grok"}]});
    let tester = Tester::of::<Routing>(settings).unwrap();
    let outcome = tester.start(&mut TestCall::chat("x").unknown_provider("grok"));
    let Outcome::Reject(refusal) = outcome else { panic!("{outcome:?}") };
    assert_eq!((refusal.status, refusal.code.as_deref()), (503, Some("unknown_provider")));
    assert!(refusal.message.contains("`grok`"), "{}", refusal.message);
}

#[test]
fn conforms_and_exports_the_hooks_it_has() {
    for settings in [json!({}), json!({"otherwise": {"provider": "ollama"}})] {
        assert_eq!(conformance::check::<Routing>(&settings).unwrap(), ["on_llm_start"]);
    }
}

#[test]
fn the_schema_is_json() {
    let schema = include_str!("../settings.schema.json");
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap()["type"], "object");
}
