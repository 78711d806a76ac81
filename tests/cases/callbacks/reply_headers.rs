//! Headers that callbacks set for the client on every outcome, a failure's type, code and headers,
//! and what callbacks know of the deployment and of the upstream's response.

use crate::callbacks::faulty::{
    faulty, faulty_async, faulty_blocking, recorded, recorder, seen, with,
};
use callgate_tests::{
    Answer, Gateway,
    config::{every_dialect, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

/// Sets a header at the start, on every call.
fn marked(header: [&str; 2]) -> Value {
    json!({"on_llm_start": [{"set_reply_header": header}]})
}

#[tokio::test]
async fn a_header_set_at_the_start_is_on_every_outcome() {
    let upstream = upstream(Answer::default()).await;
    for make in [faulty, faulty_async, faulty_blocking] {
        // The upstream sends one of this name, too.
        let left = marked(["x-ratelimit-remaining-tokens", "12"]);
        let callbacks = json!([make("mark", marked(["x-mark", "yes"])), make("left", left)]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        for model in ["gpt", "llama", "gemma"] {
            for (stream, answer, status) in [
                (false, Answer::default(), 200),
                (true, Answer::default(), 200),
                (false, Answer::error(429, "t", "c", "slow down"), 429),
                (true, Answer::error(503, "t", "c", "busy"), 503),
            ] {
                upstream.push(answer);
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let reply = reply.expect_status(status);
                assert_eq!(reply.header("x-mark"), "yes", "{model} {stream} {status}");
                let left = reply.header("x-ratelimit-remaining-tokens");
                assert_eq!(left, "12", "{model} {stream} {status}");
            }
        }
        let unknown = gateway.client().chat("nope").send().await.expect_status(400);
        assert_eq!(unknown.header("x-mark"), "yes");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn refusals_and_answers_of_later_callbacks_have_it_too_and_a_fault_takes_it_back() {
    let upstream = upstream(Answer::default()).await;
    let mark = || faulty("mark", marked(["x-mark", "yes"]));
    for (later, status) in [
        (json!({"on_llm_start": [{"reject": {"status": 403, "message": "no"}}]}), 403),
        (json!({"on_llm_start": [{"answer_text": "hello"}]}), 200),
        (json!({"on_llm_start": [{"internal": "broken"}]}), 503),
    ] {
        let callbacks = json!([mark(), faulty("later", later)]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        let reply = gateway.client().chat("gpt").send().await.expect_status(status);
        assert_eq!(reply.header("x-mark"), "yes", "{status}");
        gateway.stop().await;
    }
    let acts =
        json!({"on_llm_start": [{"set_reply_header": ["x-mark", "yes"]}, {"internal": "no"}]});
    let callbacks = json!([with(faulty("mark", acts), "on_error", json!("ignore"))]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.header("x-mark"), "");
    gateway.stop().await;
}

#[tokio::test]
async fn a_header_shows_no_secret_and_owns_no_connection() {
    let upstream = upstream(Answer::default()).await;
    let mut models = every_dialect(&upstream);
    let key = "sk-live-4f9c2a7be01d53";
    models[0]["litellm_params"]["api_key"] = json!(key);
    let acts = json!({"on_llm_start": [
        {"set_reply_header": ["x-key", format!("the key is {key}")]},
        {"set_reply_header": ["content-length", "7"]},
        {"set_reply_header": ["bad name", "7"]},
    ]});
    let config = with_callbacks(&models, &json!([faulty("mark", acts)]));
    let gateway = Gateway::with_config(config).start().await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.header("x-key"), "the key is ***");
    assert_ne!(reply.header("content-length"), "7");
    let log = gateway.stop().await;
    assert_eq!(log.matches("\"edit refused\"").count(), 2, "{log}");
}

#[tokio::test]
async fn an_error_hook_sets_type_code_and_headers() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"on_llm_error": [
        {"failure_type": "server_error"},
        {"failure_code": "busy"},
        {"failure_header": ["x-try", "gemma"]},
    ]});
    for make in [faulty, faulty_async, faulty_blocking] {
        let config = with_callbacks(&every_dialect(&upstream), &json!([make("e", acts.clone())]));
        let gateway = Gateway::with_config(config).start().await;
        for stream in [false, true] {
            upstream.push(Answer::error(429, "rate_limit_error", "slow", "slow down"));
            let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
            let reply = reply.expect_status(429);
            assert_eq!(reply.header("x-try"), "gemma");
            let error = &reply.json()["error"];
            assert_eq!((&error["type"], &error["code"]), (&json!("server_error"), &json!("busy")));
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn callbacks_know_the_deployment_and_the_upstreams_response() {
    let facts = [
        "callgate.deployment_id",
        "callgate.model_info",
        "callgate.attempts",
        "callgate.upstream_status",
        "callgate.upstream_header.X-Cache",
    ];
    let upstream = upstream(Answer::default()).await;
    let recorder = with(recorder("r"), "settings", json!({"label": "r", "metadata": facts}));
    let mut config = with_callbacks(&every_dialect(&upstream), &json!([recorder]));
    config["model_list"][0]["model_info"] = json!({"id": "first", "team": "blue"});
    let gateway = Gateway::with_config(config).start().await;
    for (id, stream, answer) in [
        ("json", false, Answer::default()),
        ("stream", true, Answer::default()),
        ("error", false, Answer::error(503, "t", "c", "busy")),
    ] {
        upstream.push(answer.header("x-cache", "hit"));
        let call = gateway.client().chat("gpt").set("stream", stream);
        let _ = call.header("x-litellm-call-id", id).send().await;
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for (id, last, status) in [
        ("json", "on_llm_end", "200"),
        ("stream", "on_llm_end", "200"),
        ("error", "on_llm_error", "503"),
    ] {
        let lines = recorded(&log, id);
        let find = |hook: &str| lines.iter().find(|line| seen(line, "hook") == hook).unwrap();
        let (start, end) = (find("on_llm_start"), find(last));
        let fact = |line: &_, name: &str| seen(line, &format!("metadata.callgate.{name}"));
        for line in [start, end] {
            assert_eq!(fact(line, "deployment_id"), "first", "{id}");
            let info: Value = serde_json::from_str(&fact(line, "model_info")).unwrap();
            assert_eq!(info["team"], "blue", "{id}");
        }
        assert_eq!((fact(start, "attempts"), fact(end, "attempts")), ("0".into(), "1".into()));
        assert_eq!(fact(start, "upstream_status"), "");
        assert_eq!(fact(end, "upstream_status"), status);
        assert_eq!(fact(end, "upstream_header.X-Cache"), "hit");
    }
}
