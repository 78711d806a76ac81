//! Calls with files: the form reaches the upstream with the model's name there, whatever the order
//! of its parts, and takes no memory of its length; what is no such form is refused.

use crate::callbacks::faulty::{faulty, hooks, recorded, recorder, seen};
use bytes::Bytes;
use callgate_tests::{
    Answer, Gateway, UPSTREAM_KEY,
    client::Request,
    config::{config, every_dialect, with_callbacks},
    upstream,
};
use serde_json::json;

const BOUNDARY: &str = "----boundary7MA4YWxk";

/// A part: name, file name, content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn form(parts: &[Part<'_>]) -> Bytes {
    let mut body = Vec::new();
    for (name, file_name, content) in parts {
        let file = file_name.map(|it| format!("; filename=\"{it}\"\r\nContent-Type: audio/mpeg"));
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{}\r\n\r\n",
            file.unwrap_or_default()
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

fn upload(gateway: &Gateway, path: &str, body: Bytes) -> Request {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    gateway.client().request("POST", path).header("content-type", &content_type).body(body)
}

const MODEL: Part<'static> = ("model", None, b"gpt");
const FILE: Part<'static> = ("file", Some("a.mp3"), b"\x00\xffsound\r\n--\r\n");
const LANGUAGE: Part<'static> = ("language", None, b"en");

#[tokio::test]
async fn a_form_passes_in_any_order() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for path in ["/v1/audio/transcriptions", "/audio/translations"] {
        for parts in [[MODEL, LANGUAGE, FILE], [FILE, LANGUAGE, MODEL]] {
            let reply = upload(&gateway, path, form(&parts)).send().await.expect_status(200);
            assert_eq!(reply.json()["text"], "Hello world");
            let sent = upstream.requests().pop().unwrap();
            assert!(sent.path.ends_with(path), "{}", sent.path);
            assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {UPSTREAM_KEY}")));
            let fields: [Part<'_>; 3] = match parts[0].0 {
                "model" => [("model", None, b"gpt-4o-mini"), LANGUAGE, FILE],
                _ => [LANGUAGE, ("model", None, b"gpt-4o-mini"), FILE],
            };
            assert_eq!(sent.body, form(&fields));
        }
    }
    let path = "/openai/deployments/gpt/audio/transcriptions";
    let _ = upload(&gateway, path, form(&[FILE])).send().await.expect_status(200);
    let pictures = [
        MODEL,
        ("prompt", None, b"p"),
        ("image[]", Some("1.png"), b"1"),
        ("image[]", Some("2.png"), b"2"),
    ];
    let edited = upload(&gateway, "/v1/images/edits", form(&pictures)).send().await;
    assert!(edited.expect_status(200).json()["data"].is_array());
    let sent = upstream.requests().pop().unwrap();
    let mut expected = pictures;
    expected[0].2 = b"gpt-4o-mini";
    assert_eq!(sent.body, form(&expected));
}

