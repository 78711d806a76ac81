//! Several keys: who may call what, until when, and what the log, limits and callbacks know of the
//! caller.

use crate::callbacks::faulty::{recorded, recorder, seen, with};
use callgate_tests::{
    Answer, Client, Gateway, MASTER_KEY, Raw, build,
    config::{config, every_dialect, openai, with_callbacks},
    raw::status,
    upstream,
};
use serde_json::{Value, json};
use std::{fs, process::Command};

const ANN: &str = "sk-ann-4f9c2a7be01d53";
const BOB: &str = "sk-bob-90ab12cd34ef56";
const OPS: &str = "sk-ops-77ab02cc19e4f0";

/// The SHA-256 of [`BOB`].
const BOB_HASHED: &str = "77eb3df4e6d659345da8bdafa5e5a92c834eb96bbf953faa577c9c0958f86a09";

fn keys() -> Value {
    json!([
        {"name": "ann", "key": "os.environ/ANN_KEY", "alias": "Ann", "user": "ann@example.com",
         "team": "blue", "tags": ["ci", "night"], "metadata": {"site": "Ulm"}},
        {"name": "bob", "sha256": BOB_HASHED, "models": ["gp*"]},
        {"name": "ops", "key": OPS, "scopes": ["metrics"]},
    ])
}

fn holder(gateway: &Gateway, key: &str) -> Client {
    Client::new(gateway.address(), key)
}

#[tokio::test]
async fn each_key_calls_under_its_own_name_and_no_other_key_does() {
    let upstream = upstream(Answer::default()).await;
    for master in [true, false] {
        let mut config = config(&every_dialect(&upstream));
        config["callgate"] = json!({"keys": keys()});
        if !master {
            config.as_object_mut().unwrap().remove("general_settings");
        }
        let setup = Gateway::with_config(config).env("ANN_KEY", ANN);
        // Keys protect, so any address may be served.
        let gateway = setup.arg("--host").arg("0.0.0.0").start().await;
        for (key, id) in [(ANN, "ann"), (BOB, "bob")] {
            let call = holder(&gateway, key).chat("gpt").header("x-litellm-call-id", id);
            let _ = call.send().await.expect_status(200);
            let line = gateway.log().containing(&format!("\"call.id\":\"{id}\"")).await;
            assert_eq!(line.field("key.id"), id);
        }
        let asked = upstream.requests().len();
        for wrong in ["sk-eve-4f9c2a7be01d53", BOB_HASHED, "ann", &ANN[..ANN.len() - 1]] {
            let reply = holder(&gateway, wrong).chat("gpt").send().await.expect_status(401);
            assert_eq!(reply.error()["type"], "auth_error");
        }
        let _ = gateway.client().without_key().chat("gpt").send().await.expect_status(401);
        let by_master = holder(&gateway, MASTER_KEY).chat("gpt").send().await;
        let _ = by_master.expect_status(if master { 200 } else { 401 });
        assert_eq!(upstream.requests().len(), asked + usize::from(master));
        let log = gateway.stop().await;
        assert!(!log.contains(ANN) && !log.contains(OPS), "{log}");
    }
}

#[tokio::test]
async fn a_key_with_models_sees_and_calls_those_alone() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&every_dialect(&upstream));
    config["callgate"] = json!({"keys": keys()});
    let gateway = Gateway::with_config(config).env("ANN_KEY", ANN).start().await;
    let listed = |reply: Value| -> Vec<String> {
        let models = reply["data"].as_array().unwrap().iter();
        models.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    };
    let (ann, bob) = (holder(&gateway, ANN), holder(&gateway, BOB));
    assert_eq!(listed(ann.get("/v1/models").await.json()), ["gpt", "llama", "gemma"]);
    assert_eq!(listed(bob.get("/v1/models").await.json()), ["gpt"]);
    let _ = bob.get("/v1/models/gpt").await.expect_status(200);
    let _ = bob.get("/v1/models/llama").await.expect_status(404);
    let _ = bob.chat("gpt").send().await.expect_status(200);
    for model in ["llama", "gemma", "openai/gpt-4o-mini-2", "unknown"] {
        let error = bob.chat(model).send().await.expect_status(403).error();
        let wanted = json!({
            "message": format!("key not allowed to access model. This key can only access \
                                models=gp*. Tried to access {model}"),
            "type": "key_model_access_denied",
            "param": "model",
            "code": "key_model_access_denied",
        });
        assert_eq!(error, wanted);
    }
    let in_path = bob.chat("gpt").path("/openai/deployments/llama/chat/completions");
    let _ = in_path.send().await.expect_status(403);
    assert_eq!(upstream.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn scopes_say_who_reads_reports_and_who_reloads() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["litellm_settings"] = json!({"require_auth_for_metrics_endpoint": true});
    let mut keys = keys();
    let admin = json!({"name": "admin", "key": BOB, "scopes": ["admin"]});
    keys.as_array_mut().unwrap()[1] = admin;
    config["callgate"] = json!({"keys": keys});
    let gateway = Gateway::with_config(config).env("ANN_KEY", ANN).start().await;
    let paths = [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/metrics"),
        ("GET", "/callbacks"),
        ("GET", "/active/callbacks"),
        ("GET", "/admin/reload"),
        ("POST", "/admin/reload"),
    ];
    for (key, allowed) in [
        (MASTER_KEY, [true; 7]),
        (ANN, [true, true, false, false, false, false, false]),
        (OPS, [false, false, true, true, true, false, false]),
        (BOB, [false, false, true, true, true, true, true]),
    ] {
        for ((method, path), allowed) in paths.into_iter().zip(allowed) {
            let body = json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]});
            let reply = holder(&gateway, key).request(method, path).json(body).send().await;
            let reply = reply.expect_status(if allowed { 200 } else { 403 });
            if !allowed {
                assert_eq!(reply.error()["code"], "missing_scope", "{key} {method} {path}");
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_expired_key_is_refused_and_reported() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"keys": [
        {"name": "past", "key": ANN, "expires": "2020-01-31T18:00:00Z"},
        {"name": "future", "key": BOB, "expires": "2999-01-31"},
    ]});
    let gateway = Gateway::with_config(config).start().await;
    gateway.log().containing("callgate.keys[0].expires: this key has expired").await;
    let error = holder(&gateway, ANN).chat("gpt").send().await.expect_status(401).error();
    assert_eq!((&error["type"], &error["code"]), (&json!("expired_key"), &json!("expired_key")));
    let _ = holder(&gateway, ANN).get("/v1/models").await.expect_status(401);
    let _ = holder(&gateway, BOB).chat("gpt").send().await.expect_status(200);
    assert_eq!(upstream.requests().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_reload_takes_keys_away_and_adds_them_on_open_connections() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    let with_key = |name: &str, key: &str| json!({"keys": [{"name": name, "key": key}]});
    config["callgate"] = with_key("ann", ANN);
    let gateway = Gateway::with_config(&config).start().await;
    let mut open = Raw::connect(gateway.address()).await;
    let ask = async |open: &mut Raw, key: &str, end: &str| {
        let head = format!("Host: gateway\r\nAuthorization: Bearer {key}\r\n\r\n");
        open.send(format!("GET /v1/models HTTP/1.1\r\n{head}")).await;
        status(&open.read_until(end).await)
    };
    const LIST: &str = "\"object\":\"list\"}";
    assert_eq!(ask(&mut open, ANN, LIST).await, 200);
    assert_eq!(ask(&mut open, BOB, "}}").await, 401);
    config["callgate"] = with_key("bob", BOB);
    fs::write(gateway.folder().join("config.yaml"), config.to_string()).unwrap();
    let reloaded = gateway.client().request("POST", "/admin/reload").send().await;
    let reloaded = reloaded.expect_status(200).text();
    assert!(reloaded.contains("\"applied\":true"), "{reloaded}");
    assert!(!reloaded.contains(ANN) && !reloaded.contains(BOB), "{reloaded}");
    assert_eq!(ask(&mut open, BOB, LIST).await, 200);
    assert_eq!(ask(&mut open, ANN, "}}").await, 401);
    let _ = holder(&gateway, ANN).chat("gpt").send().await.expect_status(401);
    let _ = holder(&gateway, BOB).chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}

