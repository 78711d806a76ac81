//! `plugin new`: its crate builds, passes its own tests and lints, and is loaded by a running
//! gateway three commands later.

use callgate_tests::{Gateway, build, tool};
use serde_json::json;
use std::{fs, path::Path, process::Stdio};
use tempfile::tempdir;
use tokio::process::Command;

/// Cargo without a network, in a target folder that all generated crates share.
async fn cargo(crate_folder: &Path, arguments: &[&str]) {
    // Uses this workspace's versions, which are available offline.
    let lock = build::repository().join("Cargo.lock");
    fs::copy(lock, crate_folder.join("Cargo.lock")).unwrap();
    let target = build::folder().join("generated");
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(crate_folder).env("CARGO_TARGET_DIR", &target);
    command.env("CARGO_NET_OFFLINE", "true").stdin(Stdio::null()).kill_on_drop(true);
    // No time limit: the first run builds all dependencies.
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
}

#[tokio::test]
async fn a_new_plugin_is_in_order_and_runs_three_commands_later() {
    let folder = tempdir().unwrap();
    let all = "on_llm_start,on_llm_during,on_llm_new_token,on_llm_end,on_llm_error,on_auth,\
               on_list_models";
    for (arguments, name) in [
        (&["new", "short-prompts"][..], "short-prompts"),
        (&["new", "all_hooks", "--async", "--hooks", all], "all_hooks"),
        (&["new", "gate", "--hooks", "on_auth"], "gate"),
        (&["new", "lists", "--hooks", "on_list_models"], "lists"),
    ] {
        let made = tool::plugin(folder.path(), arguments).await;
        assert_eq!(made.code(), 0, "{}", made.stderr);
        assert!(made.stdout.contains("cargo build --release --manifest-path"), "{}", made.stdout);
        let folder = folder.path().join(name);
        for file in ["README.md", ".gitignore", ".github/workflows/ci.yml"] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        cargo(&folder, &["fmt", "--check"]).await;
        cargo(&folder, &["clippy", "--all-targets", "--", "-D", "warnings"]).await;
        cargo(&folder, &["test"]).await;
        cargo(&folder, &["build"]).await;
        let built = build::folder().join("generated/debug");
        let built = built.join(format!("lib{}.so", name.replace('-', "_")));
        let checked = tool::plugin(&folder, &["check", &built.display().to_string()]).await;
        assert_eq!(checked.code(), 0, "{}", checked.stdout);
    }
    // `plugin new`, `cargo build`, and a gateway whose config names the file.
    let built = build::folder().join("generated/debug/libshort_prompts.so");
    let config = json!({
        "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/o", "mock_response": "hello"}}],
        "general_settings": {"master_key": callgate_tests::MASTER_KEY},
        "litellm_settings": {"callbacks": [{"name": "short_prompts", "path": built, "settings": {"longest": 10}}]},
    });
    let gateway = Gateway::with_config(config).start().await;
    for (prompt, status) in [("short", 200), ("far too long a prompt", 413)] {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": prompt}]});
        let reply = gateway.client().chat("").body(body.to_string()).send().await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let _ = gateway.stop().await;
}

#[tokio::test]
async fn bad_names_are_refused_and_nothing_is_overwritten() {
    let folder = tempdir().unwrap();
    for bad in ["Big", "1st", "a__b", "../up", "fn", "ä", "a.b", ""] {
        let ended = tool::plugin(folder.path(), &["new", bad]).await;
        assert_eq!(ended.code(), 2, "{bad}: {}", ended.stderr);
    }
    for misuse in [
        &["new", "a", "--hooks", "on_end"][..],
        &["new", "a", "--api-version", "one"],
        &["new", "a", "--api-path", "."],
        &["new", "a", "--api-path", ".", "--api-version", "1.0"],
    ] {
        let ended = tool::plugin(folder.path(), misuse).await;
        assert_eq!(ended.code(), 2, "{misuse:?}: {}", ended.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::create_dir(folder.path().join("mine")).unwrap();
    let ended = tool::plugin(folder.path(), &["new", "mine"]).await;
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
    assert_eq!(fs::read_dir(folder.path().join("mine")).unwrap().count(), 0);
    let published = tool::plugin(folder.path(), &["new", "b", "--api-version", "1.0"]).await;
    assert_eq!(published.code(), 0, "{}", published.stderr);
    let manifest = fs::read_to_string(folder.path().join("b/Cargo.toml")).unwrap();
    assert!(manifest.contains("callgate-plugin-api = { version = \"1.0\" }"), "{manifest}");
}
