//! `plugin check`: a plugin that passes can be loaded and passes the suite; whatever a plugin does,
//! the tool survives and names the step.

use super::{file, so};
use callgate_tests::{build, gateway::Ended, tool};
use serde_json::{Value, json};
use std::fs;
use tempfile::tempdir;

/// Runs a check of `faulty` with these settings.
async fn faulty(settings: &Value, more: &[&str]) -> Ended {
    let folder = tempdir().unwrap();
    let settings = settings.to_string();
    let plugin = so("faulty");
    let arguments = ["check", &plugin, "--callback", "faulty", "--settings", &settings, "--json"];
    tool::plugin(folder.path(), &[&arguments, more].concat()).await
}

fn failed(report: &Value) -> Vec<(&str, &str)> {
    let steps = report["steps"].as_array().unwrap().iter();
    let failed = steps.filter(|step| step["outcome"] == "failed");
    let text = |value: &'_ Value| value.as_str().map_or("", |text| text).to_owned();
    failed
        .map(|step| {
            let (name, why) = (text(&step["name"]), text(&step["failure"]));
            (&*name.leak(), &*why.leak())
        })
        .collect()
}

#[tokio::test]
async fn the_shipped_plugins_pass_in_every_form() {
    let folder = tempdir().unwrap();
    for name in ["routing", "rate_limit"] {
        let arguments = ["check", &so(name), "--junit", "junit.xml", "--json"];
        let checked = tool::plugin(folder.path(), &arguments).await;
        assert_eq!(checked.code(), 0, "{}{}", checked.stdout, checked.stderr);
        let report = checked.json();
        assert_eq!(report["passed"], true);
        let steps = report["steps"].as_array().unwrap();
        assert!(steps.len() >= 15 && steps.iter().all(|step| step["outcome"] == "passed"));
        let junit = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
        assert!(
            junit.contains("failures=\"0\"") && junit.contains("64 threads at once"),
            "{junit}"
        );
        assert_eq!(junit.matches("<testcase").count(), steps.len());
    }
    let people = tool::plugin(folder.path(), &["check", &so("routing")]).await;
    assert!(people.stdout.contains("  ok       64 threads at once"), "{}", people.stdout);
    assert!(people.stdout.contains("\npassed: "), "{}", people.stdout);
}

#[tokio::test]
async fn a_crash_an_exit_and_a_hang_are_failed_steps() {
    for (settings, step, why) in [
        (json!({"new": ["abort"]}), "make an instance", "crashed the process with SIGABRT"),
        (json!({"new": [{"exit": 0}]}), "make an instance", "ended the process"),
        (json!({"on_llm_start": ["segfault"]}), "hooks as listed", "SIGSEGV"),
        (json!({"on_llm_end": [{"exit": 0}]}), "hooks as listed", "ended the process"),
        (json!({"on_llm_start": ["overflow_stack"]}), "hooks as listed", "crashed the process"),
        (json!({"at_chunk": 3, "on_llm_new_token": ["abort"]}), "an empty body", "SIGABRT"),
        (
            json!({"only_model": "モデル-🦀\u{0}\u{7f}", "on_llm_start": ["abort"]}),
            "unicode",
            "SIGABRT",
        ),
    ] {
        let checked = faulty(&settings, &[]).await;
        assert_eq!(checked.code(), 1, "{settings}: {}", checked.stderr);
        let report = checked.json();
        let failed = failed(&report);
        assert_eq!(failed.len(), 1, "{settings}: {report:#}");
        assert!(failed[0].0 == step && failed[0].1.contains(why), "{settings}: {failed:?}");
        let last = report["steps"].as_array().unwrap().last().unwrap();
        assert_eq!(last["outcome"], "not_run", "{settings}");
    }
    let checked = faulty(&json!({"new": [{"sleep_ms": 600_000}]}), &["--step-timeout", "3"]).await;
    let report = checked.json();
    let failed = failed(&report);
    assert!(failed[0].0 == "make an instance" && failed[0].1.contains("within 3 s"), "{failed:?}");
}

