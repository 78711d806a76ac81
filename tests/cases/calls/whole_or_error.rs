//! A response is complete or an error: JSON and streams, from every dialect, are judged by one
//! rule, and none is waited for without end.

use crate::callbacks::faulty::{faulty, recorded, recorder, seen};
use callgate_tests::{
    Answer, Event, Gate, Gateway, Reply, Script, ScriptedUpstream,
    config::{config, every_dialect, openai, with_callbacks, with_param},
    log::LogLine,
    scripted, sse, upstream, within,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

async fn gateway(upstream: &ScriptedUpstream) -> Gateway {
    Gateway::with_config(config(&every_dialect(upstream))).start().await
}

#[expect(clippy::needless_pass_by_value, reason = "callers pass what they just made")]
fn json_answer(body: impl ToString) -> Answer {
    Answer::fixed(200, "application/json", body.to_string())
}

fn events_answer(events: &[&str]) -> Answer {
    let events: String = events.iter().map(|json| format!("data: {json}\n\n")).collect();
    Answer::fixed(200, "text/event-stream", events)
}

#[tokio::test]
async fn an_error_under_200_is_an_error_in_its_own_words() {
    for (body, message, code) in [
        (json!({"error": {"message": "words", "type": "t", "code": "c"}}), "words", "c"),
        (json!({"error": "words"}), "words", "500"),
        (json!({"detail": "words"}), "words", "500"),
        (json!({"detail": [{"loc": ["body", "n"], "msg": "words"}]}), "words", "500"),
        (json!({"object": "error", "message": "words", "code": 429}), "words", "429"),
        (json!([{"error": {"message": "words", "code": 404}}]), "words", "404"),
        (json!({"choices": null, "error": {"message": "words", "code": "c"}}), "words", "c"),
        (json!({"choices": [], "error": {"message": "words", "code": "c"}}), "words", "c"),
    ] {
        let upstream = upstream(json_answer(&body)).await;
        let config = with_callbacks(&every_dialect(&upstream), &json!([recorder("r")]));
        let gateway = Gateway::with_config(config).start().await;
        for (index, model) in MODELS.iter().enumerate() {
            for stream in [false, true] {
                let id = format!("{index}{stream}");
                let request = gateway.client().chat(model).set("stream", stream);
                let reply = request.header("x-litellm-call-id", &id).send().await;
                assert!(reply.status >= 400, "{model} {stream} {body}: {}", reply.text());
                let error = reply.error();
                let found = error["message"].as_str().unwrap();
                assert!(found.contains(message), "{model} {stream} {body}: {error}");
                assert_eq!(error["code"], code, "{model} {stream} {body}");
                let line = last_hook(&gateway, &id).await;
                assert_eq!(seen(&line, "hook"), "on_llm_error", "{model} {stream} {body}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_json_200_that_is_no_completion_is_an_error() {
    let message = json!({"role": "assistant", "content": "half"});
    let whole = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
    for body in [
        "{}".to_owned(),
        r#"{"object":"error"}"#.to_owned(),
        r#"{"choices":null}"#.to_owned(),
        r#"{"choices":[]}"#.to_owned(),
        r#"{"choices":{}}"#.to_owned(),
        r#"{"choices":[{}]}"#.to_owned(),
        r#"{"choices":[{"text":"half"}]}"#.to_owned(),
        whole.to_string().replace("\"stop\"", "null"),
        whole.to_string().replace("stop", ""),
        format!("{whole}{whole}"),
        whole.to_string()[..40].to_owned(),
        json!({"message": message, "done": false}).to_string(),
        json!({"message": message}).to_string(),
        "<html>Log in".to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
        " \n".to_owned(),
    ] {
        let upstream = upstream(json_answer(&body)).await;
        let gateway = gateway(&upstream).await;
        for model in MODELS {
            for stream in [false, true] {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                // A line of Ollama's is passed on before it is known to be the last one.
                let error = if reply.status == 200 {
                    assert!((model, stream) == ("gemma", true), "{body}: {}", reply.text());
                    let events = reply.events();
                    assert!(!events.contains(&Event::Done), "{body}: {events:?}");
                    sse::error(&events).expect("an error frame").clone()
                } else {
                    assert!(reply.status >= 500, "{model} {stream} {body}: {}", reply.text());
                    reply.error()
                };
                assert!(!error["message"].as_str().unwrap().contains("half"), "{body}: {error}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_an_answer() {
    let choice = json!({"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"});
    let whole = format!("\u{feff}\r\n{}", json!({"choices": [choice]}));
    let first = r#"{"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}"#;
    let last = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let events = format!("\u{feff}data: {first}\r\rdata: {last}\r\rdata: [DONE]\r\r");
    for (answer, stream) in [
        (json_answer(&whole), false),
        (json_answer(&whole), true),
        (Answer::fixed(200, "text/event-stream", events.clone()), true),
        (Answer::fixed(200, "text/event-stream", events).chunked().in_writes_of(1), true),
    ] {
        let upstream = upstream(answer).await;
        let gateway = gateway(&upstream).await;
        let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
        let reply = reply.expect_status(200);
        if stream {
            let events = reply.events();
            assert_eq!(sse::text(&events), "hello", "{events:?}");
            assert_eq!(events.last(), Some(&Event::Done));
        } else {
            assert_eq!(reply.json()["choices"][0]["message"]["content"], "hello");
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_of_which_a_part_is_missing_ends_in_an_error() {
    let open = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
    let ended = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
    let second = r#"{"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":null}]}"#;
    let empty = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":""}]}"#;
    let nested = r#"{"choices":[{"index":0,"delta":{"content":"a","x":{"finish_reason":"stop"}},"finish_reason":null}]}"#;
    let half = r#"{"choices":[{"index":1,"delta"#;
    for (events, n) in [
        (&[open, ended][..], 2),
        (&[open, second, ended], 2),
        (&[open, second, ended, "[DONE]"], 2),
        (&[empty], 1),
        (&[empty, "[DONE]"], 1),
        (&[nested], 1),
        (&[open, ended, half], 1),
        (&["[DONE]"], 1),
    ] {
        let upstream = upstream(events_answer(events)).await;
        let gateway = gateway(&upstream).await;
        let reply = gateway.client().chat("gpt").streaming().set("n", n).send().await;
        if reply.status == 200 {
            let found = reply.events();
            assert!(sse::error(&found).is_some(), "{events:?} of {n}: {found:?}");
            assert!(!found.contains(&Event::Done), "{events:?} of {n}: {found:?}");
        } else {
            assert_eq!(reply.error()["code"], "incomplete_stream", "{events:?}");
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_stream_in_place_of_a_json_reply_is_put_together() {
    let events = "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\
                  \"finish_reason\":null}]}\n\ndata: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\
                  \"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"total_tokens\":3}}\n\n\
                  data: [DONE]\n\n";
    let lines = "{\"message\":{\"content\":\"Hel\"},\"done\":false}\n{\"message\":{\"content\":\"lo\"},\"done\":true,\
                 \"done_reason\":\"stop\",\"prompt_eval_count\":1,\"eval_count\":2}\n";
    for (content_type, events, lines) in [
        ("text/event-stream", events, lines),
        ("application/octet-stream", events, lines),
        ("text/event-stream", &events[..events.len() - 100], &lines[..lines.len() - 20]),
    ] {
        let script = Script::always(Answer::fixed(200, content_type, events))
            .model("gemma3:4b", Answer::fixed(200, content_type, lines));
        let upstream = scripted(script).await;
        let gateway = gateway(&upstream).await;
        for model in MODELS {
            let reply = gateway.client().chat(model).send().await;
            if !lines.ends_with('\n') {
                let reply = reply.expect_status(502);
                assert_eq!(reply.error()["code"], "incomplete_reply", "{}", reply.text());
                continue;
            }
            let reply = reply.expect_status(200).json();
            assert_eq!(
                (&reply["object"], &reply["model"]),
                (&json!("chat.completion"), &json!(model))
            );
            let choice = &reply["choices"][0];
            assert_eq!(
                (&choice["message"]["content"], &choice["finish_reason"]),
                (&json!("Hello"), &json!("stop"))
            );
            assert_eq!(reply["usage"]["total_tokens"], 3, "{reply}");
        }
        gateway.stop().await;
    }
}

/// An upstream that responds with `head` and then sends `drip` forever.
async fn dripping(head: String, drip: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let head = head.clone();
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 4096]).await;
                let mut sent = socket.write_all(head.as_bytes()).await;
                let mut pace = tokio::time::interval(Duration::from_millis(10));
                while sent.is_ok() {
                    pace.tick().await;
                    sent = socket.write_all(drip.as_bytes()).await;
                }
            });
        }
    });
    format!("http://{address}")
}

fn models_at(base: &str, params: &[(&str, f64)]) -> Vec<Value> {
    let models = [("gpt", "openai/m", "/v1"), ("gemma", "ollama_chat/m", "")];
    let models = models.map(|(name, model, path)| {
        callgate_tests::config::deployment(name, model, &format!("{base}{path}"))
    });
    let with_params = |model: Value| {
        params.iter().fold(model, |model, (name, value)| with_param(model, name, *value))
    };
    models.into_iter().map(with_params).collect()
}

#[tokio::test]
async fn an_answer_that_drips_is_bounded() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";
    for drip in [" ", "\n", ": PROCESSING\n\n", "\r\n\r\n"] {
        let base = dripping(head.to_owned(), drip).await;
        let config = config(&models_at(&base, &[("timeout", 0.3)]));
        let gateway = Gateway::with_config(config).start().await;
        for stream in [false, true] {
            // A comment is neither a line of Ollama's nor JSON.
            let models = if drip.starts_with(':') { &["gpt"][..] } else { &["gpt", "gemma"] };
            for model in models {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let error = reply.expect_status(504).error();
                assert_eq!(error["code"], "timeout", "{model} {stream} {drip:?}: {error}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn the_gap_of_a_stream_is_from_event_to_event() {
    let event = r#"data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    for (start, drip) in [("data: {", " "), ("", ": alive\n\n"), ("", "\n")] {
        let base = dripping(format!("{head}{event}\n\n{start}"), drip).await;
        let config = config(&models_at(&base, &[("stream_timeout", 0.3)]));
        let gateway = Gateway::with_config(config).start().await;
        let reply = gateway.client().chat("gpt").streaming().send().await;
        let events = reply.expect_status(200).events();
        let error = sse::error(&events).unwrap_or_else(|| panic!("{events:?}"));
        assert_eq!((sse::text(&events), &error["code"]), ("a".to_owned(), &json!("timeout")));
        gateway.stop().await;
    }
}

#[tokio::test]
async fn the_first_content_has_a_limit_of_its_own() {
    let role = r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
    for by_section in [false, true] {
        let answer = events_answer(&[role]).until_close().stalling_after(2);
        let upstream = upstream(answer).await;
        let mut model = openai(&upstream);
        if !by_section {
            model = with_param(model, "first_content_timeout", 0.3);
        }
        let mut config = config(&[model]);
        if by_section {
            config["callgate"] = json!({"first_content_timeout": "300ms"});
        }
        let gateway = Gateway::with_config(config).start().await;
        let events =
            gateway.client().chat("gpt").streaming().send().await.expect_status(200).events();
        let error = sse::error(&events).unwrap_or_else(|| panic!("{events:?}"));
        assert!(error["message"].as_str().unwrap().contains("first_content_timeout"), "{error}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn signs_of_life_come_only_when_asked_for_and_between_events() {
    let ask = |model: &str| {
        let messages = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": model, "stream": true, "messages": messages}).to_string();
        let length = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
        callgate_tests::raw::chat_request(&length, &body)
    };
    // Before the head of the upstream's response, before its first event, between two events.
    for held in [None, Some(0), Some(1)] {
        for model in MODELS {
            let gate = Gate::new();
            let answer = match held {
                None => Answer::default().held(&gate),
                Some(events) => Answer::default().held_after(events, &gate),
            };
            let upstream = upstream(answer).await;
            let mut config = config(&every_dialect(&upstream));
            config["callgate"] = json!({"stream_keepalive": "30ms"});
            let gateway = Gateway::with_config(config).start().await;
            let mut raw = callgate_tests::Raw::connect(gateway.address()).await;
            raw.send(ask(model)).await;
            let mut text = raw.read_until(": keep-alive\n\n\r\n").await;
            assert!(text.starts_with("HTTP/1.1 200"), "{held:?} {model}: {text}");
            text += &raw.read_until(": keep-alive\n\n\r\n").await;
            gate.open();
            text += &raw.read_to_end().await;
            assert!(text.contains("data: [DONE]\n\n"), "{held:?} {model}: {text}");
            let within_an_event =
                |line: &str| line.contains("keep-alive") && !line.starts_with(':');
            assert!(
                !text.lines().skip_while(|line| !line.is_empty()).any(within_an_event),
                "{text}"
            );
            let line = gateway.log().containing("\"message\":\"call\"").await;
            assert_eq!(line.field("status"), 200);
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn an_error_behind_a_sign_of_life_is_a_frame() {
    let gate = Gate::new();
    let upstream = upstream(Answer::error(429, "t", "slow_down", "no").held(&gate)).await;
    let mut config = with_callbacks(&[openai(&upstream)], &json!([recorder("r")]));
    config["callgate"] = json!({"stream_keepalive": "30ms"});
    let gateway = Gateway::with_config(config).start().await;
    let request = gateway.client().chat("gpt").streaming().header("x-litellm-call-id", "late");
    let answer = request.open().await;
    assert_eq!(answer.status, 200);
    gate.open();
    let events = answer.reply().await.events();
    let error = sse::error(&events).unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!((&error["code"], &error["message"]), (&json!("slow_down"), &json!("no")));
    assert!(!events.contains(&Event::Done));
    let line = last_hook(&gateway, "late").await;
    assert_eq!((seen(&line, "hook"), seen(&line, "sent")), ("on_llm_error".into(), "true".into()));
    gateway.stop().await;
}

/// The line of a call's end or error hook.
async fn last_hook(gateway: &Gateway, id: &str) -> LogLine {
    let is_last = |line: &LogLine| ["on_llm_end", "on_llm_error"].contains(&&*seen(line, "hook"));
    let found = async {
        loop {
            if let Some(line) = recorded(gateway.log(), id).into_iter().find(is_last) {
                return line;
            }
            gateway.log().containing(&format!("\"call\":\"{id}\"")).await;
            tokio::task::yield_now().await;
        }
    };
    within("the last hook", found).await
}

#[tokio::test]
async fn answers_made_here_look_the_same_in_both_forms() {
    let upstream = upstream(Answer::default()).await;
    let mock = with_param(openai(&upstream), "mock_response", "said");
    let choice =
        json!({"message": {"role": "assistant", "content": "said"}, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let whole = json!({"choices": [choice], "usage": usage}).to_string();
    for (what, model, acts, from_callback) in [
        ("mock", mock, json!({}), "false"),
        ("text", openai(&upstream), json!({"on_llm_start": [{"answer_text": "said"}]}), "true"),
        ("json", openai(&upstream), json!({"on_llm_start": [{"answer_json": whole}]}), "true"),
    ] {
        let callbacks = json!([recorder("r"), faulty("f", acts)]);
        let gateway = Gateway::with_config(with_callbacks(&[model], &callbacks)).start().await;
        let mut tokens = Vec::new();
        for stream in [false, true] {
            let id = format!("{what}{stream}");
            let request = gateway.client().chat("gpt").set("stream", stream);
            let reply = request.header("x-litellm-call-id", &id).send().await.expect_status(200);
            if stream {
                assert_eq!(sse::text(&reply.events()), "said");
            }
            let line = last_hook(&gateway, &id).await;
            for (name, expected) in [
                ("hook", "on_llm_end"),
                ("text", "said"),
                ("finish_reason", "stop"),
                ("from_callback", from_callback),
                ("first_token", if stream { "true" } else { "false" }),
            ] {
                assert_eq!(seen(&line, name), expected, "{id} {name}: {}", line.text);
            }
            tokens.push(["prompt_tokens", "total_tokens"].map(|name| seen(&line, name)));
        }
        assert_eq!(tokens[0], tokens[1], "{what}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn a_callbacks_completion_keeps_all_its_choices_as_a_stream() {
    let upstream = upstream(Answer::default()).await;
    let choices = json!([
        {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "b"}},
    ]);
    let whole = json!({"choices": choices, "usage": {"total_tokens": 3}}).to_string();
    let acts = json!({"on_llm_start": [{"answer_json": whole}]});
    let config = with_callbacks(&[openai(&upstream)], &json!([faulty("f", acts)]));
    let gateway = Gateway::with_config(config).start().await;
    let request = gateway.client().chat("gpt").streaming();
    let reply = request.set("stream_options", json!({"include_usage": true})).send().await;
    let events = reply.expect_status(200).events();
    assert_eq!(events.last(), Some(&Event::Done));
    let chunks: Vec<_> = events[..events.len() - 1].iter().map(Event::json).collect();
    let choices: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    assert_eq!(choices[1]["delta"]["content"], "b");
    assert_eq!(choices[2]["finish_reason"], "stop");
    assert_eq!((&choices[3]["index"], &choices[3]["finish_reason"]), (&json!(1), &Value::Null));
    assert_eq!(chunks[4]["usage"]["total_tokens"], 3);
    gateway.stop().await;
}

#[tokio::test]
async fn the_text_kept_of_a_stream_is_bounded() {
    let upstream = upstream(Answer::huge(300_000)).await;
    let mut config = with_callbacks(&[openai(&upstream)], &json!([recorder("r")]));
    config["callgate"] = json!({"limits": {"max_stream_text_bytes": 1000}});
    let gateway = Gateway::with_config(config).start().await;
    let request = gateway.client().chat("gpt").streaming().header("x-litellm-call-id", "huge");
    let reply = request.send().await.expect_status(200);
    assert_eq!(sse::text(&reply.events()).len(), 300_000);
    let line = last_hook(&gateway, "huge").await;
    assert_eq!((seen(&line, "text").len(), seen(&line, "finish_reason")), (1000, "stop".into()));
    gateway.stop().await;
}

#[tokio::test]
async fn a_deployment_need_not_be_asked_for_usage() {
    let upstream = upstream(Answer::default()).await;
    let models = [with_param(openai(&upstream), "stream_usage", false)];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let sent = || upstream.requests().pop().unwrap().json();
    let _ = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
    assert_eq!((sent().get("stream_options"), sent().get("stream_usage")), (None, None));
    let asking = gateway.client().chat("gpt").streaming();
    let asking = asking.set("stream_options", json!({"include_usage": true}));
    let reply: Reply = asking.send().await.expect_status(200);
    assert_eq!(sent()["stream_options"]["include_usage"], true);
    assert!(reply.events().iter().any(|event| event.json()["usage"].is_object()));
    gateway.stop().await;
}

#[tokio::test]
async fn chunks_made_of_ollamas_lines_have_what_every_chunk_has() {
    let upstream = upstream(Answer::default()).await;
    let gateway = gateway(&upstream).await;
    let request = gateway.client().chat("gemma").streaming();
    let reply = request.set("stream_options", json!({"include_usage": true})).send().await;
    let events = reply.expect_status(200).events();
    let chunks: Vec<_> = events[..events.len() - 1].iter().map(Event::json).collect();
    let (usage, others) = chunks.split_last().unwrap();
    assert!(usage["usage"].is_object());
    for chunk in others {
        assert_eq!(chunk.get("usage"), Some(&Value::Null), "{chunk}");
        let choice = &chunk["choices"][0];
        assert!(choice.get("finish_reason").is_some() && choice["delta"].is_object(), "{chunk}");
    }
    let reply = gateway.client().chat("gemma").send().await.expect_status(200).json();
    let choice = &reply["choices"][0];
    assert_eq!(choice.get("logprobs"), Some(&Value::Null), "{reply}");
    assert_eq!(choice["message"].get("refusal"), Some(&Value::Null), "{reply}");
    gateway.stop().await;
}