#[tokio::test]
async fn what_is_no_such_form_is_refused_before_the_upstream() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let cut = form(&[MODEL, FILE]);
    let cut = cut.slice(..cut.len() - 8);
    for (body, said) in [
        (form(&[MODEL]), "no part with a `filename`"),
        (form(&[MODEL, ("file", None, b"text")]), "no part with a `filename`"),
        (form(&[FILE]), "Invalid model name passed in model=None"),
        (form(&[MODEL, FILE, MODEL]), "`model` more than once"),
        (form(&[MODEL, FILE, ("stream", None, b"true")]), "leave out `stream`"),
        (form(&[MODEL, FILE, ("language", None, b"\xff")]), "`language` is not UTF-8"),
        (form(&[MODEL, FILE, ("api_key", None, b"k")]), "not allowed in request body"),
        (cut, "before its last boundary"),
        (Bytes::from("no form"), "does not occur in the body"),
    ] {
        let reply = upload(&gateway, "/v1/audio/transcriptions", body).send().await;
        let status = if said.contains("not allowed") { 401 } else { 400 };
        let error = reply.expect_status(status).error();
        assert!(error["message"].as_str().unwrap().contains(said), "{said}: {error}");
    }
    let body = form(&[MODEL, FILE]);
    let request = gateway.client().request("POST", "/v1/audio/transcriptions").body(body);
    for (content_type, said) in [
        ("application/json", "expected `Content-Type: multipart/form-data"),
        ("multipart/form-data", "needs a `boundary`"),
        ("multipart/form-data; boundary=other", "does not occur in the body"),
    ] {
        let reply = request.clone().header("content-type", content_type).send().await;
        let error = reply.expect_status(400).error();
        assert!(error["message"].as_str().unwrap().contains(said), "{said}: {error}");
    }
    let llama = form(&[("model", None, b"gemma"), FILE]);
    let reply = upload(&gateway, "/v1/audio/transcriptions", llama).send().await;
    assert_eq!(reply.expect_status(400).error()["code"], "endpoint_not_served");
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn hooks_see_the_fields_and_edit_them() {
    let upstream = upstream(Answer::default()).await;
    let mut seer = recorder("seer");
    seer["settings"]["params"] = json!(["prompt", "file.filename", "file.bytes"]);
    let edits =
        json!([{"set_param": ["prompt", "\"masked\""]}, {"set_param": ["language", "\"de\""]}]);
    let callbacks = json!([seer, faulty("mask", json!({"on_llm_start": edits}))]);
    let config = with_callbacks(&every_dialect(&upstream), &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let body = form(&[FILE, MODEL, ("prompt", None, b"secret")]);
    let text = Answer::fixed(200, "text/plain; charset=utf-8", "Hello\n");
    for (id, answer) in [("json", Answer::default()), ("text", text)] {
        upstream.push(answer);
        let request = upload(&gateway, "/v1/audio/transcriptions", body.clone());
        let reply = request.header("x-litellm-call-id", id).send().await.expect_status(200);
        if id == "text" {
            assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(reply.text(), "Hello\n");
        }
        let fields = [("model", None, &b"gpt-4o-mini"[..]), ("prompt", None, b"masked")];
        let expected = form(&[fields[0], fields[1], ("language", None, b"de"), FILE]);
        assert_eq!(upstream.requests().pop().unwrap().body, expected);
    }
    upstream.push(Answer::error(500, "t", "c", "oops"));
    let failing = upload(&gateway, "/v1/audio/transcriptions", body);
    let _ = failing.header("x-litellm-call-id", "failing").send().await.expect_status(500);
    let log = gateway.log().clone();
    gateway.stop().await;
    for (id, last, text) in
        [("json", "end", "Hello world"), ("text", "end", "Hello\n"), ("failing", "error", "")]
    {
        assert_eq!(hooks(&log, id), ["seer on_llm_start".into(), format!("seer on_llm_{last}")]);
        let lines = recorded(&log, id);
        assert_eq!(seen(&lines[0], "endpoint"), "transcriptions");
        assert_eq!(seen(&lines[0], "param.prompt"), "\"secret\"");
        assert_eq!(seen(&lines[0], "param.file.filename"), "\"a.mp3\"");
        assert_eq!(seen(&lines[0], "param.file.bytes"), FILE.2.len().to_string());
        assert_eq!(seen(&lines[1], "text"), text, "{id}");
    }
}

#[tokio::test]
async fn a_large_upload_takes_little_memory() {
    const MOST: usize = 4 << 20;
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let _ = upload(&gateway, "/v1/audio/transcriptions", form(&[MODEL, FILE])).send().await;
    let before = gateway.memory();
    let sound = vec![b'\r'; 25 << 20];
    for parts in
        [[MODEL, ("file", Some("a.mp3"), &sound[..])], [("file", Some("a.mp3"), &sound), MODEL]]
    {
        let request = upload(&gateway, "/v1/audio/transcriptions", form(&parts));
        let _ = request.send().await.expect_status(200);
        assert!(upstream.requests().pop().unwrap().body.len() > sound.len());
        let grown = gateway.peak_memory().saturating_sub(before);
        assert!(grown < MOST, "{grown} bytes more at the peak");
    }
}

#[tokio::test]
async fn speech_passes_as_it_is() {
    let upstream = upstream(Answer::default()).await;
    let callbacks = json!([recorder("r")]);
    let gateway = Gateway::with_config(with_callbacks(&every_dialect(&upstream), &callbacks));
    let gateway = gateway.start().await;
    let asked = json!({"model": "gpt", "input": "hello", "voice": "alloy"});
    let request = gateway.client().request("POST", "/v1/audio/speech").json(asked);
    let reply = request.clone().header("x-litellm-call-id", "sound").send().await;
    let reply = reply.expect_status(200);
    assert_eq!(
        (reply.header("content-type"), &reply.body[..]),
        ("audio/mpeg", &b"\xff\xfbsound"[..])
    );
    assert_eq!(upstream.requests()[0].json()["model"], "gpt-4o-mini");
    upstream.push(Answer::fixed(200, "audio/mpeg", ""));
    let empty = request.clone().send().await.expect_status(500);
    assert!(empty.error()["message"].as_str().unwrap().contains("an empty body"));
    upstream.push(Answer::fixed(200, "application/json", r#"{"error":{"message":"words"}}"#));
    assert_eq!(request.send().await.expect_status(500).error()["message"], "words");
    let log = gateway.log().clone();
    gateway.stop().await;
    assert_eq!(hooks(&log, "sound"), ["r on_llm_start", "r on_llm_end"]);
}
