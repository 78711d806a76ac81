//! `plugin test`: shows and compares a callback's changes of a request.

use super::{file, so};
use callgate_tests::{gateway::Ended, tool};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let request = json!({"model": "groq-x", "messages": [{"role": "user", "content": "hi"}]});
    file(folder.path(), "r.json", request.to_string());
    let reply =
        json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}]});
    file(folder.path(), "reply.json", reply.to_string());
    file(
        folder.path(),
        "chunks.txt",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n",
    );
    folder
}

async fn faulty(folder: &TempDir, settings: &Value, more: &[&str]) -> Ended {
    let (plugin, settings) = (so("faulty"), settings.to_string());
    let arguments = ["test", &plugin, "--callback", "faulty", "--request", "r.json"];
    let arguments = [&arguments[..], &["--settings", &settings], more].concat();
    tool::plugin(folder.path(), &arguments).await
}

#[tokio::test]
async fn every_change_of_a_request_is_shown() {
    let folder = folder();
    let settings = json!({"on_llm_start": [
        {"set_model": "big"},
        {"append_message": ["system", "short"]},
        {"set_param": ["temperature", "0"]},
        {"set_upstream_header": ["x-team", "blue"]},
        {"set_metadata": ["k", "v"]},
        {"log": "noted"},
    ]});
    let told = faulty(&folder, &settings, &[]).await;
    assert_eq!(told.code(), 0, "{}", told.stderr);
    for part in [
        "\"groq-x\" → \"big\"",
        "+ upstream_headers.x-team  \"blue\"",
        "+ metadata.k",
        "+ params.temperature       0",
        "+ messages[1]",
        "verdict: continue",
        "info: noted",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let json = faulty(&folder, &settings, &["--json"]).await.json();
    assert_eq!(json["call"]["model"], "big");
    assert_eq!(json["callbacks"][0]["changes"].as_array().unwrap().len(), 5, "{json:#}");
}

#[tokio::test]
async fn replies_and_streams_are_shown_as_the_client_would_get_them() {
    let folder = folder();
    let settings = json!({
        "on_llm_new_token": ["chunk_upper"],
        "on_llm_end": [{"reply_header": ["x-seen", "yes"]}, {"reply_json": "{\"choices\": []}"}],
    });
    let json = faulty(&folder, &settings, &["--reply", "reply.json", "--json"]).await.json();
    assert_eq!(
        (&json["reply"], &json["reply_headers"]["x-seen"]),
        (&json!({"choices": []}), &json!("yes"))
    );
    assert_eq!(json["answer_changes"][0]["path"], "choices[0]");
    let streamed = ["--stream", "--reply", "chunks.txt", "--json"];
    let json = faulty(&folder, &settings, &streamed).await.json();
    assert_eq!(json["chunks"][1]["choices"][0]["delta"]["content"], "B");
    assert_eq!(json["answer_changes"].as_array().unwrap().len(), 2, "{json:#}");
    let dropped = json!({"at_chunk": 0, "on_llm_new_token": ["chunk_drop"]});
    let json = faulty(&folder, &dropped, &streamed).await.json();
    assert_eq!(json["chunks"][0], Value::Null);
}

#[tokio::test]
async fn refusals_answers_and_faults_have_their_verdicts() {
    let folder = folder();
    let refusal = json!({"on_llm_start": [{"reject": {"status": 429, "message": "no", "retry_after_ms": 1500}}]});
    let json = faulty(&folder, &refusal, &["--json"]).await.json();
    assert_eq!((&json["verdict"], &json["by"]), (&json!("refused"), &json!("faulty")));
    assert_eq!(
        (&json["error"]["status"], &json["error"]["retry_after"]),
        (&json!(429), &json!("2"))
    );
    let answer = json!({"on_llm_start": [{"answer_text": "me"}]});
    let json = faulty(&folder, &answer, &["--json"]).await.json();
    assert_eq!(json["verdict"], "reply");
    assert_eq!(json["reply"]["choices"][0]["message"]["content"], "me");
    let fault = faulty(&folder, &json!({"on_llm_start": [{"panic": "boom"}]}), &[]).await;
    assert_eq!(fault.code(), 1);
    assert!(fault.stdout.contains("verdict: fault by faulty"), "{}", fault.stdout);
    assert!(fault.stdout.contains("boom"), "{}", fault.stdout);
}

#[tokio::test]
async fn a_stream_that_a_callback_writes_itself_is_given_by_the_reply() {
    let folder = folder();
    let settings = json!({
        "on_llm_start": [{"answer_stream": {"parts": ["x"]}}],
        "on_llm_new_token": ["chunk_upper"],
        "on_llm_end": [{"log": "ended"}],
    });
    let told = faulty(&folder, &settings, &[]).await.stdout;
    let line = "a stream of its own: its task does not run here, so give what it would write";
    assert!(told.contains("verdict: reply by faulty") && told.contains(line), "{told}");
    let json = faulty(&folder, &settings, &["--json"]).await.json();
    assert_eq!((&json["reply"], &json["own_stream"]), (&Value::Null, &json!(true)));
    assert_eq!(json["log"], json!([]), "the stream has no end");
    let streamed = ["--stream", "--reply", "chunks.txt", "--json"];
    let json = faulty(&folder, &settings, &streamed).await.json();
    assert_eq!((&json["verdict"], &json["by"]), (&json!("reply"), &json!("faulty")));
    assert_eq!(json["chunks"][1]["choices"][0]["delta"]["content"], "B");
    assert_eq!(json["log"], json!(["info: ended label=faulty hook=on_llm_end"]));
    let together = faulty(&folder, &settings, &["--reply", "reply.json"]).await.stdout;
    assert!(together.contains("`--reply` stands for what its task would write"), "{together}");
    let json = faulty(&folder, &json!({"on_llm_start": [{"answer_text": "x"}]}), &["--json"]).await;
    assert_eq!(json.json()["own_stream"], Value::Null);
}

#[tokio::test]
async fn a_chain_is_shown_callback_by_callback() {
    let folder = folder();
    let faulty = json!({"name": "faulty", "path": so("faulty"), "settings": {"on_llm_start": [{"append_message": ["user", "more"]}]}});
    let config = json!({
        "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/o", "api_key": "sk-hidden"}}],
        "litellm_settings": {"callbacks": [{"name": "routing", "path": so("routing")}, faulty]},
    });
    file(folder.path(), "c.yaml", config.to_string());
    let arguments = ["test", "--config", "c.yaml", "--request", "r.json", "--json"];
    let ended = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let json = ended.json();
    let changed = |index: usize| {
        let changes = json["callbacks"][index]["changes"].as_array().unwrap();
        changes.iter().map(|it| it["path"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert!(changed(0).contains(&"provider"), "{json:#}");
    assert_eq!(changed(1), ["messages[1]"]);
    assert!(!ended.stdout.contains("sk-hidden"));
}

#[tokio::test]
async fn expectations_are_held_against_what_came_out() {
    let folder = folder();
    let settings = json!({"on_llm_start": [{"set_model": "big"}]});
    file(folder.path(), "good.json", r#"{"verdict": "continue", "call": {"model": "big"}}"#);
    file(folder.path(), "bad.json", r#"{"call": {"model": "small", "messages": []}}"#);
    assert_eq!(faulty(&folder, &settings, &["--expect", "good.json"]).await.code(), 0);
    let bad = faulty(&folder, &settings, &["--expect", "bad.json"]).await;
    assert_eq!(bad.code(), 1);
    let line = "not as expected: call.model: expected \"small\", found \"big\"";
    assert!(bad.stdout.contains(line), "{}", bad.stdout);
}

#[tokio::test]
async fn misuse_has_its_own_status() {
    let folder = folder();
    file(folder.path(), "list.json", "[]");
    for more in [
        &["--reply", "chunks.txt"][..],
        &["--http", "r.json"],
        &["--http", "nowhere.json"],
        &["--advance", "-1"],
        &["--reply", "reply.json", "--reply", "reply.json"],
        &["--request", "r.json", "--expect", "reply.json"],
        &["--reply", "nowhere.json"],
        &["--expect", "chunks.txt"],
        &["--header", "none"],
        &["--settings", "{}"],
    ] {
        let ended = faulty(&folder, &json!({}), more).await;
        assert_eq!(ended.code(), 2, "{more:?}: {}", ended.stderr);
    }
    let ended =
        tool::plugin(folder.path(), &["test", &so("routing"), "--request", "list.json"]).await;
    assert_eq!(ended.code(), 2, "{}", ended.stderr);
    let ended = tool::plugin(folder.path(), &["test", "r.json", "--request", "r.json"]).await;
    assert_eq!(ended.code(), 1, "{}", ended.stderr);
}
