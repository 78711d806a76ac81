//! The four ways to ask for a reload, and what each shows of it.

use super::{apply, metric, modest, post, post_by, refuse, running, setup};
use crate::callbacks::faulty::{entry, recorder};
use callgate_tests::{Gateway, config::deployment, tool, within};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::task::yield_now;

/// A config with these models.
fn with_models(names: &[&str]) -> Value {
    let mut config = modest(&json!([]));
    let model = |name: &&str| deployment(name, "openai/m", "http://127.0.0.1:9/v1");
    config["model_list"] = names.iter().map(model).collect();
    config
}

async fn models(gateway: &Gateway) -> Vec<String> {
    let list = gateway.client().get("/v1/models").await.expect_status(200).json();
    let all = list["data"].as_array().unwrap().iter();
    all.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_signal_a_request_and_the_command_reload() {
    let gateway = setup(&with_models(&["a"])).start().await;
    gateway.write("config.yaml", with_models(&["a", "b"]));
    assert_eq!(models(&gateway).await, ["a"], "nobody has asked");
    gateway.signal(Signal::SIGHUP);
    let line = gateway.log().containing("\"reloaded: 2 changes\"").await;
    assert_eq!(line.field("generation"), 2);
    assert_eq!(models(&gateway).await, ["a", "b"]);

    let report = apply(&gateway, &with_models(&["b"])).await;
    assert_eq!((&report["applied"], &report["generation"]), (&json!(true), &json!(3)));
    assert!(report["changes"].as_array().unwrap().contains(&json!("model_list: `[a, b]` → `[b]`")));
    assert_eq!(models(&gateway).await, ["b"]);

    gateway.write("config.yaml", with_models(&["c"]));
    let ended = super::tool(&gateway, &[]).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("model_list: `[b]` → `[c]`"), "{}", ended.stdout);
    assert!(ended.stdout.contains("serves config 4"), "{}", ended.stdout);
    assert_eq!(models(&gateway).await, ["c"]);
    let log = gateway.stop().await;
    for by in ["SIGHUP", "POST /admin/reload"] {
        assert!(log.contains(&format!("\"by\":\"{by}\"")), "{log}");
    }
}

#[tokio::test]
async fn a_changed_file_reloads_when_the_config_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = super::build_of("faulty", folder.path(), 1);
    let mut config = with_models(&["a"]);
    config["callgate"]["watch"] = json!(true);
    let mut callback = recorder("seen");
    callback["path"] = json!(file);
    config["litellm_settings"]["callbacks"] = json!([callback]);
    // As Kubernetes mounts a ConfigMap: a link to a link that is swapped.
    let setup = setup(&config).file("v1/config.yaml", &config.to_string());
    let config_path = setup.config_path();
    let folder = config_path.parent().unwrap();
    std::fs::remove_file(&config_path).unwrap();
    std::os::unix::fs::symlink("v1", folder.join("data")).unwrap();
    std::os::unix::fs::symlink("data/config.yaml", &config_path).unwrap();
    let gateway = setup.start().await;

    config["model_list"] = with_models(&["a", "b"])["model_list"].clone();
    std::fs::create_dir(gateway.folder().join("v2")).unwrap();
    std::fs::write(gateway.folder().join("v2/config.yaml"), config.to_string()).unwrap();
    std::os::unix::fs::symlink("v2", gateway.folder().join("data.new")).unwrap();
    std::fs::rename(gateway.folder().join("data.new"), gateway.folder().join("data")).unwrap();
    gateway.log().containing("\"generation\":2").await;
    assert_eq!(models(&gateway).await, ["a", "b"]);

    super::put_build("faulty", &file, 2);
    gateway.log().containing("its file changes").await;
    gateway.log().containing("\"generation\":3").await;

    gateway.write(".env", "A=1\n");
    gateway.log().containing("changed: variable `A`: changed").await;
    assert!(gateway.stop().await.contains("\"by\":\"callgate.watch\""));
}

#[tokio::test]
async fn only_the_holder_of_the_master_key_may_ask() {
    let gateway = setup(&modest(&json!([]))).start().await;
    for method in ["GET", "POST"] {
        let reply = gateway.client().without_key().request(method, "/admin/reload").send().await;
        let _ = reply.expect_status(401);
    }
    assert_eq!(metric(&gateway, "callgate_config_reloads_total{result=\"applied\"}").await, 0.0);
    let mut open = modest(&json!([]));
    open["general_settings"] = json!({});
    let gateway = setup(&open).start().await;
    let error = post(&gateway).await.expect_status(403).error();
    assert_eq!(error["code"], "no_master_key");
}

