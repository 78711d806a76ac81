//! `plugin test` with several requests to one instance, and with scripted answers to the callback's
//! own requests.

use super::{file, so};
use callgate_tests::{gateway::Ended, tool};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    for (name, text) in [("a.json", "one"), ("b.json", "two")] {
        let request = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
        file(folder.path(), name, request.to_string());
    }
    let rules = json!([
        {"request": {"method": "POST", "url": "http://svc.example/*", "body_contains": "x"},
         "response": {"status": 201, "body": "first"}, "times": 1},
        {"request": {"url": "http://svc.example/*"}, "error": "timeout"},
        {"request": {"url": "http://other.example/"}, "response": {}},
    ]);
    file(folder.path(), "http.json", rules.to_string());
    folder
}

fn http_step(url: &str) -> Value {
    json!({"http": {"url": url, "body": "x"}})
}

async fn services(folder: &TempDir, settings: &Value, more: &[&str]) -> Ended {
    let (plugin, settings) = (so("all_services"), settings.to_string());
    let arguments = ["test", &plugin, "--callback", "all_services_async", "--settings", &settings];
    tool::plugin(folder.path(), &[&arguments[..], more].concat()).await
}

#[tokio::test]
async fn the_rules_answer_and_what_was_requested_is_shown() {
    let folder = folder();
    let settings = json!({"on_llm_start": [
        http_step("http://svc.example/1"),
        http_step("http://svc.example/2"),
        http_step("http://svc.example:81/3"),
        http_step("http://evil.example/"),
    ]});
    let told = services(&folder, &settings, &["--request", "a.json", "--http", "http.json"]).await;
    assert_eq!(told.code(), 0, "{}", told.stderr);
    for part in [
        "info: http outcome=ok detail=201 first",
        "info: http outcome=timeout detail=the server did not answer in time",
        "  all_services_async: POST http://svc.example/1 → 201 (rule 1)\n",
        "  all_services_async: POST http://svc.example/2 → the server did not answer in time (rule 2)\n",
        "info: http outcome=not granted",
        "unused rule 3: * http://other.example/\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let asked = ["--request", "a.json", "--http", "http.json", "--json"];
    let json = services(&folder, &settings, &asked).await.json();
    let http = json["http"].as_array().unwrap();
    assert_eq!((http.len(), &http[0]["status"], &http[1]["rule"]), (3, &json!(201), &json!(2)));
    assert!(json["log"][0].as_str().unwrap().contains("outcome=ok detail=201 first"), "{json:#}");
}

#[tokio::test]
async fn what_no_rule_matches_fails_and_without_rules_nothing_is_sent() {
    let folder = folder();
    let rules = json!([{"request": {"url": "http://svc.example/only"}, "response": {}}]);
    file(folder.path(), "http.json", rules.to_string());
    let settings = json!({"on_llm_start": [http_step("http://svc.example/1")]});
    let told = services(&folder, &settings, &["--request", "a.json", "--http", "http.json"]).await;
    let line =
        "outcome=unreachable detail=no rule of `http.json` matches POST http://svc.example/1";
    assert!(told.stdout.contains(line), "{}", told.stdout);
    let told = services(&folder, &settings, &["--request", "a.json"]).await;
    assert!(told.stdout.contains("outcome=not granted"), "{}", told.stdout);
}

#[tokio::test]
async fn the_grants_of_a_config_apply_and_its_secrets_are_not_shown() {
    let folder = folder();
    let entry = json!({
        "name": "all_services_async", "path": so("all_services"),
        "grants": {"http_hosts": ["svc.example:80"], "secrets": ["SVC_KEY"]},
        "settings": {"on_llm_start": [
            {"secret": "SVC_KEY"},
            http_step("http://svc.example/?key=tell-nobody"),
            http_step("http://other.example/"),
        ]},
    });
    let config = json!({
        "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/o", "api_key": "k"}}],
        "litellm_settings": {"callbacks": [entry]},
    });
    file(folder.path(), "c.yaml", config.to_string());
    file(folder.path(), "env", "SVC_KEY=tell-nobody\n");
    let arguments = ["test", "--config", "c.yaml", "--env-file", "env", "--request", "a.json"];
    let arguments = [&arguments[..], &["--http", "http.json"]].concat();
    let told = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(told.code(), 0, "{}", told.stderr);
    assert!(told.stdout.contains("POST http://svc.example/?key=*** → 201"), "{}", told.stdout);
    assert!(told.stdout.contains("`other.example:80` is not granted"), "{}", told.stdout);
    assert!(!told.stdout.contains("tell-nobody"), "{}", told.stdout);
}

#[tokio::test]
async fn one_instance_gets_all_requests_one_after_the_other() {
    let folder = folder();
    let settings = json!({"limits": [{"model": "*", "requests": 1, "per": "1m"}]});
    let (plugin, settings) = (so("rate_limit"), settings.to_string());
    let arguments = ["test", &plugin, "--settings", &settings];
    let run = async |more: &[&str]| tool::plugin(folder.path(), &[&arguments, more].concat()).await;
    let both = ["--request", "a.json", "--request", "b.json"];
    let told = run(&both).await;
    assert_eq!(told.code(), 0, "{}", told.stderr);
    for part in ["request 1: a.json\n", "request 2: b.json\n", "  verdict: refused by rate_limit\n"]
    {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let verdicts = |json: &Value| {
        let all = json.as_array().unwrap().iter();
        all.map(|it| it["verdict"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let json = run(&[&both[..], &["--json"]].concat()).await.json();
    assert_eq!(verdicts(&json), ["continue", "refused"]);
    let json = run(&[&both[..], &["--json", "--advance", "61"]].concat()).await.json();
    assert_eq!(verdicts(&json), ["continue", "continue"]);
    file(folder.path(), "e.json", r#"[{"verdict": "continue"}, {"verdict": "continue"}]"#);
    let ended = run(&[&both[..], &["--expect", "e.json"]].concat()).await;
    assert_eq!(ended.code(), 1);
    let line = "not as expected: verdict: expected \"continue\", found \"refused\"";
    assert!(ended.stdout.contains(line), "{}", ended.stdout);
}

#[tokio::test]
async fn a_completion_is_cut_into_chunks_for_a_stream() {
    let folder = folder();
    let choice = json!({"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "so be it"}});
    file(folder.path(), "reply.json", json!({"choices": [choice]}).to_string());
    let settings = json!({"on_llm_new_token": ["chunk_upper"]}).to_string();
    let arguments = ["test", &so("faulty"), "--callback", "faulty", "--settings", &settings];
    let more = ["--request", "a.json", "--stream", "--reply", "reply.json", "--json"];
    let json = tool::plugin(folder.path(), &[&arguments[..], &more].concat()).await.json();
    let texts = json["chunks"].as_array().unwrap().iter();
    let texts: Vec<_> =
        texts.map(|it| it["choices"][0]["delta"]["content"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["", "SO ", "BE ", "IT", ""]);
}
