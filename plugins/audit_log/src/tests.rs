//! Tests calls and their lines, through the same tables as those of a loaded plugin.

use crate::AuditLog;
use plugin_api::{
    FailureKind, Level,
    testing::{MockHost, Outcome, TestCall, TestFailure, TestReply, Tester, conformance},
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

fn tester(path: &Path, more: &Value) -> Tester {
    Tester::of::<AuditLog>(settings(path, more)).unwrap()
}

fn settings(path: &Path, more: &Value) -> Value {
    let mut settings = json!({"path": path});
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

/// Returns the lines of a file that is no longer written to.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn call() -> TestCall {
    TestCall::chat("gpt")
        .deployment("gpt", "openai", "gpt-4o-mini")
        .id("call-1")
        .key_id("key-1")
        .message("system", "Be brief.")
        .message("user", "Grüße\n\u{1b}[31m\u{9b}\u{2028}")
}

#[test]
fn a_reply_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let tester = tester(&path, &json!({}));
    let mut reply =
        TestReply::text("secret words").usage(5, 7).duration(Duration::from_micros(80_500));
    tester.end(&mut call(), &mut reply);
    drop(tester);
    assert_eq!(
        lines(&path),
        [json!({
            "time": "2026-01-01T00:00:00.000Z", "call_id": "call-1", "key_id": "key-1",
            "requested_model": "gpt", "model": "gpt", "provider": "openai",
            "upstream_model": "gpt-4o-mini", "stream": false, "status": 200,
            "finish_reason": "stop", "prompt_tokens": 5, "completion_tokens": 7,
            "total_tokens": 12, "duration_ms": 80.5, "upstream_ms": 80.5, "messages": 2,
            "prompt_chars": 22,
        })]
    );
}

#[test]
fn content_is_there_when_asked_for_and_control_characters_are_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let tester = tester(&path, &json!({"content": true}));
    let mut call = call().stream();
    let streamed = TestReply::streamed("Hallo\u{85}").time_to_first_token(Duration::from_millis(9));
    tester.end(&mut call, &mut streamed.clone());
    let failure = TestFailure::new(FailureKind::BROKEN_STREAM, 502, "broke").code("incomplete");
    tester.error(&mut call, &mut failure.sent("Hal").duration(Duration::from_millis(3)));
    let refused = TestFailure::new(FailureKind::REJECTED, 429, "slow down").callback("rate_limit");
    tester.error(&mut call, &mut refused.clone());
    drop(tester);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.chars().all(|it| it == '\n' || !(it.is_control() || it == '\u{2028}')), "{text}");
    let lines = lines(&path);
    let said = json!([
        {"role": "system", "text": "Be brief."},
        {"role": "user", "text": "Grüße\n\u{1b}[31m\u{9b}\u{2028}"},
    ]);
    assert_eq!((&lines[0]["prompt"], &lines[0]["reply"]), (&said, &json!("Hallo\u{85}")));
    assert_eq!((&lines[0]["stream"], &lines[0]["first_token_ms"]), (&json!(true), &json!(9.0)));
    assert_eq!(lines[1]["error_code"], "incomplete");
    assert_eq!((&lines[1]["status"], &lines[1]["reply"]), (&json!(502), &json!("Hal")));
    assert_eq!(lines[1]["duration_ms"], json!(3.0));
    assert_eq!((&lines[2]["callback"], &lines[2]["status"]), (&json!("rate_limit"), &json!(429)));
    assert!(lines[2].get("reply").is_none());
}

#[test]
fn shutdown_writes_what_waits_and_later_lines_come_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let tester = tester(&path, &json!({}));
    for _ in 0..500 {
        tester.end(&mut call(), &mut TestReply::text("x"));
    }
    tester.shutdown();
    assert_eq!(lines(&path).len(), 500);
    tester.end(&mut call(), &mut TestReply::text("x"));
    drop(tester);
    assert_eq!(lines(&path).len(), 501);
}

#[test]
fn instances_of_one_file_never_mix_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let testers = [tester(&path, &json!({})), tester(&path, &json!({}))];
    std::thread::scope(|scope| {
        for tester in &testers {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        tester.end(&mut call(), &mut TestReply::text("x"));
                    }
                });
            }
        }
    });
    drop(testers);
    assert_eq!(lines(&path).len(), 1600);
}

#[test]
fn a_disk_that_takes_nothing_is_told_once_and_lets_calls_go_on() {
    let host = MockHost::new();
    let settings = settings(Path::new("/dev/full"), &json!({}));
    let tester = Tester::on::<AuditLog>(&host, settings).unwrap();
    for _ in 0..100 {
        assert_eq!(tester.end(&mut call(), &mut TestReply::text("x")), Outcome::Continue);
        tester.shutdown();
    }
    let told: Vec<_> = host.log().into_iter().filter(|line| line.level == Level::Error).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].message.contains("cannot write to `/dev/full`"), "{}", told[0]);
    drop(tester);
    let told = host.log().pop().unwrap();
    assert_eq!(told.field("lines.lost"), Some("99"), "{told}");
    assert_eq!(host.metric("lines_lost_total"), Some(100.0));
    assert_eq!(host.metric("lines_written_total"), Some(0.0));
}

