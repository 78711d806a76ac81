//! SIGTERM: no new calls, running ones finish, then the process ends with code 0.

use callgate_tests::{
    Answer, Event, Gate, Gateway, Raw, ScriptedUpstream,
    config::{config, every_dialect, openai},
    raw::{chat_request, status},
    sse, upstream, within,
};
use serde_json::json;

#[tokio::test]
async fn calls_in_flight_finish() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let mut gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let calls: Vec<_> = ["gpt", "llama", "gemma"]
        .iter()
        .flat_map(|model| [false, true].map(|stream| (*model, stream)))
        .map(|(model, stream)| gateway.client().chat(model).set("stream", stream).spawn())
        .collect();
    within("six calls in flight", gate.arrived(6)).await;
    gateway.terminate();
    gateway.log().containing("drain").await;
    gate.open();
    for call in calls {
        let reply = call.await.unwrap().expect_status(200);
        assert!(reply.complete);
        if reply.header("content-type").starts_with("text/event-stream") {
            assert_eq!(reply.events().last(), Some(&Event::Done));
        }
    }
    assert_eq!(gateway.exit().await.code(), Some(0), "{}", gateway.log().text());
}

#[tokio::test]
async fn new_connections_are_refused_while_draining() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let mut gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a call in flight", gate.arrived(1)).await;
    gateway.terminate();
    gateway.log().containing("drain").await;
    assert!(tokio::net::TcpStream::connect(gateway.address()).await.is_err());
    gate.open();
    assert_eq!(sse::text(&call.await.unwrap().events()), "Hello world!");
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let mut idle = Raw::connect(gateway.address()).await;
    idle.send("GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(idle.read_until("alive!\"").await.contains("200"));
    let _untouched = Raw::connect(gateway.address()).await;
    gateway.stop().await;
    assert_eq!(idle.read_to_end().await, "");
}

/// Checks that clients of aborted calls get an error and nothing that looks complete.
async fn check_cut_off(
    gateway: &mut Gateway,
    upstream: &ScriptedUpstream,
    end: impl AsyncFnOnce(&Gateway),
) {
    let mut stream = gateway.client().chat("gpt").streaming().open().await;
    assert!(stream.event().await.is_some());
    let json = gateway.client().chat("gpt").spawn();
    within("two calls", upstream.received(2)).await;
    end(gateway).await;
    let events = stream.events().await;
    assert!(!events.contains(&Event::Done), "a cut stream must not look finished: {events:?}");
    let error = sse::error(&events).unwrap_or_else(|| panic!("no error frame: {events:?}"));
    assert_eq!(error["code"], "shutting_down", "{error}");
    let error = json.await.unwrap().expect_status(503).error();
    assert_eq!(error["code"], "shutting_down", "{error}");
    assert_eq!(gateway.exit().await.code(), Some(1), "{}", gateway.log().text());
    gateway.log().times("\"error.code\":\"shutting_down\"", 2).await;
    within("the upstream calls' end", upstream.hung_up(2)).await;
    let log = gateway.log().complete().await;
    assert!(log.contains("\"ended: 2 calls were aborted\""), "{log}");
}

#[tokio::test]
async fn a_stream_that_never_ends_does_not_hold_the_end_for_ever() {
    let upstream = upstream(Answer::default().stalling_after(1)).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"drain_timeout": "200ms"}});
    let mut gateway = Gateway::with_config(config).start().await;
    check_cut_off(&mut gateway, &upstream, async |gateway| gateway.terminate()).await;
}

#[tokio::test]
async fn a_body_that_is_still_to_come_at_the_end_is_not_called_late() {
    let mut config = config(&[]);
    config["callgate"] = json!({"limits": {"drain_timeout": "1h"}});
    let mut gateway = Gateway::with_config(config).start().await;
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(chat_request("Expect: 100-continue\r\nContent-Length: 50\r\n", "")).await;
    // The client asked for it, so the drain waits for it.
    assert_eq!(status(&raw.read_until("\r\n\r\n").await), 100);
    gateway.terminate();
    let _ = gateway.log().containing("draining").await;
    gateway.terminate();
    let answer = raw.read_until("}}").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("shutting_down"), "{answer}");
    assert_eq!(gateway.exit().await.code(), Some(1), "{}", gateway.log().text());
}

#[tokio::test]
async fn a_second_signal_ends_the_wait() {
    let upstream = upstream(Answer::default().stalling_after(1)).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"drain_timeout": "1h"}});
    let mut gateway = Gateway::with_config(config).start().await;
    let log = gateway.log().clone();
    check_cut_off(&mut gateway, &upstream, async |gateway| {
        gateway.terminate();
        log.containing("draining").await;
        gateway.terminate();
    })
    .await;
}

#[tokio::test]
async fn an_idle_gateway_ends_at_once() {
    let log = Gateway::with_config(config(&[])).start().await.stop().await;
    assert!(!log.to_lowercase().contains("error"), "{log}");
}
