//! What clients, callbacks and the log see of upstreams' error texts and of the network behind the
//! gateway: no secret, no address, and the true cause.

use crate::callbacks::faulty::{faulty, recorder, with};
use callgate_tests::{
    Answer, Gateway, MASTER_KEY, Reply, Script, UPSTREAM_KEY,
    config::{config, deployment, ollama, openai, with_callbacks, with_param},
    scripted, upstream,
};
use serde_json::{Value, json};

const IN_HEADER: &str = "header-secret-b6a2";
const ORGANIZATION: &str = "org-7Hq2mX91ab";

/// A text with every secret of the deployment, plain and as `Basic` credentials.
fn repeated() -> String {
    // The base64 of `user:sk-upstream-77ab02`.
    const BASIC: &str = "dXNlcjpzay11cHN0cmVhbS03N2FiMDI=";
    format!("{UPSTREAM_KEY} {IN_HEADER} {ORGANIZATION} {BASIC}")
}

fn is_clean(text: &str) -> bool {
    let inside_of_basic = "zay11cHN0cmVhbS03N2FiMD";
    let upper = UPSTREAM_KEY.to_uppercase();
    [
        UPSTREAM_KEY,
        IN_HEADER,
        ORGANIZATION,
        MASTER_KEY,
        inside_of_basic,
        &upper,
        &UPSTREAM_KEY[..16],
    ]
    .iter()
    .all(|secret| !text.contains(secret))
}

fn secretive(mut deployment: Value) -> Value {
    deployment["litellm_params"]["api_key"] = json!(UPSTREAM_KEY);
    let deployment =
        with_param(deployment, "extra_headers", json!({"X-Up": format!("Bearer {IN_HEADER}")}));
    with_param(deployment, "organization", ORGANIZATION)
}

/// Every way in which an upstream can repeat a key.
fn answers() -> Vec<Answer> {
    let words = repeated();
    let error = json!({"error": {"message": words, "type": format!("t:{words}"),
        "param": format!("p {words}"), "code": format!("c:{words}")}})
    .to_string();
    let chunk = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;
    let line = r#"{"message":{"role":"assistant","content":"a"},"done":false}"#;
    let ollama = json!({"error": words}).to_string();
    let json = |status, body: &str| Answer::fixed(status, "application/json", body.to_owned());
    let events = |body: String| Answer::fixed(200, "text/event-stream", body);
    vec![
        json(401, &error).header("x-ratelimit-reset-tokens", &words).header("retry-after", &words),
        json(400, &error).chunked().in_writes_of(3),
        json(500, &json!({"detail": words}).to_string()),
        json(422, &json!({"detail": [{"loc": [words], "msg": words}]}).to_string()),
        json(418, &json!({"unknown": {"shape": words}}).to_string()),
        json(429, &error.replace('-', "\\u002d")),
        Answer::fixed(503, "text/plain", words.clone()),
        Answer::fixed(503, "text/html", format!("<p title='x'>{words}</p>")),
        // The limit on long texts falls within the key.
        Answer::fixed(500, "text/plain", format!("{}{words}", "x ".repeat(1015))),
        json(200, &error),
        json(200, &error.replace('-', "\\u002d")),
        json(200, &ollama),
        // Routers in front of several upstreams put an error into a choice.
        json(
            200,
            &json!({"choices": [{"index": 0, "finish_reason": "error",
            "message": {"role": "assistant", "content": "a"},
            "error": {"code": words, "message": words}}]})
            .to_string(),
        ),
        // The upstream cut its own text in the middle of the key.
        Answer::fixed(500, "application/json", format!("{{\"error\":\"{}", &UPSTREAM_KEY[..16])),
        Answer::fixed(
            502,
            "text/plain",
            format!("{} and {}", UPSTREAM_KEY.to_uppercase(), &UPSTREAM_KEY[..16]),
        ),
        json(307, "").header("location", &format!("https://other.example/?k={UPSTREAM_KEY}")),
        events(format!("data: {error}\n\n")),
        events(format!("data: {chunk}\n\ndata: {error}\n\n")).in_writes_of(5),
        events(format!("{line}\n{ollama}\n")),
        Answer::default().header("x-ratelimit-reset-tokens", &words),
    ]
}

