//! When a client leaves, its upstream call ends too, wherever the call was.

use crate::callbacks::faulty::{faulty, faulty_async};
use callgate_tests::{
    Answer, Gate, Gateway, Raw,
    config::{config, every_dialect, openai, with_callbacks},
    raw, upstream, within,
};
use serde_json::{Value, json};

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
    // Much more than all socket buffers hold: the upstream blocks until its client leaves.
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

/// Bytes that clients send after a request whose response they do not wait for.
fn tails() -> [(&'static str, String); 6] {
    let next = raw::chat_request("Content-Length: 2\r\n", "{}");
    [
        ("nothing", String::new()),
        ("a line break", "\r\n".to_owned()),
        ("a byte", "x".to_owned()),
        ("half a head", "POST /v1/chat/comp".to_owned()),
        ("another request", next.clone()),
        ("more than all buffers hold", next.repeat(8000)),
    ]
}

#[tokio::test]
async fn whatever_was_sent_behind_the_request() {
    let gate = Gate::new();
    let waiting = upstream(Answer::silence()).await;
    let reading = upstream(Answer::default().held_after(1, &gate)).await;
    for (upstream, gateway) in [
        (&waiting, Gateway::with_config(config(&every_dialect(&waiting))).start().await),
        (&reading, Gateway::with_config(config(&every_dialect(&reading))).start().await),
    ] {
        let mut received = 0;
        for (what, tail) in tails() {
            for stream in [false, true] {
                for resets in [false, true] {
                    let body = format!(r#"{{"model":"gpt","messages":[],"stream":{stream}}}"#);
                    let length = format!("Content-Length: {}\r\n", body.len());
                    let mut client = Raw::connect(gateway.address()).await;
                    client.send(raw::chat_request(&length, &body)).await;
                    received += 1;
                    within("the upstream call", upstream.received(received)).await;
                    let sent = client.send_some(&tail).await;
                    assert!(sent || tail.len() > 1 << 20, "{what}");
                    if resets {
                        client.reset();
                    } else {
                        drop(client);
                    }
                    let end = upstream.hung_up(received);
                    within(&format!("the upstream call's end after {what}"), end).await;
                }
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_a_hook_waits_takes_the_call_with_it() {
    let upstream = upstream(Answer::default()).await;
    let waits = json!({"on_llm_start": [{"log": "waits"}, "never"]});
    let callbacks = json!([faulty_async("f", waits)]);
    let gateway = Gateway::with_config(with_callbacks(&[openai(&upstream)], &callbacks));
    let gateway = gateway.start().await;
    for (index, (_, tail)) in tails().into_iter().take(5).enumerate() {
        let body = r#"{"model":"gpt","messages":[]}"#;
        let length = format!("Content-Length: {}\r\n", body.len());
        let mut client = Raw::connect(gateway.address()).await;
        client.send(raw::chat_request(&length, body) + &tail).await;
        gateway.log().times("waits", index + 1).await;
        drop(client);
        gateway.log().times("\"client_closed_request\"", index + 1).await;
    }
    assert!(upstream.requests().is_empty());
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_while_a_hook_keeps_the_thread_costs_no_upstream_call() {
    let upstream = upstream(Answer::default()).await;
    for entry in [faulty as fn(&str, Value) -> Value, faulty_async] {
        let folder = tempfile::tempdir().unwrap();
        for (index, (what, tail)) in tails().into_iter().take(5).enumerate() {
            let left = folder.path().join(format!("{index}"));
            // The end of a connection takes some time to arrive.
            let waits = json!([{"log": "waits"}, {"await_file": left}, {"sleep_ms": 200}]);
            let acts = json!({"on_llm_start": waits});
            let callbacks = json!([entry("f", acts)]);
            let gateway = Gateway::with_config(with_callbacks(&[openai(&upstream)], &callbacks));
            let gateway = gateway.start().await;
            let body = r#"{"model":"gpt","messages":[]}"#;
            let length = format!("Content-Length: {}\r\n", body.len());
            let mut client = Raw::connect(gateway.address()).await;
            client.send(raw::chat_request(&length, body) + &tail).await;
            let _ = gateway.log().containing("waits").await;
            drop(client);
            std::fs::write(&left, "").unwrap();
            let _ = gateway.log().containing("\"client_closed_request\"").await;
            assert_eq!(upstream.requests().len(), 0, "after {what}");
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn requests_sent_together_are_all_answered() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let body = r#"{"model":"gpt","messages":[]}"#;
    let length = format!("Content-Length: {}\r\n", body.len());
    let request = raw::chat_request(&length, body);
    let last = raw::chat_request(&format!("{length}Connection: close\r\n"), body);
    let mut client = Raw::connect(gateway.address()).await;
    client.send(request.repeat(9) + &last).await;
    let answers = client.read_to_end().await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 10, "{answers}");
}
