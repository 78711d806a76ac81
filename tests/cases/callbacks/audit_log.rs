//! The shipped audit log, loaded from its shared object: one line for every call, however the call
//! ends and whatever happens to the file.

use callgate_tests::{
    Answer, Gate, Gateway, ScriptedUpstream,
    config::{every_dialect, with_callbacks},
    upstream, within,
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const FILE: &str = "audit.jsonl";

async fn gateway(upstream: &ScriptedUpstream, callbacks: Value) -> Gateway {
    Gateway::with_config(with_callbacks(&every_dialect(upstream), &callbacks)).start().await
}

#[expect(clippy::needless_pass_by_value, reason = "reads as `audit(json!({…}))`")]
fn audit(settings: Value) -> Value {
    json!({"name": "audit_log", "settings": settings})
}

/// The lines of a file, which always contains whole lines.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// The lines of the file after the gateway has ended; the folder is removed with the gateway.
async fn lines_at_end(gateway: Gateway, folder: &tempfile::TempDir) -> Vec<Value> {
    gateway.stop().await;
    lines(&folder.path().join(FILE))
}

#[tokio::test]
async fn every_call_has_its_line() {
    let upstream = upstream(Answer::text(["Hello ", "world!"])).await;
    let folder = tempfile::tempdir().unwrap();
    let limits = json!({"limits": [{"provider": "*", "requests": 7, "per": "1h"}]});
    let callbacks = json!([
        audit(json!({"path": folder.path().join(FILE)})),
        {"name": "rate_limit", "settings": limits},
    ]);
    let gateway = gateway(&upstream, callbacks).await;
    let models = ["gpt", "llama", "gemma"];
    for model in models {
        for stream in [false, true] {
            let request = gateway.client().chat(model).set("stream", stream);
            let _ = request.header("x-litellm-call-id", model).send().await.expect_status(200);
        }
    }
    upstream.push(Answer::error(503, "server_error", "overloaded", "later"));
    let _ = gateway.client().chat("gpt").send().await.expect_status(503);
    let _ = gateway.client().chat("gpt").send().await.expect_status(429);
    let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let lines = lines_at_end(gateway, &folder).await;
    assert_eq!(lines.len(), 8, "{lines:?}");
    for (index, line) in lines[..6].iter().enumerate() {
        let model = models[index / 2];
        let provider = ["openai", "groq", "ollama"][index / 2];
        for (name, expected) in [
            ("call_id", json!(model)),
            ("key_id", json!("master_key")),
            ("requested_model", json!(model)),
            ("provider", json!(provider)),
            ("stream", json!(index % 2 == 1)),
            ("status", json!(200)),
            ("messages", json!(1)),
            ("prompt_chars", json!(2)),
            ("finish_reason", json!("stop")),
        ] {
            assert_eq!(line[name], expected, "{name}: {line}");
        }
        assert!(line["total_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{line}");
        assert!(line["duration_ms"].is_f64() && line["upstream_ms"].is_f64(), "{line}");
        assert!(!line.to_string().contains("Hello"), "{line}");
    }
    assert_eq!((&lines[6]["status"], &lines[6]["error_code"]), (&json!(503), &json!("overloaded")));
    assert_eq!((&lines[7]["status"], &lines[7]["callback"]), (&json!(429), &json!("rate_limit")));
}

/// Prompts are logged after all callbacks' edits; a JSON reply after the edits of earlier
/// callbacks; a streamed reply as it was sent.
#[tokio::test]
async fn content_depends_on_its_place_in_the_list() {
    let rules = json!({"rules": [{"pattern": "friend", "action": "mask", "replacement": "#"}]});
    let guardrail = json!({"name": "guardrail", "settings": rules});
    for is_first in [false, true] {
        let upstream = upstream(Answer::text(["say fri", "end"])).await;
        let folder = tempfile::tempdir().unwrap();
        let audit = audit(json!({"path": folder.path().join(FILE), "content": true}));
        let mut callbacks = vec![guardrail.clone(), audit];
        if is_first {
            callbacks.reverse();
        }
        let gateway = gateway(&upstream, json!(callbacks)).await;
        for model in ["gpt", "gemma"] {
            for stream in [false, true] {
                let messages = json!([{"role": "user", "content": "a friend"}]);
                let request = gateway.client().chat(model).set("messages", messages);
                let _ = request.set("stream", stream).send().await.expect_status(200);
            }
        }
        let lines = lines_at_end(gateway, &folder).await;
        assert_eq!(lines.len(), 4);
        for line in lines {
            let masked = !is_first || line["stream"] == true;
            assert_eq!(line["prompt"], json!([{"role": "user", "text": "a #"}]), "{line}");
            assert_eq!(line["reply"], if masked { "say #" } else { "say friend" }, "{line}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_has_its_line_and_a_relative_path_its_file() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let gateway = gateway(&upstream, json!([audit(json!({"path": FILE}))])).await;
    let mut open = gateway.client().chat("gpt").streaming().open().await;
    let _ = open.event().await;
    drop(open);
    within("the hang-up", upstream.hung_up(1)).await;
    let path = gateway.folder().join(FILE);
    let line = within("its line", async {
        loop {
            if let Some(line) = lines(&path).pop() {
                return line;
            }
            tokio::task::yield_now().await;
        }
    });
    let line = line.await;
    assert_eq!(line["error_code"], "client_closed_request", "{line}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_renamed_file_is_created_again() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let gateway = gateway(&upstream, json!([audit(json!({"path": path}))])).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    // A thread of the callback creates the file with its first line.
    within("the first line", async {
        while lines(&path).is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let moved = folder.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    let mut calls = 1;
    within("the new file", async {
        while lines(&path).is_empty() {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
            calls += 1;
        }
    })
    .await;
    gateway.stop().await;
    assert_eq!(lines(&moved).len() + lines(&path).len(), calls);
}

#[tokio::test]
async fn a_full_disk_and_a_lost_folder_are_reported_and_calls_go_on() {
    let upstream = upstream(Answer::default()).await;
    let full = gateway(&upstream, json!([audit(json!({"path": "/dev/full"}))])).await;
    for _ in 0..20 {
        let _ = full.client().chat("gpt").send().await.expect_status(200);
    }
    let log = full.stop().await;
    let told = log.lines().filter(|line| line.contains("the audit log has a problem")).count();
    assert_eq!(told, 1, "{log}");
    assert!(log.contains("No space left on device"), "{log}");

    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let gateway = gateway(&upstream, json!([audit(json!({"path": logs.join(FILE)}))])).await;
    fs::remove_dir_all(&logs).unwrap();
    let told = gateway.log().containing("the audit log has a problem");
    let calls = async {
        loop {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        }
    };
    let line = tokio::select! {
        line = within("the problem is logged", told) => line,
        () = calls => unreachable!("it calls until it is stopped"),
    };
    assert!(line.text.contains("create its folder"), "{}", line.text);
    gateway.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_refuses_the_start() {
    let upstream = upstream(Answer::default()).await;
    for (settings, word) in [
        (json!({"path": "/nowhere/at/all"}), "create its folder"),
        (json!({"path": "/tmp"}), "name a file"),
        (json!({}), "path"),
        (json!({"path": FILE, "keep": 0}), "keep"),
    ] {
        let config = with_callbacks(&every_dialect(&upstream), &json!([audit(settings)]));
        for said in [
            Gateway::with_config(&config).check().await.stderr,
            Gateway::with_config(&config).refused().await.stderr,
        ] {
            assert!(said.contains("audit_log") && said.contains(word), "{word}: {said}");
        }
    }
}

/// The user who runs `check` may differ from the one who serves.
#[tokio::test]
async fn check_creates_no_file_and_reports_like_a_start() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let config = with_callbacks(&every_dialect(&upstream), &json!([audit(json!({"path": path}))]));
    let checked = Gateway::with_config(&config).check().await;
    assert!(checked.status.success(), "{}", checked.stderr);
    assert!(!path.exists());
    let gateway = Gateway::with_config(&config).start().await;
    assert!(!path.exists());
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(lines_at_end(gateway, &folder).await.len(), 1);
}

#[tokio::test]
async fn each_lost_line_is_counted_once() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream, json!([audit(json!({"path": "/dev/full"}))])).await;
    for _ in 0..20 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    let counted = "callgate_plugin_audit_log_lines_lost_total{callback=\"audit_log\"} 20\n";
    within("the metric", async {
        while !gateway.client().get("/metrics").await.text().contains(counted) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = gateway.stop().await;
    let lost = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lost: u64 =
        lost.filter_map(|line| find(&line, "lines.lost")?.as_str()?.parse::<u64>().ok()).sum();
    assert_eq!(lost, 20, "{log}");
}

/// A member by its name, at any depth.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let members = value.as_object()?;
    members.get(name).or_else(|| members.values().find_map(|value| find(value, name)))
}

#[tokio::test]
async fn where_asked_for_no_call_begins_that_cannot_be_written_down() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let settings = json!({"path": logs.join(FILE), "on_loss": "refuse"});
    let gateway = gateway(&upstream, json!([audit(settings)])).await;
    fs::remove_dir(&logs).unwrap();
    let mut answered = 0;
    let refused = within("a refusal", async {
        loop {
            let reply = gateway.client().chat("gpt").send().await;
            if reply.status != 200 {
                return reply;
            }
            answered += 1;
        }
    })
    .await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
    assert_eq!(refused.error()["code"], "audit_log_unavailable");
    fs::create_dir(&logs).unwrap();
    within("the file is written again", async {
        while gateway.client().chat("gpt").send().await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gateway.stop().await;
    assert_eq!(lines(&logs.join(FILE)).len(), answered + 1);
}

/// The probe's variable is for child processes; it has no effect if the environment sets it.
#[tokio::test]
async fn a_gateway_that_serves_is_on_no_trial() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let callbacks = json!([audit(json!({"path": folder.path().join(FILE)}))]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).env("CALLGATE_PROBE", "1").start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(lines_at_end(gateway, &folder).await.len(), 1);
}
