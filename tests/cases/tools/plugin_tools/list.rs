//! `plugin list`: the files that the resolver finds, including stray ones.

use super::{file, so};
use callgate_tests::{build, tool};
use serde_json::json;
use std::fs;
use tempfile::tempdir;

#[tokio::test]
async fn folders_winners_strays_and_entries_are_shown() {
    let folder = tempdir().unwrap();
    let (first, beside) = (folder.path().join("first"), folder.path().join("plugins"));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&beside).unwrap();
    fs::copy(build::plugin("routing"), first.join("librouting.so")).unwrap();
    fs::copy(build::plugin("routing"), beside.join("librouting.so")).unwrap();
    file(&beside, "libstray.so", "not a plugin");
    file(&beside, "notes.txt", "not looked at");
    let config = json!({
        "model_list": [],
        "litellm_settings": {"callbacks": ["src.callbacks.routing", {"name": "nosuch", "required": false}, {"name": "faulty", "path": so("faulty")}]},
    });
    file(folder.path(), "config.yaml", config.to_string());
    let arguments = ["list", "--plugin-dir", "first", "--json"];
    let listed = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(listed.code(), 0, "{}{}", listed.stdout, listed.stderr);
    let listed = listed.json();
    let (first, beside) = (&listed["folders"][0], &listed["folders"][1]);
    assert_eq!(
        (&first["files"][0]["wins"], &first["files"][0]["loadable"]),
        (&json!(true), &json!(true))
    );
    let names: Vec<_> = beside["files"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["routing", "stray"]);
    assert_eq!(
        (&beside["files"][0]["wins"], &beside["files"][1]["loadable"]),
        (&json!(false), &json!(false))
    );
    let entries = listed["entries"].as_array().unwrap();
    let usable: Vec<_> = entries.iter().map(|it| it["usable"].as_bool().unwrap()).collect();
    assert_eq!(usable, [true, false, true]);
    assert!(entries[0]["file"].as_str().unwrap().ends_with("first/librouting.so"));
    let people = tool::plugin(folder.path(), &["list", "--plugin-dir", "first"]).await;
    for part in ["hidden by an earlier folder", "not loadable: expected an ELF", "nosuch"] {
        assert!(people.stdout.contains(part), "{part}: {}", people.stdout);
    }
}

#[tokio::test]
async fn what_a_start_would_refuse_is_status_1_and_no_config_is_none() {
    let folder = tempdir().unwrap();
    let none = tool::plugin(folder.path(), &["list"]).await;
    assert_eq!(none.code(), 0, "{}", none.stdout);
    file(folder.path(), "c.yaml", "litellm_settings: {callbacks: [nosuch]}\nmodel_list: []\n");
    let missing = tool::plugin(folder.path(), &["list", "--config", "c.yaml"]).await;
    assert_eq!(missing.code(), 1, "{}", missing.stdout);
    let nowhere = tool::plugin(folder.path(), &["list", "--config", "nowhere.yaml"]).await;
    assert_eq!(nowhere.code(), 1, "{}", nowhere.stdout);
}
