//! Embeddings: passed at OpenAI's dialect, translated at Ollama, refused where there are none.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, seen, with};
use callgate_tests::{
    Answer, Gateway, UPSTREAM_KEY,
    client::Request,
    config::{config, every_dialect, openai, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

fn embeddings(gateway: &Gateway, model: &str, input: &Value) -> Request {
    let request = gateway.client().request("POST", "/v1/embeddings");
    request.json(json!({"model": model, "input": input}))
}

#[tokio::test]
async fn openais_wire_passes() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let batch = json!(["a", "b", "c"]);
    for (input, count) in [(json!("a"), 1), (batch, 3), (json!([1, 2]), 1), (json!([[1], [2]]), 2)]
    {
        let request = embeddings(&gateway, "gpt", &input).set("dimensions", 2);
        let reply = request.set("user", "u").send().await.expect_status(200);
        assert!(!reply.header("x-litellm-call-id").is_empty());
        let list = reply.json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(count), "{list}");
        assert_eq!(list["data"][count - 1]["embedding"], json!([0.5, -1.0]));
        assert_eq!((&list["model"], &list["usage"]["prompt_tokens"]), (&json!("gpt"), &json!(11)));
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, "/v1/embeddings");
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {UPSTREAM_KEY}")));
        let expected =
            json!({"model": "gpt-4o-mini", "input": input, "dimensions": 2, "user": "u"});
        assert_eq!(sent.json(), expected);
    }
    let encoded = embeddings(&gateway, "gpt", &json!("a")).set("encoding_format", "base64");
    let encoded = encoded.send().await.expect_status(200).json();
    assert_eq!(encoded["data"][0]["embedding"], "AAAAPwAAgL8=");
}

