//! The scripted upstream, over a raw socket: the bytes must be those of the script.

use super::{Answer, Gate, Script, ScriptedUpstream, ToolCall, gzip};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const OPENAI: &str = "/v1/chat/completions";
const GROQ: &str = "/openai/v1/chat/completions";
const OLLAMA: &str = "/api/chat";

async fn upstream(answer: Answer) -> ScriptedUpstream {
    ScriptedUpstream::start(Script::always(answer)).await.unwrap()
}

async fn send(upstream: &ScriptedUpstream, path: &str, body: &Value) -> TcpStream {
    let mut socket = TcpStream::connect(upstream.addr()).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    socket
}

/// All bytes that the upstream wrote, and whether it closed properly (FIN, not RST).
async fn exchange(upstream: &ScriptedUpstream, path: &str, body: &Value) -> (String, bool) {
    let mut socket = send(upstream, path, body).await;
    let mut all = Vec::new();
    let ended = socket.read_to_end(&mut all).await.is_ok();
    (String::from_utf8_lossy(&all).into_owned(), ended)
}

fn chat(stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

fn body_json(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// The JSON of every event, without chunk framing and `[DONE]`.
fn events(answer: &str) -> Vec<Value> {
    let lines = answer.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    lines.filter(|line| line.starts_with('{')).map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[tokio::test]
async fn each_dialect_answers_in_its_own_shape() {
    let upstream = upstream(Answer::default()).await;
    for (path, text, usage) in [
        (OPENAI, "/choices/0/message/content", "/usage/total_tokens"),
        (GROQ, "/choices/0/message/content", "/usage/total_tokens"),
        (OLLAMA, "/message/content", "/eval_count"),
    ] {
        let (answer, ended) = exchange(&upstream, path, &chat(false)).await;
        let body = body_json(&answer);
        assert_eq!(body.pointer(text).unwrap(), "Hello world!", "{path}");
        assert!(ended && body.pointer(usage).is_some(), "{path}: {body}");
    }
    assert_eq!(upstream.requests()[1].path, GROQ);
    assert_eq!(upstream.journal().connections, 3);
}

#[tokio::test]
async fn streams_carry_usage_only_when_asked() {
    let upstream = upstream(Answer::default()).await;
    let mut asked = chat(true);
    asked["stream_options"] = json!({"include_usage": true});
    for (path, body, usages) in
        [(OPENAI, chat(true), 0), (OPENAI, asked.clone(), 1), (GROQ, asked, 1)]
    {
        let (answer, _) = exchange(&upstream, path, &body).await;
        assert!(answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{answer}");
        let found = events(&answer).iter().filter(|event| event["usage"].is_object()).count();
        assert_eq!(found, usages, "{path}: {answer}");
    }
}

#[tokio::test]
async fn ollama_streams_by_default() {
    let upstream = upstream(Answer::text(["a", "b"]).thinking("hm")).await;
    let (answer, _) = exchange(&upstream, OLLAMA, &json!({"model": "m", "messages": []})).await;
    let lines = events(&answer);
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["message"]["thinking"], "hm");
    assert_eq!(lines[3]["done"], true);
}

#[tokio::test]
async fn tools_are_called_once_and_then_answered() {
    let upstream = upstream(Answer::default()).await;
    let mut body = chat(false);
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather"}}]);
    let (answer, _) = exchange(&upstream, OPENAI, &body).await;
    let call = &body_json(&answer)["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(
        call["function"],
        json!({"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"})
    );
    let (answer, _) = exchange(&upstream, OLLAMA, &{
        body["stream"] = json!(true);
        body.clone()
    })
    .await;
    let call = &events(&answer)[0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], json!({"city": "Paris"}));
    body["messages"] = json!([{"role": "tool", "content": "sunny"}]);
    let (answer, _) = exchange(&upstream, OPENAI, &body).await;
    assert!(answer.contains("Hello"), "{answer}");
}

#[tokio::test]
async fn streamed_tool_calls_keep_their_index_and_add_up() {
    let call = |id: &str, arguments: &str| ToolCall {
        id: Some(id.to_owned()),
        name: "f".to_owned(),
        arguments: arguments.to_owned(),
    };
    let calls = [call("c0", r#"{"a":"é"}"#), call("c1", "{}")];
    let upstream = upstream(Answer::tool_calls(calls)).await;
    let (answer, _) = exchange(&upstream, OPENAI, &chat(true)).await;
    let mut arguments = [String::new(), String::new()];
    for event in events(&answer) {
        let call = &event["choices"][0]["delta"]["tool_calls"][0];
        if let Some(index) = call["index"].as_u64() {
            let index = usize::from(index == 1);
            arguments[index].push_str(call["function"]["arguments"].as_str().unwrap());
        }
    }
    assert_eq!(arguments, [r#"{"a":"é"}"#, "{}"]);
}

#[tokio::test]
async fn faults_arrive_as_scripted() {
    let sse = "data: {\"error\":{\"message\":\"boom\"}}\n\n";
    // (answer, streamed request, what the bytes must end with, ends with FIN)
    let cases = [
        (Answer::reset(), false, "", false),
        (Answer::close(), false, "", true),
        (Answer::raw("not http"), false, "not http", true),
        (Answer::fixed(200, "text/html", "<html>"), false, "\r\n\r\n<html>", true),
        (Answer::text(["x"]).closing_after(2), true, "\n\n\r\n", true),
        (Answer::text(["x"]).resetting_after(1), true, "\n\n\r\n", false),
        (Answer::text(["x"]).ending_after(2), true, "\n\n\r\n0\r\n\r\n", true),
        (
            Answer::text(["x"]).inserting(1, sse).ending_after(1),
            true,
            "boom\"}}\n\n\r\n0\r\n\r\n",
            true,
        ),
        (
            Answer::fixed(200, "text/plain", "12345678").closing_after(1),
            false,
            "\r\n\r\n1234",
            true,
        ),
        (Answer::fixed(500, "text/plain", "oops").chunked(), false, "2\r\nps\r\n0\r\n\r\n", true),
        (Answer::fixed(500, "text/plain", "oops").until_close(), false, "\r\n\r\noops", true),
        (Answer::text(["x"]).with_crlf(), true, "data: [DONE]\r\n\r\n\r\n0\r\n\r\n", true),
    ];
    for (index, (answer, stream, end, fin)) in cases.into_iter().enumerate() {
        let upstream = upstream(answer).await;
        let (bytes, ended) = exchange(&upstream, OPENAI, &chat(stream)).await;
        assert_eq!(ended, fin, "case {index}: {bytes}");
        // A reset may overtake bytes that were sent before it.
        assert!(!fin || bytes.ends_with(end), "case {index}: {bytes:?}");
        upstream.answered(1).await;
    }
}

#[tokio::test]
async fn cutting_into_writes_changes_no_byte_of_the_body() {
    let whole = upstream(Answer::text(["é", "x"])).await;
    let (expected, _) = exchange(&whole, OLLAMA, &chat(true)).await;
    for answer in
        [Answer::text(["é", "x"]).in_writes_of(1), Answer::text(["é", "x"]).in_one_write()]
    {
        let upstream = upstream(answer).await;
        let mut socket = send(&upstream, OLLAMA, &chat(true)).await;
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(
            unchunked(&bytes[at..]),
            unchunked(expected.split_once("\r\n\r\n").unwrap().1.as_bytes())
        );
    }
}

fn unchunked(mut framed: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = framed.iter().position(|byte| *byte == b'\r').unwrap();
        let size =
            usize::from_str_radix(std::str::from_utf8(&framed[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&framed[line + 2..line + 2 + size]);
        framed = &framed[line + 2 + size + 2..];
    }
}

#[tokio::test]
async fn a_gate_holds_until_opened_and_counts_arrivals() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held(&gate)).await;
    let mut socket = send(&upstream, OPENAI, &chat(false)).await;
    gate.arrived(1).await;
    assert_eq!(upstream.journal().answered, 0);
    gate.admit(1);
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_wherever_the_answer_waits() {
    let gate = Gate::new();
    let answers = [
        Answer::silence(),
        Answer::default().held(&gate),
        Answer::default().stalling_after(1),
        Answer::default().held_after(2, &gate),
    ];
    for answer in answers {
        let upstream = upstream(answer).await;
        let socket = send(&upstream, OPENAI, &chat(true)).await;
        upstream.received(1).await;
        drop(socket);
        upstream.hung_up(1).await;
        upstream.open_connections_at_most(0).await;
        assert_eq!(upstream.journal().answered, 0);
    }
}

#[tokio::test]
async fn the_queue_comes_before_the_models_rule_and_probes_leave_it_alone() {
    let script = Script::always(Answer::text(["default"]))
        .model("m", Answer::text(["rule"]))
        .then(Answer::text(["queued"]));
    let upstream = ScriptedUpstream::start(script).await.unwrap();
    let mut socket = TcpStream::connect(upstream.addr()).await.unwrap();
    socket.write_all(b"GET /api/tags HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut tags = String::new();
    socket.read_to_string(&mut tags).await.unwrap();
    assert!(tags.contains("gemma3:4b"), "{tags}");
    let other = json!({"model": "other", "messages": []});
    for (body, expected) in [(chat(false), "queued"), (chat(false), "rule"), (other, "default")] {
        let (answer, _) = exchange(&upstream, OPENAI, &body).await;
        assert!(answer.contains(expected), "{expected}: {answer}");
    }
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_chunked_bodies() {
    let upstream = upstream(Answer::text(["x"])).await;
    let mut socket = TcpStream::connect(upstream.addr()).await.unwrap();
    let chunked = "POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                   a\r\n{\"model\":\"\r\n3\r\na\"}\r\n0\r\n\r\n";
    socket.write_all(chunked.repeat(2).as_bytes()).await.unwrap();
    upstream.answered(2).await;
    let requests = upstream.requests();
    assert_eq!(requests[1].model(), "a");
    assert_eq!((requests[1].connection, upstream.journal().connections), (0, 1));
}

#[tokio::test]
async fn dropping_it_frees_the_port_and_closes_connections() {
    let upstream = upstream(Answer::silence()).await;
    let address = upstream.addr();
    let mut socket = send(&upstream, OPENAI, &chat(false)).await;
    upstream.received(1).await;
    drop(upstream);
    assert!(!matches!(socket.read(&mut [0; 1]).await, Ok(length) if length > 0));
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn stored_gzip_is_framed_and_checked() {
    // The expected bytes come from another implementation's `gzip.compress(b"hi", 0)`.
    let tail = [1, 2, 0, 0xfd, 0xff, b'h', b'i', 0xac, 0x2a, 0x93, 0xd8, 2, 0, 0, 0];
    assert_eq!(&gzip::stored(b"hi")[10..], tail);
}
