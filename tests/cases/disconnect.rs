//! A client that leaves takes its upstream call with it, wherever the call was.

use callgate_tests::config::{config, every_dialect};
use callgate_tests::{Answer, Gate, Gateway, Raw, raw, upstream, within};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

#[tokio::test]
async fn before_the_first_byte() {
    for stream in [false, true] {
        let upstream = upstream(Answer::silence()).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for (index, model) in MODELS.iter().enumerate() {
            let call = gateway.client().chat(model).set("stream", stream).spawn();
            within("the upstream call", upstream.received(index + 1)).await;
            call.abort();
            within("the upstream call's end", upstream.hung_up(index + 1)).await;
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(2, &gate)).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (index, model) in MODELS.iter().enumerate() {
        let mut stream = gateway.client().chat(model).streaming().open().await;
        assert!(stream.event().await.is_some());
        within("the upstream at its gate", gate.arrived(index + 1)).await;
        drop(stream);
        within("the upstream call's end", upstream.hung_up(index + 1)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn in_the_middle_of_a_json_reply() {
    let upstream = upstream(Answer::default().stalling_after(1)).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (index, model) in MODELS.iter().enumerate() {
        let call = gateway.client().chat(model).spawn();
        within("the upstream call", upstream.received(index + 1)).await;
        call.abort();
        within("the upstream call's end", upstream.hung_up(index + 1)).await;
    }
}

#[tokio::test]
async fn while_a_fast_stream_is_not_being_read() {
    // Far more than all socket buffers hold: the upstream blocks until its client goes.
    let upstream = upstream(Answer::huge(64 * 1024 * 1024)).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (index, model) in MODELS.iter().enumerate() {
        let mut stream = gateway.client().chat(model).streaming().open().await;
        assert!(stream.event().await.is_some());
        drop(stream);
        within("the upstream call's end", upstream.hung_up(index + 1)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_reset_counts_like_a_close() {
    let upstream = upstream(Answer::silence()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let mut client = Raw::connect(gateway.address()).await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    client.send(raw::chat_request(&format!("Content-Length: {}\r\n", body.len()), body)).await;
    within("the upstream call", upstream.received(1)).await;
    client.reset();
    within("the upstream call's end", upstream.hung_up(1)).await;
}

#[tokio::test]
async fn one_client_leaving_disturbs_no_other() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(2, &gate)).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let staying: Vec<_> =
        MODELS.map(|model| gateway.client().chat(model).streaming().spawn()).into();
    within("three streams", gate.arrived(3)).await;
    let leaving = MODELS.map(|model| gateway.client().chat(model).streaming().spawn());
    within("six streams", gate.arrived(6)).await;
    for call in leaving {
        call.abort();
    }
    within("three upstream calls' end", upstream.hung_up(3)).await;
    gate.open();
    for call in staying {
        let reply = call.await.unwrap().expect_status(200);
        assert_eq!(callgate_tests::sse::text(&reply.events()), "Hello world!");
    }
}
