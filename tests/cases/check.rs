//! `callgate check`: the verdict of a start without the start.

use callgate_tests::config::{config, openai, with_callbacks};
use callgate_tests::{Answer, Gateway, MASTER_KEY, UPSTREAM_KEY, build, upstream};
use serde_json::json;

#[tokio::test]
async fn a_good_file_passes_without_touching_anything() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&[openai(&upstream)], &json!(["routing", "rate_limit"]));
    let ended = Gateway::with_config(config).check().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(upstream.journal().connections, 0);
    for secret in [MASTER_KEY, UPSTREAM_KEY] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
}

#[tokio::test]
async fn a_manifest_that_lists_a_hook_its_code_lacks_is_an_error() {
    let faulty = build::plugin("faulty");
    let told = |name: &str| json!({"name": name, "path": faulty, "instance": format!("i-{name}")});
    let honest = ["faulty", "faulty_async", "recorder", "recorder_async"].map(told);
    let ended = Gateway::with_config(with_callbacks(&[], &json!(honest))).check().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    for (required, severity) in [(true, "error"), (false, "warning")] {
        let mut liar = told("liar");
        liar["required"] = json!(required);
        let ended = Gateway::with_config(with_callbacks(&[], &json!([liar]))).check().await;
        assert_eq!(ended.status.success(), !required, "{}", ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let lines: Vec<_> = said.lines().filter(|line| line.contains("on_llm_")).collect();
        // A success also lists what was loaded.
        assert_eq!(lines.len(), 1 + usize::from(!required), "{said}");
        assert!(lines[0].starts_with(&format!("{severity}: ")), "{said}");
        for word in ["config.yaml:1:", "callbacks[0]: plugin `liar`", "`on_llm_end`, which"] {
            assert!(lines[0].contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn it_refuses_what_a_start_refuses_in_the_same_words() {
    let mut bad = config(&[json!({"model_name": "a", "litellm_params": {"model": "foo/x"}})]);
    bad["litellm_settings"] = json!({"callbacks": ["nosuch"]});
    let checked = Gateway::with_config(&bad).check().await;
    let started = Gateway::with_config(&bad).refused().await;
    assert!(!checked.status.success());
    assert_eq!(checked.status.code(), started.status.code());
    for ended in [&checked, &started] {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("model_list[0]") && said.contains("foo"), "{said}");
    }
}
