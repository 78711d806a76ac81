//! Compares quotations in the operators' guide with the gateway's output: log lines, responses and
//! refusals.

use std::fs;

use callgate_tests::config::{every_dialect, with_callbacks};
use callgate_tests::{Answer, Gateway, build, tool, upstream};
use serde_json::{Value, json};

use super::blocks::blocks;
use super::{OPERATORS, fits, text};
use crate::callbacks::faulty::{faulty, faulty_async, faulty_blocking, with, with_policy};

/// The lines of the guide's `text` blocks.
fn quoted() -> Vec<String> {
    let blocks = blocks(OPERATORS).into_iter().filter(|block| block.language == "text");
    blocks.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[track_caller]
fn are_quoted(found: &[String]) {
    let quoted = quoted();
    let missing = found.iter().filter(|found| !quoted.iter().any(|line| fits(line, found)));
    let missing: Vec<_> = missing.map(String::as_str).collect();
    assert!(missing.is_empty(), "{OPERATORS} does not quote\n{}", missing.join("\n"));
}

/// Makes two calls with a callback named `tagger`; returns the log lines with these words, and the
/// error responses.
async fn said(callback: Value, words: &[&str]) -> Vec<String> {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&every_dialect(&upstream), &json!([callback]));
    let gateway = Gateway::with_config(config).start().await;
    let mut said = Vec::new();
    for _ in 0..2 {
        let reply = gateway.client().chat("gpt").send().await;
        if reply.status != 200 {
            said.push(format!("{} {}", reply.status, reply.text().trim_end()));
        }
    }
    for words in words {
        let line = gateway.log().containing(words).await;
        said.push(format!("{} {}", line.level(), line.message()));
    }
    let _ = gateway.stop().await;
    said
}

#[tokio::test]
async fn faults_are_reported_as_quoted() {
    let start = |act: Value| json!({"on_llm_start": [act]});
    let internal = || faulty("tagger", start(json!({"internal": "no budget file"})));
    let never = with(faulty_async("tagger", start(json!("never"))), "timeout", json!("50ms"));
    let stuck = faulty_blocking("tagger", start(json!({"sleep_ms": 1_000})));
    let breaker = json!({"faults": 1, "within": "30s", "open": "10s"});
    let odd = json!({"reject": {"status": 200, "code": "c", "message": "m", "retry_after_ms": 0}});
    let failed = "callback `tagger` failed in on_llm_start";
    let mut found = Vec::new();
    for (callback, words) in [
        (internal(), &[failed][..]),
        (with_policy(internal(), "disable"), &["is switched off until"]),
        (with(internal(), "breaker", breaker), &["its breaker is open for"]),
        (faulty("tagger", start(json!({"panic": "boom"}))), &[failed, "was restarted"]),
        (
            faulty("tagger", json!({"on_llm_start": [{"panic": "boom"}], "unmade": [2]})),
            &[failed, "cannot be restarted"],
        ),
        (never, &["not done within"]),
        (with(stuck, "timeout", json!("50ms")), &["threads are stuck"]),
        (faulty("tagger", start(json!({"sleep_ms": 20}))), &["held up every call"]),
        (faulty("tagger", start(odd)), &["not one from 400 to 599"]),
    ] {
        found.extend(said(callback, words).await);
    }
    are_quoted(&found);
}

#[tokio::test]
async fn a_crash_is_reported_as_quoted() {
    let acts = json!({"only_served": true, "on_llm_start": ["segfault"]});
    let model = json!({"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "hello"}});
    let mut config = with_callbacks(&[model], &json!([faulty("tagger", acts)]));
    let cache = tempfile::tempdir().unwrap();
    config["callgate"] = json!({"cache_dir": cache.path()});
    let setup = Gateway::with_config(config);
    let mut gateway = setup.clone().start().await;
    let call = gateway.client().chat("gpt").spawn();
    let _ = gateway.exit().await;
    let _ = call.await;
    let log = gateway.log().complete().await;
    let ended = log.lines().find(|line| line.starts_with("callgate: ended by")).unwrap().to_owned();
    let gateway = setup.start().await;
    let line = gateway.log().containing("the last run ended").await;
    are_quoted(&[ended, format!("{} {}", line.level(), line.message())]);
    let _ = gateway.stop().await;
}

/// The sentences of the error enums in a source file, with `…` for inserted values.
fn sentences(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in code.split("#[error(").skip(1) {
        let Some(literal) = attribute.trim_start().strip_prefix('"') else { continue };
        let end = literal.find('"').unwrap();
        let mut sentence = String::new();
        for (index, part) in literal[..end].split(['{', '}']).enumerate() {
            sentence.push_str(if index % 2 == 0 { part } else { "…" });
        }
        found.push(sentence);
    }
    found
}

#[test]
fn every_refusal_is_in_the_troubleshooting_table() {
    let guide = text(OPERATORS);
    let table: Vec<_> = guide.lines().filter(|line| line.starts_with("| ")).collect();
    let mut missing = Vec::new();
    let rooms = ["resolve.rs", "crash_journal.rs", "probe.rs", "inspect/file.rs", "inspect/pin.rs"];
    let more =
        ["inspect/elf.rs", "inspect/export.rs", "loader/library_error.rs", "loader/instance.rs"];
    for room in rooms.into_iter().chain(more) {
        let path = build::repository().join("gateway/plugin-host/src").join(room);
        let sentences = sentences(&fs::read_to_string(path).unwrap());
        assert!(!sentences.is_empty(), "{room} has no refusals");
        // A sentence that consists of an inserted value repeats another one.
        for sentence in sentences.into_iter().filter(|it| it != "…") {
            if !table.iter().any(|line| line.contains(&sentence)) {
                missing.push(sentence);
            }
        }
    }
    assert!(missing.is_empty(), "{OPERATORS} has no row for\n{}", missing.join("\n"));
}

/// The keys of an entry, as the config's reader knows them.
#[test]
fn every_key_of_an_entry_is_in_it() {
    let guide = text(OPERATORS);
    let source = build::repository().join("gateway/config/src");
    let mut keys = Vec::new();
    for file in ["callbacks.rs", "callbacks/policy_keys.rs", "callbacks/grants.rs"] {
        let code = fs::read_to_string(source.join(file)).unwrap();
        let taken = code.split(".take(\"").skip(1).filter_map(|rest| rest.split('"').next());
        keys.extend(taken.map(str::to_owned));
    }
    assert!(keys.len() > 15, "{keys:?}");
    for key in keys {
        assert!(
            guide.contains(&format!("`{key}`")) || guide.contains(&format!("{key}: ")),
            "{OPERATORS} does not name `{key}`"
        );
    }
}

/// The hooks in the files' manifests.
#[tokio::test]
async fn the_shipped_callbacks_have_the_hooks_it_lists() {
    let guide = text(OPERATORS);
    for name in ["routing", "rate_limit", "guardrail", "audit_log", "langsmith"] {
        let file = build::plugin(name).display().to_string();
        let inspected = tool::plugin(&build::folder(), &["inspect", &file, "--json"]).await.json();
        let hooks = inspected["callbacks"][0]["hooks"].as_array().unwrap().iter();
        let hooks: Vec<_> = hooks.map(|hook| format!("`{}`", hook.as_str().unwrap())).collect();
        let row = format!("| [`{name}`](shipped-callbacks.md#{name}) | {} |", hooks.join(" "));
        assert!(guide.contains(&row), "{OPERATORS} has no row that begins {row}");
    }
}
