//! Plugins that do not return while a reload makes or ends their instances: nobody waits for them
//! for ever.

use super::{apply, config, metric, modest, post, post_by, running, setup};
use crate::callbacks::faulty::{entry, recorder};
use callgate_tests::{
    Answer, Gate, Gateway, Raw, build, config::MASTER_KEY, raw::status, upstream, within,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A callback whose constructor, outside of a trial, waits for a file.
fn hangs(file: &std::path::Path) -> Value {
    entry("faulty", "hangs", json!({"new": [{"log": "in the constructor"}, {"await_file": file}]}))
}

/// A library whose own constructor waits for a file, and that is not tried.
fn library_that_hangs(base: &str, folder: &tempfile::TempDir) -> Value {
    let file = folder.path().join("libmark.so");
    let go = folder.path().join("go");
    build::c_plugin("mark.c", &[("LOAD_WAITS", go.to_str().unwrap())], &file);
    let entry = json!({"name": "mark", "path": file, "settings": {"mark": "m"}});
    let mut config = config(base, &json!([entry]));
    config["callgate"]["probe"] = json!("never");
    config
}

#[tokio::test]
async fn a_request_waits_for_a_hanging_constructor_as_long_as_it_says() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let gateway = setup(&config(&base, &json!([recorder("seen")]))).start().await;
    gateway.write("config.yaml", config(&base, &json!([recorder("seen"), hangs(&go)])));
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("in the constructor").await;
    for _ in 0..2 {
        let reply = post_by(&gateway.client(), "/admin/reload?wait=0.2").await.expect_status(504);
        let error = reply.error();
        let said = error["message"].as_str().unwrap();
        assert!(said.contains("in callback `hangs`, its constructor"), "{said}");
    }
    let shown = gateway.client().get("/admin/reload").await.expect_status(200).json();
    let doing = shown["running"]["doing"].as_str().unwrap();
    assert!(doing.contains("in callback `hangs`, its constructor"), "{shown}");
    assert_eq!(shown["waiting"], 3);
    let ended = super::tool(&gateway, &["--timeout", "1"]).await;
    assert_eq!(ended.code(), 1);
    assert!(ended.stderr.contains("has not reloaded within 1 s"), "{}", ended.stderr);
    // Calls and figures do not wait.
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    assert!(metric(&gateway, "callgate_config_reload_running_seconds").await > 0.0);
    assert_eq!(running(&gateway).await, ["seen"]);
    std::fs::write(&go, "").unwrap();
    gateway.log().containing("\"generation\":3").await;
    assert_eq!(running(&gateway).await, ["seen", "hangs"]);
    assert_eq!(metric(&gateway, "callgate_config_reload_running_seconds").await, 0.0);
}

#[tokio::test]
async fn a_gateway_ends_although_a_reload_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = setup(&modest(&json!([]))).start().await;
    gateway.write("config.yaml", modest(&json!([hangs(&folder.path().join("never"))])));
    let waiting = tokio::spawn({
        let client = gateway.client();
        async move { post_by(&client, "/admin/reload").await }
    });
    gateway.log().containing("in the constructor").await;
    gateway.terminate();
    let reply = within("an answer", waiting).await.unwrap().expect_status(503);
    assert_eq!(reply.error()["code"], "shutting_down");
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log().text());
    // The plugin was not to blame for that end.
    let again = setup(&modest(&json!([]))).start().await;
    assert!(!again.stop().await.contains("the last run"));
}

/// The linker's lock is held meanwhile. Threads need it when they start, and when they first touch
/// something of their own that has a destructor. So workers that have served a call go on, but not
/// to their orderly end, and the gateway ends when the time for that is over.
#[tokio::test]
async fn a_library_that_hangs_while_it_is_loaded_holds_up_nothing_that_runs() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&base, &json!([recorder("seen")]));
    config["callgate"]["limits"] = json!({"drain_timeout": "100ms"});
    let mut gateway = setup(&config).env("NUM_WORKERS", "1").start().await;
    let serves = async |gateway: &Gateway| {
        for stream in [false, true] {
            let call = gateway.client().chat("gpt").set("stream", stream);
            let _ = call.send().await.expect_status(200);
        }
        assert_eq!(running(gateway).await, ["seen"]);
        assert_eq!(metric(gateway, "callgate_plugin_libraries").await, 1.0);
    };
    serves(&gateway).await;
    apply(&gateway, &config).await;
    let mut next = library_that_hangs(&base, &folder);
    next["callgate"]["limits"] = config["callgate"]["limits"].clone();
    gateway.write("config.yaml", next);
    let reply = post_by(&gateway.client(), "/admin/reload?wait=1").await.expect_status(504);
    let message = reply.error()["message"].to_string();
    assert!(message.contains("libmark.so") && message.contains("while being loaded"), "{message}");
    serves(&gateway).await;
    gateway.terminate();
    // No call was cut off, but a worker could not end.
    assert_eq!(gateway.exit().await.code(), Some(1), "{}", gateway.log().text());
}

