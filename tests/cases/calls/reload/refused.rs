//! Configs, files and circumstances that a reload refuses. Each has one clear outcome, and what
//! served before goes on untouched.

use super::{
    apply, build_of, config, metric, modest, post, post_by, put_build, refusal, refuse, running,
    setup,
};
use crate::callbacks::faulty::{entry, faulty, recorder, with};
use callgate_tests::{
    Answer, Client, Gateway, Raw, build, config::MASTER_KEY, raw::status, upstream,
};
use nix::sys::signal::Signal;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use std::{fs, process::Command};

/// A gateway with one callback from a file of its own, and that file.
async fn gateway_of(folder: &tempfile::TempDir) -> (Gateway, std::path::PathBuf, Value) {
    let file = build_of("faulty", folder.path(), 1);
    let config = modest(&json!([with(recorder("seen"), "path", json!(file))]));
    let gateway = setup(&config).start().await;
    (gateway, file, config)
}

/// What served before serves on: the callback runs, and nothing more was mapped.
async fn is_untouched(gateway: &Gateway) {
    assert_eq!(running(gateway).await, ["seen"]);
    assert_eq!(metric(gateway, "callgate_config_generation").await, 1.0);
    assert_eq!(metric(gateway, "callgate_plugin_libraries").await, 1.0);
}

#[tokio::test]
async fn files_that_are_no_plugins_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, file, _) = gateway_of(&folder).await;
    let whole = fs::read(&file).unwrap();
    for (bytes, sentence) in [
        (whole[..whole.len() / 2].to_vec(), "the file is truncated"),
        (Vec::new(), "found an empty file"),
        (b"#!/bin/sh\n".to_vec(), "found a script"),
    ] {
        let new = folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, &file).unwrap();
        let said = refusal(&gateway).await;
        assert!(said.contains(sentence), "{said}");
        is_untouched(&gateway).await;
    }
    fs::remove_file(&file).unwrap();
    assert!(refusal(&gateway).await.contains("libfaulty.so"));
    is_untouched(&gateway).await;
    fs::write(&file, whole).unwrap();
    let _ = post(&gateway).await.expect_status(200);
}

/// The half that is there is refused; what runs is a copy, so that writing to the file in place
/// harms no call.
#[tokio::test]
async fn a_file_that_is_being_written_is_refused_until_it_is_whole() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libmark.so");
    build::c_plugin("mark.c", &[], &file);
    let entry = json!({"name": "mark", "path": file, "settings": {"mark": "m"}});
    let gateway = setup(&config(&upstream.openai_base(), &json!([entry]))).start().await;
    let new = folder.path().join("new.so");
    build::c_plugin("mark.c", &[("VERSION", "2.0.0")], &new);
    let bytes = fs::read(&new).unwrap();
    for length in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        refusal(&gateway).await;
        let reply = gateway.client().chat("gpt").send().await.expect_status(200);
        assert_eq!(reply.header("x-mark"), "m/m@1.0.0");
    }
    fs::write(&file, bytes).unwrap();
    let _ = post(&gateway).await.expect_status(200);
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.header("x-mark"), "m/m@2.0.0");
}

#[tokio::test]
async fn plugins_that_fail_their_trial_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, file, config) = gateway_of(&folder).await;
    for (acts, sentence) in [
        (json!({"new": ["segfault"]}), "crashed with SIGSEGV in its constructor"),
        (json!({"new": [{"exit": 0}]}), "ended the process with status 0 in its constructor"),
        (json!({"on_llm_end": ["abort"]}), "crashed with SIGABRT in on_llm_end"),
        (json!({"drop": ["segfault"]}), "crashed with SIGSEGV in its destructor"),
        (json!({"new": [{"internal": "no licence"}]}), "it refused to start: no licence"),
        (json!({"new": [{"sleep_ms": 10_000}]}), "was not done within 1 s in its constructor"),
        (json!({"new": ["hang"]}), "was not done within 1 s in its constructor"),
    ] {
        let mut next = config.clone();
        let bad = with(faulty("bad", acts), "path", json!(file));
        next["litellm_settings"]["callbacks"].as_array_mut().unwrap().push(bad);
        next["callgate"]["probe_timeout"] = json!("1s");
        let said = refuse(&gateway, &next.to_string()).await;
        assert!(said.contains(sentence), "{said}");
        is_untouched(&gateway).await;
    }
    let log = gateway.stop().await;
    assert!(!log.contains("\"label\":\"bad\"") || log.contains("no licence"), "{log}");
}

#[tokio::test]
async fn a_slow_constructor_that_may_be_slow_takes_effect() {
    let gateway = setup(&modest(&json!([recorder("seen")]))).start().await;
    let acts = json!({"new": [{"sleep_ms": 1_500}]});
    let mut next = modest(&json!([recorder("seen"), faulty("slow", acts)]));
    next["callgate"]["probe_timeout"] = json!("1m");
    apply(&gateway, &next).await;
    assert_eq!(running(&gateway).await, ["seen", "slow"]);
}

