//! Reloads of a running gateway: how one is asked for, what takes effect and what is kept, and what
//! happens when something is wrong. `tests/soak/reloads.rs` reloads hundreds of times under load.
//!
//! `ways` asks in each way, `kept` has what survives, `refused` what is wrong with configs and
//! files, `hangs` plugins that do not return, `activation` sockets of a service manager.

mod activation;
mod hangs;
mod kept;
mod refused;
mod ways;

use callgate_tests::{
    Client, Gateway, Reply, build,
    config::{deployment, with_callbacks},
    gateway::{Ended, Setup},
    tool,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A config with one model at `base` and these callbacks, whose gateway `callgate reload` can find.
fn config(base: &str, callbacks: &Value) -> Value {
    let mut config = with_callbacks(&[deployment("gpt", "openai/gpt-4o-mini", base)], callbacks);
    config["callgate"] = json!({"cache_dir": "cache"});
    config
}

/// The same without a model.
fn modest(callbacks: &Value) -> Value {
    let mut config = config("http://127.0.0.1:9/v1", callbacks);
    config["model_list"] = json!([]);
    config
}

/// A gateway that finds no plugins but those that the config names by their paths.
fn setup(config: &Value) -> Setup {
    Gateway::with_config(config).plugin_dir(None)
}

async fn post(gateway: &Gateway) -> Reply {
    post_by(&gateway.client(), "/admin/reload").await
}

async fn post_by(client: &Client, path: &str) -> Reply {
    client.request("POST", path).send().await
}

/// Replaces the config and reloads; fails unless it takes effect.
async fn apply(gateway: &Gateway, config: &Value) -> Value {
    gateway.write("config.yaml", config);
    post(gateway).await.expect_status(200).json()
}

/// Replaces the config and reloads; fails unless it is refused. Returns the problems.
async fn refuse(gateway: &Gateway, config: &str) -> String {
    gateway.write("config.yaml", config);
    refusal(gateway).await
}

/// Reloads; fails unless that is refused.
async fn refusal(gateway: &Gateway) -> String {
    let report = post(gateway).await.expect_status(422).json();
    assert_eq!((&report["applied"], &report["changes"]), (&json!(false), &json!([])), "{report}");
    texts(&report["problems"]).join("\n")
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|it| it.as_str().expect("a text")).collect()
}

/// `callgate reload` beside the gateway's config.
async fn tool(gateway: &Gateway, more: &[&str]) -> Ended {
    let config = gateway.folder().join("config.yaml");
    let config = config.to_str().expect("a path");
    tool::callgate(gateway.folder(), &[&["reload", "--config", config], more].concat()).await
}

/// A sample of `/metrics`.
async fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.client().get("/metrics").await.expect_status(200).text();
    let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    sample.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// The names of the callbacks, in order, as `/callbacks` lists those that run.
async fn running(gateway: &Gateway) -> Vec<String> {
    let report = gateway.client().get("/callbacks").await.expect_status(200).json();
    let all = report.as_array().expect("a list").iter();
    let live = all.filter(|it| it["status"] == "enabled");
    live.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
}

/// A copy of the plugin `name` whose bytes, and thus whose hash, are its own.
fn build_of(name: &str, folder: &Path, number: u8) -> PathBuf {
    let file = folder.join(format!("lib{name}.so"));
    put_build(name, &file, number);
    file
}

/// Puts another such copy in the place of `file`, at once.
fn put_build(name: &str, file: &Path, number: u8) {
    let mut bytes = std::fs::read(build::plugin(name)).expect("a plugin");
    bytes.push(number);
    let new = file.with_extension("part");
    std::fs::write(&new, bytes).expect("the test's folder is writable");
    std::fs::rename(new, file).expect("the test's folder is writable");
}