#[tokio::test]
async fn an_instance_that_does_not_end_is_reported_and_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    for (list, place) in [("shutdown", "its shutdown"), ("drop", "its destructor")] {
        let stays = entry("faulty", "stays", json!({list: [{"await_file": go}]}));
        let gateway = setup(&modest(&json!([stays, recorder("seen")]))).start().await;
        apply(&gateway, &modest(&json!([recorder("seen")]))).await;
        let _ = post(&gateway).await.expect_status(200);
        let line = gateway.log().containing("has not ended within 5 s").await;
        assert_eq!((line.level(), line.field("callback.name").as_str()), ("ERROR", Some("stays")));
        assert!(line.message().contains(place), "{}", line.text);
        assert_eq!(running(&gateway).await, ["seen"]);
        std::fs::write(&go, "").unwrap();
        gateway.log().containing("that had not ended in time ended after").await;
        gateway.stop().await;
        std::fs::remove_file(&go).unwrap();
    }
}

#[tokio::test]
async fn an_instance_that_never_ends_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let never = json!({"shutdown": [{"await_file": folder.path().join("never")}]});
    let gateway = setup(&modest(&json!([entry("faulty", "stays", never)]))).start().await;
    apply(&gateway, &modest(&json!([]))).await;
    gateway.log().containing("shut down").await;
    gateway.stop().await;
}

/// A replaced instance has its time to end although the gateway ends right after.
#[tokio::test]
async fn the_end_of_the_gateway_waits_for_replaced_instances() {
    let ends = json!({"shutdown": [{"sleep_ms": 500}, {"log": "has ended"}]});
    let gateway = setup(&modest(&json!([entry("faulty", "ends", ends)]))).start().await;
    apply(&gateway, &modest(&json!([]))).await;
    let log = gateway.stop().await;
    assert!(log.contains("has ended") && log.contains("dropped"), "{log}");
}

#[tokio::test]
async fn a_gateway_that_drains_reloads_no_more() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let base = upstream.openai_base();
    let mut gateway = setup(&config(&base, &json!([recorder("old")]))).start().await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a call in flight", gate.arrived(1)).await;
    // Its head has begun, so the drain waits for the rest of the request.
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send("POST /admin/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n").await;
    let _ = gateway.client().get("/health/liveliness").await.expect_status(200);
    gateway.write("config.yaml", config(&base, &json!([recorder("new")])));
    gateway.terminate();
    gateway.log().containing("draining").await;
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("SIGHUP reloads nothing: the gateway is shutting down").await;
    raw.send(format!("Authorization: Bearer {MASTER_KEY}\r\n\r\n")).await;
    let answer = raw.read_to_end().await;
    // Hyper may have closed it; an answer is the right one.
    assert!(answer.is_empty() || status(&answer) == 503, "{answer}");
    let ended = super::tool(&gateway, &["--timeout", "1"]).await;
    assert_eq!(ended.code(), 1);
    gate.open();
    let _ = call.await.unwrap().expect_status(200);
    assert_eq!(gateway.exit().await.code(), Some(0));
    let log = gateway.log().complete().await;
    assert!(!log.contains("reloading the config") && !log.contains("\"label\":\"new\""), "{log}");
}

/// A reload that is still at work when the gateway begins to drain does not take effect.
#[tokio::test]
async fn a_reload_that_a_drain_overtakes_is_given_up() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let base = upstream.openai_base();
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let mut gateway = setup(&config(&base, &json!([recorder("old")]))).start().await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a call in flight", gate.arrived(1)).await;
    gateway.write("config.yaml", config(&base, &json!([hangs(&go)])));
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("in the constructor").await;
    gateway.terminate();
    gateway.log().containing("draining").await;
    std::fs::write(&go, "").unwrap();
    gateway.log().containing("not reloaded: 1 error").await;
    assert!(gateway.log().text().contains("the gateway is shutting down"));
    gate.open();
    let _ = call.await.unwrap().expect_status(200);
    assert_eq!(gateway.exit().await.code(), Some(0));
}
