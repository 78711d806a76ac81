//! Streams and the completions made from them, and the memory this takes.

use super::*;
use crate::{ollama::Ollama, openai::OpenAi};
use serde_json::{Value, json};

fn completion(dialect: &dyn Dialect, body: &str) -> Result<(Value, Option<u64>), AnswerFault> {
    let echo = Echo { id: "made".into(), created: 7, model: "asked".into() };
    let translated =
        CompletionFromStream::new(dialect, &echo, 1).end(body.as_bytes())?.completion();
    let body = translated.body.concat();
    let usage = translated.usage.map(|usage| usage.total_tokens);
    Ok((serde_json::from_slice(&body).expect("JSON"), usage))
}

#[test]
fn what_is_put_together_is_held_twice_at_most_while_it_is_written() {
    let text = "x".repeat(1_000_000);
    let one = r#"{"choices":[{"index":0,"delta":{"content":"TEXT"}}]}"#.replace("TEXT", &text);
    let chunk = format!("data: {one}\n\n");
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let body = chunk.repeat(8) + end;
    let echo = Echo { id: "made".into(), created: 7, model: "asked".into() };
    let memory = allocation_counter::measure(|| {
        let ended = CompletionFromStream::new(&OpenAi, &echo, 1).end(body.as_bytes()).unwrap();
        assert!(ended.completion().body.concat().len() > 8 * text.len());
    });
    // What grows is counted twice when it is moved, which moving pages does not cost.
    assert!(memory.bytes_max <= 3 * body.len() as u64 + 100_000, "{memory:?}");
}

#[test]
fn all_requested_choices_come_with_one_reason_each() {
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let echo = Echo { id: "made".into(), created: 7, model: "asked".into() };
    let fault = CompletionFromStream::new(&OpenAi, &echo, 2).end(end.as_bytes()).err();
    assert!(matches!(fault, Some(AnswerFault::Incomplete(_))), "{fault:?}");
    let (whole, _) = completion(&OpenAi, &end.repeat(2)).unwrap();
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
}

#[test]
fn chunks_come_to_a_completion() {
    let chunk = |choices: &str| {
        format!("data: {{\"id\":\"x\",\"created\":1,\"model\":\"up\",\"choices\":[{choices}]}}\n\n")
    };
    let stream = [
        ": hello\n\n".to_owned(),
        chunk(
            r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":{"content":[{"token":"a"}]},"finish_reason":null}"#,
        ),
        chunk(
            r#"{"index":0,"delta":{"role":"assistant","content":"a\n\u00e9"},"logprobs":{"content":[{"token":"b"}]}}"#,
        ),
        chunk(
            r#"{"index":1,"delta":{"content":null,"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":""}}]}}"#,
        ),
        chunk(
            r#"{"index":1,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"function":{"arguments":"{}"}}]}}"#,
        ),
        chunk(
            r#"{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}"#,
        ),
        chunk(r#"{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}"#),
        "data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n".to_owned(),
    ];
    let (found, usage) = completion(&OpenAi, &stream.concat()).unwrap();
    assert_eq!(usage, Some(7));
    assert_eq!(
        found,
        json!({"id": "x", "object": "chat.completion", "created": 1, "model": "asked",
            "usage": {"total_tokens": 7},
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "a\néb"},
                 "logprobs": {"content": [{"token": "a"}, {"token": "b"}]}, "finish_reason": "stop"},
                {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                 "finish_reason": "tool_calls"}]})
    );
}

#[test]
fn a_stream_is_all_there_at_its_own_end() {
    let said =
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
    let line = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
    let last = "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";
    let error = "data: {\"error\":\"words\"}\n";
    let open = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n";
    for (dialect, before, end) in [
        (&OpenAi as &dyn Dialect, said, "data: [DONE]\n"),
        (&OpenAi, said, error),
        (&OpenAi, open, "data: [DONE]\n"),
        (&Ollama, line, last),
        (&Ollama, line, "{\"error\":\"words\"}\n"),
    ] {
        let echo = Echo { id: "made".into(), created: 7, model: "asked".into() };
        for size in [1, 7, 1000] {
            let mut together = CompletionFromStream::new(dialect, &echo, 1);
            assert!(before.as_bytes().chunks(size).all(|piece| !together.push(piece)));
            let ends: Vec<_> =
                end.as_bytes().chunks(size).map(|piece| together.push(piece)).collect();
            assert_eq!(ends.iter().position(|over| *over), Some(ends.len() - 1), "{end}");
        }
    }
    let echo = Echo { id: "made".into(), created: 7, model: "asked".into() };
    assert!(!CompletionFromStream::new(&OpenAi, &echo, 1).push(b"<html>"));
}

