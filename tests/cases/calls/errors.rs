//! Upstream failures as the client sees them: status, type, code and message are passed on; the
//! gateway's own errors say what happened and what to do.

use callgate_tests::{
    Answer, Gateway, Script,
    config::{config, deployment, every_dialect, openai},
    scripted, upstream,
};
use serde_json::json;

const MODELS: [&str; 3] = ["gpt", "llama", "gemma"];

#[tokio::test]
async fn the_upstreams_status_type_and_code_survive() {
    let statuses = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 529];
    for status in statuses {
        let answer = Answer::error(status, "their_type", "their_code", "their message");
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            for stream in [false, true] {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let error = reply.expect_status(status).error();
                assert!(error["message"].as_str().unwrap().contains("their message"), "{error}");
                if model != "gemma" {
                    assert_eq!(error["type"], "their_type", "{model} {status}");
                    assert_eq!(error["code"], "their_code", "{model} {status}");
                }
            }
        }
        assert_eq!(upstream.requests().len(), 6, "{status}: nothing is retried unless configured");
    }
}

#[tokio::test]
async fn errors_that_are_no_json_become_the_standard_object() {
    let html = format!("<html>{}</html>", "overloaded ".repeat(20_000));
    let cases = [
        (500, "text/plain", "backend exploded"),
        (503, "text/html", html.as_str()),
        (429, "application/json", "{\"detail\":\"slow down\"}"),
        (404, "application/json", "{\"error\":\"model 'x' not found\"}"),
        (400, "application/json", "{\"error\":{\"message\":7}}"),
        (401, "application/json", ""),
        (502, "application/json", "{broken"),
    ];
    for (status, content_type, body) in cases {
        let upstream = upstream(Answer::fixed(status, content_type, body.to_owned())).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let reply = gateway.client().chat(model).send().await.expect_status(status);
            let error = reply.error();
            let message = error["message"].as_str().unwrap();
            assert!(!message.is_empty() && message.len() < 10_000, "{model} {status}: {message}");
            assert_eq!(reply.header("content-type"), "application/json");
        }
        if let Some(word) =
            ["exploded", "slow down", "not found"].iter().find(|w| body.contains(**w))
        {
            let reply = gateway.client().chat("gpt").send().await;
            assert!(reply.text().contains(word), "{}", reply.text());
        }
    }
}

#[tokio::test]
async fn retry_after_reaches_the_client() {
    let answer = Answer::error(429, "tokens", "rate_limit_exceeded", "slow down");
    let upstream = upstream(answer.header("Retry-After", "7")).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for model in MODELS {
        let reply = gateway.client().chat(model).send().await.expect_status(429);
        assert_eq!(reply.header("retry-after"), "7", "{model}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_502_that_helps() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let address = upstream.addr();
    drop(upstream);
    for model in MODELS {
        for stream in [false, true] {
            let reply = gateway.client().chat(model).set("stream", stream).send().await;
            let error = reply.expect_status(502).error();
            if model == "gemma" {
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("ollama serve"), "{message}");
                assert!(!message.contains(&address.to_string()), "{message}");
            }
        }
    }
    // The upstream comes back at its address: no restart, and the gateway does not remember the
    // failure.
    let script = Script::default();
    let again = callgate_tests::ScriptedUpstream::start_on(address, script).await;
    if let Ok(_upstream) = again {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
}

#[tokio::test]
async fn an_upstream_that_breaks_off_before_answering_is_a_502() {
    let answers = [
        Answer::reset(),
        Answer::close(),
        Answer::raw("SSH-2.0-OpenSSH_9.6\r\n"),
        Answer::raw("HTTP/1.1 2"),
    ];
    for answer in answers {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            for stream in [false, true] {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let _ = reply.expect_status(502).error();
            }
        }
    }
}

#[tokio::test]
async fn a_kept_connection_the_upstream_closed_costs_no_call() {
    // One good response, after which the upstream closes the connection that it promised to keep.
    let choice = json!({"index": 0, "message": {"content": "x"}, "finish_reason": "stop"});
    let good = json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]});
    let good = good.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        good.len()
    );
    let upstream = scripted(Script::always(Answer::raw(format!("{head}{good}")))).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    for _ in 0..20 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        upstream.open_connections_at_most(0).await;
    }
}

#[tokio::test]
async fn a_200_that_is_no_completion_is_a_500() {
    let answers = [
        Answer::fixed(200, "text/html", "<html>Please log in</html>"),
        Answer::fixed(200, "application/json", "{broken"),
        Answer::fixed(200, "application/json", ""),
        Answer::fixed(200, "application/json", "[]"),
    ];
    for answer in answers {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
        for model in MODELS {
            let _ = gateway.client().chat(model).send().await.expect_status(500).error();
        }
    }
}

#[tokio::test]
async fn a_failed_stream_request_leaves_the_gateway_usable() {
    let script = Script::default().then(Answer::reset()).then(Answer::silence());
    let upstream = scripted(script).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let _ = gateway.client().chat("gpt").streaming().send().await.expect_status(502);
    let waiting = gateway.client().chat("gpt").streaming().spawn();
    upstream.received(2).await;
    waiting.abort();
    upstream.hung_up(1).await;
    let _ = gateway.client().chat("gpt").streaming().send().await.expect_status(200);
}

#[tokio::test]
async fn hosts_that_do_not_exist_are_a_502_that_names_them_to_the_log_alone() {
    let models = [deployment("gpt", "openai/m", "http://no-such-host.invalid/v1")];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(502);
    assert!(reply.text().contains("host name cannot be resolved"), "{}", reply.text());
    assert!(!reply.text().contains("no-such-host.invalid"), "{}", reply.text());
    let line = gateway.log().containing("upstream_unreachable").await;
    assert!(line.text.contains("no-such-host.invalid"), "{}", line.text);
}
