//! Crashes that nothing can contain: the process dies, names the callback, and the next start
//! reports it.

use crate::{
    callbacks::faulty::{faulty, faulty_async},
    plugins::evil_files::compile,
    plugins::plugin_files::listing,
};
use callgate_tests::{
    Gateway, build,
    gateway::{Ended, Setup},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::{fs, os::unix::process::ExitStatusExt as _, path::Path};

fn serving(callback: &Value, cache: &Path) -> Setup {
    let mut config = listing(callback);
    config["model_list"] = json!([{"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_key": "k", "mock_response": "hello"}}]);
    config["callgate"] = json!({"cache_dir": cache});
    Gateway::with_config(config)
}

/// Makes a call during which the gateway dies.
async fn dies(setup: Setup) -> Ended {
    let mut gateway = setup.start().await;
    // The connection breaks; it does not matter how.
    let call = gateway.client().chat("gpt").header("x-litellm-call-id", "call-7").spawn();
    let status = gateway.exit().await;
    let _ = call.await;
    Ended { status, stdout: String::new(), stderr: gateway.log().complete().await }
}

#[tokio::test]
async fn the_hook_that_ended_the_process_is_named_then_and_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = json!({"only_served": true, "on_llm_start": ["segfault"]});
    let end = json!({"only_served": true, "on_llm_end": ["segfault"]});
    for (number, (callback, hook)) in [
        (faulty("culprit", first.clone()), "on_llm_start"),
        (faulty_async("culprit", first), "on_llm_start"),
        (faulty("culprit", end), "on_llm_end"),
    ]
    .into_iter()
    .enumerate()
    {
        let setup = serving(&callback, &folder.path().join(number.to_string()));
        let ended = dies(setup.clone()).await;
        assert_eq!(ended.status.signal(), Some(11), "{}", ended.stderr);
        let place = format!("ended by SIGSEGV in callback `culprit`, {hook}, call call-7");
        assert!(ended.stderr.contains(&format!("callgate: {place}\n")), "{}", ended.stderr);
        for told in [true, false] {
            let log = setup.clone().start().await.stop().await;
            let line = log.lines().find(|line| line.contains("the last run"));
            assert_eq!(line.is_some(), told, "{log}");
            assert!(line.is_none_or(|it| it.contains(&place) && it.contains("WARN")), "{log}");
        }
    }
}

#[tokio::test]
async fn a_killed_run_is_reported_once_and_an_orderly_end_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let setup = serving(&faulty("victim", json!({})), folder.path());
    let mut gateway = setup.clone().start().await;
    gateway.signal(Signal::SIGKILL);
    gateway.exit().await;
    for told in [1, 0] {
        let log = setup.clone().start().await.stop().await;
        assert_eq!(log.matches("the last run was killed").count(), told, "{log}");
    }
}

#[tokio::test]
async fn every_other_way_to_end_the_process_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, action, signal, said) in [
        ("abort", json!("abort"), Some(6), "ended by SIGABRT in callback `culprit`, on_llm_start"),
        ("overflow", json!("overflow_stack"), Some(6), "ended by SIGSEGV in callback `culprit`"),
        ("exit", json!({"exit": 0}), None, "ended by exit in callback `culprit`, on_llm_start"),
    ] {
        let acts = json!({"only_served": true, "on_llm_start": [action]});
        let setup = serving(&faulty("culprit", acts), &folder.path().join(name));
        let ended = dies(setup).await;
        assert_eq!(ended.status.signal(), signal, "{}", ended.stderr);
        assert!(signal.is_some() || ended.status.code() == Some(1), "`exit(0)` is not a success");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        let overflown = ended.stderr.contains("has overflowed its stack");
        assert_eq!(overflown, name == "overflow", "{}", ended.stderr);
    }
}

/// A plugin that passes the probe and then kills the gateway that loads it.
fn treacherous(folder: &Path, deed: &str) -> Value {
    let code = format!(
        "__attribute__((constructor)) static void on_load(void) {{ \
         if (!getenv(\"CALLGATE_PROBE\")) {{ {deed} }} }}"
    );
    json!({"name": "evil", "path": compile(folder, "evil", &code, &[])})
}

#[tokio::test]
async fn what_an_earlier_start_died_of_is_not_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (deed, signal, how)) in [
        ("*(volatile int *)8 = 1;", Some(11), " by SIGSEGV"),
        ("exit(0);", None, " by exit"),
        ("_exit(0);", None, ""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut evil = treacherous(folder.path(), deed);
        let mut config = listing(&evil);
        let cache = folder.path().join(format!("cache-{number}"));
        config["callgate"] = json!({"cache_dir": cache, "probe": "never"});
        let setup = Gateway::with_config(&config);
        let first = setup.clone().ended().await;
        assert_eq!(first.status.signal(), signal, "{}", first.stderr);
        let suspected =
            format!("an earlier start ended{how} while being loaded, with this very file");
        for _ in 0..2 {
            let said = setup.clone().refused().await.stderr;
            assert!(said.contains(&suspected) && said.contains("--retry"), "{said}");
        }
        assert!(setup.clone().check().await.stderr.contains(&suspected));
        setup.clone().arg("--safe-mode").start().await.stop().await;
        let again = setup.clone().arg("--retry").ended().await;
        assert_eq!(again.status.signal(), signal, "it was tried once more: {}", again.stderr);
        // An entry that is not required is left out.
        evil["required"] = json!(false);
        config["litellm_settings"]["callbacks"] = json!([evil]);
        let setup = setup.file("config.yaml", &config.to_string());
        for _ in 0..2 {
            let log = setup.clone().start().await.stop().await;
            assert!(log.contains(&suspected) && log.contains("not `required`"), "{log}");
        }
    }
}

#[tokio::test]
async fn a_replaced_file_is_not_suspected() {
    let folder = tempfile::tempdir().unwrap();
    let evil = treacherous(folder.path(), "abort();");
    let mut config = listing(&evil);
    config["callgate"] = json!({"cache_dir": folder.path().join("cache"), "probe": "never"});
    let setup = Gateway::with_config(&config);
    assert_eq!(setup.clone().ended().await.status.signal(), Some(6));
    assert!(setup.clone().refused().await.stderr.contains("an earlier start ended by SIGABRT"));
    fs::copy(build::plugin("faulty"), evil["path"].as_str().unwrap()).unwrap();
    config["litellm_settings"]["callbacks"][0]["name"] = json!("faulty");
    setup.clone().file("config.yaml", &config.to_string()).start().await.stop().await;
    let left = fs::read_dir(folder.path().join("cache")).unwrap();
    let left =
        left.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().starts_with("run-"));
    assert_eq!(left.count(), 0, "a start that went well clears all suspicion");
}