#[test]
fn what_finds_no_room_is_dropped_and_told_once() {
    let host = MockHost::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let settings = settings(&path, &json!({}));
    let tester = Tester::on::<AuditLog>(&host, settings).unwrap();
    // Longer than the queue's limit in bytes, so that it is dropped however fast the disk is.
    let huge = "x".repeat(2 << 20);
    for _ in 0..3 {
        tester.end(&mut TestCall::chat("gpt").id(&huge), &mut TestReply::text("x"));
    }
    tester.end(&mut call(), &mut TestReply::text("x"));
    tester.shutdown();
    assert_eq!(lines(&path).len(), 1);
    let told = |host: &MockHost| {
        let lines = host.log().into_iter().filter(|line| line.message.contains("dropped"));
        lines.map(|line| line.field("lines.lost").unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(&host), ["1"]);
    drop(tester);
    assert_eq!(told(&host), ["1", "2"]);
    assert_eq!(host.metric("lines_lost_total"), Some(3.0));
    assert_eq!(host.metric("lines_written_total"), Some(1.0));
}

#[test]
fn calls_that_cannot_be_written_down_are_refused_where_that_is_asked_for() {
    let host = MockHost::new();
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let path = logs.join("audit.jsonl");
    let settings = settings(&path, &json!({"on_loss": "refuse"}));
    let tester = Tester::on::<AuditLog>(&host, settings).unwrap();
    fs::remove_dir(&logs).unwrap();
    assert_eq!(tester.start(&mut call()), Outcome::Continue);
    tester.end(&mut call(), &mut TestReply::text("kept"));
    let refusal = loop {
        match tester.start(&mut call()) {
            Outcome::Reject(refusal) => break refusal,
            _ => std::thread::yield_now(),
        }
    };
    assert_eq!(refusal.code.as_deref(), Some("audit_log_unavailable"));
    assert_eq!((refusal.status, refusal.retry_after), (503, Some(Duration::from_secs(1))));
    fs::create_dir(&logs).unwrap();
    while tester.start(&mut call()) != Outcome::Continue {
        std::thread::yield_now();
    }
    drop(tester);
    assert_eq!(lines(&path).len(), 1);
    assert_eq!(host.metric("lines_lost_total"), Some(0.0));
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for (settings, expected) in [
        (json!({}), "missing field `path`"),
        (json!({"path": path, "max_bytes": 1}), "expected `max_bytes` from 4096"),
        (json!({"path": path, "keep": 0}), "expected `keep` from 1 to 100"),
        (json!({"path": path, "queue": 0}), "expected `queue` from 1 to 1000000"),
        (json!({"path": path, "contents": true}), "unknown field `contents`"),
        (json!({"path": folder.path()}), "name a file"),
        (json!({"path": "/nowhere/at/all"}), "create its folder"),
    ] {
        let error = Tester::of::<AuditLog>(settings.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

#[test]
fn conforms_and_exports_the_hooks_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let settings = json!({"path": folder.path().join("a"), "content": true, "max_bytes": 8192});
    let implemented = conformance::check::<AuditLog>(&settings).unwrap();
    assert_eq!(implemented, ["on_llm_start", "on_llm_end", "on_llm_error"]);
}

#[test]
fn the_schema_is_json() {
    let schema = include_str!("../settings.schema.json");
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap()["type"], "object");
}

#[test]
fn content_that_makes_a_line_too_long_is_left_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let tester = tester(&path, &json!({"content": true}));
    // Each takes two bytes, and six in a line.
    let mut long = TestCall::chat("gpt").id("long").message("user", &"\u{85}".repeat(400_000));
    tester.end(&mut long, &mut TestReply::text("a"));
    let mut fits = TestCall::chat("gpt").id("fits").message("user", &"\u{85}".repeat(300_000));
    tester.end(&mut fits, &mut TestReply::text("a"));
    let mut long = TestCall::chat("gpt").id("long reply").message("user", "a");
    tester.end(&mut long, &mut TestReply::text(&"\u{85}".repeat(400_000)));
    assert_eq!(tester.host().metric("lines_lost_total"), Some(0.0));
    drop(tester);
    let found: Vec<_> = lines(&path)
        .iter()
        .map(|line| {
            let has = |name: &str| line.get(name).is_some();
            (line["call_id"].clone(), has("prompt"), has("reply"), has("content_left_out"))
        })
        .collect();
    let expected = [
        (json!("long"), false, false, true),
        (json!("fits"), true, true, false),
        (json!("long reply"), false, false, true),
    ];
    assert_eq!(found, expected);
}
