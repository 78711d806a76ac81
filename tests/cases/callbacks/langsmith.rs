//! The `langsmith` callback in the gateway: every ending of a call becomes a run, and no call waits
//! for it.

use callgate_tests::{
    Answer, Endpoint, Gateway, MASTER_KEY, Script, ScriptedUpstream, UPSTREAM_KEY,
    config::{openai, with_callbacks},
    gateway::Setup,
    scripted, upstream,
};
use serde_json::{Value, json};

fn setup(upstream: &ScriptedUpstream) -> Setup {
    Gateway::with_config(with_callbacks(&[openai(upstream)], &json!(["langsmith"])))
}

fn traced(upstream: &ScriptedUpstream, langsmith: &Endpoint) -> Setup {
    setup(upstream).env("LANGSMITH_API_KEY", "ls-key").env("LANGSMITH_BASE_URL", &langsmith.url())
}

fn runs(langsmith: &Endpoint) -> Vec<Value> {
    let batches = langsmith.taken();
    batches.iter().flat_map(|batch| batch.json()["post"].as_array().cloned().unwrap()).collect()
}

#[tokio::test]
async fn replies_streams_and_failures_are_runs() {
    let langsmith = Endpoint::start(|_, _| Some((202, "{}".to_owned()))).await;
    let hello = || Answer::text(["Hel", "lo"]);
    let broken = Answer::error(500, "server_error", "boom", "upstream says 500");
    let script = Script::always(hello()).then(hello()).then(hello()).then(broken);
    let upstream = scripted(script).await;
    let gateway = traced(&upstream, &langsmith).env("LANGSMITH_PROJECT", "projx").start().await;
    let client = gateway.client();
    let reply =
        client.chat("gpt").set("metadata", json!({"tags": ["a"]})).send().await.expect_status(200);
    let _ = client.chat("gpt").streaming().send().await.expect_status(200).events();
    let failed = client.chat("gpt").send().await;
    assert!(failed.status >= 500);
    let log = gateway.stop().await;
    let batches = langsmith.came(1).await;
    assert_eq!(batches[0].header("x-api-key"), Some("ls-key"));
    assert_eq!(batches[0].header("content-type"), Some("application/json"));
    let runs = runs(&langsmith);
    assert_eq!(runs.len(), 3, "{runs:?}");
    for run in &runs {
        assert_eq!((&run["run_type"], &run["session_name"]), (&json!("llm"), &json!("projx")));
        assert_eq!(run["id"], run["trace_id"]);
        assert_eq!(run["inputs"]["messages"][0]["role"], "user");
        assert_eq!(run["inputs"]["model_group"], "gpt");
        assert_eq!(run["inputs"]["custom_llm_provider"], "openai");
    }
    assert_eq!(runs[0]["inputs"]["litellm_call_id"], reply.header("x-litellm-call-id"));
    assert_eq!(runs[0]["tags"], json!(["a"]));
    for run in &runs[..2] {
        assert_eq!(run["inputs"]["status"], "success");
        assert_eq!(run["outputs"]["choices"][0]["message"]["content"], "Hello");
        assert!(run["outputs"]["usage_metadata"]["total_tokens"].is_u64());
    }
    assert_eq!(
        (&runs[1]["inputs"]["stream"], &runs[2]["inputs"]["status"]),
        (&json!(true), &json!("failure"))
    );
    assert!(runs[2]["error"].as_str().is_some_and(|error| !error.is_empty()));
    let all: String =
        batches.iter().map(|it| String::from_utf8_lossy(&it.body).into_owned()).collect();
    for secret in ["ls-key", MASTER_KEY, UPSTREAM_KEY] {
        assert!(!all.contains(secret) && !log.contains(secret), "`{secret}` got out");
    }
}

#[tokio::test]
async fn without_a_key_calls_go_on_and_the_start_says_so() {
    let upstream = upstream(Answer::default()).await;
    let gateway = setup(&upstream).start().await;
    let warning = gateway.log().containing("`LANGSMITH_API_KEY` is not set").await;
    assert_eq!((warning.level(), warning.field("callback.name")), ("WARN", &json!("langsmith")));
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let metrics = gateway.client().get("/metrics").await.text();
    let line = r#"callgate_plugin_langsmith_runs_dropped_total{callback="langsmith"} 1"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[tokio::test]
async fn a_server_that_is_down_or_never_answers_delays_nothing() {
    let upstream = upstream(Answer::default()).await;
    for hangs in [false, true] {
        let langsmith = Endpoint::start(move |_, _| (!hangs).then(|| (503, String::new()))).await;
        let gateway = traced(&upstream, &langsmith).env("LANGSMITH_BATCH_SIZE", "1").start().await;
        for _ in 0..3 {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        }
        let _ = langsmith.came(1).await;
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        let log = gateway.stop().await;
        assert!(log.contains("runs were not sent to LangSmith"), "{log}");
    }
}
