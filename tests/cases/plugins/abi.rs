//! The promise of compatibility: plugins compiled against a released ABI load and work in this
//! build, in any order, and a later minor version breaks neither side. `tests/abi/README.md` says
//! what is frozen and how a minor version is added.

mod building;
mod corpus;
mod evolution;
mod next;

use callgate_tests::{
    Answer, Gateway, ScriptedUpstream, build,
    config::{openai, with_callbacks},
    sse, upstream,
};
use next::Next;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The folder of the frozen ABI 1.0.
fn frozen() -> PathBuf {
    build::repository().join("tests/abi/1.0")
}

/// The shared object that was built when 1.0 was frozen, with the compiler of that time.
#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn prebuilt() -> PathBuf {
    frozen().join("bin/libfrozen_1_0.so")
}

/// The same source, built by the current compiler.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")))]
fn prebuilt() -> PathBuf {
    rebuilt()
}

/// The frozen source, built by the current compiler.
fn rebuilt() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || building::cargo(&building::copy(&frozen(), "1.0")).join("libfrozen_1_0.so");
    BUILT.get_or_init(build).clone()
}

/// The later versions of the ABI and their plugins.
fn next() -> &'static Next {
    static BUILT: OnceLock<Next> = OnceLock::new();
    BUILT.get_or_init(Next::built)
}

/// An entry of the config's list that leaves `mark`.
fn marking(file: &Path, callback: &str, mark: &str) -> Value {
    let mut settings = json!({"mark": mark});
    if callback == "frozen_async" {
        settings["wait_ms"] = json!(1);
    }
    json!({"name": callback, "instance": mark, "path": file, "timeout": 60, "settings": settings})
}

async fn started(upstream: &ScriptedUpstream, callbacks: &[Value]) -> Gateway {
    let config = with_callbacks(&[openai(upstream)], &json!(callbacks));
    Gateway::with_config(config).start().await
}

/// Starts one gateway with these callbacks, in this order, and checks that every hook of each runs:
/// on a JSON call, on a stream, and on a call that fails. Returns the value of `x-next` that
/// reached the upstream.
async fn all_hooks_fire(callbacks: &[Value]) -> Option<String> {
    let upstream = upstream(Answer::default()).await;
    let gateway = started(&upstream, callbacks).await;
    let marks = |names: &[&str]| -> Vec<String> {
        let of = callbacks.iter().filter(|it| names.iter().any(|name| it["name"] == *name));
        of.map(|it| it["instance"].as_str().unwrap().to_owned()).collect()
    };
    let (all, frozen) =
        (marks(&["frozen_sync", "frozen_async", "next"]), marks(&["frozen_sync", "frozen_async"]));
    let call = || gateway.client().chat("gpt").header("x-asked", "yes").set("temperature", 0.5);

    let reply = call().send().await.expect_status(200);
    let sent = upstream.requests().remove(0);
    let prompt = sent.json()["messages"][0]["content"].as_str().unwrap().to_owned();
    assert!(prompt.ends_with(&all.concat()), "{prompt}: in the order of the list");
    for mark in &frozen {
        assert_eq!(
            sent.header(&format!("x-start-{mark}")),
            Some("1 false gpt gpt openai gpt-4o-mini true 0.5 yes 1 user true false"),
            "what `{mark}` read of the call"
        );
        assert_eq!(sent.json()["seed"], 7);
        assert_eq!(
            reply.header(&format!("x-end-{mark}")),
            format!("{mark} {} 200 stop false", frozen.concat()),
        );
    }

    let streamed = call().streaming().send().await.expect_status(200);
    let events = streamed.events();
    let first = events.iter().find_map(|event| {
        let text = event.json()["choices"][0]["delta"]["content"].as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    });
    let first = first.unwrap_or_else(|| panic!("{}", sse::text(&events)));
    assert!(first.ends_with(&frozen.concat()), "{first}");

    upstream.push(Answer::error(400, "t", "c", "no"));
    let refused = call().send().await.expect_status(400);
    let told = refused.error()["message"].as_str().unwrap().to_owned();
    let expected: String = frozen.iter().map(|mark| format!(" [{mark} 4]")).collect();
    assert!(told.ends_with(&expected), "{told}");

    let log = gateway.stop().await;
    assert_eq!(log.matches(r#""message":"ended""#).count(), 2 * frozen.len(), "{log}");
    sent.header("x-next").map(str::to_owned)
}