#[tokio::test]
async fn a_refused_config_stays_visible_until_one_takes_effect() {
    let gateway = setup(&with_models(&["a"])).start().await;
    assert_eq!(metric(&gateway, "callgate_config_last_reload_successful").await, 1.0);
    let bad = "model_list: [{model_name: x}]\nlitellm_settings: {callbacks: [nowhere]}\n\
               callgate: {cache_dir: cache, limits: {body_timeout: never}}";
    let said = refuse(&gateway, bad).await;
    for part in ["litellm_params", "nowhere", "body_timeout", "error: "] {
        assert!(said.contains(part), "everything that is wrong: {said}");
    }
    assert_eq!(models(&gateway).await, ["a"]);
    assert_eq!(metric(&gateway, "callgate_config_last_reload_successful").await, 0.0);
    assert_eq!(metric(&gateway, "callgate_config_generation").await, 1.0);
    let reply = gateway.client().get("/callbacks").await;
    assert_eq!(reply.header("x-callgate-last-reload"), "refused");
    let last = gateway.client().get("/admin/reload").await.expect_status(200).json();
    assert_eq!((&last["applied"], &last["generation"]), (&json!(false), &json!(1)), "{last}");
    let ended = super::tool(&gateway, &[]).await;
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("nowhere") && ended.stderr.contains("still serves config 1"));
    gateway.log().containing("not reloaded: 3 errors").await;

    apply(&gateway, &with_models(&["b"])).await;
    assert_eq!(metric(&gateway, "callgate_config_last_reload_successful").await, 1.0);
    let reply = gateway.client().get("/callbacks").await;
    assert_eq!(reply.header("x-callgate-last-reload"), "applied");
    assert_eq!(reply.header("x-callgate-config-generation"), "2");
    assert_eq!(metric(&gateway, "callgate_config_reloads_total{result=\"refused\"}").await, 2.0);
}

#[tokio::test]
async fn check_gives_the_same_verdict_beforehand_and_shows_the_difference() {
    let gateway = setup(&with_models(&["a"])).start().await;
    let path = gateway.folder().join("config.yaml");
    let check = async || {
        let config = path.to_str().unwrap();
        let line = ["check", "--against-running", "--config", config];
        tool::callgate(gateway.folder(), &line).await
    };
    let same = check().await;
    assert_eq!(same.code(), 0, "{}{}", same.stdout, same.stderr);
    assert!(same.stdout.contains("would change nothing"), "{}", same.stdout);
    let mut next = with_models(&["a", "b"]);
    next["model_list"][0]["litellm_params"]["api_key"] = json!("sk-rotated-0123456789abcdef");
    next["litellm_settings"]["callbacks"] = json!([recorder("seen")]);
    gateway.write("config.yaml", &next);
    let other = check().await;
    assert_eq!(other.code(), 0, "{}", other.stderr);
    for line in [
        "  model_list: `[a]` → `[a, b]`\n",
        "  model_list[a].litellm_params.api_key: changed\n",
        "  litellm_settings.callbacks: `[]` → `[seen]`\n",
    ] {
        assert!(other.stdout.contains(line), "{}", other.stdout);
    }
    assert!(!other.stdout.contains("sk-rotated"), "{}", other.stdout);
    let report = post(&gateway).await.expect_status(200).json();
    for change in super::texts(&report["changes"]) {
        assert!(other.stdout.contains(change), "check did not show: {change}");
    }
    gateway.write("config.yaml", "model_list: 1");
    let bad = check().await;
    assert_eq!(bad.code(), 1);
    assert!(super::refusal(&gateway).await.contains("model_list"), "{}", bad.stderr);
    gateway.write("config.yaml", &next);
    let config = gateway.folder().join("config.yaml");
    gateway.signal(Signal::SIGTERM);
    gateway.log().complete().await;
    let line = ["check", "--against-running", "--config", config.to_str().unwrap()];
    let alone = tool::callgate(gateway.folder(), &line).await;
    assert_eq!(alone.code(), 1);
    assert!(
        alone.stderr.contains("expected a gateway that serves this config"),
        "{}",
        alone.stderr
    );
}

