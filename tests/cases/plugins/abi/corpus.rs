//! Plugins of every released minor version, built from source now and built then, in this build's
//! gateway.

use super::{all_hooks_fire, building, marking, prebuilt, rebuilt};
use callgate_tests::{
    Answer, Endpoint, Gateway, build,
    config::{openai, with_callbacks},
    tool, upstream,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;

#[test]
fn what_is_frozen_is_never_edited() {
    let folder = build::repository().join("tests/abi");
    let listed = fs::read_to_string(folder.join("frozen.txt")).unwrap();
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let frozen = fs::read_dir(&folder).unwrap().map(|it| it.unwrap().file_name());
    let frozen = frozen.filter_map(|name| name.into_string().ok());
    for name in frozen.filter(|name| name.starts_with(|first: char| first.is_ascii_digit())) {
        let root = folder.join(&name);
        let mut hash = Sha256::new();
        for file in building::files(&root) {
            let content = fs::read(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_str().unwrap();
            hash.update(format!("{path} {}\n", content.len()));
            hash.update(content);
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let known = listed.iter().find(|(listed, _)| *listed == name).map(|(_, hash)| *hash);
        assert_eq!(
            known,
            Some(hash.as_str()),
            "`tests/abi/{name}` differs from what was frozen (`frozen.txt`): plugins that were released \
             cannot change any more, so neither can these; take the change back"
        );
    }
}

#[tokio::test]
async fn plugins_of_1_0_pass_every_check() {
    let folder = tempfile::tempdir().unwrap();
    for file in [prebuilt(), rebuilt()] {
        let checked = tool::plugin(folder.path(), &["check", &file.display().to_string()]).await;
        assert_eq!(checked.code(), 0, "{}{}", checked.stdout, checked.stderr);
    }
}

#[tokio::test]
async fn every_hook_of_1_0_fires_in_any_order_of_loading() {
    let (old, new) = (prebuilt(), rebuilt());
    let live =
        json!({"name": "routing", "path": build::plugin("routing"), "settings": {"rules": []}});
    let list = vec![
        marking(&old, "frozen_sync", "a"),
        marking(&new, "frozen_async", "b"),
        live,
        marking(&old, "frozen_async", "c"),
        marking(&new, "frozen_sync", "d"),
    ];
    for turn in 0..list.len() {
        let mut list = list.clone();
        list.rotate_left(turn);
        all_hooks_fire(&list).await;
    }
    all_hooks_fire(&list.into_iter().rev().collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn every_service_of_1_0_works() {
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|_, _| Some((201, "yes".to_owned()))).await;
    for file in [prebuilt(), rebuilt()] {
        let entry = json!({
            "name": "frozen_services", "path": file, "timeout": 60,
            "settings": {"url": other.url(), "secret": "GRANTED_KEY", "waits": 20_000},
            "grants": {"secrets": ["GRANTED_KEY"], "http_hosts": ["127.0.0.1"]},
        });
        let config = with_callbacks(&[openai(&upstream)], &json!([entry]));
        let gateway =
            Gateway::with_config(config).env("GRANTED_KEY", "sk-granted-by-name").start().await;
        let reply = gateway.client().chat("gpt").send().await.expect_status(200);
        assert_eq!(
            reply.json()["choices"][0]["message"]["content"],
            "clock ok, counters ok, kv ok, metrics ok, secrets ok, http ok, timer ok, task ok"
        );
        let metrics = gateway.client().get("/metrics").await.expect_status(200);
        let line = r#"callgate_plugin_frozen_services_asked_total{callback="frozen_services"} 1"#;
        assert!(metrics.text().lines().any(|found| found == line), "{}", metrics.text());
        let log = gateway.stop().await;
        assert!(log.contains("services are asked"), "{log}");
    }
}