#[tokio::test]
async fn a_config_that_cannot_be_read_is_refused() {
    let gateway = setup(&modest(&json!([recorder("seen")]))).start().await;
    let path = gateway.folder().join("config.yaml");
    let good = fs::read_to_string(&path).unwrap();
    for (what, sentence) in
        [("]", "not valid YAML"), ("", "found an empty file"), ("a: \"", "not valid YAML")]
    {
        let said = refuse(&gateway, what).await;
        assert!(said.contains(sentence), "{said}");
    }
    fs::remove_file(&path).unwrap();
    assert!(refusal(&gateway).await.contains("cannot be read"));
    // Opening it must not wait for a writer.
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(refusal(&gateway).await.contains("config.yaml"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(&gateway).await.contains("config.yaml"));
    fs::remove_dir(&path).unwrap();
    fs::write(&path, &good).unwrap();
    gateway.write(".env", "this is no variable\n");
    assert!(refusal(&gateway).await.contains("expected `NAME=value`"));
    is_untouched(&gateway).await;
    gateway.write(".env", "A=1\n");
    let _ = post(&gateway).await.expect_status(200);
}

#[tokio::test]
async fn a_reload_beyond_the_most_libraries_maps_none() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, _, config) = gateway_of(&folder).await;
    let others = [2, 3].map(|number| {
        let file = folder.path().join(format!("{number}.so"));
        put_build("faulty", &file, number);
        with(recorder(&format!("r{number}")), "path", json!(file))
    });
    let mut next = config.clone();
    next["litellm_settings"]["callbacks"].as_array_mut().unwrap().extend(others);
    next["callgate"]["limits"] = json!({"max_plugin_libraries": 2});
    let said = refuse(&gateway, &next.to_string()).await;
    assert!(said.contains("expected at most 2 mapped plugin files"), "{said}");
    assert!(said.contains("restart the gateway"), "{said}");
    is_untouched(&gateway).await;
    next["callgate"]["limits"] = json!({"max_plugin_libraries": 3});
    apply(&gateway, &next).await;
    assert_eq!(metric(&gateway, "callgate_plugin_libraries").await, 3.0);
    let line = gateway.log().containing("3 plugin files are mapped, of at most 3").await;
    assert_eq!(line.level(), "WARN");
}

/// A library that could not be opened is tried anew once what it lacked is there.
#[tokio::test]
async fn a_file_that_could_not_be_opened_once_can_be_later() {
    let folder = tempfile::tempdir().unwrap();
    let (lib, missing) = (folder.path().join("libmark.so"), folder.path().join("libneeded.so"));
    let cc = |arguments: &[&str]| {
        let status = Command::new("cc").args(arguments).current_dir(folder.path()).status();
        assert!(status.unwrap().success());
    };
    fs::write(folder.path().join("needed.c"), "int needed(void) { return 7; }\n").unwrap();
    cc(&["-shared", "-fPIC", "-o", "libneeded.so", "needed.c"]);
    let source = build::fixture("mark.c");
    let include = build::repository().join("plugin-api/include");
    let (source, include) = (source.to_str().unwrap(), include.to_str().unwrap());
    let origin = format!("-Wl,-rpath,{}", folder.path().display());
    cc(&[
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-shared",
        "-fPIC",
        "-I",
        include,
        "-o",
        "libmark.so",
        source,
        "-Wl,--no-as-needed",
        "-L.",
        "-lneeded",
        &origin,
    ]);
    let aside = folder.path().join("aside");
    fs::rename(&missing, &aside).unwrap();
    let mut next = modest(&json!([{"name": "mark", "path": lib, "settings": {"mark": "m"}}]));
    next["callgate"]["probe"] = json!("never");
    let gateway = setup(&modest(&json!([]))).start().await;
    let said = refuse(&gateway, &next.to_string()).await;
    assert!(said.contains("libneeded.so"), "{said}");
    fs::rename(&aside, &missing).unwrap();
    let _ = post(&gateway).await.expect_status(200);
    assert_eq!(running(&gateway).await, ["mark"]);
}

#[tokio::test]
async fn strict_and_safe_mode_hold_for_reloads() {
    let mut next = config("http://127.0.0.1:9/v1", &json!([]));
    let gateway = setup(&next).arg("--strict").start().await;
    next["no_such_key"] = json!(1);
    let said = refuse(&gateway, &next.to_string()).await;
    assert!(said.contains("no_such_key"), "{said}");

    let gateway = setup(&modest(&json!([recorder("off")]))).arg("--safe-mode").start().await;
    let report = apply(&gateway, &modest(&json!([recorder("off"), recorder("too")]))).await;
    assert!(super::texts(&report["problems"]).join("\n").contains("safe mode"), "{report}");
    assert!(running(&gateway).await.is_empty());
}

