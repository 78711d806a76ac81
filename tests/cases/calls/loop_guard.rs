//! A base URL that leads back to the gateway: one refusal, not a recursion.

use callgate_tests::{
    Gateway, MASTER_KEY,
    config::{config, deployment},
};
use serde_json::Value;
use std::net::TcpListener;

/// A port that was free a moment ago: a gateway has to know its own address in advance to call
/// itself.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn calling(port: u16) -> Value {
    let mut deployment = deployment("gpt", "openai/gpt", &format!("http://127.0.0.1:{port}/v1"));
    deployment["litellm_params"]["api_key"] = MASTER_KEY.into();
    config(&[deployment])
}

#[tokio::test]
async fn a_gateway_that_would_call_itself_refuses() {
    let port = free_port();
    let gateway =
        Gateway::with_config(calling(port)).arg("--port").arg(&port.to_string()).start().await;
    for stream in [false, true] {
        let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
        let error = reply.expect_status(508).error();
        assert!(error["message"].as_str().unwrap().contains("api_base"), "says where: {error}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn two_gateways_that_call_each_other_refuse() {
    let (first_port, second_port) = (free_port(), free_port());
    let start = |own: u16, other: u16| {
        Gateway::with_config(calling(other)).arg("--port").arg(&own.to_string()).start()
    };
    let first = start(first_port, second_port).await;
    let second = start(second_port, first_port).await;
    let reply = first.client().chat("gpt").send().await;
    let _ = reply.expect_status(508).error();
    first.stop().await;
    second.stop().await;
}
