//! Whole replies captured from Ollama, compared with what the client must get.

use super::{super::error::ReplyError, chat_reply};
use crate::{Echo, Usage};
use serde_json::{Value, json};

const ID: &str = "chatcmpl-571e1fb4-821f-49ea-9785-47a3a902186f";

#[test]
fn replies_become_completions() {
    let args = json!({"city": "Paris", "days": 2});
    for (answer, message, finish) in [
        (
            json!({"message": {"content": "Hello"}, "done_reason": "stop"}),
            json!({"content": "Hello"}),
            "stop",
        ),
        (
            json!({"message": {"content": "Hello"}, "done_reason": "length"}),
            json!({"content": "Hello"}),
            "length",
        ),
        (json!({"message": {"content": null}}), json!({"content": ""}), "stop"),
        (
            json!({"message": {"content": "<think>a\u{e9}</think>b"}}),
            json!({"content": "b", "reasoning_content": "aé"}),
            "stop",
        ),
        (json!({"message": {"content": "a\"\n\u{7}é"}}), json!({"content": "a\"\n\u{7}é"}), "stop"),
        (
            json!({"message": {"content": "Answer", "thinking": "hmm"}}),
            json!({"content": "Answer", "reasoning_content": "hmm"}),
            "stop",
        ),
        (
            json!({"message": {"content": "<think>secret</think>Answer"}}),
            json!({"content": "Answer", "reasoning_content": "secret"}),
            "stop",
        ),
        (
            json!({"message": {"content": "<think>a</think>b", "thinking": "hmm"}}),
            json!({"content": "<think>a</think>b", "reasoning_content": "hmm"}),
            "stop",
        ),
        (
            json!({"message": {"content": "x <think>a</think>b", "thinking": ""}}),
            json!({"content": "x <think>a</think>b"}),
            "stop",
        ),
        (
            json!({"message": {"content": "", "tool_calls": [{"id": "call_abc", "function": {"index": 0, "name": "w", "arguments": args}}]}, "done_reason": "stop"}),
            json!({"content": "", "tool_calls": [{"id": "call_abc", "type": "function", "function": {"name": "w", "arguments": r#"{"city":"Paris","days":2}"#}}]}),
            "tool_calls",
        ),
        (
            json!({"message": {"tool_calls": [{"function": {"name": "a", "arguments": {}}}, {"id": "", "function": {"name": "b"}}, {"function": {"name": "c", "arguments": "{\"x\":1}"}}]}}),
            json!({"content": "", "tool_calls": [
                {"id": "call_571e1fb4821f49ea978547a3_0", "type": "function", "function": {"name": "a", "arguments": "{}"}},
                {"id": "call_571e1fb4821f49ea978547a3_1", "type": "function", "function": {"name": "b", "arguments": "{}"}},
                {"id": "call_571e1fb4821f49ea978547a3_2", "type": "function", "function": {"name": "c", "arguments": "{\"x\":1}"}}]}),
            "tool_calls",
        ),
    ] {
        let mut expected = message;
        expected["role"] = json!("assistant");
        expected["refusal"] = json!(null);
        assert_eq!(
            completion(&answer),
            json!({"id": ID, "object": "chat.completion", "created": 17, "model": "ol-\"q\"",
                "choices": [{"index": 0, "message": expected, "logprobs": null, "finish_reason": finish}]}),
            "{answer}"
        );
    }
}

#[test]
fn usage_is_what_ollama_counted_or_absent() {
    for (counts, expected) in [
        (json!({"prompt_eval_count": 26, "eval_count": 9}), Some((26, 9, 35))),
        (json!({"eval_count": 9}), Some((0, 9, 9))),
        (json!({"prompt_eval_count": 26}), Some((26, 0, 26))),
        (json!({}), None),
        (json!({"prompt_eval_count": -1, "eval_count": "9"}), None),
        (json!({"prompt_eval_count": u64::MAX, "eval_count": 1}), Some((u64::MAX, 1, u64::MAX))),
    ] {
        let mut answer = json!({"message": {"content": "x"}, "done": true, "done_reason": "stop"});
        answer.as_object_mut().expect("object").extend(counts.as_object().expect("object").clone());
        let reply = chat_reply(answer.to_string().as_bytes(), &echo()).expect("translates");
        let usage = expected.map(|(prompt_tokens, completion_tokens, total_tokens)| Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
        });
        assert_eq!(reply.usage, usage, "{counts}");
        let body: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let written = body.get("usage").map(|usage| {
            let count = |key: &str| usage[key].as_u64().expect("a count");
            (count("prompt_tokens"), count("completion_tokens"), count("total_tokens"))
        });
        assert_eq!(written, expected, "{counts}");
    }
}

#[test]
fn anything_but_a_finished_chat_reply_is_an_error() {
    for (body, says) in [
        ("", "EOF"),
        ("<html>busy</html>", "expected value"),
        ("{}", "neither `message` nor `error`"),
        (r#"{"done":true}"#, "`message` is missing"),
        ("[]", "unexpected kind of value"),
        (r#"{"response":"generate API","done":true,"done_reason":"stop"}"#, "`message` is missing"),
        (
            r#"{"message":{"content":["secret"]},"done":true,"done_reason":"stop"}"#,
            "`message.content` must be a string, found an array",
        ),
        (
            r#"{"message":{"content":"x","thinking":1},"done":true,"done_reason":"stop"}"#,
            "`message.thinking` must be a string",
        ),
        (
            r#"{"message":{"tool_calls":[{"function":{"arguments":{}}}]}}"#,
            "unexpected kind of value",
        ),
        (
            r#"{"message":{"tool_calls":[{"function":{"name":7}}]},"done":true,"done_reason":"stop"}"#,
            "must be a string, found a number",
        ),
        (
            r#"{"message":{"tool_calls":[{"function":{"name":""}}]},"done":true,"done_reason":"stop"}"#,
            "has no name",
        ),
        (
            "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"message\":{\"content\":\"\"},\"done\":true}",
            "trailing",
        ),
        (r#"{"message":{"content":"x"},"done":false}"#, "`done` is not true"),
        (r#"{"message":{"content":"x"}}"#, "`done` is not true"),
        (r#"{"message":"no route","code":404}"#, "reported an error: no route"),
        (r#"{"detail":[{"msg":"no such field"}]}"#, "reported an error: no such field"),
        (
            r#"{"error":"model runner has unexpectedly stopped"}"#,
            "model runner has unexpectedly stopped",
        ),
    ] {
        let error = chat_reply(body.as_bytes(), &echo()).expect_err(body);
        assert!(error.to_string().contains(says), "{body}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let error = chat_reply(&b"\xff"[..], &echo()).expect_err("not UTF-8");
    assert!(matches!(error, ReplyError::Malformed { .. }));
}

fn completion(answer: &Value) -> Value {
    let mut answer = answer.clone();
    answer["done"] = json!(true);
    let reason = answer.as_object_mut().expect("object").entry("done_reason");
    reason.or_insert_with(|| json!("stop"));
    let reply = chat_reply(answer.to_string().as_bytes(), &echo()).expect("translates");
    serde_json::from_slice(&reply.body).expect("JSON")
}

fn echo() -> Echo {
    Echo { id: ID.into(), created: 17, model: "ol-\"q\"".into() }
}

#[test]
fn no_end_is_made_up_for_an_answer_that_did_not_come_to_its_own() {
    let tools = r#","tool_calls":[{"function":{"name":"f","arguments":{}}}]"#;
    for (tools, reason, expected) in [
        ("", r#","done_reason":"stop""#, Ok("stop")),
        ("", r#","done_reason":"length""#, Ok("length")),
        (tools, r#","done_reason":"stop""#, Ok("tool_calls")),
        (tools, r#","done_reason":"length""#, Ok("length")),
        ("", r#","done_reason":"load""#, Err("`done_reason` is \"load\"")),
        ("", r#","done_reason":"unload""#, Err("\"unload\"")),
        ("", r#","done_reason":"abort""#, Err("\"abort\"")),
        (tools, r#","done_reason":"unknown""#, Err("\"unknown\"")),
        ("", r#","done_reason":"STOP""#, Err("\"STOP\"")),
        ("", r#","done_reason":5"#, Err("is 5")),
        ("", r#","done_reason":"""#, Err("no `done_reason`")),
        ("", r#","done_reason":null"#, Err("no `done_reason`")),
        (tools, "", Err("no `done_reason`")),
    ] {
        let body = format!(r#"{{"message":{{"content":"a"{tools}}},"done":true{reason}}}"#);
        let reply = chat_reply(body.as_bytes(), &echo());
        let mut stream = super::super::ChatStream::new(&echo(), false);
        let mut last = Vec::new();
        let streamed = stream.line(body.as_bytes(), &mut |chunk| last = chunk.concat());
        match expected {
            Ok(expected) => {
                streamed.expect("the end of a stream");
                for found in [&reply.expect("a reply").body, &last] {
                    let found: Value = serde_json::from_slice(found).expect("JSON");
                    assert_eq!(found["choices"][0]["finish_reason"], expected, "{body}");
                }
            }
            Err(expected) => {
                let (reply, streamed) = (reply.unwrap_err(), streamed.unwrap_err());
                assert!(matches!(reply, ReplyError::Unended { .. }), "{body}: {reply}");
                assert_eq!(reply.to_string(), streamed.to_string());
                assert!(reply.to_string().contains(expected), "{body}: {reply}");
                assert!(!stream.finished(), "{body}");
            }
        }
    }
}

#[test]
fn half_a_surrogate_pair_refuses_nothing() {
    for (content, expected) in
        [(r"a\ud83d", r#""content":"a\ud83d""#), (r"<think>\ud83d</think>b", r#""content":"b""#)]
    {
        let body =
            format!(r#"{{"message":{{"content":"{content}"}},"done":true,"done_reason":"stop"}}"#);
        let reply = chat_reply(body.as_bytes(), &echo()).expect("a reply");
        let reply = String::from_utf8(reply.body).expect("text");
        assert!(reply.contains(expected), "{reply}");
    }
}

#[test]
fn the_probabilities_of_tokens_take_openais_form() {
    let body = r#"{"message":{"content":"a"},"done":true,"done_reason":"stop","remote_model":"far","remote_host":"http://h","total_duration":5,
        "logprobs":[{"token":"a","logprob":-1e999,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-0.50}]},
                    {"token":"c","logprob":-2}]}"#;
    let echo = Echo { id: ID.into(), created: 1, model: "m".into() };
    let reply = chat_reply(body.as_bytes(), &echo).expect("a reply");
    let reply = String::from_utf8(reply.body).expect("text");
    let expected = r#""logprobs":{"content":[{"token":"a","logprob":-1e999,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-0.50,"bytes":null}]},{"token":"c","logprob":-2,"bytes":null,"top_logprobs":[]}],"refusal":null},"finish_reason""#;
    assert!(reply.contains(expected), "{reply}");
    for out_of_place in ["far", "http://h", "duration"] {
        assert!(!reply.contains(out_of_place), "{reply}");
    }
    for (logprobs, says) in [("5", "an array, found a number"), ("[1]", "`token` and `logprob`")] {
        let body = format!(
            r#"{{"message":{{"content":"a"}},"done":true,"done_reason":"stop","logprobs":{logprobs}}}"#
        );
        let fault = chat_reply(body.as_bytes(), &echo).expect_err("malformed");
        assert!(fault.to_string().contains(says), "{fault}");
    }
}
