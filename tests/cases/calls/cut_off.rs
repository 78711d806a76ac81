//! Responses with a missing part, for whatever reason: one outcome for each form of response,
//! whatever its framing and coding, in every dialect.

use crate::calls::encodings::encoded;
use callgate_tests::{
    Answer, Gateway, Reply, Script,
    config::{config, every_dialect},
    scripted, sse,
};
use serde_json::json;

const MODELS: [&str; 2] = ["gpt", "gemma"];

/// The name in the header, and the actual coding.
const CODINGS: [(&str, &str); 6] = [
    ("identity", ""),
    ("gzip", "gzip"),
    ("deflate", "zlib"),
    ("deflate", "raw"),
    ("br", "br"),
    ("zstd", "zstd"),
];

/// How the end of a body is marked.
const FRAMINGS: [&str; 3] = ["a length", "chunks", "a close"];

fn completion(model: &str, stream: bool) -> String {
    let long = "lorem ipsum dolor sit amet ".repeat(40);
    let openai = |name: &str, reason: Option<&str>| {
        json!({"id": "x", "created": 1, "model": "up", "choices": [{"index": 0,
            name: {"role": "assistant", "content": long}, "finish_reason": reason}]})
    };
    let ollama = |done: bool| {
        let reason = done.then_some("stop");
        json!({"message": {"role": "assistant", "content": long}, "done": done,
            "done_reason": reason})
    };
    match (model, stream) {
        ("gpt", false) => openai("message", Some("stop")).to_string(),
        ("gpt", true) => {
            let (first, last) = (openai("delta", None), openai("delta", Some("stop")));
            format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n")
        }
        (_, false) => ollama(true).to_string(),
        (_, true) => format!("{}\n{}\n", ollama(false), ollama(true)),
    }
}

/// A response whose connection closes after `kept` bytes of the coded body.
fn cut(status: u16, framing: &str, name: &str, coded: &[u8], kept: usize) -> Answer {
    let (head, body) = match framing {
        "a length" => (format!("Content-Length: {}\r\n", coded.len()), coded[..kept].to_vec()),
        "chunks" => {
            let size = format!("{:x}\r\n", coded.len());
            let body = [size.as_bytes(), &coded[..kept]].concat();
            ("Transfer-Encoding: chunked\r\n".to_owned(), body)
        }
        _ => ("Connection: close\r\n".to_owned(), coded[..kept].to_vec()),
    };
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Encoding: {name}\r\n{head}\r\n");
    Answer::raw([head.as_bytes(), &body].concat())
}

/// The error of a call: in place of a response, or in its last frame.
fn error(reply: &Reply) -> (u16, serde_json::Value) {
    if reply.status != 200 {
        return (reply.status, reply.error());
    }
    let error = sse::error(&reply.events()).cloned();
    (502, error.unwrap_or_else(|| panic!("half an answer looks whole: {}", reply.text())))
}

#[tokio::test]
async fn whatever_is_missing_of_an_answer_is_called_incomplete() {
    for model in MODELS {
        for stream in [false, true] {
            let plain = completion(model, stream);
            let mut cases = Vec::new();
            for (name, coding) in CODINGS {
                let coded = encoded(coding, plain.as_bytes());
                for framing in FRAMINGS {
                    for kept in [12, coded.len() / 2] {
                        let answer = cut(200, framing, name, &coded, kept);
                        cases.push((format!("{name} {coding} {framing} {kept}"), answer));
                    }
                }
            }
            let script =
                cases.iter().fold(Script::default(), |it, (_, answer)| it.then(answer.clone()));
            let upstream = scripted(script).await;
            let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
            let expected = if stream { "incomplete_stream" } else { "incomplete_reply" };
            for (what, _) in cases {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let (status, error) = error(&reply);
                let found = (status, error["code"].as_str().unwrap_or_default());
                assert_eq!(found, (502, expected), "{model} {stream} {what}: {error}");
            }
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn an_error_that_is_cut_off_keeps_its_status_and_the_words_that_came() {
    let words = "slow down and come back later ".repeat(20);
    let plain = json!({"error": {"message": words, "type": "t", "code": "c"}}).to_string();
    let mut cases = Vec::new();
    for (name, coding) in CODINGS {
        let coded = encoded(coding, plain.as_bytes());
        for framing in FRAMINGS {
            for kept in [1, coded.len() / 2] {
                let answer = cut(429, framing, name, &coded, kept);
                cases.push((format!("{name} {coding} {framing} {kept}"), answer));
            }
        }
    }
    for model in MODELS {
        for stream in [false, true] {
            let script =
                cases.iter().fold(Script::default(), |it, (_, answer)| it.then(answer.clone()));
            let upstream = scripted(script).await;
            let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
            for (what, _) in &cases {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let error = reply.expect_status(429).error();
                let message = error["message"].as_str().unwrap();
                assert!(!message.contains("{\""), "{model} {what}: {message}");
                if what.starts_with("identity") && !what.ends_with(" 1") {
                    assert!(message.starts_with("slow down"), "{what}: {message}");
                    assert!(message.ends_with("[cut off]"), "{what}: {message}");
                }
            }
            gateway.stop().await;
        }
    }
}

#[tokio::test]
async fn a_stream_for_a_json_call_ends_where_it_says_so() {
    let chunk = |text: &str, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    let events = format!("{}{}data: [DONE]\n\n", chunk("Hel", "null"), chunk("lo", "\"stop\""));
    let lines = "{\"message\":{\"content\":\"Hel\"},\"done\":false}\n\
                 {\"message\":{\"content\":\"lo\"},\"done\":true,\"done_reason\":\"stop\"}\n";
    for (model, kind, body) in
        [("gpt", "text/event-stream", &*events), ("gemma", "application/x-ndjson", lines)]
    {
        for writes in [1, 10_000] {
            // After its end the connection stays open, and nothing more comes.
            let answer = Answer::fixed(200, kind, body.to_owned());
            let answer = answer.chunked().in_writes_of(writes).stalling_after(2);
            let upstream = scripted(Script::always(answer)).await;
            let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
            let reply = gateway.client().chat(model).send().await.expect_status(200);
            let choice = &reply.json()["choices"][0];
            assert_eq!(choice["message"]["content"], "Hello", "{model} {writes}");
            assert_eq!(choice["finish_reason"], "stop", "{model} {writes}");
            gateway.stop().await;
        }
    }
}
