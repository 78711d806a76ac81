//! What an entry says about parameters: left out, in part or whole, allowed, or put elsewhere.
//! Parameters that reasoning models refuse.

use callgate_tests::{
    Answer, Event, Gateway,
    config::{config, deployment, with_param},
    sse, upstream,
};
use serde_json::{Value, json};

#[tokio::test]
async fn parts_of_parameters_are_left_out_at_every_provider() {
    let upstream = upstream(Answer::default()).await;
    let drop = json!(["user", "tools[*].function.strict", "response_format.json_schema.strict"]);
    let entry = |name: &str, model: &str, base: &str| {
        with_param(deployment(name, model, base), "additional_drop_params", drop.clone())
    };
    let models = [
        entry("gpt", "openai/m", &upstream.openai_base()),
        entry("gemma", "ollama_chat/m", &upstream.ollama_base()),
    ];
    let gateway = Gateway::with_config(config(&models)).arg("--strict").start().await;
    let tool = |strict: bool| {
        let mut function = json!({"name": "f", "parameters": {}});
        if strict {
            function["strict"] = json!(true);
        }
        json!([{"type": "function", "function": function}])
    };
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "strict": true,
                        "schema": {"type": "object"}}});
    for model in ["gpt", "gemma"] {
        let call = gateway.client().chat(model).set("tools", tool(true)).set("user", "u");
        let _ = call.set("response_format", format.clone()).send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent["tools"], tool(false), "{model}");
        assert_eq!(sent["user"], Value::Null);
        if model == "gpt" {
            let kept = json!({"name": "n", "schema": {"type": "object"}});
            assert_eq!(sent["response_format"]["json_schema"], kept);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn reasoning_models_get_what_they_know() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let azure = with_param(
        deployment("hidden", "azure/prod", &upstream.ollama_base()),
        "base_model",
        "azure/gpt-5-mini",
    );
    let models = [
        deployment("o", "openai/o3-mini", &base),
        with_param(deployment("drops", "openai/gpt-5", &base), "drop_params", true),
        with_param(
            deployment("allows", "openai/o1", &base),
            "allowed_openai_params",
            json!(["top_p"]),
        ),
        deployment("any/*", "openai/*", &base),
        azure,
    ];
    let gateway = Gateway::with_config(config(&models)).arg("--strict").start().await;
    let call = |model: &str| gateway.client().chat(model).set("max_tokens", 9);
    for (model, expected) in [
        ("o", json!({"model": "o3-mini", "max_completion_tokens": 9})),
        ("any/gpt-5.1", json!({"model": "gpt-5.1", "max_completion_tokens": 9})),
        ("any/gpt-4o", json!({"model": "gpt-4o", "max_tokens": 9})),
        ("hidden", json!({"model": "prod", "max_completion_tokens": 9})),
    ] {
        let _ = call(model).send().await.expect_status(200);
        let mut sent = upstream.requests().pop().unwrap().json();
        sent.as_object_mut().unwrap().remove("messages");
        assert_eq!(sent, expected);
    }
    for model in ["o", "hidden", "any/o4-mini"] {
        let reply = call(model).set("temperature", 0.2).send().await.expect_status(400);
        let error = reply.error();
        assert_eq!(
            (&error["param"], &error["type"]),
            (&json!("temperature"), &json!("invalid_request_error"))
        );
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("does not take `temperature` with this value"), "{message}");
    }
    let _ = call("drops").set("temperature", 0.2).set("stop", "x").send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap().json();
    assert_eq!((&sent["temperature"], &sent["stop"]), (&Value::Null, &Value::Null));
    let _ = call("allows").set("top_p", 0.5).send().await.expect_status(200);
    assert_eq!(upstream.requests().pop().unwrap().json()["top_p"], 0.5);
    gateway.stop().await;
}

#[tokio::test]
async fn reasoning_is_put_into_the_text_where_the_entry_asks_for_it() {
    let upstream = upstream(Answer::text(["The ", "answer"]).thinking("Let \"me\" see.")).await;
    let merging = |name: &str, model: &str, base: &str| {
        with_param(deployment(name, model, base), "merge_reasoning_content_in_choices", true)
    };
    let models = [
        merging("merged", "openai/m", &upstream.openai_base()),
        merging("local", "ollama_chat/m", &upstream.ollama_base()),
        deployment("apart", "openai/m", &upstream.openai_base()),
    ];
    let gateway = Gateway::with_config(config(&models)).arg("--strict").start().await;
    let text = "<think>Let \"me\" see.</think>The answer";
    for model in ["merged", "local"] {
        let reply = gateway.client().chat(model).send().await.expect_status(200).json();
        let message = &reply["choices"][0]["message"];
        assert_eq!(message["content"], text, "{model}");
        assert_eq!(
            (&message["reasoning"], &message["reasoning_content"]),
            (&Value::Null, &Value::Null)
        );
        let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
        let events = reply.events();
        assert_eq!((sse::text(&events), events.last()), (text.to_owned(), Some(&Event::Done)));
        assert!(!reply.text().contains("reasoning"), "{}", reply.text());
    }
    let reply = gateway.client().chat("apart").send().await.expect_status(200).json();
    let message = &reply["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &message["reasoning"]),
        (&json!("The answer"), &json!("Let \"me\" see."))
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_default_that_a_reasoning_model_refuses_is_reported_and_not_sent() {
    let upstream = upstream(Answer::default()).await;
    let entry =
        with_param(deployment("o", "openai/o3", &upstream.openai_base()), "temperature", 0.2);
    let gateway = Gateway::with_config(config(&[entry])).start().await;
    let _ = gateway.client().chat("o").send().await.expect_status(200);
    assert_eq!(upstream.requests()[0].json()["temperature"], Value::Null);
    let log = gateway.stop().await;
    assert!(log.contains("litellm_params.temperature: `temperature` is not sent"), "{log}");
}
