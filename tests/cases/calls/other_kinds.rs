//! Completions, responses and messages: passed as they are, as JSON and as streams with their
//! events' names, with hooks, and refused where they are not served.

use crate::callbacks::faulty::{all_hooks, faulty, hooks, recorded, recorder, seen, with};
use callgate_tests::{
    Answer, Gateway, ScriptedUpstream, UPSTREAM_KEY,
    client::Request,
    config::{config, deployment, every_dialect, openai, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

/// The kinds with streams: path, member that is asked, and an entry that serves them.
const STREAMED: [(&str, &str, &str); 3] = [
    ("/v1/completions", "prompt", "gpt"),
    ("/v1/responses", "input", "gpt"),
    ("/v1/messages", "messages", "claude"),
];

fn models(upstream: &ScriptedUpstream) -> Vec<Value> {
    let claude = deployment("claude", "anthropic/claude-x", &upstream.openai_base());
    [every_dialect(upstream), vec![claude]].concat()
}

fn ask(gateway: &Gateway, path: &str, model: &str) -> Request {
    let asked = match path {
        _ if path.ends_with("/messages") => {
            json!({"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
        }
        _ if path.ends_with("/responses") => json!({"input": "hi"}),
        _ => json!({"prompt": "hi"}),
    };
    gateway.client().request("POST", path).json(asked).set("model", model)
}

#[tokio::test]
async fn answers_pass_and_their_tokens_are_counted() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (path, _, model) in STREAMED {
        let request = ask(&gateway, path, model).set("metadata", json!({"a": "b"}));
        let answer = request.send().await.expect_status(200).json();
        let text = match path {
            "/v1/completions" => &answer["choices"][0]["text"],
            "/v1/responses" => &answer["output"][0]["content"][0]["text"],
            _ => &answer["content"][0]["text"],
        };
        assert_eq!(*text, "Hello world", "{answer}");
        let named = if path == "/v1/completions" { "gpt" } else { "up-2024-07-18" };
        assert_eq!(answer["model"], named);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, path);
        // Chats and completions have none of their own.
        assert_eq!(sent.json().get("metadata").is_some(), path != "/v1/completions", "{path}");
    }
    for path in ["/completions", "/engines/gpt/completions", "/responses"] {
        let _ = ask(&gateway, path, "gpt").send().await.expect_status(200);
    }
    let log = gateway.stop().await;
    assert_eq!(log.matches(r#""tokens.prompt":11,"tokens.completion":4"#).count(), 6, "{log}");
}

#[tokio::test]
async fn anthropics_own_api_gets_its_headers() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let plain = ask(&gateway, "/v1/messages", "claude");
    let named = plain.clone().header("anthropic-version", "2030-01-01");
    let named = named.header("anthropic-beta", "one,two");
    for (request, version, beta) in
        [(plain, "2023-06-01", None), (named, "2030-01-01", Some("one,two"))]
    {
        let _ = request.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.header("x-api-key"), Some(UPSTREAM_KEY));
        assert_eq!(sent.header("authorization"), None);
        assert_eq!(sent.header("anthropic-version"), Some(version));
        assert_eq!(sent.header("anthropic-beta"), beta);
    }
    // Anthropic's client sends its key in this header.
    let own = gateway.client().without_key().request("POST", "/v1/messages");
    let own = own.header("x-api-key", callgate_tests::MASTER_KEY);
    let asked = json!({"model": "claude", "messages": []});
    let _ = own.json(asked).send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(sent.header("x-api-key"), Some(UPSTREAM_KEY));
    let _ = gateway.client().chat("claude").send().await.expect_status(200);
    assert_eq!(upstream.requests().pop().unwrap().header("x-api-key"), Some(UPSTREAM_KEY));
}

#[tokio::test]
async fn streams_pass_with_the_names_of_their_events() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    let plain = Gateway::with_config(with_callbacks(&models(&upstream), &json!([recorder("r")])));
    let recorded = plain.start().await;
    for (path, _, model) in STREAMED {
        // Without callbacks and with them, and however the upstream divides the stream.
        let mut found = Vec::new();
        for gateway in [&gateway, &recorded] {
            for answer in [Answer::default(), Answer::default().in_writes_of(7)] {
                upstream.push(answer);
                let reply = ask(gateway, path, model).streaming().send().await;
                let reply = reply.expect_status(200);
                assert_eq!(reply.header("content-type"), "text/event-stream; charset=utf-8");
                found.push(reply.text());
            }
        }
        let text = &found[0];
        assert!(found.iter().all(|other| other == text), "{found:?}");
        let (last, count, named) = match path {
            "/v1/completions" => ("data: [DONE]\n\n", 4, false),
            "/v1/responses" => ("", 9, true),
            _ => ("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", 8, true),
        };
        assert!(text.ends_with(last), "{text}");
        assert_eq!(text.matches("data: ").count(), count, "{text}");
        assert_eq!(text.matches("event: ").count(), if named { count } else { 0 }, "{text}");
    }
    let log = recorded.stop().await;
    let line = r#""tokens.prompt":11,"tokens.completion":4"#;
    assert_eq!(log.matches(line).count(), 6, "{log}");
}

#[tokio::test]
async fn hooks_see_what_is_asked_and_what_is_said() {
    let upstream = upstream(Answer::default()).await;
    let mut seer = recorder("seer");
    seer["settings"]["params"] = json!(["prompt", "input"]);
    seer["settings"]["messages"] = json!(true);
    let callbacks = json!([seer, recorder("last")]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &callbacks));
    let gateway = gateway.start().await;
    for (path, _, model) in STREAMED {
        for stream in [false, true] {
            let request = ask(&gateway, path, model).set("stream", stream);
            let request = request.header("x-litellm-call-id", &format!("{path}{stream}"));
            let _ = request.send().await.expect_status(200);
        }
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for (path, member, _) in STREAMED {
        for stream in [false, true] {
            let id = format!("{path}{stream}");
            let each = |hook: &str| ["seer", "last"].map(|label| format!("{label} {hook}"));
            assert_eq!(hooks(&log, &id), [each("on_llm_start"), each("on_llm_end")].concat());
            let lines = recorded(&log, &id);
            assert_eq!(seen(&lines[0], "endpoint"), path.trim_start_matches("/v1/"));
            match member {
                "messages" => assert_eq!(seen(&lines[0], "message.0"), "hi"),
                _ => assert_eq!(seen(&lines[0], &format!("param.{member}")), "\"hi\""),
            }
            let end = lines.last().unwrap();
            assert_eq!(seen(end, "text"), "Hello world", "{id}");
            assert_eq!(seen(end, "prompt_tokens"), "11", "{id}");
            let reason = match path {
                "/v1/completions" => "stop",
                "/v1/responses" => "completed",
                _ => "end_turn",
            };
            assert_eq!(seen(end, "finish_reason"), reason, "{id}");
            let chunks = lines.iter().filter(|line| seen(line, "hook") == "on_llm_new_token");
            let texts: Vec<_> = chunks
                .filter(|line| seen(line, "label") == "seer")
                .map(|line| seen(line, "text"))
                .filter(|text| !text.is_empty())
                .collect();
            assert_eq!(texts, if stream { vec!["Hello", " world"] } else { vec![] }, "{id}");
        }
    }
    assert!(all_hooks(&log, "/v1/messagestrue").len() > 8);
}

#[tokio::test]
async fn chunk_hooks_edit_the_text_of_every_kind() {
    let upstream = upstream(Answer::default()).await;
    let acts = json!({"at_chunk": 3, "on_llm_new_token": [{"chunk_text": "Bye"}]});
    let completions = json!({"at_chunk": 0, "on_llm_new_token": [{"chunk_text": "Bye"}]});
    let only = |name: &str, acts: &Value| {
        with(faulty(name, acts.clone()), "only", json!({"endpoints": [name]}))
    };
    let callbacks = json!([
        only("responses", &acts),
        only("messages", &acts),
        only("completions", &completions)
    ]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &callbacks));
    let gateway = gateway.start().await;
    for (path, _, model) in STREAMED {
        let text = ask(&gateway, path, model).streaming().send().await.expect_status(200).text();
        assert!(text.contains("\"Bye\"") && !text.contains("\"Hello\""), "{text}");
        assert!(text.contains("\" world\""), "{text}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_ends_in_an_event_that_its_clients_read() {
    let upstream = upstream(Answer::default()).await;
    let callbacks = json!([recorder("r")]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &callbacks));
    let gateway = gateway.start().await;
    for (path, _, model) in STREAMED {
        upstream.push(Answer::default().closing_after(2));
        let request = ask(&gateway, path, model).streaming().header("x-litellm-call-id", path);
        let text = request.send().await.expect_status(200).text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let (head, data) = last.split_once("data: ").unwrap();
        let json: Value = serde_json::from_str(data).unwrap();
        match path {
            // Anthropic's errors have no code.
            "/v1/messages" => assert_eq!(json["error"]["type"], "api_error", "{text}"),
            _ => assert_eq!(json["error"]["code"], "incomplete_stream", "{text}"),
        }
        match path {
            "/v1/completions" => assert_eq!((head, json.get("type")), ("", None)),
            _ => assert_eq!((head, &json["type"]), ("event: error\n", &json!("error"))),
        }
        assert!(!text.contains("[DONE]"));
        upstream.push(Answer::error(529, "overloaded_error", "c", "try later"));
        let refused = ask(&gateway, path, model).streaming().send().await.expect_status(529);
        assert_eq!(refused.json()["error"]["message"], "try later");
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    for (path, ..) in STREAMED {
        assert_eq!(hooks(&log, path), ["r on_llm_start", "r on_llm_error"]);
    }
}

/// As for chats: an answer that was cut is the upstream's failure, and not one of another form.
#[tokio::test]
async fn an_answer_that_ends_too_soon_is_incomplete() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (path, _, model) in STREAMED {
        upstream.push(Answer::fixed(200, "application/json", "{\"choices\": [{\"text\": \"a"));
        let cut = ask(&gateway, path, model).send().await.expect_status(502).text();
        assert!(
            cut.contains("the upstream's answer is incomplete: its JSON ends too soon"),
            "{cut}"
        );
    }
}

#[tokio::test]
async fn what_a_provider_does_not_serve_is_refused() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&models(&upstream))).start().await;
    for (path, model, others) in [
        ("/v1/images/generations", "llama", "models that serve them: `gpt`"),
        ("/v1/rerank", "gpt", "no model of this gateway serves them"),
    ] {
        let request = ask(&gateway, path, model).set("query", "q").set("documents", json!(["d"]));
        let error = request.send().await.expect_status(400).error();
        assert_eq!(error["code"], "endpoint_not_served");
        assert!(error["message"].as_str().unwrap().ends_with(others), "{error}");
    }
    for (path, missing) in [("/v1/completions", "prompt"), ("/v1/messages", "messages")] {
        let request = ask(&gateway, path, "gemma").set(missing, Value::Null);
        let error = request.send().await.expect_status(400).json()["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(missing), "{error}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn moderations_rerank_and_images_pass() {
    let upstream = upstream(Answer::default()).await;
    let base = format!("{}/compatibility/v1", upstream.ollama_base());
    let cohere = deployment("cohere", "cohere/rerank-x", &base);
    let gateway = Gateway::with_config(config(&[openai(&upstream), cohere])).start().await;
    let asked = json!({"model": "gpt", "input": "a", "prompt": "a"});
    let documents = json!({"model": "cohere", "query": "q", "documents": ["a", {"text": "b"}]});
    for (path, body, at, member) in [
        ("/v1/moderations", &asked, "/v1/moderations", "results"),
        ("/v1/images/generations", &asked, "/v1/images/generations", "data"),
        ("/rerank", &documents, "/v2/rerank", "results"),
        ("/v2/rerank", &documents, "/v2/rerank", "results"),
    ] {
        let request = gateway.client().request("POST", path).json(body.clone());
        let answer = request.send().await.expect_status(200).json();
        assert!(answer[member].is_array(), "{answer}");
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.path, at);
        let model = if path.contains("rerank") { "rerank-x" } else { "gpt-4o-mini" };
        assert_eq!(sent.json()["model"], model);
    }
}

#[tokio::test]
async fn a_callback_that_judges_whole_answers_gets_no_stream_that_it_could_not() {
    let upstream = upstream(Answer::default()).await;
    let end = faulty("judge", json!({"on_llm_end": [{"reply_header": ["x-judged", "yes"]}]}));
    let judge = json!([with(end, "streams", json!("buffered"))]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &judge));
    let gateway = gateway.start().await;
    for (path, _, model) in STREAMED {
        let _ = ask(&gateway, path, model).send().await.expect_status(200);
        let refused = ask(&gateway, path, model).streaming().send().await.expect_status(400);
        assert!(refused.text().contains("ask without `stream`"), "{}", refused.text());
    }
    let guard = json!([{"name": "guardrail", "settings":
        {"rules": [{"preset": "email", "action": "mask", "on": ["reply"]}]}}]);
    let gateway = Gateway::with_config(with_callbacks(&models(&upstream), &guard));
    let gateway = gateway.start().await;
    for (path, _, model) in STREAMED {
        let _ = ask(&gateway, path, model).send().await.expect_status(200);
        let refused = ask(&gateway, path, model).streaming().send().await.expect_status(400);
        match path {
            "/v1/messages" => assert!(refused.anthropic_error()["message"].is_string()),
            _ => assert_eq!(refused.error()["code"], "guardrail"),
        }
    }
}
