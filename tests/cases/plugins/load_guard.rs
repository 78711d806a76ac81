//! The checks between a file and the gateway: pins, ownership, the probe in a child process, the
//! record of passed probes, and the operator's switches.

use crate::{
    callbacks::faulty::{entry, faulty},
    plugins::plugin_files::{listing, refusal},
};
use callgate_tests::{Gateway, build, gateway::Setup};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
};

/// A start that logs its probes at debug level.
fn cautious(callback: &Value, cache: &Path, more: &Value) -> Setup {
    let mut config = listing(callback);
    config["callgate"] = json!({"cache_dir": cache});
    for (key, value) in more.as_object().into_iter().flatten() {
        config["callgate"][key] = value.clone();
    }
    Gateway::with_config(config).env("RUST_LOG", "debug")
}

/// The number of plugins that a start probed.
async fn probes(setup: &Setup) -> usize {
    let log = setup.clone().start().await.stop().await;
    log.lines().filter(|line| line.contains("\"probed `")).count()
}

#[tokio::test]
async fn what_ends_the_process_in_the_trial_is_refused_with_its_place() {
    for (acts, sentence) in [
        (json!({"new": ["segfault"]}), "crashed with SIGSEGV in its constructor"),
        (json!({"new": ["abort"]}), "crashed with SIGABRT in its constructor"),
        (json!({"new": [{"exit": 0}]}), "ended the process with status 0 in its constructor"),
        (json!({"new": [{"print": "hello"}, {"exit": 4}]}), "constructor; it printed: hello"),
        (json!({"on_llm_start": ["segfault"]}), "crashed with SIGSEGV in on_llm_start"),
        (json!({"on_llm_new_token": ["segfault"]}), "crashed with SIGSEGV in on_llm_new_token"),
        (json!({"on_llm_end": [{"exit": 0}]}), "with status 0 in on_llm_end"),
        (json!({"on_llm_error": ["segfault"]}), "crashed with SIGSEGV in on_llm_error"),
        (json!({"shutdown": ["segfault"]}), "crashed with SIGSEGV in its shutdown"),
        (json!({"drop": ["segfault"]}), "crashed with SIGSEGV in its destructor"),
    ] {
        let said = refusal(&faulty("t", acts)).await;
        assert!(said.contains(sentence) && said.contains("callgate.probe: never"), "{said}");
    }
}

#[tokio::test]
async fn a_list_of_hooks_that_lies_is_refused_at_the_start() {
    let liar = json!({"name": "liar", "path": build::plugin("faulty")});
    let said = Gateway::with_config(listing(&liar)).refused().await.stderr;
    for sentence in [
        "expected the hook `on_llm_end`, which its manifest lists, found none in its code",
        "expected no hook `on_llm_error`, found one in its code that its manifest leaves out",
        "rebuild it with the hook",
    ] {
        assert!(said.contains(sentence), "{said}");
    }
    let mut untried = listing(&liar);
    untried["callgate"] = json!({"probe": "never"});
    let log = Gateway::with_config(untried).start().await.stop().await;
    assert!(log.contains("callback loaded"), "{log}");
}

#[tokio::test]
async fn warnings_before_its_death_are_reported() {
    let acts = json!({"new": [{"log": "not this"}, {"warn": "no licence found"}, {"exit": 1}]});
    let said = Gateway::with_config(listing(&faulty("t", acts))).check().await.stderr;
    assert!(said.contains("no licence found") && !said.contains("not this"), "{said}");
}

#[tokio::test]
async fn a_stack_overflow_in_the_trial_is_reported_as_one() {
    let config = listing(&faulty("t", json!({"new": ["overflow_stack"]})));
    let said = Gateway::with_config(config).check().await.stderr;
    assert!(said.contains("crashed with SIGABRT in its constructor; it printed: "), "{said}");
    assert!(said.contains("has overflowed its stack"), "{said}");
}