#[test]
fn lines_of_ollama_come_to_a_completion() {
    let lines = concat!(
        "{\"message\":{\"content\":\"a\"},\"done\":false}\n",
        "{\"message\":{\"content\":\"b\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n"
    );
    let (found, usage) = completion(&Ollama, lines).unwrap();
    assert_eq!(found["choices"][0]["message"], json!({"role": "assistant", "content": "ab"}));
    assert_eq!((&found["choices"][0]["finish_reason"], usage), (&json!("stop"), Some(3)));
    assert_eq!(found["usage"]["completion_tokens"], 3);
}

#[test]
fn what_is_no_whole_stream_is_no_completion() {
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
    for (body, expected) in [
        (half, "Incomplete"),
        ("data: [DONE]\n\n", "Incomplete"),
        ("data: {\"error\":{\"message\":\"words\"}}\n\n", "words"),
        ("[{\"error\":{\"message\":\"words\"}}]", "words"),
        ("<html>", "Other"),
        ("{\"choices\":[", "Incomplete"),
        ("{\"choices\":]", "Other"),
        ("data: {\"x\":1}\n\ndata: [DONE]\n\n", "Incomplete"),
    ] {
        let fault = format!("{:?}", completion(&OpenAi, body).unwrap_err());
        assert!(fault.contains(expected), "{body}: {fault}");
    }
}

#[test]
fn a_text_may_come_in_any_number_of_pieces() {
    let piece = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"ab\"},\"finish_reason\":null}]}\n\n";
    let done = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
    let (whole, _) = completion(&OpenAi, &(piece.repeat(50_000) + done)).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "ab".repeat(50_000));
    let line = "{\"message\":{\"content\":\"ab\"},\"done\":false}\n";
    let lines = line.repeat(50_000)
        + "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";
    let (whole, _) = completion(&Ollama, &lines).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "ab".repeat(50_000));
}

#[test]
fn what_breaks_within_a_stream_is_no_other_body() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    for (body, expected) in
        [(format!("{event}data: x\n\n{event}"), "Malformed"), ("data: x\n\n".to_owned(), "Other")]
    {
        let fault = format!("{:?}", completion(&OpenAi, &body).unwrap_err());
        assert!(fault.contains(expected), "{body}: {fault}");
    }
}

#[test]
fn memory_is_bounded_by_members() {
    let deltas = (0..30_000).map(|at| {
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"m{at}\":[],\"n{at}\":1,\"o{at}\":{{}}}}}}]}}\n\n"
        )
    });
    let stream: String = deltas.take(200).collect();
    let done = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
    assert!(completion(&OpenAi, &format!("{stream}{done}")).is_ok());
    let many = |element: &dyn Fn(usize) -> String| {
        let list: Vec<String> = (0..70_000).map(element).collect();
        let list = list.join(",");
        format!("data: {{\"choices\":[{{\"delta\":{{\"x\":[{list}]}}}}]}}\n\n{done}")
    };
    // Text added to existing text needs no extra node.
    let (whole, _) = completion(&OpenAi, &many(&|_| "{\"index\":1,\"a\":1}".to_owned())).unwrap();
    assert_eq!(whole["choices"][0]["message"]["x"], json!([{"a": 1}]));
    let many = many(&|at| format!("{{\"index\":{at},\"a\":1}}"));
    let fault = completion(&OpenAi, &many).unwrap_err();
    assert!(matches!(fault, AnswerFault::Malformed(_)), "{fault:?}");
}
