//! The access log: one structured line for each request, with the fields an operator needs and
//! without users' texts.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY,
    config::{config, deployment, every_dialect, openai, with_callbacks},
    gateway::Ended,
    upstream,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

#[tokio::test]
async fn one_line_per_request() {
    let upstream = upstream(Answer::text(["a very private reply"])).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let mut ids = Vec::new();
    for (model, status) in [("gpt", 200), ("llama", 200), ("gemma", 200), ("nope", 400)] {
        for stream in [false, true] {
            let id = format!("call-{model}-{stream}");
            let messages = json!([{"role": "user", "content": "a very private prompt"}]);
            let request = gateway.client().chat(model).set("stream", stream);
            let request = request.set("messages", messages).header("x-litellm-call-id", &id);
            let _ = request.send().await.expect_status(status);
            ids.push((id, status));
        }
    }
    let refused =
        gateway.client().without_key().chat("gpt").header("x-litellm-call-id", "call-none");
    let _ = refused.send().await.expect_status(401);
    ids.push(("call-none".to_owned(), 401));
    let log = gateway.log().clone();
    gateway.stop().await;
    for (id, status) in &ids {
        let lines: Vec<_> = log.lines().into_iter().filter(|line| line.text.contains(id)).collect();
        let access: Vec<_> = lines.iter().filter(|line| !line.field("status").is_null()).collect();
        assert_eq!(access.len(), 1, "{id}: {lines:?}");
        assert_eq!(access[0].field("status"), *status, "{}", access[0].text);
    }
    let text = log.text();
    for private in ["private prompt", "private reply"] {
        assert!(!text.contains(private), "{text}");
    }
}

/// Every line of stderr as JSON.
fn lines(text: &str) -> Vec<Value> {
    let parsed =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    text.lines().map(parsed).collect()
}

#[tokio::test]
async fn every_line_from_start_to_end_is_json_and_in_order() {
    let upstream = upstream(Answer::default()).await;
    let rules = json!({"rules": [{"pattern": "never said", "action": "deny"}]});
    let guardrail = json!({"name": "guardrail", "settings": rules});
    let config = with_callbacks(&[openai(&upstream)], &json!(["routing", guardrail]));
    let gateway = Gateway::with_config(config).start().await;
    let calls = (0..40).map(|number| {
        let model = if number % 3 == 0 { "nope" } else { "gpt" };
        gateway.client().chat(model).set("stream", number % 2 == 0).spawn()
    });
    for call in calls.collect::<Vec<_>>() {
        let _ = call.await.unwrap();
    }
    let lines = lines(&gateway.stop().await);
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let times: Vec<_> = lines.iter().map(|line| text(line, "timestamp")).collect();
    assert!(times.is_sorted(), "{times:#?}");
    let named: Vec<_> =
        lines.iter().filter(|it| it["message"] == "callback in the chain").collect();
    assert_eq!(named.len(), 2, "{lines:#?}");
    assert_eq!((&named[0]["callback.name"], &named[0]["position"]), (&json!("routing"), &json!(1)));
    let last = lines.last().unwrap();
    assert_eq!(last["message"], "ended: every call was answered");
}

#[tokio::test]
async fn a_refused_start_is_json_when_the_log_is() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut odd = config(&[json!({})]);
    odd["surprise"] = json!(1);
    for (config, port, expected) in [
        (config(&[]), port.as_str(), "not started: cannot listen on"),
        (odd, "0", "not started: 2 errors and 1 warning"),
    ] {
        for level in ["info", "off"] {
            let setup =
                Gateway::with_config(&config).arg("--port").arg(port).env("RUST_LOG", level);
            let Ended { status, stderr, .. } = setup.ended().await;
            let lines = lines(&stderr);
            let last = lines.last().unwrap();
            assert_eq!((status.code(), &last["level"]), (Some(1), &json!("ERROR")), "{stderr}");
            assert!(last["message"].as_str().unwrap().starts_with(expected), "{stderr}");
        }
    }
}

#[tokio::test]
async fn a_command_line_that_cannot_be_read_is_json_when_the_log_is() {
    for (arguments, said) in [
        (&["--bogus"][..], "not started: unexpected argument '--bogus' found"),
        (&["--port", "many"], "found `many`"),
        (&["--num_wrokers", "4"], "did you mean `--num_workers`?"),
        (&["serve"], "not started: the subcommand 'serve' cannot be used with: --config <FILE>; "),
    ] {
        let setup = Gateway::with_config(config(&[]));
        let setup = arguments.iter().fold(setup, |setup, word| setup.arg(word));
        let Ended { status, stderr, .. } = setup.ended().await;
        let lines = lines(&stderr);
        assert_eq!((status.code(), lines.len()), (Some(2), 1), "{stderr}");
        assert_eq!(lines[0]["level"], "ERROR", "{stderr}");
        assert!(lines[0]["message"].as_str().unwrap().contains(said), "{stderr}");
    }
}

