//! `record` of an entry keeps real calls, and `callgate plugin test --replay` runs another build or
//! other settings over them.

use crate::callbacks::faulty::{faulty, faulty_async, faulty_beside, refusal, report, with};
use callgate_tests::{
    Answer, Gateway, MASTER_KEY, ScriptedUpstream, UPSTREAM_KEY, build,
    config::{every_dialect, with_callbacks},
    gateway::Ended,
    tool, upstream,
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tempfile::tempdir;

/// The settings that were recorded with.
fn acts() -> Value {
    json!({
        "on_llm_start": [{"set_param": ["temperature", "0"]}, {"set_metadata": ["k", "v"]}],
        "on_llm_new_token": ["chunk_upper"],
        "on_llm_end": [{"reply_header": ["x-seen", "yes"]}],
        "on_llm_error": [{"failure_status": 418}],
    })
}

async fn gateway(upstream: &ScriptedUpstream, entry: Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!([entry]));
    Gateway::with_config(config).start().await
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

async fn replay(dir: &Path, settings: &Value, more: &[&str]) -> Ended {
    let (plugin, settings) = (build::plugin("faulty"), settings.to_string());
    let (plugin, dir_text) = (plugin.display().to_string(), dir.display().to_string());
    let arguments = ["test", &plugin, "--callback", "faulty", "--settings", &settings];
    let here = Path::new("/");
    tool::plugin(here, &[&arguments[..], &["--replay", &dir_text], more].concat()).await
}

/// A whole reply, a stream, and a failure.
async fn three_calls(upstream: &ScriptedUpstream, gateway: &Gateway) {
    let secret = ("x-api-key", "sk-client-tells-nobody");
    let call = gateway.client().chat("gpt").header(secret.0, secret.1);
    let _ = call.send().await.expect_status(200);
    let stream = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
    let _ = stream.events();
    upstream.push(Answer::error(429, "t", "c", "slow down"));
    let _ = gateway.client().chat("gpt").send().await.expect_status(418);
}

#[tokio::test]
async fn the_same_build_does_the_same_and_other_settings_show_their_differences() {
    let upstream = upstream(Answer::default()).await;
    for make in [faulty, faulty_async] {
        let folder = tempdir().unwrap();
        let dir = folder.path().join("records");
        let gateway = gateway(&upstream, with(make("f", acts()), "record", json!(dir))).await;
        three_calls(&upstream, &gateway).await;
        gateway.stop().await;
        assert_eq!(files(&dir).len(), 3, "{:?}", files(&dir));
        let name = if make("f", json!({}))["name"] == "faulty" { "faulty" } else { "faulty_async" };
        let plugin = build::plugin("faulty").display().to_string();
        let run = async |settings: Value, more: &[&str]| {
            let (settings, dir_text) = (settings.to_string(), dir.display().to_string());
            let arguments = ["test", &plugin, "--callback", name, "--settings", &settings];
            let arguments = [&arguments[..], &["--replay", &dir_text], more].concat();
            tool::plugin(&dir, &arguments).await
        };
        let same = run(acts(), &[]).await;
        assert_eq!((same.code(), &*same.stdout), (0, "3 calls: 3 the same, 0 different\n"));
        let mut other = acts();
        other["on_llm_start"] = json!([{"set_param": ["temperature", "1"]}, refusal("no")]);
        let told = run(other.clone(), &[]).await;
        assert_eq!(told.code(), 1, "{}", told.stderr);
        for part in [
            "3 calls: 0 the same, 3 different\n",
            "  on_llm_start (hook 1)\n",
            "edits.params.temperature.to  0 → 1",
            "verdict.kind                 \"continue\" → \"rejection\"",
        ] {
            assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
        }
        let again = run(other, &[]).await;
        assert_eq!(told.stdout, again.stdout);
        let mut other = acts();
        other["on_llm_new_token"] = json!([]);
        other["on_llm_error"] = json!([{"failure_status": 500}]);
        let json = run(other, &["--json"]).await.json();
        assert_eq!((&json["same"], &json["different"]), (&json!(1), &json!(2)), "{json:#}");
        let hooks = |call: usize| json["differences"][call]["hooks"].as_array().unwrap();
        assert!(hooks(0).iter().all(|it| it["hook"] == "on_llm_new_token"), "{json:#}");
        assert_eq!(hooks(1)[0]["changes"][0]["after"], 500, "{json:#}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_folder_and_only_the_owner_reads_it() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("a/records");
    let mut entry = with(faulty("f", acts()), "record", json!(dir));
    entry["grants"] = json!({"read_auth_header": true});
    let gateway = gateway(&upstream, entry).await;
    three_calls(&upstream, &gateway).await;
    gateway.stop().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in files(&dir) {
        assert_eq!(mode(&file), 0o600);
        let text = fs::read_to_string(&file).unwrap();
        for secret in [UPSTREAM_KEY, MASTER_KEY, "sk-client-tells-nobody"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        let record: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&record["format"], &record["version"]), (&json!("callgate-record"), &json!(1)));
    }
}

#[tokio::test]
async fn the_bounds_hold_and_a_sample_is_evenly_spread() {
    let upstream = upstream(Answer::default()).await;
    for (record, calls, kept, full) in [
        (json!({"calls": 2}), 4, 2, true),
        (json!({"bytes": 10}), 3, 0, true),
        (json!({"sample": "50%"}), 4, 2, false),
    ] {
        let folder = tempdir().unwrap();
        let dir = folder.path().join("records");
        let mut record = record;
        record["dir"] = json!(dir);
        let gateway = gateway(&upstream, with(faulty("f", acts()), "record", record)).await;
        for _ in 0..calls {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        }
        if full {
            gateway.log().containing("is full with").await;
            assert_eq!(report(&gateway).await[0]["record"]["full"], true);
        }
        let log = gateway.log().clone();
        gateway.stop().await;
        let there = if dir.exists() { files(&dir).len() } else { 0 };
        assert_eq!(there, kept);
        let lines = log.lines();
        let said = lines.iter().filter(|line| line.message().contains("is full with")).count();
        assert_eq!(said, usize::from(full));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_costs_a_warning_and_no_call() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("file");
    fs::write(&dir, "not a folder").unwrap();
    let gateway = gateway(&upstream, with(faulty("f", acts()), "record", json!(dir))).await;
    for _ in 0..3 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    gateway.log().containing("cannot be recorded in").await;
    let log = gateway.log().clone();
    gateway.stop().await;
    let lines = log.lines();
    let said = lines.iter().filter(|line| line.message().contains("cannot be recorded in"));
    assert_eq!(said.count(), 1);
}

#[tokio::test]
async fn verdicts_of_every_kind_are_recorded_and_come_again() {
    let upstream = upstream(Answer::default()).await;
    for (act, kind, status) in [
        (refusal("no"), "rejection", 418),
        (json!({"answer_text": "mine"}), "reply", 200),
        (json!({"internal": "broken"}), "fault", 503),
        (json!({"panic": "boom"}), "fault", 503),
    ] {
        for ignored in [false, true] {
            let folder = tempdir().unwrap();
            let dir = folder.path().join("records");
            let settings = json!({"on_llm_start": [act]});
            let mut entry = with(faulty("f", settings.clone()), "record", json!(dir));
            if ignored {
                entry["on_error"] = json!("ignore");
            }
            let gateway = gateway(&upstream, entry).await;
            let status = if ignored && kind == "fault" { 200 } else { status };
            let _ = gateway.client().chat("gpt").send().await.expect_status(status);
            gateway.stop().await;
            let text = fs::read_to_string(&files(&dir)[0]).unwrap();
            let record: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(record["hooks"][0]["outcome"]["verdict"]["kind"], kind, "{record:#}");
            let same = replay(&dir, &settings, &[]).await;
            assert_eq!(same.code(), 0, "{kind} {ignored}: {}{}", same.stdout, same.stderr);
        }
    }
}

/// What a hook beside the upstream call did is recorded, whether its verdict counts or not.
#[tokio::test]
async fn hooks_beside_the_upstream_call_are_recorded() {
    let upstream = upstream(Answer::default()).await;
    let plugin = build::plugin("faulty").display().to_string();
    for (mode, status) in [("inline", 418), ("shadow", 200)] {
        for acts in [json!([{"set_metadata": ["k", "v"]}]), json!([refusal("no")])] {
            let folder = tempdir().unwrap();
            let dir = folder.path().join("records");
            let settings = json!({"on_llm_during": acts});
            let entry = with(faulty_beside("f", settings.clone()), "record", json!(dir));
            let gateway = gateway(&upstream, with(entry, "mode", json!(mode))).await;
            let refuses = acts[0]["set_metadata"].is_null();
            let wanted = if refuses { status } else { 200 };
            let _ = gateway.client().chat("gpt").send().await.expect_status(wanted);
            gateway.stop().await;
            let text = fs::read_to_string(&files(&dir)[0]).unwrap();
            let record: Value = serde_json::from_str(&text).unwrap();
            let hook = &record["hooks"][1];
            let kind = if refuses { "rejection" } else { "continue" };
            assert_eq!(hook["hook"], "on_llm_during", "{record:#}");
            assert_eq!(hook["outcome"]["verdict"]["kind"], kind, "{record:#}");
            if !refuses {
                assert_eq!(hook["outcome"]["edits"]["metadata.k"]["to"], "v", "{record:#}");
            }
            let run = async |settings: &Value| {
                let (settings, dir) = (settings.to_string(), dir.display().to_string());
                let callback = ["--callback", "faulty_beside", "--settings", &settings];
                let arguments = [&["test", &plugin][..], &callback, &["--replay", &dir]].concat();
                tool::plugin(Path::new("/"), &arguments).await
            };
            let same = run(&settings).await;
            assert_eq!(same.code(), 0, "{mode}: {}{}", same.stdout, same.stderr);
            let other = run(&json!({"on_llm_during": [refusal("another")]})).await;
            assert_eq!(other.code(), 1, "{mode}: {}{}", other.stdout, other.stderr);
            assert!(other.stdout.contains("on_llm_during (hook 2)"), "{}", other.stdout);
        }
    }
}

#[tokio::test]
async fn what_is_no_record_is_reported_and_does_not_hide_the_rest() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("records");
    let gateway = gateway(&upstream, with(faulty("f", acts()), "record", json!(dir))).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
    let good = fs::read_to_string(&files(&dir)[0]).unwrap();
    let cut = &good[..good.len() / 2];
    let later = good.replace("\"version\":1", "\"version\":7");
    let other = good.replace("\"name\":\"faulty\"", "\"name\":\"another\"");
    let broken = good.replace("\"hooks\":[", "\"hooks\":[{},");
    for (name, text) in
        [("x1.json", cut), ("x2.json", &later), ("x3.json", &other), ("x4.json", &broken)]
    {
        fs::write(dir.join(name), text).unwrap();
    }
    let told = replay(&dir, &acts(), &[]).await;
    assert_eq!(told.code(), 0, "{}{}", told.stdout, told.stderr);
    for part in [
        "1 call: 1 the same, 0 different\n",
        "1 record is of another callback\n",
        "x1.json is not usable: expected a record of a call, found something else\n",
        "x2.json is not usable: expected format version 1, found 7; use a later callgate\n",
        "x4.json is not usable: the record is damaged: `hooks` is not usable\n",
    ] {
        assert!(told.stdout.contains(part), "{part}: {}", told.stdout);
    }
    let empty = tempdir().unwrap();
    assert_eq!(replay(empty.path(), &acts(), &[]).await.code(), 2);
    assert_eq!(replay(&empty.path().join("nowhere"), &acts(), &[]).await.code(), 2);
}

#[tokio::test]
async fn requests_of_a_hook_get_their_recorded_answers_and_its_clock_the_recorded_time() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("records");
    let base = format!("http://{}", upstream.addr());
    let steps = |more: &str| json!({"on_llm_start": [{"http": {"url": format!("{base}/v1/{more}"), "body": "x"}}]});
    let host = upstream.addr().to_string();
    let entry = json!({
        "name": "all_services_async", "path": build::plugin("all_services"), "instance": "s",
        "grants": {"http_hosts": [host]}, "settings": steps("one"), "record": dir,
    });
    let config = with_callbacks(&every_dialect(&upstream), &json!([entry]));
    let gateway = Gateway::with_config(config.clone()).start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
    let record = fs::read_to_string(&files(&dir)[0]).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let exchange = &record["hooks"][0]["http"][0];
    assert_eq!(
        (&exchange["method"], &exchange["body"], exchange["response"]["status"].is_u64()),
        (&json!("POST"), &json!("x"), true),
        "{record:#}"
    );
    let asked = upstream.requests().len();
    let plugin = build::plugin("all_services").display().to_string();
    let (dir_text, settings) = (dir.display().to_string(), steps("one").to_string());
    let arguments = ["test", &plugin, "--callback", "all_services_async", "--settings", &settings];
    let arguments = [&arguments[..], &["--replay", &dir_text]].concat();
    let told = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(told.code(), 0, "{}{}", told.stdout, told.stderr);
    assert_eq!(upstream.requests().len(), asked, "nothing is sent");
    // With a config, its entry says which records are meant, and its settings apply.
    let file = folder.path().join("c.yaml");
    fs::write(&file, config.to_string()).unwrap();
    let arguments = ["test", "--config", "c.yaml", "--replay", &dir_text];
    let told = tool::plugin(folder.path(), &arguments).await;
    assert_eq!(told.code(), 0, "{}{}", told.stdout, told.stderr);
    assert_eq!(told.stdout, "1 call: 1 the same, 0 different\n");
}

#[tokio::test]
async fn a_callback_in_shadow_is_recorded_with_what_it_would_have_done() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("records");
    let settings = json!({"on_llm_start": [{"set_model": "llama"}], "on_llm_end": [refusal("no")]});
    let entry = with(faulty("f", settings.clone()), "record", json!(dir));
    let gateway = gateway(&upstream, with(entry, "mode", json!("shadow"))).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
    let record = fs::read_to_string(&files(&dir)[0]).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let outcome = |hook: usize| &record["hooks"][hook]["outcome"];
    assert_eq!(outcome(0)["edits"]["model"]["to"], "llama", "{record:#}");
    assert_eq!(outcome(0)["edits"]["provider"]["to"], "groq", "{record:#}");
    assert_eq!(outcome(1)["verdict"]["status"], 418, "{record:#}");
    let same = replay(&dir, &settings, &[]).await;
    assert_eq!(same.code(), 0, "{}{}", same.stdout, same.stderr);
}

#[tokio::test]
async fn a_guardrail_is_replayed_with_other_rules() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempdir().unwrap();
    let dir = folder.path().join("records");
    let rules =
        |pattern: &str| json!({"rules": [{"name": "r", "pattern": pattern, "action": "mask"}]});
    let entry = json!({
        "name": "guardrail", "path": build::plugin("guardrail"), "settings": rules("wor"),
        "record": {"dir": dir},
    });
    let gateway = gateway(&upstream, entry).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let stream = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
    let _ = stream.events();
    gateway.stop().await;
    let plugin = build::plugin("guardrail").display().to_string();
    for (pattern, line) in [
        ("wor", "2 calls: 2 the same, 0 different\n"),
        ("nothing of it", "2 calls: 0 the same, 2 different\n"),
    ] {
        let (settings, dir_text) = (rules(pattern).to_string(), dir.display().to_string());
        let arguments = ["test", &plugin, "--settings", &settings, "--replay", &dir_text];
        let told = tool::plugin(folder.path(), &arguments).await;
        assert!(told.stdout.ends_with(line), "{}{}", told.stdout, told.stderr);
    }
}