#[tokio::test]
async fn what_a_callback_may_not_do_is_a_failed_step() {
    for (settings, why) in [
        (json!({"on_llm_start": [{"panic": "boom"}]}), "`on_llm_start` failed: panicked"),
        (json!({"on_llm_end": [{"reject": {"status": 200}}]}), "rejected with status 200"),
        (json!({"on_llm_start": [{"answer_json": "[1"}]}), "other than a JSON object"),
        (json!({"on_llm_error": [{"answer_text": "x"}]}), "only `on_llm_start` may"),
        (json!({"unmade": [1]}), "instance 1 is not to be made"),
    ] {
        let checked = faulty(&settings, &[]).await;
        assert_eq!(checked.code(), 1, "{settings}");
        let report = checked.json();
        let failed = failed(&report);
        assert!(failed.iter().any(|(_, found)| found.contains(why)), "{settings}: {failed:?}");
    }
}

#[tokio::test]
async fn nothing_that_cannot_be_loaded_passes() {
    let folder = tempdir().unwrap();
    let whole = fs::read(build::plugin("routing")).unwrap();
    let mut unlinkable = whole.clone();
    let (from, to) = (b"\0pthread_key_create\0", b"\0pthread_key_crea7e\0");
    while let Some(at) = unlinkable.windows(from.len()).position(|window| window == from) {
        unlinkable[at..at + to.len()].copy_from_slice(to);
    }
    for (name, bytes, step) in [
        ("text.so", b"hello".to_vec(), "inspect the file"),
        ("cut.so", whole[..whole.len() - 1].to_vec(), "inspect the file"),
        ("unlinkable.so", unlinkable, "load"),
    ] {
        let path = file(folder.path(), name, bytes).display().to_string();
        let checked = tool::plugin(folder.path(), &["check", &path, "--json"]).await;
        assert_eq!(checked.code(), 1, "{name}");
        let report = checked.json();
        assert_eq!((failed(&report)[0].0, &report["passed"]), (step, &json!(false)), "{name}");
    }
}

#[tokio::test]
async fn a_list_that_lies_fails_and_the_honest_ones_beside_it_pass() {
    let folder = tempdir().unwrap();
    let checked = tool::plugin(folder.path(), &["check", &so("faulty"), "--json"]).await;
    assert_eq!(checked.code(), 1);
    let report = checked.json();
    let steps = report["steps"].as_array().unwrap().iter();
    let failed: Vec<_> = steps.filter(|step| step["outcome"] != "passed").collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (&failed[0]["callback"], &failed[0]["name"]),
        (&json!("liar"), &json!("hooks as listed"))
    );
}

#[tokio::test]
async fn settings_are_judged_by_the_schema_and_misuse_has_its_own_status() {
    let folder = tempdir().unwrap();
    let settings = r#"{"rules": [{"prefix": "a"}]}"#;
    let wrong = ["check", &so("routing"), "--settings", settings, "--json"];
    let checked = tool::plugin(folder.path(), &wrong).await;
    assert_eq!(checked.code(), 1);
    let report = checked.json();
    assert_eq!(failed(&report)[0].0, "settings");
    assert!(failed(&report)[0].1.contains("settings.rules[0]"), "{report:#}");
    file(folder.path(), "s.json", r#"{"rules": []}"#);
    let from_file = ["check", &so("routing"), "--settings", "@s.json"];
    assert_eq!(tool::plugin(folder.path(), &from_file).await.code(), 0);
    for misuse in [
        &["check", &so("routing"), "--settings", "[]"][..],
        &["check", &so("routing"), "--settings", "@nowhere"],
        &["check", &so("routing"), "--callback", "other"],
        &["check", &so("faulty"), "--settings", "{}"],
        &["check"],
    ] {
        let ended = tool::plugin(folder.path(), misuse).await;
        assert_eq!((ended.code(), &*ended.stdout), (2, ""), "{misuse:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("error: "), "{misuse:?}: {}", ended.stderr);
    }
}
