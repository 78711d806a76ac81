//! Streams captured from Ollama, compared with the chunks that the client must get.

use super::{super::error::StreamError, ChatStream};
use crate::{Echo, Usage};
use serde_json::{Value, json};

const ID: &str = "chatcmpl-571e1fb4-821f-49ea-9785-47a3a902186f";

/// A long text that begins with no tag passes unchanged, with its escapes.
#[test]
fn long_texts_are_looked_through_for_a_tag_at_their_start_alone() {
    let long = |text: &str| format!("{text}<think>a</think>\n").repeat(2000);
    for (content, reasoning, rest) in [
        (long("x"), None, long("x")),
        (format!("{}<think>a</think>b", "\n".repeat(2000)), Some("a"), "b".to_owned()),
        (format!("<think>a</think>{}", long("x")), Some("a"), long("x")),
    ] {
        let mut stream = ChatStream::new(&echo(), false);
        let mut chunks = Vec::new();
        for content in [&*content, "<think>c"] {
            let line = json!({"message": {"content": content}, "done": false});
            feed(&mut stream, &line.to_string(), &mut chunks);
        }
        let said: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        assert_eq!(said[0]["content"], rest);
        assert_eq!(said[0]["reasoning_content"].as_str(), reasoning);
        assert_eq!(said[1]["content"], "<think>c");
    }
}

