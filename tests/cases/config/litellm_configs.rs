//! Configs in the style of each section of LiteLLM's documentation: `check` knows every key.

use callgate_tests::{Gateway, build};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// Every variable that the configs name, with a value.
fn variables(text: &str) -> String {
    let named = text.split("os.environ/").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    let names: BTreeSet<_> = named.collect();
    let value = |name: &str| {
        if name.ends_with("_API_BASE") { "https://my.openai.azure.com" } else { "sk-0123456789" }
    };
    names.iter().map(|name| format!("{name}={}\n", value(name))).collect()
}

#[tokio::test]
async fn every_key_of_litellms_documentation_is_known() {
    let folder = build::repository().join("tests/fixtures/litellm");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 12);
    let mut standings = BTreeSet::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let setup = Gateway::with_config(&text).file(".env", &variables(&text)).arg("--json");
        let checked = setup.check().await;
        let report: Value = serde_json::from_str(&checked.stdout).expect("JSON");
        let keys = report["keys"].as_array().unwrap();
        assert!(keys.len() >= 10, "{name}: {report}");
        for key in keys {
            assert_ne!(key["standing"], "unknown", "{name}: {key}");
            standings.insert(key["standing"].as_str().unwrap().to_owned());
        }
        for problem in report["problems"].as_array().unwrap() {
            let text = problem["text"].as_str().unwrap();
            assert!(
                !text.contains("unknown key") && !text.contains("environment variable"),
                "{name}: {text}"
            );
            // An error is about what protects, or about a model that nobody serves.
            let expected = ["protects", "built-in of LiteLLM", "not supported", "Python"];
            let is_expected = expected.iter().any(|it| text.contains(it));
            assert!(problem["severity"] == "warning" || is_expected, "{name}: {problem}");
        }
        // What protects refuses the start unless the config accepts that.
        let refuses = ["authentication.yaml", "guardrails.yaml"].contains(&&*name);
        assert_eq!(report["ok"], !refuses, "{name}: {report}");
    }
    assert_eq!(standings.len(), 4, "{standings:?}");
}
