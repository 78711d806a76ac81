//! Configurations that cannot work: the start fails with locations and remedies, all problems at
//! once. Things that only look odd cause warnings.

use callgate_tests::{
    Answer, Gateway,
    config::{config, openai},
    upstream,
};
use serde_json::json;

/// A file that is valid except for the case's addition.
fn yaml(rest: &str) -> String {
    format!("general_settings:\n  master_key: sk-local-admin\n{rest}")
}

async fn refusal(text: &str) -> String {
    let ended = Gateway::with_config(text).refused().await;
    assert!(ended.stdout.is_empty(), "problems belong on stderr: {}", ended.stdout);
    assert!(!ended.stderr.contains("sk-local-admin"), "{}", ended.stderr);
    ended.stderr
}

#[tokio::test]
async fn each_defect_is_named_with_its_place() {
    let entry = |lines: &str| yaml(&format!("model_list:\n  - model_name: a\n{lines}"));
    let cases: &[(&str, String, &[&str])] = &[
        ("empty file", String::new(), &["config.yaml"]),
        ("a list", "- a\n".to_owned(), &["config.yaml:1"]),
        ("syntax error", yaml("model_list: [\n"), &["config.yaml:"]),
        ("tab", yaml("model_list:\n\t- a\n"), &["config.yaml:4"]),
        ("no params", entry(""), &["config.yaml:4", "model_list[0]", "litellm_params"]),
        (
            "no model",
            entry("    litellm_params: {api_base: http://x/v1}\n"),
            &["config.yaml:5", "model"],
        ),
        (
            "no model name",
            yaml("model_list:\n  - litellm_params: {model: openai/x}\n"),
            &["config.yaml:4", "model_list[0]", "model_name"],
        ),
        (
            "unknown provider",
            entry("    litellm_params: {model: foo/bar}\n"),
            &["config.yaml:5", "foo", "openai", "groq", "ollama_chat"],
        ),
        (
            "misspelt provider",
            entry("    litellm_params: {model: OpenAI/gpt-4o}\n"),
            &["config.yaml:5", "did you mean", "openai"],
        ),
        (
            "bare unknown model",
            entry("    litellm_params: {model: qwen3}\n"),
            &["config.yaml:5", "qwen3", "api_base"],
        ),
        (
            "base is no URL",
            entry("    litellm_params: {model: openai/x, api_base: 'ftp://x'}\n"),
            &["config.yaml:5", "api_base", "http"],
        ),
        (
            "timeout is a word",
            entry("    litellm_params: {model: openai/x, timeout: soon}\n"),
            &["config.yaml:5", "timeout", "soon"],
        ),
        (
            "unknown strategy",
            yaml("router_settings:\n  routing_strategy: nope\n"),
            &["config.yaml:4", "routing_strategy", "simple-shuffle"],
        ),
        (
            "two sets of settings",
            yaml(
                "litellm_settings:\n  callbacks:\n    - {name: routing, settings: {a: 1}}\ncallback_settings:\n  routing: {}\n",
            ),
            &["config.yaml:", "routing", "callback_settings"],
        ),
    ];
    for (what, text, mentioned) in cases {
        let stderr = refusal(text).await;
        for word in *mentioned {
            assert!(stderr.contains(word), "{what}: `{word}` is not mentioned in:\n{stderr}");
        }
    }
}

#[tokio::test]
async fn all_problems_are_reported_at_once() {
    let text = yaml(
        "model_list:\n  - model_name: a\n  - litellm_params: {model: openai/x}\n  - model_name: c\n    \
         litellm_params: {model: foo/x}\nlitellm_settings:\n  callbacks: [nosuch, {name: alsonot}]\n",
    );
    let stderr = refusal(&text).await;
    let lines: Vec<_> = stderr.lines().collect();
    let places = ["4:5: model_list[0]", "5:5: model_list[1]", "7:29: model_list[2]"];
    let callbacks = ["9:15: litellm_settings.callbacks[0]", "9:23: litellm_settings.callbacks[1]"];
    assert_eq!(lines.len(), places.len() + callbacks.len() + 1, "{stderr}");
    assert_eq!(lines.last(), Some(&"error: not started: 5 errors and 0 warnings"), "{stderr}");
    for (line, place) in lines.iter().zip(places.iter().chain(&callbacks)) {
        assert!(line.starts_with("error: "), "{line}");
        assert!(line.contains(&format!("config.yaml:{place}")), "{place} is not first in: {line}");
    }
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let ended = Gateway::with_config("").without_config().refused().await;
    assert!(ended.stderr.contains("config.yaml"), "{}", ended.stderr);
    let folder = Gateway::with_config("").without_config().file("config.yaml/x", "");
    let stderr = folder.refused().await.stderr;
    assert!(stderr.contains("config.yaml: the config cannot be read"), "{stderr}");
    let gone =
        Gateway::with_config(config(&[])).arg("--env-file").arg("/no/such/.env").refused().await;
    assert!(gone.stderr.contains("/no/such/.env"), "{}", gone.stderr);
}

