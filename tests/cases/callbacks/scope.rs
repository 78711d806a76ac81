//! `only`, `except` and `hooks`: a callback outside its scope gets no hook of the call, and hooks
//! that are not chosen never run.

use crate::callbacks::faulty::{all_hooks, faulty, hooks, recorder, refusal, report, with};
use callgate_tests::{
    Answer, Client, Gateway, MASTER_KEY,
    config::{every_dialect, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

#[tokio::test]
async fn outside_its_scope_no_hook_of_it_runs() {
    let upstream = upstream(Answer::default()).await;
    for (only, expected) in [
        (json!({"models": ["g*"]}), &["gpt", "gemma"][..]),
        (json!({"models": ["llama", "gemma"]}), &["llama", "gemma"]),
        (json!({"models": ["*"], "endpoints": ["embeddings"]}), &[]),
        (json!({"endpoints": ["chat", "messages"]}), &MODELS),
        (json!({"keys": ["master_*"]}), &MODELS),
        (json!({"keys": ["somebody", "anonymous"]}), &[]),
        (json!({"models": ["gpt"], "endpoints": ["chat"], "keys": ["*"]}), &["gpt"]),
    ] {
        let callbacks = json!([with(recorder("r"), "only", only.clone()), recorder("all")]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        for model in MODELS {
            for stream in [false, true] {
                let id = format!("{model}-{stream}");
                let request = gateway.client().chat(model).set("stream", stream);
                let _ = request.header("x-litellm-call-id", &id).send().await.expect_status(200);
            }
        }
        let skipped = report(&gateway).await[0]["hooks"]["on_llm_start"]["skipped"].clone();
        assert_eq!(skipped, 2 * (MODELS.len() - expected.len()), "{only}");
        let log = gateway.log().clone();
        gateway.stop().await;
        for model in MODELS {
            for stream in [false, true] {
                let ran = all_hooks(&log, &format!("{model}-{stream}"));
                let own = ran.iter().filter(|hook| hook.starts_with("r ")).count();
                let others = ran.iter().filter(|hook| hook.starts_with("all ")).count();
                let wanted = if expected.contains(&model) { others } else { 0 };
                assert_eq!(own, wanted, "{only}, {model}: {ran:?}");
                assert!(others >= 2, "{only}, {model}: {ran:?}");
            }
        }
    }
}

/// A call: its id, a key, headers, and members of the body.
type Sent = (&'static str, &'static str, &'static [(&'static str, &'static str)], Value);

/// The calls that keys, headers and tags distinguish.
fn calls() -> [Sent; 6] {
    [
        ("ann", "sk-ann-1f9c2a7be01d53aa", &[], json!({})),
        ("bob", "sk-bob-90ab12cd34ef56aa", &[], json!({})),
        ("gold", MASTER_KEY, &[("x-tier", "gold")], json!({})),
        ("skips", MASTER_KEY, &[("x-skip", "other, R")], json!({})),
        ("tagged", MASTER_KEY, &[("x-litellm-tags", "a, nightly")], json!({})),
        ("told", MASTER_KEY, &[], json!({"metadata": {"tags": ["nightly"]}})),
    ]
}

#[tokio::test]
async fn callers_tags_headers_and_paths_choose_calls_and_except_leaves_them_out() {
    let upstream = upstream(Answer::default()).await;
    for (keys, expected) in [
        (json!({"only": {"teams": ["blue"]}}), "ann"),
        (json!({"only": {"users": ["*@example.com"], "tags": ["ci"]}}), "ann"),
        (json!({"except": {"teams": ["blue"]}}), "bob gold skips tagged told"),
        (json!({"except": {"teams": ["blue"], "keys": ["bob"]}}), "ann bob gold skips tagged told"),
        (json!({"only": {"headers": {"X-Tier": ["silver", "g*"]}}}), "gold"),
        (json!({"only": {"request_tags": ["night*"]}}), "tagged told"),
        (json!({"only": {"tags": ["night*"]}}), ""),
        (json!({"only": {"paths": ["/v1/*"]}, "except": {"keys": ["master_key"]}}), "ann bob"),
        (json!({"except": {"paths": ["*"]}}), ""),
        (json!({"skippable_by": ["X-Skip", "x-tier"]}), "ann bob gold tagged told"),
    ] {
        let mut entry = recorder("r");
        entry.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let mut config = with_callbacks(&every_dialect(&upstream), &json!([entry]));
        config["callgate"] = json!({"keys": [
            {"name": "ann", "key": calls()[0].1, "user": "ann@example.com", "team": "blue",
             "tags": ["ci"]},
            {"name": "bob", "key": calls()[1].1},
        ]});
        let gateway = Gateway::with_config(config).start().await;
        for (id, key, headers, members) in calls() {
            let client = Client::new(gateway.address(), key);
            let mut call = client.chat("gpt").header("x-litellm-call-id", id);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            for (name, value) in members.as_object().unwrap() {
                call = call.set(name, value.clone());
            }
            let _ = call.send().await.expect_status(200);
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        let ran =
            calls().map(|(id, ..)| id).into_iter().filter(|id| !all_hooks(&log, id).is_empty());
        assert_eq!(ran.collect::<Vec<_>>().join(" "), expected, "{keys}");
    }
}

/// Clients choose the name they ask for: no alias of the config may bypass a guard.
#[tokio::test]
async fn an_alias_of_a_model_is_in_its_scope() {
    let upstream = upstream(Answer::default()).await;
    let guard = faulty("guard", json!({"on_llm_start": [refusal("no")]}));
    let callbacks = json!([with(guard, "only", json!({"models": ["gpt"]}))]);
    let mut config = with_callbacks(&every_dialect(&upstream), &callbacks);
    config["router_settings"] = json!({"model_group_alias": {"nick": "gpt"}});
    let gateway = Gateway::with_config(config).start().await;
    for (model, status) in [("gpt", 418), ("nick", 418), ("llama", 200)] {
        let _ = gateway.client().chat(model).send().await.expect_status(status);
    }
}

#[tokio::test]
async fn only_chosen_hooks_run() {
    let upstream = upstream(Answer::default()).await;
    for (chosen, expected) in [
        (json!(["on_llm_end"]), vec!["r on_llm_end"]),
        (json!(["on_llm_error"]), vec![]),
        (json!(["on_llm_end", "on_llm_start"]), vec!["r on_llm_start", "r on_llm_end"]),
    ] {
        let callbacks = json!([with(recorder("r"), "hooks", chosen)]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        let request = gateway.client().chat("gpt").header("x-litellm-call-id", "call-1");
        let _ = request.send().await.expect_status(200);
        let log = gateway.log().clone();
        gateway.stop().await;
        assert_eq!(hooks(&log, "call-1"), expected);
    }
}

#[tokio::test]
async fn impossible_scopes_are_reported_with_their_place() {
    for (key, value, place, text) in [
        ("hooks", json!(["on_llm_end"]), "hooks[0]", "expected the hook `on_llm_end`, found only"),
        ("hooks", json!(["on_llm_stat"]), "hooks[0]", "did you mean `on_llm_start`?"),
        ("hooks", json!([]), "hooks", "expected a hook at least, found none"),
        ("only", json!({"endpoints": ["chats"]}), "only.endpoints[0]", "did you mean `chat`?"),
        ("only", json!({"models": []}), "only.models", "expected at least one, found none"),
        ("only", json!([]), "only", "expected a mapping, found a list"),
        (
            "mode",
            json!("async"),
            "mode",
            "expected `inline`, `blocking` or `shadow`, found `async`",
        ),
        ("on_error", json!("x"), "on_error", "expected `fail`, `ignore` or `disable`, found `x`"),
        ("breaker", json!({"faults": 0}), "breaker.faults", "expected a number above 0, found 0"),
        ("breaker", json!({"open": "soon"}), "breaker.open", "expected seconds as a number"),
        ("breaker", json!("maybe"), "breaker", "expected true or false, found `maybe`"),
        ("timeout", json!(0), "timeout", "expected a duration above 0, found 0"),
    ] {
        let entry: Value = with(json!({"name": "routing"}), key, value);
        let refused = Gateway::with_config(with_callbacks(&[], &json!([entry]))).refused().await;
        let place = format!("litellm_settings.callbacks[0].{place}");
        for wanted in [place.as_str(), text] {
            assert!(refused.stderr.contains(wanted), "{wanted}: {}", refused.stderr);
        }
    }
}
