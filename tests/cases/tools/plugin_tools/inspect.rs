//! `plugin inspect`: all facts about any file, without executing it.

use super::{file, so};
use callgate_tests::{build, tool, within};
use serde_json::json;
use std::fs;
use tempfile::tempdir;

#[tokio::test]
async fn a_plugin_is_described_completely() {
    let folder = tempdir().unwrap();
    let told = tool::plugin(folder.path(), &["inspect", &so("rate_limit"), "--json"]).await;
    assert_eq!(told.code(), 0, "{}", told.stderr);
    let told = told.json();
    assert_eq!(told["kind"], "64-bit shared object");
    assert_eq!(told["machine"], std::env::consts::ARCH);
    assert_eq!(told["package"], "callgate-rate-limit");
    assert_eq!((&told["abi"], &told["loadable"]), (&json!("1.1"), &json!(true)));
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(told["size"], fs::metadata(build::plugin("rate_limit")).unwrap().len());
    assert!(told["needs"].as_array().unwrap().contains(&json!("libc.so.6")), "{told}");
    assert!(told["glibc"].as_str().unwrap().starts_with("2."), "{told}");
    let callback = &told["callbacks"][0];
    assert_eq!(callback["hooks"], json!(["on_llm_start", "on_llm_error"]));
    assert_eq!(callback["settings_schema"]["type"], "object");
    let people = tool::plugin(folder.path(), &["inspect", &so("faulty")]).await;
    for line in
        ["callback  liar (sync)", "callback  faulty_async (async)", "this gateway can load it"]
    {
        assert!(people.stdout.contains(line), "{}", people.stdout);
    }
    let by_path = "means `lib<name>.so`: `judge`, `faulty_async`, `faulty_beside`, `recorder`, `recorder_async`, `liar`\n";
    assert!(people.stdout.contains(by_path), "{}", people.stdout);
    let gate = tool::plugin(folder.path(), &["inspect", &so("gatekeeper")]).await;
    let inputs = "inputs of on_auth  authorization x-tenant\n";
    assert!(gate.stdout.contains(inputs), "{}", gate.stdout);
    let asks = tool::plugin(folder.path(), &["inspect", &so("langsmith")]).await;
    let stdout = &asks.stdout;
    assert!(stdout.contains("secrets   LANGSMITH_API_KEY"), "{stdout}");
    assert!(stdout.contains("hosts     LANGSMITH_BASE_URL=https://"), "{stdout}");
    assert!(!stdout.contains("`path`"), "{stdout}");
}

#[tokio::test]
async fn every_reason_against_a_file_is_reported_at_once() {
    let folder = tempdir().unwrap();
    let mut bytes = fs::read(build::plugin("routing")).unwrap();
    // Neither the section nor the symbol exists.
    for (name, other) in [
        (&b".callgate.manifest"[..], &b".callgate.manifesT"[..]),
        (b"_1as_0lib_1header", b"_1as_0lib_1headeR"),
    ] {
        while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
            bytes[at..at + other.len()].copy_from_slice(other);
        }
    }
    let path = file(folder.path(), "libx.so", &bytes).display().to_string();
    let told = tool::plugin(folder.path(), &["inspect", &path, "--json"]).await;
    assert_eq!(told.code(), 1);
    let reasons = told.json()["reasons"].as_array().unwrap().clone();
    let texts: Vec<_> = reasons.iter().map(|reason| reason["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("without the section") && texts[1].contains("does not export"));
}

#[tokio::test]
async fn files_that_are_not_plugins_are_reported_by_kind() {
    let folder = tempdir().unwrap();
    let whole = fs::read(build::plugin("routing")).unwrap();
    let files: [(&str, &[u8], &str); 5] = [
        ("text", b"hello", "found a text file"),
        ("empty", b"", "found an empty file"),
        ("cut", &whole[..whole.len() / 2], "the file is truncated"),
        ("header", &whole[..64], "the file is truncated"),
        ("script", b"#!/bin/sh\nexit 0\n\0", "found a script"),
    ];
    for (name, bytes, reason) in files {
        let path = file(folder.path(), name, bytes).display().to_string();
        let told = tool::plugin(folder.path(), &["inspect", &path]).await;
        assert_eq!(told.code(), 1, "{name}");
        assert!(told.stdout.contains(reason), "{name}: {}", told.stdout);
        assert!(told.stdout.contains("this gateway cannot load it"), "{name}: {}", told.stdout);
    }
    for missing in ["nowhere.so", "."] {
        let told = tool::plugin(folder.path(), &["inspect", missing, "--json"]).await;
        assert_eq!((told.code(), &told.json()["loadable"]), (1, &json!(false)), "{missing}");
    }
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_error() {
    let script = format!(
        "'{}' plugin inspect '{}' --json | head -n 1; echo \"${{PIPESTATUS[0]}}\"",
        build::binary().display(),
        so("rate_limit")
    );
    let mut command = tokio::process::Command::new("bash");
    let output = within("bash", command.args(["-c", &script]).output()).await.unwrap();
    let (said, complained) = (output.stdout, output.stderr);
    assert_eq!(String::from_utf8_lossy(&said), "{\n0\n");
    assert_eq!(String::from_utf8_lossy(&complained), "");
}
