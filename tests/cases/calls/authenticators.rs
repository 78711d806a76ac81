//! Callbacks with `on_auth`: they say who may call, and what the log, limits and other callbacks
//! know of the caller.

use crate::callbacks::faulty::{recorded, recorder, report, seen, with};
use callgate_tests::{
    Answer, Client, Gateway, MASTER_KEY, Raw, Reply, ScriptedUpstream, build,
    config::{every_dialect, openai, with_callbacks},
    gateway::Setup,
    raw::status,
    upstream,
};
use serde_json::{Value, json};
use std::fs;

const LISTED: &str = "sk-bob-90ab12cd34ef56";

fn gatekeeper(name: &str, settings: impl Into<Value>) -> Value {
    json!({"name": name, "path": build::plugin("gatekeeper"), "settings": settings.into()})
}

/// Knows Ann, by the token `tok-ann`, for a minute.
fn knows_ann() -> Value {
    json!({"tokens": {"tok-ann": {"caller": {
        "key_id": "ann@blue", "alias": "Ann", "user": "ann@example.com", "team": "blue",
        "tags": ["ci", "night"], "metadata": {"site": "Ulm"}, "models": ["GPT", "lla*"],
        "keep_for_ms": 60_000,
    }}}})
}

fn config(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Value {
    let mut config = with_callbacks(&every_dialect(upstream), &json!(callbacks));
    config["callgate"] = json!({"keys": [{"name": "bob", "key": LISTED}]});
    config
}

fn holder(gateway: &Gateway, key: &str) -> Client {
    Client::new(gateway.address(), key)
}

/// How often `on_auth` of the callback at `place` ran.
async fn runs(gateway: &Gateway, place: usize) -> Value {
    report(gateway).await[place]["hooks"]["on_auth"]["calls"].clone()
}

#[tokio::test]
async fn the_caller_is_known_to_the_log_to_limits_and_to_callbacks() {
    let upstream = upstream(Answer::default()).await;
    let facts = ["alias", "user", "team", "tags", "metadata", "metadata.site"]
        .map(|name| format!("callgate.caller.{name}"));
    let told = with(recorder("told"), "settings", json!({"label": "told", "metadata": facts}));
    let limits = json!({"limits": [{"key": "*", "each": true, "requests": 2, "per": "1m"}]});
    for name in ["gatekeeper", "gatekeeper_async"] {
        let limit = json!({"name": "rate_limit", "settings": limits});
        let callbacks = [gatekeeper(name, knows_ann()), told.clone(), limit];
        let gateway = Gateway::with_config(config(&upstream, &callbacks)).start().await;
        let ann = holder(&gateway, "tok-ann");
        for status in [200, 200, 429] {
            let call = ann.chat("gpt").header("x-litellm-call-id", &format!("ann-{status}"));
            let _ = call.send().await.expect_status(status);
        }
        let _ = holder(&gateway, LISTED).chat("gemma").send().await.expect_status(200);
        let models = ann.get("/v1/models").await.expect_status(200).json();
        let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
        assert_eq!(ids, ["gpt", "llama"]);
        let refused = ann.chat("gemma").send().await.expect_status(403).error();
        assert_eq!(refused["type"], "key_model_access_denied");
        let refused = ann.get("/callbacks").await.expect_status(403).error();
        assert_eq!(refused["code"], "missing_scope");
        let line = gateway.log().containing("\"path\":\"/callbacks\"").await;
        assert_eq!(line.field("key.id"), "ann@blue");
        let line = gateway.log().containing("\"call.id\":\"ann-200\"").await;
        assert_eq!(line.field("key.id"), "ann@blue");
        // Ann once by each input: the async one also declares method and path.
        let ann_runs = if name == "gatekeeper" { 1 } else { 3 };
        assert_eq!(runs(&gateway, 0).await, ann_runs + 1, "{name}");
        let log = gateway.log().clone();
        gateway.stop().await;
        let line = &recorded(&log, "ann-200")[0];
        let found = facts.each_ref().map(|fact| seen(line, &format!("metadata.{fact}")));
        let wanted =
            ["Ann", "ann@example.com", "blue", r#"["ci","night"]"#, r#"{"site":"Ulm"}"#, "Ulm"];
        assert_eq!(
            (seen(line, "key"), found.each_ref().map(|it| &**it)),
            ("ann@blue".into(), wanted)
        );
    }
}

#[tokio::test]
async fn the_first_that_does_not_pass_decides_and_then_the_keys_of_the_config() {
    let upstream = upstream(Answer::default()).await;
    let first = gatekeeper("gatekeeper", knows_ann());
    let settings = json!({
        "tokens": {
            "tok-ann": {"caller": {"key_id": "not-asked"}},
            "tok-ops": {"caller": {"key_id": "ops", "scopes": ["metrics"]}},
            "tok-old": {"refuse": [403, 60_000]},
            "tok-now": {"refuse": [401, 0]},
        },
    });
    let second = with(gatekeeper("gatekeeper", settings), "instance", json!("second"));
    let gateway = Gateway::with_config(config(&upstream, &[first, second])).start().await;
    let by = async |key: &str| holder(&gateway, key).get("/v1/models").await;
    let _ = by("tok-ann").await.expect_status(200);
    assert_eq!(runs(&gateway, 1).await, 0);
    for (token, status, kept) in [("tok-old", 403, true), ("tok-now", 401, false)] {
        let before = runs(&gateway, 1).await.as_u64().unwrap();
        for _ in 0..3 {
            let reply = by(token).await.expect_status(status);
            let wanted = json!({"message": "the gatekeeper says no", "type": "auth_error",
                                "param": null, "code": "not_known"});
            let error = reply.error();
            assert_eq!((&error["message"], &error["code"]), (&wanted["message"], &wanted["code"]));
        }
        let ran = runs(&gateway, 1).await.as_u64().unwrap() - before;
        assert_eq!(ran, if kept { 1 } else { 3 }, "{token}");
    }
    let ops = holder(&gateway, "tok-ops");
    let _ = ops.get("/callbacks").await.expect_status(200);
    let _ = ops.chat("gpt").send().await.expect_status(403);
    let _ = by(LISTED).await.expect_status(200);
    let _ = by(MASTER_KEY).await.expect_status(200);
    for wrong in ["tok-eve", "tok-an", "ann@blue"] {
        let _ = by(wrong).await.expect_status(401);
    }
    let _ = gateway.client().without_key().get("/v1/models").await.expect_status(401);
    let _ = gateway.client().without_key().get("/health/liveliness").await.expect_status(200);
    assert!(upstream.requests().is_empty());
    let told = report(&gateway).await;
    assert_eq!(told[1]["hooks"]["on_auth"]["rejections"], 4, "{}", told[1]);
    gateway.stop().await;
}

#[tokio::test]
async fn the_master_key_works_in_any_place_and_no_callback_sees_it() {
    let upstream = upstream(Answer::default()).await;
    let refuses = json!({"otherwise": {"refuse": [401, 0]}});
    let gateway = Gateway::with_config(config(&upstream, &[gatekeeper("gatekeeper", refuses)]));
    let gateway = gateway.start().await;
    let master = format!("Bearer {MASTER_KEY}");
    for headers in [
        vec![("Authorization", &*master)],
        vec![("Authorization", "Bearer other"), ("x-api-key", MASTER_KEY)],
        vec![("x-litellm-api-key", "other"), ("Authorization", &master)],
        vec![("Authorization", "Bearer other"), ("Authorization", &master)],
    ] {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut raw = Raw::connect(gateway.address()).await;
        let head =
            format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        raw.send(head).await;
        assert_eq!(status(&raw.read_to_end().await), 200, "{headers:?}");
    }
    assert_eq!(runs(&gateway, 0).await, 0);
    let log = gateway.stop().await;
    assert!(!log.contains(MASTER_KEY) && !log.contains("asked"), "{log}");
}

#[tokio::test]
async fn two_tokens_are_not_one_of_them() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&upstream, &[gatekeeper("gatekeeper", knows_ann())]));
    let gateway = gateway.start().await;
    for (lines, wanted, runs_so_far) in [
        ("Authorization: Bearer tok-ann\r\n", 200, 1),
        ("Authorization: Bearer tok-eve\r\nAuthorization: Bearer tok-ann\r\n", 401, 2),
        ("Authorization: Bearer tok-eve\r\nx-tenant: Bearer tok-ann\r\n", 401, 3),
        ("x-other: 1\r\nauthorization: Bearer tok-ann\r\n", 200, 3),
        ("Authorization: Bearer tok-ann\r\nx-tenant: blue\r\n", 200, 4),
    ] {
        let mut raw = Raw::connect(gateway.address()).await;
        let head =
            format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        raw.send(head).await;
        assert_eq!(status(&raw.read_to_end().await), wanted, "{lines}");
        assert_eq!(runs(&gateway, 0).await, runs_so_far, "{lines}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn whatever_fails_refuses_whatever_on_error_says() {
    let upstream = upstream(Answer::default()).await;
    let tokens = json!({"tokens": {
        "tok-fail-secret": "fail",
        "tok-panic": "panic",
        "tok-never": "never",
        "tok-block": "block",
        "tok-shown": {"caller": {"key_id": "a\nb"}},
        "tok-long": {"caller": {"key_id": "a", "tags": ["x".repeat(300)]}},
        "tok-master": {"caller": {"key_id": "master_key"}},
        "tok-ann": {"caller": {"key_id": "ann"}},
    }});
    for (name, mode, late) in [
        ("gatekeeper", "inline", None),
        ("gatekeeper_async", "inline", Some("tok-never")),
        ("gatekeeper", "blocking", Some("tok-block")),
    ] {
        for on_error in ["fail", "ignore", "disable"] {
            let mut entry = gatekeeper(name, tokens.clone());
            entry["on_error"] = json!(on_error);
            if late.is_some() {
                entry["timeout"] = json!("20ms");
            }
            if mode == "blocking" {
                entry["mode"] = json!(mode);
            }
            let gateway = Gateway::with_config(config(&upstream, &[entry])).start().await;
            let wrong = ["tok-fail-secret", "tok-shown", "tok-long", "tok-master", "tok-panic"];
            for token in wrong.into_iter().chain(late) {
                let reply = holder(&gateway, token).chat("gpt").send().await.expect_status(503);
                let error = reply.error();
                assert_eq!(error["code"], "callback_failed", "{name} {mode} {token}");
                let message = error["message"].as_str().unwrap();
                assert!(!message.contains("tok-") && !message.contains("oops"), "{message}");
            }
            let _ = holder(&gateway, "tok-ann").chat("gpt").send().await.expect_status(200);
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
            let told = &report(&gateway).await[0];
            assert_eq!(told["faults"], 5 + u64::from(late.is_some()), "{told}");
            let log = gateway.stop().await;
            let faults: Vec<_> =
                log.lines().filter(|it| it.contains("failed in on_auth")).collect();
            assert!(!faults.is_empty() && !faults.concat().contains("tok-fail-secret"), "{log}");
        }
    }
    assert_eq!(upstream.requests().len(), 18);
}

#[tokio::test]
async fn wrong_tokens_do_not_displace_right_ones() {
    let upstream = upstream(Answer::default()).await;
    let mut settings = knows_ann();
    settings["otherwise"] = json!({"refuse": [401, 60_000]});
    let gateway = Gateway::with_config(config(&upstream, &[gatekeeper("gatekeeper", settings)]));
    let gateway = gateway.start().await;
    let ann = holder(&gateway, "tok-ann");
    let _ = ann.get("/v1/models").await.expect_status(200);
    for wrong in 0..200 {
        let eve = holder(&gateway, &format!("tok-{wrong}"));
        let _ = eve.get("/v1/models").await.expect_status(401);
    }
    let _ = ann.get("/v1/models").await.expect_status(200);
    assert_eq!(runs(&gateway, 0).await, 201);
    gateway.stop().await;
}

async fn reload(gateway: &Gateway, config: &Value) -> Reply {
    fs::write(gateway.folder().join("config.yaml"), config.to_string()).unwrap();
    gateway.client().request("POST", "/admin/reload").send().await
}

#[tokio::test]
async fn a_new_instance_knows_nobody_and_a_reload_without_changes_keeps_what_is_known() {
    let upstream = upstream(Answer::default()).await;
    let mut settings = knows_ann();
    let entry = |settings: &Value| [gatekeeper("gatekeeper", settings.clone())];
    let gateway = Gateway::with_config(config(&upstream, &entry(&settings))).start().await;
    let ann = holder(&gateway, "tok-ann");
    let _ = ann.get("/v1/models").await.expect_status(200);
    let _ = reload(&gateway, &config(&upstream, &entry(&settings))).await.expect_status(200);
    let _ = ann.get("/v1/models").await.expect_status(200);
    assert_eq!(runs(&gateway, 0).await, 1);
    settings["tokens"]["tok-ann"] = json!({"refuse": [401, 0]});
    let _ = reload(&gateway, &config(&upstream, &entry(&settings))).await.expect_status(200);
    let _ = ann.get("/v1/models").await.expect_status(401);
    assert_eq!(runs(&gateway, 0).await, 2);
    gateway.stop().await;
}

/// The exit code of `check`, and all that it says.
async fn checked(setup: Setup) -> (Option<i32>, String) {
    let ended = setup.check().await;
    (ended.status.code(), format!("{}{}", ended.stdout, ended.stderr))
}

#[tokio::test]
async fn custom_auth_names_a_callback_and_then_nobody_needs_a_master_key() {
    let upstream = upstream(Answer::default()).await;
    let entry = gatekeeper("gatekeeper", knows_ann());
    let mut config = with_callbacks(&[openai(&upstream)], &json!([entry]));
    let setup = |config: &Value| Gateway::with_config(config).arg("--host").arg("0.0.0.0");
    config["general_settings"] = json!({"custom_auth": "gatekeeper"});
    let gateway = setup(&config).start().await;
    let _ = holder(&gateway, "tok-ann").chat("gpt").send().await.expect_status(200);
    let nobody = gateway.client().without_key();
    for path in ["/v1/models", "/callbacks", "/admin/reload"] {
        let _ = nobody.get(path).await.expect_status(401);
        let _ = holder(&gateway, "sk-wrong").get(path).await.expect_status(401);
    }
    let log = gateway.stop().await;
    assert!(!log.contains("there is no master key"), "{log}");

    config["general_settings"] = json!({"custom_auth": "gatekeepers"});
    let said = checked(setup(&config)).await.1;
    assert!(said.contains("`custom_auth` protects"), "{said}");
    config["general_settings"] = json!({"custom_auth": "told"});
    config["litellm_settings"]["callbacks"] = json!([recorder("told")]);
    let said = checked(setup(&config)).await.1;
    assert!(said.contains("it runs no `on_auth`"), "{said}");
    config["general_settings"] = json!({});
    config["litellm_settings"]["callbacks"] = json!([gatekeeper("gatekeeper", json!({}))]);
    let said = checked(Gateway::with_config(&config)).await.1;
    assert!(said.contains("`general_settings.custom_auth` does not name it"), "{said}");
}

#[tokio::test]
async fn nothing_lets_requests_pass_an_authenticator() {
    let upstream = upstream(Answer::default()).await;
    for (key, value) in [
        ("mode", json!("shadow")),
        ("only", json!({"models": ["gpt"]})),
        ("except", json!({"keys": ["bob"]})),
        ("canary", json!("10%")),
        ("skippable_by", json!(["x-skip"])),
        ("required", json!(false)),
    ] {
        let entry = with(gatekeeper("gatekeeper", knows_ann()), key, value);
        let (code, said) = checked(Gateway::with_config(config(&upstream, &[entry]))).await;
        assert_eq!(code, Some(1), "{key}: {said}");
        assert!(said.contains("would let requests pass"), "{key}: {said}");
    }
    let half = gatekeeper("half_gatekeeper", json!({}));
    let ended = Gateway::with_config(config(&upstream, &[half])).refused().await;
    assert!(ended.stderr.contains("expected the hook `on_auth`"), "{}", ended.stderr);
}