#[tokio::test]
async fn a_new_master_key_counts_at_once_on_open_connections() {
    let gateway = setup(&modest(&json!([]))).start().await;
    let mut raw = Raw::connect(gateway.address()).await;
    let ask = |key: &str| {
        format!("GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
    };
    raw.send(ask(MASTER_KEY)).await;
    assert_eq!(status(&raw.read_until("}").await), 200);
    let (mut next, new) = (modest(&json!([])), "sk-master-0c77d2");
    next["general_settings"]["master_key"] = json!(new);
    let report = apply(&gateway, &next).await;
    assert_eq!(report["changes"], json!(["general_settings.master_key: changed"]));
    for (key, expected) in [(MASTER_KEY, 401), (new, 200), (MASTER_KEY, 401)] {
        raw.send(ask(key)).await;
        let answer = raw.read_until("}").await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    let _ = post(&gateway).await.expect_status(401);
    let client = Client::new(gateway.address(), new);
    let _ = post_by(&client, "/admin/reload").await.expect_status(200);
    let log = gateway.stop().await;
    assert!(!log.contains(new) && !log.contains(MASTER_KEY), "{log}");
}

#[tokio::test]
async fn a_gateway_that_others_reach_keeps_a_master_key() {
    let mut open = modest(&json!([]));
    open["general_settings"] = json!({});
    let gateway = setup(&modest(&json!([]))).arg("--host").arg("0.0.0.0").start().await;
    let said = refuse(&gateway, &open.to_string()).await;
    assert!(said.contains("expected a master key, because the address is not loopback"), "{said}");
    let _ = gateway.client().get("/v1/models").await.expect_status(200);
    let _ = gateway.client().without_key().get("/v1/models").await.expect_status(401);
    // On a loopback address it may go; then nobody may ask for a reload by HTTP.
    let gateway = setup(&modest(&json!([]))).start().await;
    apply(&gateway, &open).await;
    let _ = gateway.client().without_key().get("/v1/models").await.expect_status(200);
    gateway.write("config.yaml", modest(&json!([])));
    let _ = post(&gateway).await.expect_status(403);
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("\"generation\":3").await;
    let _ = gateway.client().without_key().get("/v1/models").await.expect_status(401);
}

/// No file can grow, as on a full disk, from the start or from some moment on.
#[tokio::test]
async fn a_full_disk_stops_only_what_needs_it() {
    let gateway = setup(&modest(&json!([recorder("seen")]))).start().await;
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
    let limit = |most: Option<u64>| {
        let limit = Rlimit { current: most, maximum: None };
        prlimit(pid, Resource::Fsize, limit).unwrap();
    };
    limit(Some(600));
    let mut next = modest(&json!([recorder("seen")]));
    next["callgate"]["limits"] = json!({"body_timeout": 7, "write_timeout": 8});
    gateway.write("config.yaml", &next);
    let ended = super::tool(&gateway, &["--timeout", "20"]).await;
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("serves config 2"), "{}", ended.stdout);
    gateway.log().containing("its file cannot be written").await;
    // A copy of a plugin needs room, too.
    next["litellm_settings"]["callbacks"] =
        json!([recorder("seen"), entry("recorder", "x", json!({}))]);
    let folder = tempfile::tempdir().unwrap();
    let file = build_of("faulty", folder.path(), 9);
    next["litellm_settings"]["callbacks"][1]["path"] = json!(file);
    let said = refuse(&gateway, &next.to_string()).await;
    assert!(said.contains("expected to make a private copy of it"), "{said}");
    assert_eq!(running(&gateway).await, ["seen"]);
    limit(None);
    let _ = post(&gateway).await.expect_status(200);
    assert_eq!(running(&gateway).await, ["seen", "x"]);
    let ended = super::tool(&gateway, &[]).await;
    assert!(ended.stdout.contains("serves config 4"), "{}{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn entries_may_be_added_disabled_reordered_and_removed() {
    let all = || ["a", "b", "c"].map(recorder);
    let gateway = setup(&modest(&json!(all()))).start().await;
    for (callbacks, expected) in [
        (json!([recorder("c"), recorder("a"), recorder("b")]), vec!["c", "a", "b"]),
        (json!([with(recorder("c"), "enabled", json!(false)), recorder("a")]), vec!["a"]),
        (json!([recorder("d"), recorder("c"), recorder("a")]), vec!["d", "c", "a"]),
        (json!([]), vec![]),
        (json!(all()), vec!["a", "b", "c"]),
    ] {
        apply(&gateway, &modest(&callbacks)).await;
        assert_eq!(running(&gateway).await, expected);
    }
    assert_eq!(metric(&gateway, "callgate_plugin_libraries").await, 1.0);
}
