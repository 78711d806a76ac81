//! Upstreams that never respond, or stop in the middle: the deployment's timeout ends the call, the
//! client gets an error, and the upstream connection is closed.

use callgate_tests::{
    Answer, Event, Gateway, ScriptedUpstream,
    config::{config, every_dialect, with_param},
    sse, upstream, within,
};
use serde_json::Value;

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

fn impatient(upstream: &ScriptedUpstream, name: &str) -> Vec<Value> {
    let models = every_dialect(upstream).into_iter();
    models.map(|deployment| with_param(deployment, name, 0.2)).collect()
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_a_504() {
    for stream in [false, true] {
        let upstream = upstream(Answer::silence()).await;
        let gateway = Gateway::with_config(config(&impatient(&upstream, "timeout"))).start().await;
        for (index, model) in MODELS.iter().enumerate() {
            let reply = gateway.client().chat(model).set("stream", stream).send().await;
            let error = reply.expect_status(504).error();
            assert!(error["message"].as_str().unwrap().contains("0.2"), "names the limit: {error}");
            within("the upstream call's end", upstream.hung_up(index + 1)).await;
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_json_reply_that_stalls_is_a_504() {
    let upstream = upstream(Answer::default().stalling_after(1)).await;
    let gateway = Gateway::with_config(config(&impatient(&upstream, "timeout"))).start().await;
    for (index, model) in MODELS.iter().enumerate() {
        let error = gateway.client().chat(model).send().await.expect_status(504).error();
        assert!(error["message"].as_str().unwrap().contains("0.2"), "names the limit: {error}");
        within("the upstream call's end", upstream.hung_up(index + 1)).await;
    }
}

#[tokio::test]
async fn a_stream_that_stalls_ends_in_an_error_frame() {
    for name in ["stream_timeout", "timeout"] {
        let upstream = upstream(Answer::default().stalling_after(2)).await;
        let gateway = Gateway::with_config(config(&impatient(&upstream, name))).start().await;
        for (index, model) in MODELS.iter().enumerate() {
            let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
            let events = reply.events();
            assert!(sse::error(&events).is_some(), "{name}, {model}: {events:?}");
            assert!(!events.contains(&Event::Done), "{name}, {model}: {events:?}");
            within("the upstream call's end", upstream.hung_up(index + 1)).await;
        }
    }
}

#[tokio::test]
async fn the_client_may_ask_for_less() {
    let upstream = upstream(Answer::silence()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let by_header = gateway.client().chat("gpt").header("x-litellm-timeout", "0.2");
    let _ = by_header.send().await.expect_status(504).error();
    let by_body = gateway.client().chat("gpt").set("timeout", 0.2);
    let _ = by_body.send().await.expect_status(504).error();
}

#[tokio::test]
async fn the_files_wide_timeout_applies_where_the_deployment_has_none() {
    let upstream = upstream(Answer::silence()).await;
    let mut config = config(&every_dialect(&upstream));
    config["litellm_settings"]["request_timeout"] = Value::from(0.2);
    let gateway = Gateway::with_config(config).start().await;
    for model in MODELS {
        let _ = gateway.client().chat(model).send().await.expect_status(504).error();
    }
}