#[tokio::test]
async fn callbacks_know_the_caller_and_are_for_some_callers() {
    let upstream = upstream(Answer::default()).await;
    let facts = ["alias", "user", "team", "tags", "metadata", "metadata.site"]
        .map(|name| format!("callgate.caller.{name}"));
    let told = with(recorder("told"), "settings", json!({"label": "told", "metadata": facts}));
    let only = with(recorder("bobs"), "only", json!({"keys": ["bob"]}));
    let mut config = with_callbacks(&[openai(&upstream)], &json!([told, only]));
    config["callgate"] = json!({"keys": keys()});
    let gateway = Gateway::with_config(config).env("ANN_KEY", ANN).start().await;
    for (key, id) in [(ANN, "ann"), (BOB, "bob"), (MASTER_KEY, "master_key")] {
        let call = holder(&gateway, key).chat("gpt").header("x-litellm-call-id", id);
        let _ = call.send().await.expect_status(200);
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for (id, wanted) in [
        (
            "ann",
            ["Ann", "ann@example.com", "blue", r#"["ci","night"]"#, r#"{"site":"Ulm"}"#, "Ulm"],
        ),
        ("bob", [""; 6]),
        ("master_key", [""; 6]),
    ] {
        let lines = recorded(&log, id);
        let of = |label: &str| lines.iter().filter(|it| seen(it, "label") == label).count();
        assert_eq!((of("told"), of("bobs")), (2, if id == "bob" { 2 } else { 0 }), "{id}");
        for line in lines.iter().filter(|it| seen(it, "label") == "told") {
            assert_eq!(seen(line, "key"), id);
            let found = facts.each_ref().map(|fact| seen(line, &format!("metadata.{fact}")));
            assert_eq!(found, wanted, "{id}");
        }
    }
}

#[tokio::test]
async fn rate_limits_count_each_key() {
    let upstream = upstream(Answer::default()).await;
    let mut config = with_callbacks(&[openai(&upstream)], &json!(["rate_limit"]));
    let limits = json!([{"key": "*", "each": true, "requests": 1, "per": "1m"}]);
    config["callback_settings"] = json!({"rate_limit": {"limits": limits}});
    config["callgate"] = json!({"keys": keys()});
    let gateway = Gateway::with_config(config).env("ANN_KEY", ANN).start().await;
    for key in [ANN, BOB] {
        for status in [200, 429] {
            let _ = holder(&gateway, key).chat("gpt").send().await.expect_status(status);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_new_key_works_as_printed() {
    let program = build::binary();
    let printed = Command::new(program).args(["key", "new", "--name", "carol"]).output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8(printed.stdout).unwrap();
    let key = printed.lines().find(|line| line.starts_with("sk-")).unwrap();
    assert_eq!(key.len(), 3 + 64, "{printed}");
    let lines: Vec<_> = printed.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(lines.len() == 2 && !lines.concat().contains(key), "{printed}");
    let upstream = upstream(Answer::default()).await;
    let models = json!([openai(&upstream)]);
    let yaml = format!("model_list: {models}\ncallgate:\n  keys:\n{}\n", lines.join("\n"));
    let gateway = Gateway::with_config(yaml).start().await;
    let _ = holder(&gateway, key).chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}
