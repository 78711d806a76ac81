//! `callgate config schema`: what an editor gets.

use callgate_tests::{build, tool};
use std::fs;
use tempfile::tempdir;

#[tokio::test]
async fn the_schema_has_the_settings_of_the_plugins_that_are_found() {
    let folder = tempdir().unwrap();
    // Without a config, and with one that names another folder of plugins.
    for (config, names) in [
        ("", ["guardrail", "rate_limit", "routing"].as_slice()),
        ("callgate: {plugin_dir: mine}\n", &["routing"]),
    ] {
        let mut arguments = vec!["config", "schema"];
        let built = build::folder();
        if config.is_empty() {
            arguments.extend(["--plugin-dir", built.to_str().unwrap()]);
        } else {
            fs::write(folder.path().join("config.yaml"), config).unwrap();
            fs::create_dir(folder.path().join("mine")).unwrap();
            fs::copy(build::plugin("routing"), folder.path().join("mine/librouting.so")).unwrap();
        }
        let ended = tool::callgate(folder.path(), &arguments).await;
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        let schema = ended.json();
        for name in names {
            assert!(schema["definitions"][name].is_object(), "{name}: {schema}");
            let settings = &schema["properties"]["callback_settings"]["properties"][name];
            assert_eq!(settings["$ref"], format!("#/definitions/{name}"));
        }
        let keys = &schema["properties"]["callgate"]["properties"]["limits"]["properties"];
        assert!(keys["body_timeout"].is_object(), "{schema}");
    }
}