#[tokio::test]
async fn every_path_leads_to_the_same_call() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for path in ["/embeddings", "/engines/gpt/embeddings", "/openai/deployments/gpt/embeddings"] {
        let request = embeddings(&gateway, "other", &json!("a")).path(path);
        let request = if path == "/embeddings" { request.set("model", "gpt") } else { request };
        let list = request.send().await.expect_status(200).json();
        assert_eq!(list["model"], "gpt", "{path}");
    }
    assert!(upstream.requests().iter().all(|sent| sent.path == "/v1/embeddings"));
    let wrong = gateway.client().get("/v1/embeddings").await.expect_status(405);
    assert_eq!(wrong.header("allow"), "POST, OPTIONS");
    let keyless = gateway.client().without_key().request("POST", "/v1/embeddings");
    let _ = keyless.json(json!({"model": "gpt", "input": "a"})).send().await.expect_status(401);
    let log = gateway.stop().await;
    assert!(log.contains(r#""path":"/embeddings""#), "{log}");
    assert!(log.contains(r#""tokens.prompt":11"#), "{log}");
}

#[tokio::test]
async fn ollamas_own_endpoint_is_translated() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (format, vector) in
        [(json!(null), json!([0.5, -1.0])), (json!("base64"), json!("AAAAPwAAgL8="))]
    {
        let request = embeddings(&gateway, "gemma", &json!(["a", "b"]));
        let list = request.set("encoding_format", format).send().await.expect_status(200).json();
        assert_eq!(
            list["data"][1],
            json!({"object": "embedding", "index": 1, "embedding": vector})
        );
        assert_eq!((&list["object"], &list["model"]), (&json!("list"), &json!("gemma")));
        assert_eq!(list["usage"], json!({"prompt_tokens": 11, "total_tokens": 11}));
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, "/api/embed");
        assert_eq!(sent.json(), json!({"model": "gemma3:4b", "input": ["a", "b"]}));
    }
    let tokens = embeddings(&gateway, "gemma", &json!([1, 2])).send().await.expect_status(400);
    assert_eq!(tokens.error()["param"], "input[0]");
}

#[tokio::test]
async fn input_that_is_none_is_refused_before_the_upstream() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (input, said) in [
        (json!(null), "/embeddings: Missing required parameter: 'input'."),
        (json!(""), "found an empty string"),
        (json!([]), "found an empty array"),
        (json!(7), "found a number"),
        (json!([0.5]), "no tokens"),
        (json!({"a": 1}), "found an object"),
    ] {
        for model in ["gpt", "gemma"] {
            let reply = embeddings(&gateway, model, &input).send().await;
            let error = reply.expect_status(400).error();
            assert!(error["message"].as_str().unwrap().contains(said), "{input}: {error}");
            assert_eq!(error["param"], "input");
        }
    }
    let unknown = embeddings(&gateway, "nope", &json!("a")).send().await.expect_status(400);
    let message = unknown.error()["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("/embeddings: Invalid model name"), "{message}");
    assert_eq!(upstream.requests().len(), 0);
    // How many are too many is the upstream's to say.
    upstream.push(Answer::error(400, "invalid_request_error", "c", "too many inputs"));
    let million = json!(vec!["a"; 1_000_000]);
    let error = embeddings(&gateway, "gpt", &million).send().await.expect_status(400).error();
    assert!(error["message"].as_str().unwrap().contains("too many inputs"), "{error}");
}

#[tokio::test]
async fn a_provider_without_embeddings_is_named_with_the_models_that_have_them() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&every_dialect(&upstream));
    config["callgate"] = json!({"keys": [{"name": "ann", "key": "sk-ann-0123456789", "models": ["llama", "gemma"]}]});
    config["model_list"].as_array_mut().unwrap().push(json!({"model_name": "told",
        "litellm_params": {"model": "groq/e", "api_base": upstream.groq_base(), "api_key": "k"},
        "model_info": {"mode": "embedding"}}));
    let gateway = Gateway::with_config(config).start().await;
    let reply = embeddings(&gateway, "llama", &json!("a")).send().await.expect_status(400);
    let error = reply.error();
    assert_eq!((&error["code"], &error["param"]), (&json!("endpoint_not_served"), &json!("model")));
    let expected = "/embeddings: model `llama` is at `groq`, which does not serve such calls; \
                    models that serve them: `gpt`, `gemma`, `told`";
    assert_eq!(error["message"], expected);
    let of_ann = callgate_tests::Client::new(gateway.address(), "sk-ann-0123456789");
    let reply = of_ann.request("POST", "/v1/embeddings");
    let reply = reply.json(json!({"model": "llama", "input": "a"})).send().await;
    let message = reply.expect_status(400).error()["message"].as_str().unwrap().to_owned();
    assert!(message.ends_with("models that serve them: `gemma`"), "{message}");
    assert_eq!(upstream.requests().len(), 0);
    // The operator knows better.
    let _ = embeddings(&gateway, "told", &json!("a")).send().await.expect_status(200);
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_error() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let json = |body: &'static str| Answer::fixed(200, "application/json", body);
    for model in ["gpt", "gemma"] {
        for (answer, status, said) in [
            (Answer::error(429, "t", "c", "slow down"), 429, "slow down"),
            (json(r#"{"error":{"message":"words"}}"#), 500, "words"),
            (json("{}"), 500, "something else than was asked"),
            (json("[1]"), 500, "something else than was asked"),
            (json(""), 500, "an empty body"),
            (json(r#"{"data":[{"#).closing_after(1), 502, "incomplete"),
        ] {
            upstream.push(answer);
            let reply = embeddings(&gateway, model, &json!("a")).send().await;
            let error = reply.expect_status(status).error();
            assert!(error["message"].as_str().unwrap().contains(said), "{model}: {error}");
        }
    }
}

#[tokio::test]
async fn hooks_run_once_and_edit_the_input() {
    let upstream = upstream(Answer::default()).await;
    let mut seer = with(recorder("seer"), "only", json!({"endpoints": ["embeddings"]}));
    seer["settings"]["params"] = json!(["input"]);
    let edits = json!([{"set_param": ["input", "[\"masked\"]"]}]);
    let ends = json!([{"reply_header": ["x-seen", "yes"]}]);
    let mask = faulty("mask", json!({"on_llm_start": edits, "on_llm_end": ends}));
    let config = with_callbacks(&every_dialect(&upstream), &json!([seer, mask, recorder("last")]));
    let gateway = Gateway::with_config(config).start().await;
    for model in ["gpt", "gemma"] {
        let request = embeddings(&gateway, model, &json!(["secret"]));
        let reply = request.header("x-litellm-call-id", model).send().await.expect_status(200);
        assert_eq!(reply.header("x-seen"), "yes");
        assert_eq!(upstream.requests().pop().unwrap().json()["input"], json!(["masked"]));
    }
    upstream.push(Answer::error(500, "t", "c", "oops"));
    let failing = embeddings(&gateway, "gpt", &json!("a")).header("x-litellm-call-id", "failing");
    let _ = failing.send().await.expect_status(500);
    let chat = gateway.client().chat("gpt").header("x-litellm-call-id", "chat");
    let _ = chat.send().await.expect_status(200);
    let log = gateway.log().clone();
    gateway.stop().await;
    let expected = ["seer on_llm_start", "last on_llm_start", "seer on_llm_end", "last on_llm_end"];
    for id in ["gpt", "gemma"] {
        assert_eq!(hooks(&log, id), expected);
    }
    let expected =
        ["seer on_llm_start", "last on_llm_start", "seer on_llm_error", "last on_llm_error"];
    assert_eq!(hooks(&log, "failing"), expected);
    assert_eq!(hooks(&log, "chat"), ["last on_llm_start", "last on_llm_end"]);
    let first = &recorded(&log, "gpt")[0];
    assert_eq!(seen(first, "endpoint"), "embeddings");
    assert_eq!(
        (seen(first, "param.input"), seen(first, "message_count")),
        (r#"["secret"]"#.into(), "0".into())
    );
    let last = recorded(&log, "gpt").pop().unwrap();
    assert_eq!(
        (seen(&last, "prompt_tokens"), seen(&last, "total_tokens")),
        ("11".into(), "11".into())
    );
}

#[tokio::test]
async fn a_callback_answers_with_json_alone() {
    let upstream = upstream(Answer::default()).await;
    let list = json!({"object": "list", "data": [], "model": "own"}).to_string();
    for (act, status) in [(json!({"answer_json": list}), 200), (json!({"answer_text": "hi"}), 503)]
    {
        let callbacks = json!([faulty("own", json!({"on_llm_start": [act]}))]);
        let config = with_callbacks(&[openai(&upstream)], &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        let reply = embeddings(&gateway, "gpt", &json!("a")).send().await.expect_status(status);
        match status {
            200 => assert_eq!(reply.json()["model"], "own"),
            _ => assert_eq!(reply.error()["code"], "callback_failed"),
        }
    }
    assert_eq!(upstream.requests().len(), 0);
}
