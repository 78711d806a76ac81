//! Callbacks with `on_list_models`: they say which models a caller sees.

use crate::callbacks::faulty::{report, with};
use callgate_tests::{
    Answer, Client, Gateway, MASTER_KEY, ScriptedUpstream, build,
    config::{every_dialect, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

const BLUE: &str = "sk-blue-90ab12cd34ef56";

fn lister(name: &str, settings: impl Into<Value>) -> Value {
    json!({"name": name, "path": build::plugin("gatekeeper"), "settings": settings.into()})
}

fn config(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Value {
    let mut config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    config["callgate"] = json!({"keys": [{"name": "blue-ci", "key": BLUE, "team": "blue"}]});
    config
}

async fn listed(gateway: &Gateway, key: &str) -> Value {
    let client = Client::new(gateway.address(), key);
    let models = client.get("/v1/models").await.expect_status(200).json();
    models["data"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect()
}

#[tokio::test]
async fn callers_see_what_callbacks_list_for_them_and_may_still_call_the_rest() {
    let upstream = upstream(Answer::default()).await;
    for name in ["lister", "lister_async"] {
        let only_gpt = lister(name, json!({"teams": {"blue": ["gpt"]}}));
        let adds = with(lister(name, json!({"add": ["own", "gpt"]})), "instance", json!("adds"));
        let gateway = Gateway::with_config(config(&upstream, &[only_gpt, adds])).start().await;
        let all = listed(&gateway, MASTER_KEY).await;
        assert_eq!(all.as_array().unwrap().last().unwrap(), "own", "{all}");
        assert_eq!(listed(&gateway, BLUE).await, json!(["gpt", "own"]));
        let blue = Client::new(gateway.address(), BLUE);
        for (model, status) in [("gpt", 200), ("own", 200), ("gemma", 404)] {
            let _ = blue.get(&format!("/v1/models/{model}")).await.expect_status(status);
        }
        let _ = blue.chat("gemma").send().await.expect_status(200);
        let told = report(&gateway).await;
        assert_eq!(told[0]["hooks"]["on_list_models"]["calls"], 5, "{told:?}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_listing_is_refused_or_fails_as_the_policy_says() {
    let upstream = upstream(Answer::default()).await;
    for (name, mode, then) in [
        ("lister", "inline", "reject"),
        ("lister", "inline", "fail"),
        ("lister", "inline", "panic"),
        ("lister", "blocking", "block"),
        ("lister", "shadow", "reject"),
        ("lister", "shadow", "fail"),
        ("lister_async", "inline", "panic"),
        ("lister_async", "inline", "never"),
    ] {
        for on_error in ["fail", "ignore", "disable"] {
            let mut entry = lister(name, json!({"add": ["own"], "then": then}));
            entry["on_error"] = json!(on_error);
            if mode != "inline" {
                entry["mode"] = json!(mode);
            }
            if matches!(then, "never" | "block") {
                entry["timeout"] = json!("20ms");
            }
            let gateway = Gateway::with_config(config(&upstream, &[entry])).start().await;
            let wanted = match (mode, then, on_error) {
                ("shadow", ..) => 200,
                (_, "reject", _) => 403,
                (_, _, "fail") => 503,
                _ => 200,
            };
            let what = format!("{name} {mode} {then} {on_error}");
            for path in ["/v1/models", "/v1/models/gpt"] {
                let reply = gateway.client().get(path).await.expect_status(wanted);
                if wanted == 503 {
                    assert_eq!(reply.error()["code"], "callback_failed", "{what}");
                }
                assert!(!reply.text().contains("\"own\""), "{what}: {}", reply.text());
            }
            // Calls are not concerned.
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
            gateway.stop().await;
        }
    }
}