#[tokio::test]
async fn what_hangs_in_the_trial_is_given_up() {
    let cases = [
        (json!({"new": ["hang"]}), "in its constructor"),
        (json!({"on_llm_start": ["spin"]}), "in on_llm_start"),
    ];
    let checks = cases.map(|(acts, place)| {
        let mut config = listing(&faulty("t", acts));
        config["callgate"] = json!({"probe_timeout": "3s"});
        (place, tokio::spawn(Gateway::with_config(config).check()))
    });
    for (place, check) in checks {
        let said = check.await.unwrap().stderr;
        assert!(said.contains(&format!("was not done within 3 s {place}")), "{said}");
    }
}

#[tokio::test]
async fn a_fault_that_is_contained_passes_the_trial() {
    let acts = json!({"on_llm_start": [{"panic": "boom"}], "drop": [{"panic": "late"}],
                      "on_llm_end": ["naked_spawn"], "new": ["own_runtime"]});
    let log = Gateway::with_config(listing(&faulty("t", acts))).start().await.stop().await;
    assert!(log.contains("callback loaded"), "{log}");
}

#[tokio::test]
async fn a_trial_sees_no_secrets_and_a_want_of_them_is_not_held_against_a_plugin() {
    let acts = json!({"new": [{"require_variable": "AUDIT_TOKEN"}]});
    let setup = Gateway::with_config(listing(&faulty("t", acts))).env("RUST_LOG", "debug");
    let log = setup.clone().env("AUDIT_TOKEN", "secret-7").start().await.stop().await;
    assert!(log.contains("probed `") && !log.contains("secret-7"), "{log}");
    // The child lacked the variable, so the gateway itself decides.
    let said = setup.refused().await.stderr;
    assert!(said.contains("it refused to start: `AUDIT_TOKEN` is not set"), "{said}");
}

#[tokio::test]
async fn a_plugin_is_tried_once_for_each_file_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let with = |label: &str| cautious(&entry("recorder", label, json!({})), &cache, &json!({}));
    let first = with("a");
    assert_eq!((probes(&first).await, probes(&first).await), (1, 0));
    assert_eq!((probes(&with("b")).await, probes(&with("b")).await), (1, 0), "other settings");
    let mode = fs::metadata(&cache).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    for file in fs::read_dir(&cache).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "readable by others");
    }
    let always = cautious(&entry("recorder", "a", json!({})), &cache, &json!({"probe": "always"}));
    assert_eq!(probes(&always).await, 1);
    let never = cautious(&entry("recorder", "c", json!({})), &cache, &json!({"probe": "never"}));
    assert_eq!(probes(&never).await, 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_trusted_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let setup = cautious(&entry("recorder", "a", json!({})), &cache, &json!({}));
    assert_eq!(probes(&setup).await, 1);
    for file in fs::read_dir(&cache).unwrap() {
        fs::write(file.unwrap().path(), "garbage").unwrap();
    }
    assert_eq!(
        (probes(&setup).await, probes(&setup).await),
        (1, 0),
        "found corrupt, created again"
    );
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    let log = setup.clone().start().await.stop().await;
    let warning = log.lines().find(|line| line.contains("callgate.cache_dir")).unwrap();
    assert!(warning.contains("WARN") && warning.contains("found user"), "{warning}");
    // A folder that cannot be created: everything works, and is probed.
    let nowhere =
        cautious(&entry("recorder", "a", json!({})), Path::new("/dev/null/x"), &json!({}));
    assert_eq!((probes(&nowhere).await, probes(&nowhere).await), (1, 1));
}

#[tokio::test]
async fn without_a_home_there_is_no_cache_and_with_one_it_is_below() {
    let home = tempfile::tempdir().unwrap();
    let setup = Gateway::with_config(listing(&entry("recorder", "a", json!({}))));
    let setup = setup.env("RUST_LOG", "debug");
    assert_eq!((probes(&setup).await, probes(&setup).await), (1, 1));
    let log = setup.clone().start().await.stop().await;
    assert_eq!(log.matches("nothing can be kept between starts").count(), 1, "{log}");
    let setup = setup.env("HOME", home.path().to_str().unwrap());
    assert_eq!((probes(&setup).await, probes(&setup).await), (1, 0));
    assert!(home.path().join(".cache/callgate").is_dir());
}

