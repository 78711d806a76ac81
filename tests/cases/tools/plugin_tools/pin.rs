//! `plugin pin`: writes hashes into a config and leaves the rest unchanged.

use super::file;
use callgate_tests::{build, tool};
use std::{fs, os::unix::fs::PermissionsExt};
use tempfile::tempdir;

const CONFIG: &str = "\
# the config, with a comment
model_list: []   # none yet
litellm_settings:
  callbacks:
    - src.callbacks.routing   # first
    # then
    - name: rate_limit
      on_error: ignore
    - {name: absent, required: false}
";

async fn hash(name: &str) -> String {
    let file = build::plugin(name).display().to_string();
    let told = tool::plugin(&build::folder(), &["inspect", &file, "--json"]).await.json();
    told["sha256"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_config_is_pinned_once_and_stays_itself() {
    let folder = tempdir().unwrap();
    let path = file(folder.path(), "config.yaml", CONFIG);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let plugins = build::folder().display().to_string();
    let dry = ["pin", "--plugin-dir", &plugins, "--dry-run"];
    let ended = tool::plugin(folder.path(), &dry).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(
        ended
            .stdout
            .contains("@@ line 5\n-    - src.callbacks.routing   # first\n+    - name: src"),
        "{}",
        ended.stdout
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), CONFIG);
    let arguments = ["pin", "--plugin-dir", &plugins];
    let ended = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let (routing, rate_limit) = (hash("routing").await, hash("rate_limit").await);
    let expected = CONFIG
        .replace(
            "- src.callbacks.routing   # first",
            &format!(
                "- name: src.callbacks.routing   # first\n      sha256: {}",
                hash("routing").await
            ),
        )
        .replace("- name: rate_limit", &format!("- name: rate_limit\n      sha256: {rate_limit}"));
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
    let again = tool::plugin(folder.path(), &arguments).await;
    assert!(again.stdout.contains("nothing to change"), "{}", again.stdout);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    let outdated = expected.replace(&routing, &"0".repeat(64));
    file(folder.path(), "config.yaml", outdated);
    let listed = tool::plugin(folder.path(), &["list", "--plugin-dir", &plugins]).await;
    assert!(listed.stdout.contains("it is not the file that was pinned"), "{}", listed.stdout);
    let renewed = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(renewed.code(), 0, "{}", renewed.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[tokio::test]
async fn the_file_that_lists_the_callbacks_is_pinned_and_observers_are_left() {
    let folder = tempdir().unwrap();
    let list = "litellm_settings:\n  success_callback: [langsmith]\n  callbacks: [routing]\n";
    let config = file(folder.path(), "config.yaml", "include: [callbacks.yaml]\n");
    let included = file(folder.path(), "callbacks.yaml", list);
    let plugins = build::folder().display().to_string();
    let ended = tool::plugin(folder.path(), &["pin", "--plugin-dir", &plugins]).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    assert!(ended.stdout.ends_with("callbacks.yaml: pinned\n"), "{}", ended.stdout);
    assert_eq!(fs::read_to_string(config).unwrap(), "include: [callbacks.yaml]\n");
    let pinned = format!("[{{name: routing, sha256: {}}}]", hash("routing").await);
    assert_eq!(fs::read_to_string(included).unwrap(), list.replace("[routing]", &pinned));
}

#[tokio::test]
async fn what_cannot_be_pinned_leaves_the_config_alone() {
    let folder = tempdir().unwrap();
    for (config, said) in [
        (
            "litellm_settings: {callbacks: [nosuch]}\nmodel_list: []\n",
            "entry 1, `nosuch`: expected `libnosuch.so`",
        ),
        (
            "litellm_settings: {callbacks: [routing, routing]}\nmodel_list: []\n",
            "listed more than once",
        ),
        (
            "litellm_settings:\n  callbacks:\n    - &x routing\nmodel_list: []\n",
            "line 3: the entry has an anchor",
        ),
        ("not: [closed", "not valid YAML"),
    ] {
        let path = file(folder.path(), "config.yaml", config);
        let plugins = build::folder().display().to_string();
        let ended = tool::plugin(folder.path(), &["pin", "--plugin-dir", &plugins]).await;
        assert_eq!(ended.code(), 1, "{config}");
        assert!(ended.stderr.contains(said), "{config}: {}", ended.stderr);
        assert_eq!(fs::read_to_string(path).unwrap(), config);
    }
}
