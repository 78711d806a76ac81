//! Secrets stay where they belong: not in the log at any level, not in a response, whatever goes
//! wrong.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY, Reply, Script, UPSTREAM_KEY, build,
    config::{config, deployment, openai, with_callbacks, with_param},
    scripted,
};
use serde_json::{Value, json};

const FROM_ENVIRONMENT: &str = "sk-environment-5d1e";
const IN_HEADER: &str = "header-secret-b6a2";
const FROM_CLIENT: &str = "sk-client-guess-0c4f";

const SECRETS: [&str; 5] = [MASTER_KEY, UPSTREAM_KEY, FROM_ENVIRONMENT, IN_HEADER, FROM_CLIENT];

#[tokio::test]
async fn no_log_line_and_no_answer_holds_one() {
    let script = Script::default()
        .model("reset", Answer::reset())
        .model(
            "error",
            Answer::error(401, "invalid_request_error", "invalid_api_key", "no such key"),
        )
        .model("broken", Answer::default().closing_after(2))
        .model("html", Answer::fixed(200, "text/html", "<html>"));
    let upstream = scripted(script).await;
    let headers = json!({"X-Secret": IN_HEADER});
    let mut models = vec![
        with_param(openai(&upstream), "extra_headers", headers),
        with_param(
            deployment("env", "openai/m", &upstream.openai_base()),
            "api_key",
            "${SECRET_KEY}",
        ),
        deployment("down", "openai/m", "http://127.0.0.1:9/v1"),
    ];
    for name in ["reset", "error", "broken", "html"] {
        models.push(deployment(name, &format!("openai/{name}"), &upstream.openai_base()));
    }
    let gateway = Gateway::with_config(with_callbacks(&models, &json!(["routing", "rate_limit"])))
        .env("SECRET_KEY", FROM_ENVIRONMENT)
        .env("RUST_LOG", "trace")
        .start()
        .await;
    let mut answers = Vec::new();
    for model in ["gpt", "env", "down", "reset", "error", "broken", "html", "nope", "openai-any"] {
        for stream in [false, true] {
            let request = gateway.client().chat(model).set("stream", stream);
            let request = request.set("api_key", FROM_CLIENT).header("cookie", FROM_CLIENT);
            answers.push(request.send().await);
        }
    }
    let wrong = gateway.client().without_key().chat("gpt");
    answers.push(wrong.header("authorization", &format!("Bearer {FROM_CLIENT}")).send().await);
    for path in ["/v1/models", "/health", "/model/info", "/nope"] {
        answers.push(gateway.client().get(path).await);
    }
    for answer in &answers {
        let shown = format!("{:?} {}", answer.headers, answer.text());
        for secret in SECRETS {
            assert!(!shown.contains(secret), "`{secret}` in an answer: {shown}");
        }
    }
    for request in upstream.requests() {
        let sent = String::from_utf8_lossy(&request.body);
        assert!(SECRETS.iter().all(|secret| !sent.contains(secret)), "a secret travelled: {sent}");
        let headers = format!("{:?}", request.headers);
        assert!(!headers.contains(MASTER_KEY) && !headers.contains(FROM_CLIENT), "{headers}");
    }
    let output = gateway.output().clone();
    let log = gateway.stop().await;
    for text in [log, output.complete().await] {
        for secret in SECRETS {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "`{secret}` in the log");
        }
    }
}

/// In later packages: deployments, callbacks, their settings, the address.
#[tokio::test]
async fn keys_in_the_wrong_place_and_values_of_variables_are_in_no_message() {
    let model = |name: &str| json!({"model_name": name, "litellm_params": {"model": name}});
    let limit = |limit: Value| json!({"name": "rate_limit", "settings": {"limits": [limit]}});
    let rule = |rule: Value| json!({"name": "guardrail", "settings": {"rules": [rule]}});
    for value in ["sk-live-4f9c2a", "os.environ/HELD", "${HELD}"] {
        for (model, callback) in [
            (model(&format!("{value}/x")), json!("routing")),
            (model(value), json!("routing")),
            (model("openai/x"), json!(value)),
            (model("openai/x"), json!(format!("src.{value}"))),
            (model("openai/x"), json!({"path": format!("./{value}.so"), "name": "a"})),
            (
                model("openai/x"),
                json!({"name": "routing", "instance": value, "hooks": ["on_llm_end"]}),
            ),
            (
                model("openai/x"),
                json!({"name": "routing", "only": {"keys": [value], "models": [value]}}),
            ),
            (model("openai/x"), limit(json!({"provider": value, "requests": 1, "per": "1s"}))),
            (model("openai/x"), limit(json!({"provider": "openai", "requests": 1, "per": value}))),
            (
                model("openai/x"),
                limit(json!({"provider": "openai", "requests": value, "per": "1s"})),
            ),
            (model("openai/x"), rule(json!({"preset": value, "action": "mask"}))),
            (model("openai/x"), rule(json!({"pattern": format!("({value}"), "action": "mask"}))),
            (model("openai/x"), rule(json!({"pattern": "a", "action": value}))),
        ] {
            let config = with_callbacks(std::slice::from_ref(&model), &json!([callback]));
            let setup = Gateway::with_config(config).env("HELD", "hunter2-held").arg("--strict");
            let checked = setup.clone().check().await;
            let refused = setup.refused().await;
            for said in [checked.stdout, checked.stderr, refused.stderr] {
                for leak in ["4f9c2a", "hunter2"] {
                    assert!(!said.contains(leak), "{model} {callback}: {said}");
                }
            }
        }
    }
}

