//! The checked text is the sent text: a body that two parsers could read differently bypasses no
//! callback, and an error in a client's text is the client's, not a callback's.

use callgate_tests::{
    Answer, Gate, Gateway, Raw, ScriptedUpstream,
    config::{config, every_dialect, openai, with_callbacks},
    raw::{chat_request, status},
    upstream,
};
use serde_json::{Value, json};

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

fn guarded(upstream: &ScriptedUpstream, action: &str, on_error: &str) -> Value {
    let rules = json!([
        {"preset": "credit_card", "action": action}, {"preset": "email", "action": action},
    ]);
    let entry = json!([{"name": "guardrail", "on_error": on_error, "settings": {"rules": rules}}]);
    with_callbacks(&every_dialect(upstream), &entry)
}

#[tokio::test]
async fn an_ambiguous_name_is_refused() {
    const CARD: &str = "my card is 4111 1111 1111 1111";
    let messages = [
        (r#"{"role":"user","role":"user","content":"CARD"}"#, "messages[0].role"),
        (r#"{"role":5,"content":"CARD"}"#, "messages[0].role"),
        (r#"{"role":"user","content":"x","content":"CARD"}"#, "messages[0].content"),
        (r#"{"role":"user","content":"CARD","c\u006fntent":"x"}"#, "messages[0].content"),
        (r#"{"role":"user","content":"x","Content":"CARD"}"#, "messages[0].Content"),
        (r#"{"role":"user","CONTENT":"CARD"}"#, "messages[0].CONTENT"),
        ("{\"role\":\"user\",\"refu\u{17f}al\":\"CARD\"}", r"messages[0].refu\u{17f}al"),
        (r#"{"role":"user","content":{"text":"CARD"}}"#, "messages[0].content"),
        (
            r#"{"role":"user","content":[{"type":"text","text":"x","text":"CARD"}]}"#,
            "messages[0].content[0].text",
        ),
        (
            r#"{"role":"user","content":[{"type":"text","Text":"CARD"}]}"#,
            "messages[0].content[0].Text",
        ),
        (r#"{"role":"user","content":[7,"CARD"]}"#, "messages[0].content[0]"),
        (
            r#"{"role":"assistant","tool_calls":[{"function":{"arguments":"x","arguments":"CARD"}}]}"#,
            "messages[0].tool_calls[0].function.arguments",
        ),
        (r#""CARD""#, "messages[0]"),
    ];
    let upstream = upstream(Answer::default()).await;
    for action in ["deny", "mask"] {
        let gateway = Gateway::with_config(guarded(&upstream, action, "fail")).start().await;
        for model in MODELS {
            for (message, param) in &messages {
                let message = message.replace("CARD", CARD);
                let body = format!(r#"{{"model":"{model}","messages":[{message}]}}"#);
                let reply = gateway.client().chat("").body(body).send().await.expect_status(400);
                assert_eq!(reply.error()["param"], *param, "{model}: {message}");
            }
            for more in [
                r#""tools":[{"type":"a","type":"CARD"}]"#,
                r#""extra_body":{"prompt":"x","prompt":"CARD"}"#,
                r#""Prompt":"CARD""#,
                r#""own":{"a":"x","a":"CARD"}"#,
            ] {
                let more = more.replace("CARD", CARD);
                let body = format!(r#"{{"model":"{model}","messages":[],{more}}}"#);
                let _ = gateway.client().chat("").body(body).send().await.expect_status(400);
            }
        }
        assert_eq!(upstream.requests().len(), 0);
        // Members that are checked at any depth.
        for (message, more) in [
            (r#"{"role":"user","content":[{"type":"input_text","text":"CARD"}]}"#, ""),
            (r#"{"role":"user","content":["CARD"]}"#, ""),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"n\":4111111111111111}"}}]}"#,
                "",
            ),
            (r#"{"role":"user","name":"CARD"}"#, ""),
            ("{}", r#","tools":[{"function":{"description":"CARD"}}]"#),
            ("{}", r#","extra_body":{"prompt":"CARD"}"#),
        ] {
            let body =
                format!(r#"{{"model":"gpt","messages":[{message}]{more}}}"#).replace("CARD", CARD);
            let _ = gateway
                .client()
                .chat("")
                .body(body)
                .send()
                .await
                .expect_status(if action == "deny" { 400 } else { 200 });
            for sent in upstream.requests() {
                let sent = String::from_utf8_lossy(&sent.body).into_owned();
                assert!(!sent.contains("4111"), "{sent}");
            }
        }
        gateway.stop().await;
    }
}

#[tokio::test]
async fn another_spelling_of_the_gateways_own_members_is_refused_without_callbacks_too() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for (more, param) in [
        (r#""Model":"dear""#, "Model"),
        (r#""MESSAGES":[{}]"#, "MESSAGES"),
        (r#""\u0053tream":true"#, "Stream"),
        ("\"me\u{17f}\u{17f}ages\":[]", r"me\u{17f}\u{17f}ages"),
        (r#""own_Name":1,"own_name":2"#, "own_name"),
        (r#""stream_options":{"a":1,"a":2}"#, "stream_options.a"),
        (r#""extra_body":{"a":1,"a":2}"#, "extra_body.a"),
    ] {
        for model in MODELS {
            if model == "gemma" && param == "stream_options.a" {
                continue;
            }
            let body = format!(r#"{{"model":"{model}","messages":[],"stream":true,{more}}}"#);
            let reply = gateway.client().chat("").body(body).send().await.expect_status(400);
            assert_eq!(reply.error()["param"], param, "{model}: {more}");
        }
    }
    assert_eq!(upstream.requests().len(), 0);
    // Nobody has read these, so the upstream judges them.
    let body = r#"{"model":"gpt","messages":[{"role":"a","role":"b"}],"topK":{"x":1,"x":2}}"#;
    let _ = gateway.client().chat("").body(body).send().await.expect_status(200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.body), body.replace("gpt", "gpt-4o-mini"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_clients_odd_text_is_no_fault_of_a_callback() {
    let upstream = upstream(Answer::default()).await;
    for on_error in ["fail", "ignore", "disable"] {
        let gateway = Gateway::with_config(guarded(&upstream, "mask", on_error)).start().await;
        for _ in 0..7 {
            let odd = r#"{"model":"gpt","messages":[{"role":"user","content":"me@example.com","x":1e999}],"y":{"z":1e999}}"#;
            let _ = gateway.client().chat("").body(odd).send().await.expect_status(200);
            let sent = upstream.requests().pop().unwrap();
            let sent = String::from_utf8_lossy(&sent.body).into_owned();
            assert!(sent.contains(r#""content":"[email]","x":1e999}"#), "{sent}");
            assert!(sent.contains(r#""y":{"z":1e999}"#), "{sent}");
            for message in ["7", r#"{"content":"me@example.com","content":1}"#] {
                let body = format!(r#"{{"model":"gpt","messages":[{message}]}}"#);
                let _ = gateway.client().chat("").body(body).send().await.expect_status(400);
            }
        }
        let plain = json!([{"role": "user", "content": "you@example.com"}]);
        let _ = gateway.client().chat("gpt").set("messages", plain).send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent["messages"][0]["content"], "[email]", "{on_error}");
        let log = gateway.stop().await;
        assert!(!log.contains("failed in") && !log.contains("switched off"), "{log}");
    }
}

#[tokio::test]
async fn members_without_number_are_refused_and_many_are_merged() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let extra = |count: usize| {
        let members: Vec<_> = (0..count).map(|at| format!(r#""n{at}":{at}"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    for model in MODELS {
        for (count, status) in [(4096, 200), (4097, 400), (100_000, 400)] {
            // Only Ollama accepts names as options that its API lacks.
            let extra = match model {
                "gemma" => format!(r#"{{"options":{}}}"#, extra(count)),
                _ => extra(count),
            };
            let body = format!(r#"{{"model":"{model}","messages":[],"extra_body":{extra}}}"#);
            let _ = gateway.client().chat("").body(body).send().await.expect_status(status);
        }
        let sent = upstream.requests().pop().unwrap().json();
        assert_eq!(sent.get("n4095").or(sent["options"].get("n4095")), Some(&json!(4095)));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_body_in_pieces_of_one_byte_is_the_same_body() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let members: Vec<_> = (0..4000).map(|at| format!(r#""n{at}":{at}"#)).collect();
    let body = format!(r#"{{"model":"gpt","messages":[],{}}}"#, members.join(","));
    let chunks: String = body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    let request = chat_request(
        "Transfer-Encoding: chunked\r\nConnection: close\r\n",
        &(chunks + "0\r\n\r\n"),
    );
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(request).await;
    assert_eq!(status(&raw.read_to_end().await), 200);
    let sent = upstream.requests().pop().unwrap();
    assert_eq!(String::from_utf8_lossy(&sent.body), body.replace("\"gpt\"", "\"gpt-4o-mini\""));
    gateway.stop().await;
}

#[tokio::test]
async fn bytes_in_flight_are_bounded_and_given_back() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held(&gate)).await;
    let mut config = config(&[openai(&upstream)]);
    config["callgate"] =
        json!({"limits": {"max_body_bytes": 100_000, "max_inflight_bytes": 100_000}});
    let gateway = Gateway::with_config(config).start().await;
    let body = r#"{"model":"gpt","messages":[],"x":""}"#;
    let body = body.replace("\"\"", &format!("\"{}\"", "x".repeat(100_000 - body.len())));
    let announced =
        chat_request("Content-Length: 100000\r\nExpect: 100-continue\r\nConnection: close\r\n", "");
    // Announced but not sent: it takes nothing that others need.
    let mut idle = Raw::connect(gateway.address()).await;
    idle.send(announced.clone()).await;
    assert!(idle.read_until("\r\n\r\n").await.contains("100 Continue"));
    let waiting = gateway.client().chat("").body(body.clone()).spawn();
    gate.arrived(1).await;
    let refused = gateway.client().chat("gpt").send().await.expect_status(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.error()["code"], "too_many_bytes_in_flight");
    // A body that does not fit is refused before the client is asked to send it.
    let mut raw = Raw::connect(gateway.address()).await;
    raw.send(announced).await;
    assert_eq!(status(&raw.read_until("\r\n\r\n").await), 503);
    gate.open();
    let _ = waiting.await.unwrap().expect_status(200);
    idle.send(body).await;
    assert_eq!(status(&idle.read_to_end().await), 200);
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}