#[tokio::test]
async fn a_callback_without_a_file_lists_where_it_was_looked_for() {
    let mut config = config(&[]);
    config["litellm_settings"] = json!({"callbacks": ["src.callbacks.nosuch"]});
    let setup = Gateway::with_config(config).file("plugins/unrelated.txt", "");
    let stderr = setup.refused().await.stderr;
    assert!(stderr.matches("libnosuch.so").count() >= 2, "lists the paths tried: {stderr}");
    assert!(stderr.contains("plugins/libnosuch.so"), "{stderr}");
}

#[tokio::test]
async fn unknown_keys_warn_once_with_a_guess_and_strict_refuses() {
    let upstream = upstream(Answer::default()).await;
    let mut odd = config(&[openai(&upstream)]);
    odd["general_settings"]["database_ulr"] = json!("x");
    odd["modle_list"] = json!([]);
    let gateway = Gateway::with_config(&odd).start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let log = gateway.stop().await;
    for (key, guess) in [("database_ulr", "database_url"), ("modle_list", "model_list")] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(key)).collect();
        assert_eq!(lines.len(), 1, "{key}: {log}");
        assert!(lines[0].contains("config.yaml:1") && lines[0].contains(guess), "{}", lines[0]);
    }
    let stderr = Gateway::with_config(&odd).arg("--strict").refused().await.stderr;
    assert!(stderr.contains("database_ulr"), "{stderr}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let stderr = Gateway::with_config(config(&[])).arg("--port").arg(&port).refused().await.stderr;
    assert!(stderr.contains(&port), "{stderr}");
}

#[tokio::test]
async fn hostile_files_are_refused_in_bounded_time() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &('b'..='k')
            .map(|name| {
                let before = char::from(name as u8 - 1);
                format!("{name}: &{name} [{}]\n", format!("*{before},").repeat(9))
            })
            .collect::<String>();
    for text in [bomb, format!("model_list: {}", "[".repeat(100_000)), "? ".repeat(50_000)] {
        let _ = refusal(&text).await;
    }
}

#[tokio::test]
async fn a_fault_in_a_setting_is_reported_at_its_own_line() {
    let head = "model_list: []\nlitellm_settings:\n  callbacks:\n    - name: ";
    for (rest, place) in [
        // Found by the schema.
        (
            "rate_limit\n      settings:\n        limits:\n          - key: '*'\n            requests: 0\n            per: 1m\n",
            "8:23: litellm_settings.callbacks[0].settings.limits[0].requests",
        ),
        (
            "rate_limit\n      settings:\n        limits:\n          - key: '*'\n            requests: 1\n            burst: 1\n            per: 1m\n",
            "9:13: litellm_settings.callbacks[0].settings.limits[0].burst",
        ),
        // Found by the plugin.
        (
            "rate_limit\n      settings:\n        limits:\n          - key: '*'\n            requests: 1\n            per: 32d\n",
            "9:18: litellm_settings.callbacks[0].settings.limits[0].per",
        ),
        (
            "guardrail\n      settings:\n        rules:\n          - action: mask\n            pattern: '('\n",
            "8:22: litellm_settings.callbacks[0].settings.rules[0].pattern",
        ),
    ] {
        let ended = Gateway::with_config(format!("{head}{rest}")).check().await;
        assert!(ended.stderr.contains(&format!("config.yaml:{place}: ")), "{}", ended.stderr);
    }
}