#[tokio::test]
async fn the_place_of_temporary_files_does_not_matter() {
    let setup = Gateway::with_config(listing(&entry("recorder", "a", json!({}))));
    let log = setup.env("TMPDIR", "/nowhere").start().await.stop().await;
    assert!(log.contains("callback loaded"), "{log}");
}

fn sha256(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().expect("sha256sum");
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test]
async fn a_pin_names_the_one_file_that_is_loaded() {
    let file = build::plugin("routing");
    let pinned = |pin: &str| json!({"name": "routing", "path": file, "sha256": pin});
    let whole = sha256(&file);
    for pin in [&whole[..], &whole[..12], &whole.to_uppercase()[..20]] {
        let mut config = listing(&pinned(pin));
        config["callgate"] = json!({"require_pins": true});
        let ended = Gateway::with_config(config).check().await;
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    let said = refusal(&pinned("000000000000")).await;
    assert!(said.contains(&format!("expected sha256 `000000000000`, found `{whole}`")), "{said}");
    for bad in ["abc", "not hexadecimal at all", ""] {
        let said = Gateway::with_config(listing(&pinned(bad))).check().await.stderr;
        assert!(said.contains("sha256: expected 12 to 64 hex digits"), "{said}");
    }
    let mut config = listing(&json!("routing"));
    config["callgate"] = json!({"require_pins": true});
    let said = Gateway::with_config(config).check().await.stderr;
    assert!(said.contains("because of `callgate.require_pins`; found none"), "{said}");
    assert!(said.contains(&format!("add `sha256: {whole}`")), "{said}");
}

#[tokio::test]
async fn a_file_that_others_can_change_is_a_warning_or_a_refusal_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("librouting.so");
    fs::copy(build::plugin("routing"), &file).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let asked = |verify: Option<&str>| {
        let mut config = listing(&json!({"path": file}));
        config["callgate"] = json!({"verify_owner": verify});
        Gateway::with_config(config).check()
    };
    let ended = asked(Some("warn")).await;
    assert!(ended.status.success() && ended.stdout.contains("found mode 666"), "{}", ended.stdout);
    let ended = asked(Some("strict")).await;
    assert!(ended.stderr.contains("callgate.verify_owner: warn"), "{}", ended.stderr);
    // By default, it depends on the user who runs it.
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(asked(None).await.status.success(), !is_root);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    assert!(asked(Some("strict")).await.status.success());
}

#[tokio::test]
async fn a_live_file_may_be_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("librouting.so");
    let bytes = fs::read(build::plugin("routing")).unwrap();
    fs::write(&file, &bytes).unwrap();
    let mut config = listing(&json!({"path": file}));
    config["model_list"] = json!([{"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "hello"}}]);
    let gateway = Gateway::with_config(config).start().await;
    for content in [vec![0; bytes.len()], Vec::new()] {
        // Overwrites it in place, as `cp` does.
        fs::write(&file, content).unwrap();
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn safe_mode_starts_without_callbacks_and_says_so() {
    let mut config = listing(&faulty("first", json!({"new": ["abort"]})));
    config["litellm_settings"]["callbacks"].as_array_mut().unwrap().push(json!("gone"));
    let setup = Gateway::with_config(config);
    let log = setup.clone().arg("--safe-mode").start().await.stop().await;
    let warning = log.lines().find(|line| line.contains("safe mode")).unwrap();
    assert!(warning.contains("WARN") && warning.contains("`first`, `gone`"), "{warning}");
    assert!(!setup.check().await.status.success(), "`check` is not affected");
}