/// Lines by their `message`; the final line is added. The expected values are the deltas before the
/// last chunk, and its reason.
#[test]
fn lines_become_deltas() {
    for (messages, deltas, finish) in [
        (
            json!([{"content": "Hello"}, {"content": " from"}, {"content": ""}, {"content": " \"o\"\n"}]),
            json!([{"role": "assistant", "content": "Hello"}, {"content": " from"}, {"content": " \"o\"\n"}]),
            "stop",
        ),
        (json!([]), json!([]), "stop"),
        (
            json!([{"content": "", "thinking": "hmm"}, {"content": "", "thinking": " let"}, {"content": "<think>A"}]),
            json!([{"role": "assistant", "reasoning_content": "hmm"}, {"reasoning_content": " let"}, {"content": "<think>A"}]),
            "stop",
        ),
        (
            json!([{"content": "<think>"}, {"content": "sec"}, {"content": "ret"}, {"content": "</think>"}, {"content": "Hello"}, {"content": "<think>"}]),
            json!([{"role": "assistant", "reasoning_content": "sec"}, {"reasoning_content": "ret"}, {"content": "Hello"}, {"content": "<think>"}]),
            "stop",
        ),
        (
            json!([{"content": " <thi"}, {"content": "nk>a</th"}, {"content": "ink>b"}]),
            json!([{"role": "assistant", "reasoning_content": "a"}, {"content": "b"}]),
            "stop",
        ),
        (
            json!([{"content": "<think>a</think>b"}]),
            json!([{"role": "assistant", "reasoning_content": "a", "content": "b"}]),
            "stop",
        ),
        (json!([{"content": "<th"}]), json!([{"role": "assistant", "content": "<th"}]), "stop"),
        (
            json!([{"content": "<th"}, {"thinking": "x"}]),
            json!([{"role": "assistant", "content": "<th"}, {"reasoning_content": "x"}]),
            "stop",
        ),
        (
            json!([{"content": "<think>a</th"}]),
            json!([{"role": "assistant", "reasoning_content": "a"}, {"reasoning_content": "</th"}]),
            "stop",
        ),
        (
            json!([
            {"content": "", "tool_calls": [{"function": {"name": "w", "arguments": {"city": "Paris", "days": 2}}}]},
            {"content": "and", "tool_calls": [{"function": {"name": "t", "arguments": {}}}, {"id": "own", "function": {"name": "u"}}]}]),
            json!([
                {"role": "assistant", "tool_calls": [{"index": 0, "id": "call_571e1fb4821f49ea978547a3_0", "type": "function", "function": {"name": "w", "arguments": r#"{"city":"Paris","days":2}"#}}]},
                {"content": "and", "tool_calls": [
                    {"index": 1, "id": "call_571e1fb4821f49ea978547a3_1", "type": "function", "function": {"name": "t", "arguments": "{}"}},
                    {"index": 2, "id": "own", "type": "function", "function": {"name": "u", "arguments": "{}"}}]}]),
            "tool_calls",
        ),
    ] {
        let mut stream = ChatStream::new(&echo(), false);
        let mut chunks = Vec::new();
        for message in messages.as_array().expect("array") {
            feed(&mut stream, &json!({"message": message, "done": false}).to_string(), &mut chunks);
        }
        assert!(!stream.finished());
        let last = json!({"message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 9});
        feed(&mut stream, &last.to_string(), &mut chunks);
        assert!(stream.finished());
        assert_eq!(
            stream.usage(),
            Some(Usage { prompt_tokens: 26, completion_tokens: 9, total_tokens: 35 })
        );

        let last_delta = if chunks.len() == 1 { json!({"role": "assistant"}) } else { json!({}) };
        let mut expected: Vec<Value> = deltas
            .as_array()
            .expect("array")
            .iter()
            .map(|delta| chunk(&json!([{"index": 0, "delta": delta, "finish_reason": null}])))
            .collect();
        expected.push(chunk(&json!([{"index": 0, "delta": last_delta, "finish_reason": finish}])));
        assert_eq!(chunks, expected, "{messages}");
    }
}

#[test]
fn a_usage_chunk_closes_the_stream_only_when_asked_for_and_counted() {
    for (include_usage, counts, expected) in [
        (true, r#","prompt_eval_count":26,"eval_count":9"#, 2),
        (true, "", 1),
        (false, r#","prompt_eval_count":26,"eval_count":9"#, 1),
    ] {
        let mut stream = ChatStream::new(&echo(), include_usage);
        let mut chunks = Vec::new();
        feed(
            &mut stream,
            &format!(r#"{{"message":{{}},"done":true,"done_reason":"length"{counts}}}"#),
            &mut chunks,
        );
        assert_eq!(chunks.len(), expected);
        assert_eq!(chunks[0]["choices"][0]["finish_reason"], "length");
        assert_eq!(chunks[0].get("usage"), include_usage.then_some(&Value::Null));
        if let Some(last) = chunks.get(1) {
            let mut usage = chunk(&json!([]));
            usage["usage"] =
                json!({"prompt_tokens": 26, "completion_tokens": 9, "total_tokens": 35});
            assert_eq!(last, &usage);
        }
    }
}

#[test]
fn the_final_line_may_carry_text_and_ends_the_stream() {
    let mut stream = ChatStream::new(&echo(), false);
    let mut chunks = Vec::new();
    feed(&mut stream, " \r\n", &mut chunks);
    feed(
        &mut stream,
        "{\"message\":{\"content\":\"all\"},\"done\":true,\"done_reason\":\"stop\"}\r\n",
        &mut chunks,
    );
    feed(&mut stream, r#"{"error":"late"}"#, &mut chunks);
    feed(&mut stream, "not JSON", &mut chunks);
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(deltas, [&json!({"role": "assistant", "content": "all"}), &json!({})]);
}

#[test]
fn failures_end_the_stream_unfinished() {
    for (line, upstream, says) in [
        (
            r#"{"error": "an error was encountered while running the model: unexpected EOF"}"#,
            true,
            "unexpected EOF",
        ),
        (r#"{"error": {"message": "m"}, "done": true}"#, true, "reported an error: m"),
        (r#"{"message":{"content":"secret"#, false, "EOF while parsing"),
        ("<html>", false, "expected value"),
        ("{}", false, "neither `message` nor `error`"),
        (r#"{"status":"loading","done":false}"#, false, "neither `message` nor `error`"),
        (r#"{"message":{"content":7}}"#, false, "`message.content` must be a string"),
        (r#"{"message":"no route","code":404}"#, true, "reported an error: no route"),
        (r#"{"detail":"no"}"#, true, "reported an error: no"),
        (r#"{"message":{"content":"a"},"done":"secret"}"#, false, "unexpected kind of value"),
        (r#"{"message":{"tool_calls":[{"function":{"name":[]}}]}}"#, false, "must be a string"),
    ] {
        let mut stream = ChatStream::new(&echo(), true);
        feed(&mut stream, r#"{"message":{"content":"Hello"},"done":false}"#, &mut Vec::new());
        let mut emitted = 0;
        let error = stream.line(line.as_bytes(), &mut |_| emitted += 1).expect_err(line);
        assert_eq!(matches!(error, StreamError::Upstream { .. }), upstream, "{line}: {error}");
        assert!(error.to_string().contains(says), "{line}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!((emitted, stream.finished()), (0, false), "{line}");
    }
}

#[test]
fn damaged_lines_never_panic_and_never_emit_anything_but_one_line_of_json() {
    let line = r#"{"message":{"content":"<think>\u00e9a</think>\nb","thinking":"t","tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":[1]}}}]},"done":true,"done_reason":"stop","eval_count":3}"#;
    for at in 0..line.len() {
        for mask in [0x01, 0x20, 0x5a, 0x80] {
            let mut damaged = line.as_bytes().to_vec();
            damaged[at] ^= mask;
            let mut stream = ChatStream::new(&echo(), true);
            let _ = stream.line(&damaged, &mut |parts| {
                let chunk = &parts.concat()[..];
                assert!(
                    serde_json::from_slice::<Value>(chunk).is_ok(),
                    "{:?}",
                    String::from_utf8_lossy(chunk)
                );
                assert!(!chunk.contains(&b'\n'));
            });
        }
    }
}

fn feed(stream: &mut ChatStream, line: &str, chunks: &mut Vec<Value>) {
    stream
        .line(line.as_bytes(), &mut |chunk| {
            chunks.push(serde_json::from_slice(&chunk.concat()).expect("JSON"));
        })
        .expect("part of a chat reply");
}

fn chunk(choices: &Value) -> Value {
    json!({"id": ID, "object": "chat.completion.chunk", "created": 17, "model": "m", "choices": choices})
}

fn echo() -> Echo {
    Echo { id: ID.into(), created: 17, model: "m".into() }
}

#[test]
fn no_probability_of_a_token_is_lost_where_text_is_held_back() {
    let echo = Echo { id: ID.into(), created: 1, model: "m".into() };
    let mut stream = ChatStream::new(&echo, false);
    let mut found = Vec::new();
    for (text, done) in [("<thi", false), ("s", false), ("", false), ("!", true)] {
        let token = json!({"token": text, "logprob": -1});
        let line = json!({"message": {"content": text}, "logprobs": [token], "done": done,
            "done_reason": "stop"});
        let mut chunks = Vec::new();
        stream
            .line(line.to_string().as_bytes(), &mut |chunk| {
                chunks.push(serde_json::from_slice::<Value>(&chunk.concat()).expect("JSON"));
            })
            .expect("a line");
        found.extend(chunks.into_iter().map(|chunk| {
            let choice = &chunk["choices"][0];
            assert!(choice.get("finish_reason").is_some(), "{chunk}");
            let tokens = choice["logprobs"]["content"].as_array().into_iter().flatten();
            let tokens: Vec<_> =
                tokens.map(|it| it["token"].as_str().unwrap().to_owned()).collect();
            (choice["delta"]["content"].clone(), tokens.join("|"))
        }));
    }
    let expected = [("<this", "<thi|s"), ("!", "|!")];
    let expected = expected.map(|(text, tokens)| (json!(text), tokens.to_owned()));
    assert_eq!(found[..2], expected);
    assert_eq!(found[2], (Value::Null, String::new()));
}

/// A line of about this length.
fn filled(before: &str, unit: &str, after: &str) -> String {
    [before, &unit.repeat(8_000_000 / unit.len()), after].concat()
}

#[test]
fn what_is_made_of_a_long_line_is_not_held_twice() {
    let message = |before: &str, unit: &str, after: &str| {
        let before = format!(r#"{{"message":{{"content":{before}"#);
        filled(&before, unit, &format!(r#"{after}}},"done":true,"done_reason":"stop"}}"#))
    };
    for (name, line, copies) in [
        ("text", message("\"", "hello ", "\""), 0),
        ("escapes", message("\"a", r"\n\u00e9", "\""), 0),
        ("escapes that may be a tag", message("\"", r"\u00e9\n", "\""), 2),
        ("a tag", message("\"<think>", "hello ", "\""), 2),
        ("a tag and escapes", message("\"<think>", r"hello\n", "</think>\""), 2),
        (
            "arguments",
            message(
                r#""","tool_calls":[{"function":{"name":"f","arguments":{"a":""#,
                "hello ",
                r#""}}}]"#,
            ),
            1,
        ),
    ] {
        let mut stream = ChatStream::new(&echo(), false);
        let memory = allocation_counter::measure(|| {
            stream.line(line.as_bytes(), &mut |_| ()).unwrap();
        });
        let bound = (copies * line.len() + 100_000) as u64;
        assert!(memory.bytes_max <= bound && memory.bytes_current < 100_000, "{name}: {memory:?}");
    }
}

#[test]
fn what_would_become_much_longer_than_it_came_is_refused() {
    let tokens = filled(
        r#"{"message":{"content":"a"},"done":true,"done_reason":"stop","logprobs":["#,
        r#"{"token":"","logprob":1},"#,
        r#"{"token":"","logprob":1}]}"#,
    );
    let arguments = filled(
        r#"{"done":true,"done_reason":"stop","message":{"content":"a","tool_calls":[{"function":{"name":"f","arguments":["#,
        r#""","#,
        r#"""]}}]}}"#,
    );
    for line in [tokens, arguments] {
        let mut stream = ChatStream::new(&echo(), false);
        let memory = allocation_counter::measure(|| {
            let error = stream.line(line.as_bytes(), &mut |_| ()).unwrap_err();
            assert!(error.to_string().contains("longer than it came"), "{error}");
        });
        assert!(memory.bytes_max <= 4 * line.len() as u64, "{memory:?}");
        let reply = super::super::reply::chat_reply(line.as_bytes(), &echo()).unwrap_err();
        assert!(reply.to_string().contains("longer than it came"), "{reply}");
    }
}
