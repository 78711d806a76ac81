//! Limits on what a callback adds to a call: beyond them an edit fails, a reply is a fault, a text
//! is cut. The call and the next one go on.

use crate::callbacks::faulty::{faulty, refusal};
use callgate_tests::{
    Answer, Gateway,
    config::{openai, with_callbacks},
    upstream,
};
use plugin_api::limits;
use serde_json::{Value, json};

async fn answer_of(action: Value) -> (Gateway, callgate_tests::Reply) {
    let upstream = upstream(Answer::default()).await;
    let callbacks = json!([faulty("f", json!({"on_llm_start": [action]}))]);
    let gateway = Gateway::with_config(with_callbacks(&[openai(&upstream)], &callbacks));
    let gateway = gateway.start().await;
    let reply = gateway.client().chat("gpt").send().await;
    (gateway, reply)
}

#[tokio::test]
async fn an_edit_past_its_bound_fails_and_the_call_goes_on() {
    for action in [
        json!({"set_param_big": ["x", limits::BODY_EDITS]}),
        json!({"set_metadata_big": limits::METADATA}),
    ] {
        let (gateway, reply) = answer_of(action).await;
        let _ = reply.expect_status(200);
        gateway.log().containing("larger than the gateway's limit").await;
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_answer_past_its_bound_is_a_fault() {
    let (gateway, reply) = answer_of(json!({"answer_big": limits::ANSWER + 1})).await;
    assert_eq!(reply.expect_status(503).error()["code"], "callback_failed");
    gateway.log().containing("its reply has more than").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_long_refusal_is_cut() {
    let (gateway, reply) = answer_of(refusal(&"ä".repeat(limits::MESSAGE))).await;
    let body = reply.expect_status(418).json();
    let message = body["error"]["message"].as_str().unwrap();
    assert_eq!(message, "ä".repeat(limits::MESSAGE / 2));
    gateway.stop().await;
}