#[tokio::test]
async fn no_way_of_an_upstream_to_repeat_a_key_shows_it() {
    for (number, answer) in answers().into_iter().enumerate() {
        let upstream = upstream(answer).await;
        let models = [secretive(openai(&upstream)), secretive(ollama(&upstream))];
        let mut config = with_callbacks(&models, &json!([recorder("r")]));
        config["callgate"] = json!({"cache_dir": "cache"});
        let gateway = Gateway::with_config(config).start().await;
        for model in ["gpt", "gemma"] {
            for stream in [false, true] {
                let reply = gateway.client().chat(model).set("stream", stream).send().await;
                let shown = format!("{:?} {}", reply.headers, reply.text());
                assert!(is_clean(&shown), "answer {number}, {model}, {stream}: {shown}");
            }
        }
        let log = gateway.stop().await;
        let line = log.lines().find(|line| !is_clean(line));
        assert_eq!(line, None, "answer {number}");
    }
}

/// `none`, `1` and the like are not secrets: the text around them stays.
#[tokio::test]
async fn a_placeholder_masks_nothing() {
    let words = "tool_choice must be one of none, auto; max_tokens is 1024, EMPTY";
    let upstream = upstream(Answer::error(400, "t", "none-1", words)).await;
    for key in ["none", "1", "EMPTY", "sk-xxx"] {
        let deployment = with_param(openai(&upstream), "api_key", key);
        let gateway = Gateway::with_config(config(&[deployment])).start().await;
        let error = gateway.client().chat("gpt").send().await.expect_status(400).error();
        assert_eq!((&error["message"], &error["code"]), (&json!(words), &json!("none-1")), "{key}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn an_error_says_that_the_gateways_key_was_refused() {
    for status in [401, 403] {
        let upstream =
            upstream(Answer::error(status, "t", "c", "Incorrect API key provided")).await;
        let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
        let error = gateway.client().chat("gpt").send().await.expect_status(status).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("upstream of model `gpt`"), "{message}");
        assert!(message.contains("gateway's credentials"), "{message}");
        assert!(message.contains("Incorrect API key provided"), "{message}");
        assert_eq!(message.matches("upstream of model").count(), 1, "{message}");
        assert_eq!(error["type"], "t");
    }
}

#[tokio::test]
async fn the_log_shows_upstream_errors_unless_configured_otherwise() {
    let answer = Answer::error(429, "tokens", "rate_limit_exceeded", "slow down please");
    let upstream = upstream(answer).await;
    for logged in [true, false] {
        let mut named = openai(&upstream);
        named["model_info"] = json!({"id": "gpt-eu"});
        let mut config = config(&[named]);
        config["callgate"] = json!({"log": {"upstream_errors": logged}});
        let gateway = Gateway::with_config(config).start().await;
        let _ = gateway.client().chat("gpt").send().await.expect_status(429);
        let line = gateway.log().containing("\"message\":\"call failed\"").await;
        assert_eq!(line.text.contains("slow down please"), logged, "{}", line.text);
        for (field, value) in [
            ("error.code", "rate_limit_exceeded"),
            ("error.type", "tokens"),
            ("deployment.id", "gpt-eu"),
        ] {
            assert_eq!(line.field(field), value, "{field}: {}", line.text);
        }
        let id = line.field("upstream.request_id");
        assert!(id.as_str().is_some_and(|id| id.starts_with("req_")), "{}", line.text);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn who_cannot_be_reached_is_named_by_provider_and_model_and_its_address_is_for_the_log() {
    let gone = upstream(Answer::default()).await;
    let address = gone.addr().to_string();
    let models = [openai(&gone), ollama(&gone)];
    drop(gone);
    let gateway = Gateway::with_config(config(&models)).start().await;
    for (model, provider, hint) in
        [("gpt", "`openai`", "base URL"), ("gemma", "`ollama`", "ollama serve")]
    {
        for stream in [false, true] {
            let reply = gateway.client().chat(model).set("stream", stream).send().await;
            let error = reply.expect_status(502).error();
            let message = error["message"].as_str().unwrap();
            for word in [provider, &format!("`{model}`"), "was refused", hint] {
                assert!(message.contains(word), "{word}: {message}");
            }
            assert!(!message.contains(&address), "{message}");
        }
    }
    let line = gateway.log().containing("upstream_unreachable").await;
    assert!(line.field("error.cause").as_str().unwrap().contains(&address), "{}", line.text);
}

#[tokio::test]
async fn a_redirect_is_reported_with_the_remedy_and_only_the_log_has_its_target() {
    for (location, shown) in [("https://other.example/v1/x", false), ("/v2/chat/completions", true)]
    {
        let upstream =
            upstream(Answer::fixed(307, "text/plain", "").header("location", location)).await;
        let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
        let error = gateway.client().chat("gpt").send().await.expect_status(502).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("307") && message.contains("`api_base`"), "{message}");
        assert_eq!(message.contains(location), shown, "{message}");
        assert_eq!(error["code"], "upstream_redirect");
        let line = gateway.log().containing("upstream_redirect").await;
        assert!(line.text.contains(location), "{}", line.text);
        gateway.stop().await;
    }
}

#[tokio::test]
async fn failures_made_here_name_the_deployment_that_was_asked() {
    let script = Script::default()
        .model("silent", Answer::silence())
        .model("html", Answer::fixed(200, "text/html", "<html>"));
    let upstream = scripted(script).await;
    let base = upstream.openai_base();
    let mut models: Vec<Value> = ["silent", "html"]
        .map(|name| with_param(deployment(name, &format!("openai/{name}"), &base), "timeout", 0.2))
        .into();
    models.push(deployment("down", "openai/m", "http://127.0.0.1:9/v1"));
    models.push(with_param(
        deployment("unset", "openai/m", &base),
        "api_key",
        "os.environ/NOT_SET",
    ));
    let gateway = Gateway::with_config(config(&models)).start().await;
    for (model, status) in [("silent", 504), ("html", 500), ("down", 502), ("unset", 500)] {
        let reply: Reply = gateway.client().chat(model).send().await.expect_status(status);
        assert_eq!(reply.header("x-litellm-model-group"), model);
        assert_eq!(reply.header("x-litellm-model-id").len(), 64, "{model}");
        assert!(
            reply.header("x-litellm-model-api-base").starts_with("http://127.0.0.1:"),
            "{model}"
        );
    }
}

#[tokio::test]
async fn a_base_that_a_callback_chose_gets_no_secret_of_the_config() {
    let own = upstream(Answer::default()).await;
    let other = upstream(Answer::default()).await;
    let route = json!({"on_llm_start": [{"set_route": {"api_base": other.openai_base()}},
        {"set_upstream_header": ["x-mine", "1"]}]});
    let params = json!({"team_secret_access_key": "s3cr3t-param", "top_k": 3});
    let deployment = with_param(secretive(openai(&own)), "extra_body", params);
    let host = other.addr().to_string();
    for (grants, granted) in [
        (json!({}), false),
        (json!({"credentials_to": ["other.example"]}), false),
        (json!({"credentials_to": [host]}), true),
    ] {
        for callback in [
            faulty("f", route.clone()),
            with(faulty("f", route.clone()), "mode", json!("blocking")),
        ] {
            let callback = with(callback, "grants", grants.clone());
            let config = with_callbacks(std::slice::from_ref(&deployment), &json!([callback]));
            let gateway = Gateway::with_config(config).start().await;
            let _ = gateway.client().chat("gpt").send().await.expect_status(200);
            let sent = other.requests().pop().unwrap();
            let all = format!("{:?} {}", sent.headers, String::from_utf8_lossy(&sent.body));
            for secret in [UPSTREAM_KEY, IN_HEADER, ORGANIZATION, "s3cr3t-param"] {
                assert_eq!(all.contains(secret), granted, "{grants}: {all}");
            }
            assert!(all.contains("top_k") && sent.header("x-mine") == Some("1"), "{all}");
            gateway.stop().await;
        }
    }
    // Another path on the deployment's own server is still the same server.
    let route =
        json!({"on_llm_start": [{"set_route": {"api_base": format!("{}/x", own.openai_base())}}]});
    let config = with_callbacks(&[deployment], &json!([faulty("f", route)]));
    let gateway = Gateway::with_config(config).start().await;
    let _ = gateway.client().chat("gpt").send().await;
    let sent = own.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {UPSTREAM_KEY}").as_str()));
}

#[tokio::test]
async fn the_header_a_key_came_in_is_masked_for_callbacks_whatever_its_name() {
    let upstream = upstream(Answer::default()).await;
    let headers = [
        ("x-company-key", MASTER_KEY),
        ("proxy-authorization", "Basic cHJveHk6cHc0NzEx"),
        ("x-api-key", "second-key-1"),
        ("cookie", "sid=s3ss10n99"),
        ("x-plain", "seen"),
    ];
    let mut seeing = recorder("r");
    seeing["settings"]["headers"] = headers.iter().map(|(name, _)| json!(name)).collect();
    for granted in [false, true] {
        let seeing = with(seeing.clone(), "grants", json!({"read_auth_header": granted}));
        let mut config = with_callbacks(&[openai(&upstream)], &json!([seeing]));
        config["general_settings"]["litellm_key_header_name"] = json!("X-Company-Key");
        let gateway = Gateway::with_config(config).start().await;
        let mut request = gateway.client().without_key().chat("gpt");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let _ = request.send().await.expect_status(200);
        let line = gateway.log().containing("\"hook\":\"on_llm_start\"").await;
        let field = |name: &str| line.field("callback.fields")[name].clone();
        assert_eq!(field("header.x-plain"), "seen");
        for (name, value) in &headers[..4] {
            assert_eq!(field(&format!("header.{name}")), "***", "{name}: the log shows none");
            let bytes = field(&format!("header_bytes.{name}"));
            let expected = if granted { value.len() } else { "***".len() };
            assert_eq!(bytes, json!(expected.to_string()), "{name} granted {granted}");
        }
        let log = gateway.stop().await;
        assert!(!log.contains(MASTER_KEY), "granted {granted}");
    }
}

#[tokio::test]
async fn what_a_callback_logs_or_breaks_of_holds_no_secret() {
    let upstream = upstream(Answer::default()).await;
    let words = format!("{MASTER_KEY} {UPSTREAM_KEY} sk-granted-4711x");
    for act in [
        json!({"internal": words}),
        json!({"panic": words}),
        json!({"log": words}),
        json!({"reject": {"status": 418, "message": words, "code": words,
            "headers": [["x-why", words]]}}),
    ] {
        let callback = faulty("f", json!({"on_llm_start": [act]}));
        let callback = with(callback, "grants", json!({"secrets": ["GRANTED"]}));
        let config = with_callbacks(&[openai(&upstream)], &json!([callback]));
        let gateway = Gateway::with_config(config).env("GRANTED", "sk-granted-4711x").start().await;
        let reply = gateway.client().chat("gpt").send().await;
        let report = gateway.client().get("/callbacks").await;
        let log = gateway.stop().await;
        for (place, text) in [("answer", reply.text()), ("report", report.text()), ("log", log)] {
            for secret in [MASTER_KEY, UPSTREAM_KEY, "sk-granted-4711x"] {
                assert!(!text.contains(secret), "{act}, {place}: {secret}: {text}");
            }
        }
    }
}

/// A client pasted a key where a name, a path or a method belongs.
#[tokio::test]
async fn a_key_in_the_wrong_place_of_a_request_is_not_logged() {
    let upstream = upstream(Answer::default()).await;
    let mut deployment = openai(&upstream);
    deployment["litellm_params"]["api_key"] = json!(UPSTREAM_KEY);
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let client = gateway.client();
    for key in [MASTER_KEY, UPSTREAM_KEY] {
        let _ = client.chat(key).send().await.expect_status(400);
        let _ = client.chat("nope").header("x-litellm-call-id", key).send().await;
        let _ = client.chat("gpt").header("content-encoding", key).send().await.expect_status(415);
        for path in [format!("/v1/models/{key}"), format!("/x/{key}/y?key={key}")] {
            let _ = client.get(&path).await.expect_status(404);
        }
    }
    let log = gateway.stop().await;
    assert!(log.contains("\"model.requested\":\"***\"") && log.contains("/x/***/y"), "{log}");
    let line = log.lines().find(|line| !is_clean(line));
    assert_eq!(line, None);
}

#[tokio::test]
async fn extra_headers_replace_the_gateways_own() {
    let upstream = upstream(Answer::default()).await;
    let headers = json!({"HOST": "upstream.example:8443", "Content-Type": "application/json; charset=utf-8",
        "user-agent": "mine/1", "Accept": "application/json", "AUTHORIZATION": "Token abcdef123456",
        "OpenAI-Organization": "org-from-headers"});
    let deployment = with_param(openai(&upstream), "extra_headers", headers.clone());
    let deployment = with_param(deployment, "organization", "org-from-key");
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    for _ in 0..2 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        for (name, value) in headers.as_object().unwrap() {
            let found: Vec<_> = sent
                .headers
                .iter()
                .filter(|(it, _)| it.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
                .collect();
            assert_eq!(found, [value.as_str().unwrap()], "{name}");
        }
    }
}