#[tokio::test]
async fn what_needs_a_restart_is_reported() {
    let gateway = setup(&modest(&json!([]))).start().await;
    let mut next = modest(&json!([]));
    next["callgate"] = json!({"cache_dir": "elsewhere", "watch": true});
    next["environment_variables"] = json!({"NUM_WORKERS": "3"});
    let report = apply(&gateway, &next).await;
    let said = super::texts(&report["needs_restart"]).join("\n");
    for part in ["`callgate.cache_dir`", "`callgate.watch`"] {
        assert!(said.contains(part), "{said}");
    }
    gateway.log().containing("`callgate.watch` changes at the next start").await;
    let again = post(&gateway).await.expect_status(200).json();
    assert_eq!(again["changes"], json!([]));
    assert_eq!(again["needs_restart"], report["needs_restart"], "until there is a restart");
}

#[tokio::test]
async fn the_command_says_why_it_reloads_nothing() {
    let gateway = setup(&modest(&json!([]))).start().await;
    let config = gateway.folder().join("config.yaml").to_str().unwrap().to_owned();
    let elsewhere = gateway.folder().join("other.yaml").to_str().unwrap().to_owned();
    std::fs::copy(&config, &elsewhere).unwrap();
    for (more, sentence) in [
        (["--config", &*elsewhere].as_slice(), "expected a running gateway that serves"),
        (&["--config", &*config, "--pid", "1"], "expected a running gateway that serves"),
    ] {
        let ended = tool::callgate(gateway.folder(), &[&["reload"], more].concat()).await;
        assert_eq!(ended.code(), 1);
        assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
    }
    assert_eq!(metric(&gateway, "callgate_config_reloads_total{result=\"applied\"}").await, 0.0);
}

/// A reload that began before may have read the config before it was changed.
#[tokio::test]
async fn requests_during_a_reload_are_answered_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let gateway = setup(&modest(&json!([]))).start().await;
    let waiting = json!({"new": [{"log": "in the constructor"}, {"await_file": go}]});
    gateway.write("config.yaml", modest(&json!([entry("faulty", "slow", waiting.clone())])));
    let first = tokio::spawn(post_by_key(gateway.client()));
    gateway.log().containing("in the constructor").await;
    let slow = entry("faulty", "slow", waiting);
    gateway.write("config.yaml", modest(&json!([slow, recorder("more")])));
    let others: Vec<_> = (0..3).map(|_| tokio::spawn(post_by_key(gateway.client()))).collect();
    let tool = super::tool(&gateway, &[]);
    let meanwhile = async {
        // Each of them is in the line, and the command has sent its signal.
        while gateway.client().get("/admin/reload").await.json()["waiting"] != 5 {
            yield_now().await;
        }
        std::fs::write(&go, "").unwrap();
    };
    let (ended, ()) = within("both", async { tokio::join!(tool, meanwhile) }).await;
    assert_eq!(first.await.unwrap()["generation"], 2);
    for other in others {
        assert_eq!(other.await.unwrap()["generation"], 3);
    }
    assert!(ended.stdout.contains("serves config 3"), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(running(&gateway).await, ["slow", "more"]);
    assert_eq!(metric(&gateway, "callgate_config_reloads_total{result=\"applied\"}").await, 2.0);
}

async fn post_by_key(client: callgate_tests::Client) -> Value {
    post_by(&client, "/admin/reload").await.expect_status(200).json()
}

#[tokio::test]
async fn too_many_requests_are_turned_away() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let gateway = setup(&modest(&json!([]))).start().await;
    let waiting = json!({"new": [{"log": "in the constructor"}, {"await_file": go}]});
    gateway.write("config.yaml", modest(&json!([entry("faulty", "slow", waiting)])));
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("in the constructor").await;
    for _ in 0..64 {
        let reply = post_by(&gateway.client(), "/admin/reload?wait=0").await.expect_status(504);
        assert_eq!(reply.error()["code"], "reload_running");
    }
    let reply = post(&gateway).await.expect_status(503);
    assert_eq!(reply.error()["code"], "too_many_reloads");
    std::fs::write(&go, "").unwrap();
    gateway.log().containing("\"generation\":3").await;
    let applied = metric(&gateway, "callgate_config_reloads_total{result=\"applied\"}").await;
    assert_eq!(applied, 2.0, "all 64 by one");
}
