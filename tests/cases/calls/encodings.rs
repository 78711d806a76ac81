//! Compressed bodies, of upstreams that were not asked for them and of clients: decompressed within
//! the size limits, or refused with the coding's name.

use callgate_tests::{
    Answer, Event, Gateway, Reply,
    config::{config, every_dialect, openai},
    sse, upstream,
};
use compression_codecs::{
    BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
    brotli::params::EncoderParams,
    core::{
        Level,
        util::{PartialBuffer, WriteBuffer},
    },
    flate::params::FlateEncoderParams,
};
use serde_json::{Value, json};

/// The name in the header, and the actual coding.
const CODINGS: [(&str, &str); 5] =
    [("gzip", "gzip"), ("deflate", "zlib"), ("deflate", "raw"), ("br", "br"), ("zstd", "zstd")];

/// `plain` in this coding; unchanged without one.
pub(crate) fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
    if coding.is_empty() {
        return plain.to_vec();
    }
    let level = FlateEncoderParams::from(Level::Default);
    let mut encoder: Box<dyn EncodeV2> = match coding {
        "gzip" => Box::new(GzipEncoder::new(level)),
        "zlib" => Box::new(ZlibEncoder::new(level)),
        "raw" => Box::new(DeflateEncoder::new(level)),
        "br" => Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Fastest))),
        _ => Box::new(ZstdEncoder::new(3)),
    };
    let mut room = vec![0; plain.len() + 1024];
    let mut output = WriteBuffer::new_initialized(&mut room);
    let mut input = PartialBuffer::new(plain);
    while !input.unwritten().is_empty() {
        encoder.encode(&mut input, &mut output).unwrap();
    }
    while !encoder.finish(&mut output).unwrap() {}
    output.written().to_vec()
}

fn message(reply: &Reply) -> String {
    reply.error()["message"].as_str().unwrap().to_owned()
}