#[tokio::test]
async fn a_check_is_json_when_it_is_asked_for() {
    let good = (config(&[]), "config OK (0 models, 0 callbacks), 1 warning");
    let bad = (config(&[json!({})]), "2 errors, 0 warnings");
    for (config, last) in [good, bad] {
        let setup = Gateway::with_config(&config).arg("--log-format").arg("json");
        let Ended { stdout, stderr, .. } = setup.check().await;
        let lines = lines(&stderr);
        assert_eq!((stdout.as_str(), lines.last().unwrap()["message"].as_str()), ("", Some(last)));
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_neither_calls_nor_the_end() {
    let upstream = upstream(Answer::default()).await;
    let broken = deployment("broken", "openai/x", "http://127.0.0.1:1/v1");
    let config = config(&[openai(&upstream), broken]);
    let mut gateway = Gateway::with_config(config).start().await;
    gateway.log().pause();
    // Each makes a line of some 400 bytes, at INFO or at WARN; a pipe holds 64 KiB.
    for number in 0..600 {
        let (model, status) = if number % 50 == 0 { ("broken", 502) } else { ("gpt", 200) };
        let _ = gateway.client().chat(model).send().await.expect_status(status);
    }
    let _ = gateway.client().get("/health/liveness").await.expect_status(200);
    gateway.terminate();
    assert_eq!(gateway.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_clients_send_can_forge_no_line() {
    let upstream = upstream(Answer::default()).await;
    let forged =
        "a\n2026-11-30T14:16:49.000000Z  INFO call status=200 \u{1b}[31m\u{9b}2J\u{2028}\u{202e}x";
    let long = format!("{forged}{}", "y".repeat(300));
    for format in ["pretty", "json"] {
        let setup = Gateway::with_config(config(&[openai(&upstream)]));
        let gateway = setup.arg("--log-format").arg(format).start().await;
        for model in [forged, &long] {
            let _ = gateway.client().chat(model).send().await.expect_status(400);
        }
        let path = format!("/{}%0a{}", "p".repeat(5000), "\u{9b}\u{2028}");
        let _ = gateway.client().request("GET", &path).send().await;
        let log = gateway.stop().await;
        let ours = if format == "json" { "{\"timestamp\":\"20" } else { "20" };
        for line in log.lines() {
            assert!(
                line.starts_with(ours) && !line.contains("Z  INFO call status=200 \u{1b}"),
                "{line}"
            );
            assert!(line.len() < 4000, "{line}");
        }
        let unsafe_ones = ['\u{1b}', '\u{9b}', '\u{2028}', '\u{202e}'];
        assert!(!log.contains(unsafe_ones), "{log}");
        assert!(log.contains("…(+"), "{log}");
    }
}

#[tokio::test]
async fn every_line_says_who_called_and_where_the_call_went() {
    let upstream = upstream(Answer::default()).await;
    let mut deployment = openai(&upstream);
    deployment["model_info"] = json!({"id": "first"});
    let mut config = config(&[deployment]);
    config["callgate"] = json!({"trusted_proxies": ["127.0.0.0/8"]});
    let gateway = Gateway::with_config(config).start().await;
    let client = gateway.client();
    let called = client.chat("gpt").header("x-litellm-call-id", "good");
    let _ = called.send().await.expect_status(200);
    let proxied = client.chat("gpt").header("x-litellm-call-id", "far").streaming();
    let _ = proxied.header("x-forwarded-for", "6.6.6.6, 203.0.113.5").send().await;
    let forwarded = client.chat("gpt").header("x-litellm-call-id", "forwarded");
    let forwarded =
        forwarded.header("forwarded", "for=6.6.6.6, For=\"[2001:db8::5]:80\";proto=https");
    let _ = forwarded.send().await.expect_status(200);
    let stranger = gateway.client().without_key().chat("gpt").header("x-litellm-call-id", "bad");
    let _ = stranger.send().await.expect_status(401);
    let log = gateway.log();
    let line = |id: &'static str| async move {
        log.find(|line| line.field("call.id") == id).await.unwrap()
    };
    let good = line("good").await;
    for (name, expected) in [
        ("outcome", json!("ok")),
        ("client.address", json!("127.0.0.1")),
        ("key.id", json!("master_key")),
        ("deployment.id", json!("first")),
        ("provider", json!("openai")),
        ("first_token_ms", Value::Null),
    ] {
        assert_eq!(*good.field(name), expected, "{name}: {}", good.text);
    }
    let far = line("far").await;
    assert_eq!(far.field("client.address"), "203.0.113.5");
    assert!(far.field("first_token_ms").is_number(), "{}", far.text);
    assert_eq!(line("forwarded").await.field("client.address"), "2001:db8::5");
    let bad = line("bad").await;
    assert_eq!(
        (bad.field("outcome"), bad.field("client.address")),
        (&json!("error"), &json!("127.0.0.1"))
    );
    assert_eq!((bad.field("key.id"), bad.level()), (&Value::Null, "INFO"));
    assert_eq!(
        (bad.field("error.code"), bad.field("error.type")),
        (&json!("401"), &json!("auth_error"))
    );
}

/// A client that leaves during its request counts as gone, like one that leaves later; one with bad
/// framing gets an error.
#[tokio::test]
async fn a_body_that_breaks_off_is_a_client_that_left() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    for (id, framing, status, outcome) in [
        ("left", "content-length: 100\r\n\r\n{", 499, "client_gone"),
        ("left-chunked", "transfer-encoding: chunked\r\n\r\n5\r\n{", 499, "client_gone"),
        ("wrong", "transfer-encoding: chunked\r\n\r\nzz\r\n{", 400, "error"),
    ] {
        let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {MASTER_KEY}\r\n\
             x-litellm-call-id: {id}\r\n{framing}"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        if status == 499 {
            socket.shutdown().await.unwrap();
        }
        let line = gateway.log().find(|line| line.field("call.id") == id).await.unwrap();
        assert_eq!(
            (line.field("status"), line.field("outcome")),
            (&json!(status), &json!(outcome))
        );
        assert_eq!(line.level(), "INFO");
    }
}
