//! What 1.1 added to the gateway's services for callbacks.

use crate::callbacks::services::{called, entry, said, setup, step};
use callgate_tests::{
    Answer, Endpoint, Gateway, ScriptedUpstream, build,
    config::{openai, with_callbacks},
    upstream,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

/// A gateway whose callback runs these steps of the newer services at the start of each call.
async fn running(steps: &[Value]) -> Gateway {
    let upstream = upstream(Answer::default()).await;
    let steps: Vec<_> = steps.iter().map(|step| json!({"newer": step})).collect();
    let entry = entry("all_services", json!({"on_llm_start": steps}), json!({}));
    let gateway = setup(&upstream, entry).start().await;
    called(&gateway).await;
    gateway
}

#[tokio::test]
async fn numbers_have_a_time_and_are_listed_and_removed() {
    let add = |name: &str| json!({"add_for": {"name": name, "live_ms": 3_600_000}});
    let gateway = running(&[
        add("spent/bob"),
        json!({"remove": "spent/eve"}),
        add("spent/ann"),
        add("other"),
        json!({"numbers": "spent/"}),
    ])
    .await;
    assert_eq!(step(&gateway, "add_for").await, "ok: 1");
    assert_eq!(step(&gateway, "remove").await, "ok: 0");
    assert_eq!(step(&gateway, "numbers").await, "ok: spent/ann=1 spent/bob=1");
}

#[tokio::test]
async fn a_store_evicts_what_may_go() {
    let gateway = running(&[
        json!({"kv_set_evicting": {"key": "k", "value": "v"}}),
        json!({"kv_keys": ""}),
        json!("flood_evicting"),
    ])
    .await;
    assert_eq!(step(&gateway, "kv_set_evicting").await, "ok: ");
    assert_eq!(step(&gateway, "kv_keys").await, "ok: k");
    let left = step(&gateway, "flood_evicting").await;
    // 16 MiB have room for 167 values of 100 KB; a sixteenth of them goes at once.
    assert!(("ok: e133"..="ok: e143").contains(&left.as_str()), "{left}");
}

#[tokio::test]
async fn labels_are_escaped_and_bounded_in_the_metrics() {
    let gateway = running(&[
        json!({"count_with": {"name": "n_total", "labels": {"team": "a\"b\n", "x": "y"}}}),
        json!({"count_with": {"name": "n_total", "labels": {"callback": "y"}}}),
        json!("flood_series"),
    ])
    .await;
    assert_eq!(step(&gateway, "flood_series").await, "ok: ");
    let log = gateway.log().text();
    assert!(log.contains("expected 1 to 4 different labels of `n_total`"), "{log}");
    let metrics = gateway.client().get("/metrics").await.expect_status(200);
    let line =
        r#"callgate_plugin_all_services_n_total{callback="all_services",team="a\"b\n",x="y"} 1"#;
    assert!(metrics.text().lines().any(|found| found == line), "{}", metrics.text());
    let series = |line: &&str| line.starts_with("callgate_plugin_all_services_series{");
    assert_eq!(metrics.text().lines().filter(series).count(), 201);
    assert!(metrics.text().contains(r#"callback="all_services",index="other"} 1"#));
}

#[tokio::test]
async fn more_requests_than_run_at_once_wait_for_their_turn() {
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|_, _| Some((200, "there".to_owned()))).await;
    let http = json!({"http": {"url": other.url(), "timeout_ms": 60_000}});
    let settings = json!({"on_llm_start": vec![http; 200]});
    let entry = entry("all_services", settings, json!({"http_hosts": ["127.0.0.1"]}));
    let gateway = setup(&upstream, entry).start().await;
    called(&gateway).await;
    gateway.log().times(r#""message":"http""#, 200).await;
    assert_eq!(gateway.log().text().matches("200 there").count(), 200);
}

#[tokio::test]
async fn tasks_end_when_the_shutdown_begins() {
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|_, _| Some((200, String::new()))).await;
    let bye = json!({"http": {"url": format!("{}/bye", other.url())}});
    let settings = json!({"on_llm_start": [{"at_shutdown": [bye]}]});
    let entry = entry("all_services", settings, json!({"http_hosts": ["127.0.0.1"]}));
    let gateway = setup(&upstream, entry).start().await;
    called(&gateway).await;
    assert!(other.taken().is_empty());
    let log = gateway.stop().await;
    assert!(!log.contains("are aborted"), "{log}");
    assert_eq!(other.taken().iter().filter(|it| it.line == "POST /bye").count(), 1);
}

#[tokio::test]
async fn a_callback_refuses_to_start_without_what_it_needs() {
    let upstream = upstream(Answer::default()).await;
    let grants = json!({"http_hosts": ["a.example"], "secrets": ["GRANTED_KEY"]});
    for (settings, expected) in [
        (json!({"needs_url": "https://a.example/x", "needs_variable": "GRANTED_KEY"}), None),
        (json!({"needs_url": "https://b.example/x"}), Some("add it to `grants.http_hosts`")),
        (
            json!({"needs_variable": "OTHER_KEY"}),
            Some("expected `OTHER_KEY` to be granted and set"),
        ),
    ] {
        let entry = entry("all_services", settings, grants.clone());
        let setup = setup(&upstream, entry).env("GRANTED_KEY", "x-1").env("OTHER_KEY", "x-2");
        let checked = setup.check().await;
        let said = [checked.stdout, checked.stderr].concat();
        assert_eq!(checked.status.success(), expected.is_none(), "{said}");
        assert!(said.contains(expected.unwrap_or_default()), "{said}");
    }
}

/// Two models, a wildcard, and one callback that runs these steps at the start of each call.
fn listing_models(upstream: &ScriptedUpstream, settings: Value) -> Value {
    let mut wildcard = openai(upstream);
    wildcard["model_name"] = json!("mine/*");
    wildcard["litellm_params"]["model"] = json!("openai/*");
    let other = json!({"name": "all_services_async", "path": build::plugin("all_services")});
    let mut second = entry("all_services", settings, json!({}));
    second["instance"] = json!("second one");
    with_callbacks(&[openai(upstream), wildcard], &json!([other, second]))
}

#[tokio::test]
async fn a_callback_knows_its_entry_and_the_models() {
    let upstream = upstream(Answer::default()).await;
    let steps = json!([
        {"newer": "entry"}, {"newer": "models"}, {"newer": {"has_model": "mine/x"}},
    ]);
    let config = listing_models(&upstream, json!({"on_llm_start": steps}));
    let gateway = Gateway::with_config(config).start().await;
    called(&gateway).await;
    assert_eq!(step(&gateway, "entry").await, "ok: all_services second one Some(1)");
    assert_eq!(step(&gateway, "models").await, "ok: gpt mine/*");
    assert_eq!(step(&gateway, "has_model").await, "ok: true");
}

#[tokio::test]
async fn a_misspelt_model_fails_at_check() {
    let upstream = upstream(Answer::default()).await;
    for (model, served) in [("gpt", true), ("mine/any", true), ("gtp", false)] {
        let config = listing_models(&upstream, json!({"needs_model": model}));
        let checked = Gateway::with_config(config).check().await;
        let said = [checked.stdout, checked.stderr].concat();
        assert_eq!(checked.status.success(), served, "{model}: {said}");
        let refusal = "expected one of gpt, mine/*, found `gtp`";
        assert_eq!(said.contains(refusal), !served, "{model}: {said}");
    }
}

#[tokio::test]
async fn a_reload_that_keeps_the_instance_shows_it_the_new_models_and_its_new_place() {
    let upstream = upstream(Answer::default()).await;
    let steps = json!([{"newer": "entry"}, {"newer": "models"}, {"newer": {"has_model": "later"}}]);
    let mut config = listing_models(&upstream, json!({"on_llm_start": steps}));
    let gateway = Gateway::with_config(&config).start().await;
    called(&gateway).await;
    assert_eq!(step(&gateway, "has_model").await, "ok: false");
    let mut later = openai(&upstream);
    later["model_name"] = json!("later");
    config["model_list"].as_array_mut().unwrap().push(later);
    config["litellm_settings"]["callbacks"].as_array_mut().unwrap().remove(0);
    fs::write(gateway.folder().join("config.yaml"), config.to_string()).unwrap();
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("reloaded: ").await;
    called(&gateway).await;
    for (name, expected) in [
        ("entry", "ok: all_services second one Some(0)"),
        ("models", "ok: gpt later mine/*"),
        ("has_model", "ok: true"),
    ] {
        gateway.log().times(&format!(r#""message":"{name}""#), 2).await;
        let lines = gateway.log().lines();
        let last = lines.iter().rfind(|line| line.message() == name).map(said);
        assert_eq!(last.as_deref(), Some(expected));
    }
    assert_eq!(gateway.log().text().matches("callback loaded from").count(), 2);
}

#[tokio::test]
async fn state_survives_a_restart_in_a_folder_of_the_entry() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("made/here");
    let settings = json!({"on_llm_start": [{"newer": "append_state"}]});
    let mut config = listing_models(&upstream, settings);
    config["callgate"] = json!({"state_dir": state});
    let checked = Gateway::with_config(&config).check().await;
    assert!(checked.status.success() && !state.exists(), "a check leaves nothing");
    for expected in ["ok: 1", "ok: 2"] {
        let gateway = Gateway::with_config(&config).start().await;
        called(&gateway).await;
        assert_eq!(step(&gateway, "append_state").await, expected);
        gateway.stop().await;
    }
    let own = state.join("second%20one");
    assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_to_string(own.join("state")).unwrap(), "xx");
    assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "the other entry never asked");
}

#[tokio::test]
async fn without_a_private_folder_there_is_no_state_and_one_warning() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let settings = json!({"on_llm_start": [{"newer": "append_state"}, {"newer": "append_state"}]});
    let mut config = listing_models(&upstream, settings);
    config["callgate"] = json!({"state_dir": folder.path()});
    let gateway = Gateway::with_config(&config).start().await;
    called(&gateway).await;
    assert!(step(&gateway, "append_state").await.starts_with("not supported"));
    let log = gateway.stop().await;
    assert_eq!(log.matches("the callback gets no folder for its state").count(), 1, "{log}");
    assert!(log.contains("set `callgate.state_dir`"), "{log}");
}