/// A completion, as JSON and as a stream.
fn completion() -> (String, String) {
    let whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}});
    let chunk = |delta: Value, reason: Value| {
        json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let (first, last) =
        (chunk(json!({"content": "Hello"}), Value::Null), chunk(json!({}), json!("stop")));
    (whole.to_string(), format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n"))
}

async fn asked(answer: Answer, stream: bool) -> Reply {
    let upstream = upstream(answer).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let reply = gateway.client().chat("gpt").set("stream", stream).send().await;
    let asked = upstream.requests().iter().any(|it| it.header("accept-encoding").is_some());
    assert!(!asked, "the gateway never asks for an encoding");
    gateway.stop().await;
    reply
}

#[tokio::test]
async fn what_an_upstream_compressed_is_decoded() {
    let (whole, events) = completion();
    for (name, coding) in CODINGS {
        for size in [1, 10_000] {
            let with = |content_type: &str, plain: &str| {
                let body = encoded(coding, plain.as_bytes());
                let answer = Answer::fixed(200, content_type, body);
                answer.header("Content-Encoding", name).chunked().in_writes_of(size)
            };
            let reply = asked(with("application/json", &whole), false).await.expect_status(200);
            let text = &reply.json()["choices"][0]["message"]["content"];
            assert_eq!(text, "Hello", "{name} {coding}");
            assert_eq!(reply.header("content-encoding"), "", "{name} {coding}");
            let reply = asked(with("text/event-stream", &events), true).await.expect_status(200);
            let events = reply.events();
            assert_eq!(sse::text(&events), "Hello", "{name} {coding}");
            assert_eq!(events.last(), Some(&Event::Done), "{name} {coding}");
        }
        let error =
            json!({"error": {"message": "slow down", "type": "t", "code": "c"}}).to_string();
        let answer = Answer::fixed(429, "application/json", encoded(coding, error.as_bytes()));
        let reply = asked(answer.header("content-encoding", name), false).await.expect_status(429);
        assert_eq!(message(&reply), "slow down", "{name} {coding}");
    }
}

#[tokio::test]
async fn every_dialect_decodes_and_keeps_its_connection() {
    let upstream = upstream(Answer::default().gzipped()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in ["gpt", "llama", "gemma"] {
        let reply = gateway.client().chat(model).send().await.expect_status(200);
        assert!(reply.json()["choices"][0]["message"]["content"].is_string(), "{model}");
        let reply = gateway.client().chat(model).streaming().send().await.expect_status(200);
        assert_eq!(reply.events().last(), Some(&Event::Done), "{model}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_an_upstream_compressed_badly_is_named() {
    let (whole, events) = completion();
    let gzip = |plain: &str| encoded("gzip", plain.as_bytes());
    let cut = |plain: &str| {
        let whole = gzip(plain);
        whole[..whole.len() - 9].to_vec()
    };
    for (json, sse, name, expected) in [
        (
            whole.clone().into_bytes(),
            events.clone().into_bytes(),
            "snappy",
            "content coding `snappy`",
        ),
        (gzip(&whole), gzip(&events), "gzip, br", "`gzip, br`"),
        (whole.clone().into_bytes(), events.clone().into_bytes(), "gzip", "not valid gzip"),
        (cut(&whole), cut(&events), "gzip", "gzip data that ends too soon"),
    ] {
        for (stream, body, content_type) in
            [(false, json, "application/json"), (true, sse, "text/event-stream")]
        {
            let answer = Answer::fixed(200, content_type, body).header("Content-Encoding", name);
            let reply = asked(answer, stream).await;
            if reply.status == 200 {
                // Cut after the last event, which loses nothing, or reported in an error frame.
                let events = reply.events();
                assert!(sse::text(&events) == "Hello", "{expected}");
                continue;
            }
            let reply = reply.expect_status(502);
            assert!(message(&reply).contains(expected), "{stream}: {}", reply.text());
        }
    }
    let answer = Answer::fixed(429, "application/json", "...").header("Content-Encoding", "snappy");
    let reply = asked(answer, false).await.expect_status(429);
    assert!(message(&reply).contains("content coding `snappy`"), "{}", reply.text());
}

#[tokio::test]
async fn a_bomb_of_an_upstream_is_stopped_at_the_bound() {
    for (name, coding) in CODINGS {
        let bomb = encoded(coding, &vec![b' '; 4 << 20]);
        assert!(bomb.len() < 100_000);
        let answer = Answer::fixed(200, "application/json", bomb).header("Content-Encoding", name);
        let upstream = upstream(answer).await;
        let mut config = config(&[openai(&upstream)]);
        config["callgate"] = json!({"limits": {"max_reply_bytes": 1_000_000}});
        let gateway = Gateway::with_config(config).start().await;
        let reply = gateway.client().chat("gpt").send().await.expect_status(502);
        assert_eq!(reply.error()["code"], "reply_too_large", "{name}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn what_a_client_compressed_is_decoded_or_refused() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] = json!({"limits": {"max_body_bytes": 100_000}});
    let gateway = Gateway::with_config(config).start().await;
    let plain = json!({"model": "gpt", "messages": [{"role": "user", "content": "Hello, über"}]});
    let plain = plain.to_string().into_bytes();
    let send = |name: &str, body: Vec<u8>| {
        gateway.client().chat("gpt").header("content-encoding", name).body(body).send()
    };
    for (name, coding) in CODINGS {
        let body = encoded(coding, &plain);
        let _ = send(name, body.clone()).await.expect_status(200);
        let received = upstream.requests().pop().unwrap();
        assert_eq!(received.json()["messages"][0]["content"], "Hello, über", "{name} {coding}");
        assert_eq!(received.header("content-encoding"), None);
        let cut = send(name, body[..body.len() - 1].to_vec()).await.expect_status(400);
        assert!(message(&cut).contains("ends too soon"), "{name}: {}", cut.text());
        let bomb = send(name, encoded(coding, &vec![b' '; 4 << 20])).await.expect_status(413);
        assert_eq!(bomb.error()["code"], "request_too_large", "{name}");
        let not = send(name, plain.clone()).await.expect_status(400);
        // These bytes begin a block of raw deflate data too; what it says is not JSON.
        let expected = match name {
            "deflate" => "Invalid JSON payload".to_owned(),
            _ => format!("the request body has data that is not valid {name}"),
        };
        assert!(message(&not).contains(&expected), "{name}: {}", not.text());
    }
    for name in ["snappy", "gzip, br", "gzip, gzip", "compress", "gzip;q=1"] {
        let reply = send(name, encoded("gzip", &plain)).await.expect_status(415);
        assert_eq!(reply.error()["code"], "unsupported_content_encoding");
        assert_eq!(reply.header("accept-encoding"), "gzip, deflate, br, zstd");
        assert!(message(&reply).contains(&format!("`{name}`")), "{}", reply.text());
    }
    for name in ["identity", "", "x-gzip, identity"] {
        let coding = name.starts_with("x-gzip").then_some("gzip");
        let body = coding.map_or(plain.clone(), |coding| encoded(coding, &plain));
        let _ = send(name, body).await.expect_status(200);
    }
    let seen = upstream.requests().len();
    assert_eq!(seen, CODINGS.len() + 3, "what was refused reached nobody");
    gateway.stop().await;
}
