//! One bad part does not stop the rest: stuck workers, more connections than there is room for,
//! signals that make other servers reload.

use crate::callbacks::faulty::{faulty, with};
use callgate_tests::{
    Answer, Event, Gate, Gateway, Raw,
    config::{config, openai, with_callbacks, with_param},
    raw, sse, upstream, within,
};
use nix::sys::signal::Signal;
use serde_json::json;

const HEALTH: &str = "GET /health/liveness HTTP/1.1\r\nHost: g\r\n\r\n";

/// A value of `GET /metrics`.
async fn metric(gateway: &Gateway, name: &str) -> usize {
    let text = gateway.client().get("/metrics").await.expect_status(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// A connection on which a request has been answered.
async fn idle(gateway: &Gateway) -> Raw {
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(HEALTH).await;
    let answer = raw.read_until("alive!\"").await;
    assert_eq!(raw::status(&answer), 200, "{answer}");
    raw
}

#[tokio::test]
async fn stuck_workers_are_named_and_passed_over() {
    let upstream = upstream(Answer::default()).await;
    let for_ever = json!({"on_llm_start": [{"sleep_ms": 3_600_000}]});
    let stuck = with(faulty("sleeper", for_ever), "only", json!({"models": ["stuck"]}));
    let models = [openai(&upstream), with_name(openai(&upstream), "stuck")];
    let mut config = with_callbacks(&models, &json!([stuck]));
    config["callgate"] = json!({"probe": "never", "limits": {"drain_timeout": "100ms"}});
    let mut gateway = Gateway::with_config(config).start().await;
    let workers = metric(&gateway, "callgate_workers").await;
    let mut waiting = Vec::new();
    for stuck in 1..=workers {
        let id = format!("call-{stuck}");
        let call = gateway.client().chat("stuck").header("x-litellm-call-id", &id).spawn();
        waiting.push(call);
        let line = gateway.log().containing(&format!("\"call.id\":\"{id}\"")).await;
        assert!(line.message().contains("has been stuck for"), "{}", line.text);
        assert_eq!((line.level(), line.field("callback")), ("ERROR", &json!("sleeper")));
        assert_eq!(line.field("hook"), "on_llm_start", "{}", line.text);
        if stuck == workers {
            break;
        }
        for _ in 0..3 * workers {
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        }
        assert_eq!(metric(&gateway, "callgate_workers_stuck").await, stuck);
        let ready = gateway.client().get("/health/readiness").await;
        let (status, word) =
            if 2 * stuck >= workers { (503, "unhealthy") } else { (200, "degraded") };
        let ready = ready.expect_status(status).json();
        assert_eq!((&ready["status"], &ready["workers_stuck"]), (&json!(word), &json!(stuck)));
    }
    for path in ["/health/readiness", "/health/liveness", "/v1/models"] {
        let error = gateway.client().get(path).await.expect_status(503).error();
        assert_eq!(error["code"], "workers_stuck", "{path}");
    }
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(1));
    let log = gateway.log().complete().await;
    assert!(log.contains(&format!("ended: {workers} calls were aborted")), "{log}");
}

fn with_name(mut deployment: serde_json::Value, name: &str) -> serde_json::Value {
    deployment["model_name"] = json!(name);
    with_param(deployment, "timeout", 60)
}

#[tokio::test]
async fn a_worker_that_is_no_longer_stuck_serves_again() {
    let upstream = upstream(Answer::default()).await;
    let slow = faulty("slow", json!({"on_llm_start": [{"sleep_ms": 4000}]}));
    let mut config = with_callbacks(&[openai(&upstream)], &json!([slow]));
    config["callgate"] = json!({"probe": "never"});
    let gateway = Gateway::with_config(config).start().await;
    let call = gateway.client().chat("gpt").spawn();
    gateway.log().containing("has been stuck for").await;
    let line = gateway.log().containing("came back after").await;
    assert_eq!((line.level(), line.field("workers.stuck")), ("WARN", &json!(0)));
    let _ = call.await.unwrap().expect_status(200);
    let ready = gateway.client().get("/health/readiness").await.expect_status(200);
    assert_eq!(ready.json()["status"], "healthy");
    gateway.stop().await;
}

#[tokio::test]
async fn idle_connections_make_room_and_calls_keep_theirs() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"max_connections": 8}});
    let gateway = Gateway::with_config(config).start().await;
    let mut stream = gateway.client().chat("gpt").streaming().open().await;
    assert!(stream.event().await.is_some());
    let mut oldest = idle(&gateway).await;
    // Silent connections cannot keep others out.
    let mut others = Vec::new();
    for _ in 0..12 {
        others.push(Raw::connect(gateway.address()).await);
        others.push(idle(&gateway).await);
    }
    assert_eq!(oldest.read_to_end().await, "", "the one that was idle longest is closed");
    assert!(metric(&gateway, "callgate_connections").await <= 8);
    gateway.log().containing("callgate.limits.max_connections").await;
    gate.open();
    let events = stream.events().await;
    assert_eq!(events.last(), Some(&Event::Done), "{events:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn signals_end_no_call() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a stream under way", gate.arrived(1)).await;
    gateway.signal(Signal::SIGHUP);
    gateway.log().containing("reloaded: 0 changes").await;
    for (signal, name) in [(Signal::SIGUSR1, "SIGUSR1"), (Signal::SIGUSR2, "SIGUSR2")] {
        gateway.signal(signal);
        let line = gateway.log().containing(&format!("{name} changes nothing")).await;
        assert_eq!(line.level(), "WARN");
    }
    gate.open();
    assert_eq!(sse::text(&call.await.unwrap().expect_status(200).events()), "Hello world!");
    let log = gateway.stop().await;
    assert!(log.contains("\"ended: every call was answered\""), "{log}");
}