#[tokio::test]
async fn refused_starts_do_not_quote_them() {
    let mut bad = config(&[json!({"model_name": "a", "litellm_params":
        {"model": "foo/x", "api_key": UPSTREAM_KEY, "api_base": "ftp://user:hunter2-3e@x"}})]);
    bad["general_settings"]["master_keys"] = json!(MASTER_KEY);
    let refused = Gateway::with_config(bad).refused().await;
    for secret in [MASTER_KEY, UPSTREAM_KEY, "hunter2-3e"] {
        assert!(!refused.stderr.contains(secret), "`{secret}` in: {}", refused.stderr);
    }
}

const GRANTED: &str = "sk-granted-77aa01";

/// Everything that calls leave behind: responses, the log, the metrics.
async fn left_behind(gateway: Gateway, replies: &[Reply]) -> String {
    let mut left = gateway.client().get("/metrics").await.text();
    for reply in replies {
        left.push_str(&format!("{:?} {}\n", reply.headers, reply.text()));
    }
    let output = gateway.output().clone();
    left.push_str(&gateway.stop().await);
    left.push_str(&output.complete().await);
    left
}

#[tokio::test]
async fn what_a_callback_was_given_is_masked_wherever_it_puts_it() {
    for (settings, statuses) in [
        (json!({"as_model": "GRANTED"}), [400, 400]),
        (json!({"as_route": "GRANTED"}), [200, 200]),
        (json!({}), [200, 200]),
    ] {
        let upstream = scripted(Script::default()).await;
        let grants = json!({"secrets": ["GRANTED"], "read_auth_header": true});
        let entry = json!({"name": "all_services", "path": build::plugin("all_services"),
            "settings": settings, "grants": grants});
        let mut config = with_callbacks(&[openai(&upstream)], &json!([entry]));
        // Without a master key, any key is a client's own.
        config["general_settings"] = json!({});
        let gateway = Gateway::with_config(config).env("GRANTED", GRANTED).start().await;
        let mut replies = Vec::new();
        for (stream, status) in [false, true].into_iter().zip(statuses) {
            let request = gateway.client().without_key().chat("gpt").set("stream", stream);
            let request = request.header("authorization", &format!("Bearer {FROM_CLIENT}"));
            replies.push(request.send().await.expect_status(status));
        }
        let line = gateway.log().containing("passed on").await;
        assert!(line.text.contains(r#""detail":"***""#), "{}", line.text);
        let left = left_behind(gateway, &replies).await;
        for secret in [GRANTED, FROM_CLIENT] {
            let line = left.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{settings}");
        }
    }
}

#[tokio::test]
async fn what_a_client_names_is_masked_in_calls_that_succeed_too() {
    let upstream = scripted(Script::default()).await;
    let models = [deployment("any-*", "openai/*", &upstream.openai_base()), openai(&upstream)];
    let gateway = Gateway::with_config(config(&models)).start().await;
    let mut replies = Vec::new();
    for stream in [false, true] {
        for secret in [MASTER_KEY, UPSTREAM_KEY] {
            let request = gateway.client().chat("gpt").set("stream", stream);
            let request = request.header("x-litellm-call-id", &format!("call-{secret}"));
            let reply = request.send().await.expect_status(200);
            assert_eq!(reply.header("x-litellm-call-id").len(), 36, "an id of its own");
            replies.push(reply);
            let request = gateway.client().chat(&format!("any-{secret}")).set("stream", stream);
            let mut reply = request.send().await.expect_status(200);
            // A client gets its own text back as the model name.
            reply.body = Vec::new().into();
            replies.push(reply);
        }
    }
    let path = format!("/engines/any-{UPSTREAM_KEY}/chat/completions");
    let call = json!({"messages": []}).to_string();
    let _ = gateway.client().request("POST", &path).body(call).send().await.expect_status(200);
    let left = left_behind(gateway, &replies).await;
    for secret in [MASTER_KEY, UPSTREAM_KEY] {
        let line = left.lines().find(|line| line.contains(secret));
        assert_eq!(line, None);
    }
}
