//! `plugin bench`: a time for every hook and size.

use super::so;
use callgate_tests::tool;
use serde_json::json;
use tempfile::tempdir;

#[tokio::test]
async fn every_hook_is_timed() {
    let folder = tempdir().unwrap();
    for name in ["recorder", "recorder_async"] {
        let arguments = ["bench", &so("faulty"), "--callback", name, "--time", "0.02", "--json"];
        let ended = tool::plugin(folder.path(), &arguments).await;
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        let json = ended.json();
        let timings = json["timings"].as_array().unwrap();
        let hooks: Vec<_> = timings.iter().map(|it| it["hook"].as_str().unwrap()).collect();
        let expected = [
            "on_llm_start",
            "on_llm_start",
            "on_llm_new_token",
            "on_llm_end",
            "on_llm_end",
            "on_llm_error",
        ];
        assert_eq!(hooks, expected, "{name}");
        assert!(
            timings.iter().all(|it| it["min_ns"].as_f64() > Some(0.0) && it["continued"] == 1.0)
        );
    }
    let people = tool::plugin(folder.path(), &["bench", &so("routing"), "--time", "0.01"]).await;
    assert!(people.stdout.contains("median ns"), "{}", people.stdout);
}

#[tokio::test]
async fn calls_that_wait_or_end_are_counted() {
    let folder = tempdir().unwrap();
    for (callback, settings, member) in [
        ("faulty_async", json!({"on_llm_start": ["never"]}), "waited"),
        ("faulty", json!({"on_llm_start": [{"reject": {"status": 429}}]}), "continued"),
    ] {
        let settings = settings.to_string();
        let arguments = [
            "bench",
            &so("faulty"),
            "--callback",
            callback,
            "--settings",
            &settings,
            "--time",
            "0.01",
            "--json",
        ];
        let json = tool::plugin(folder.path(), &arguments).await.json();
        let expected = if member == "waited" { 1.0 } else { 0.0 };
        assert_eq!(json["timings"][0][member], expected, "{json:#}");
    }
    let several = tool::plugin(folder.path(), &["bench", &so("faulty")]).await;
    assert_eq!(several.code(), 2, "{}", several.stderr);
    let none = tool::plugin(folder.path(), &["bench", "nowhere.so"]).await;
    assert_eq!(none.code(), 1, "{}", none.stderr);
}

#[tokio::test]
async fn later_hooks_are_timed_on_calls_whose_start_hook_ran() {
    let folder = tempdir().unwrap();
    // After the start hook the model has another name, so later hooks do nothing.
    let settings = json!({
        "only_model": "bench",
        "on_llm_start": [{"set_model": "big"}],
        "on_llm_new_token": [{"reject": {"status": 400}}],
        "on_llm_end": [{"reject": {"status": 400}}],
    })
    .to_string();
    let arguments = ["bench", &so("faulty"), "--callback", "faulty", "--settings", &settings];
    let arguments = [&arguments[..], &["--time", "0.01", "--json"]].concat();
    let json = tool::plugin(folder.path(), &arguments).await.json();
    let timings = json["timings"].as_array().unwrap();
    assert!(timings.iter().all(|it| it["continued"] == 1.0), "{json:#}");
}
