//! `GET /metrics`: the counts, and who may read them.

use crate::callbacks::faulty::{faulty, refusal};
use callgate_tests::{
    Answer, Client, Gate, Gateway, ScriptedUpstream,
    config::{config, deployment, openai, with_callbacks},
    upstream,
};
use serde_json::json;

#[tokio::test]
async fn calls_are_counted_by_names_of_the_config_only() {
    let upstream = upstream(Answer::default()).await;
    let mut deployment = openai(&upstream);
    deployment["model_info"] = json!({"id": "one"});
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let client = gateway.client();
    let _ = client.chat("gpt").send().await.expect_status(200);
    let _ = client.chat("gpt").streaming().send().await.expect_status(200).events();
    for made_up in ["no-such-model", "nor-this"] {
        let _ = client.chat(made_up).send().await;
    }
    let stranger = Client::new(gateway.address(), "sk-wrong");
    let _ = stranger.chat("gpt").send().await.expect_status(401);
    // A stream is counted after its last byte and before its log line.
    gateway.log().times(r#""target":"callgate::access""#, 5).await;
    let reply = client.get("/metrics").await.expect_status(200);
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = reply.text();
    for line in [
        r#"callgate_calls_total{model="gpt",provider="openai",deployment="one",status="200",outcome="ok"} 2"#,
        r#"callgate_calls_total{model="other",provider="none",deployment="none",status="400",outcome="error"} 2"#,
        r#"callgate_calls_total{model="none",provider="none",deployment="none",status="401",outcome="error"} 1"#,
        r#"callgate_call_duration_seconds_count{model="gpt",provider="openai",deployment="one"} 2"#,
        r#"callgate_upstream_duration_seconds_count{model="gpt",provider="openai",deployment="one"} 2"#,
        r#"callgate_time_to_first_token_seconds_count{model="gpt",provider="openai",deployment="one"} 1"#,
        "callgate_log_lines_dropped_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing:\n{text}");
    }
    for name in [
        r#"callgate_tokens_total{model="gpt",provider="openai",deployment="one",kind="prompt"} "#,
        "callgate_connections ",
        "callgate_build_info{version=",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}\n{text}");
    }
    assert!(!text.contains("no-such-model"), "{text}");
    assert_eq!(
        client.get("/metrics/").await.expect_status(200).text().lines().count(),
        text.lines().count()
    );
}

#[tokio::test]
async fn callbacks_are_measured_by_hook() {
    let upstream = upstream(Answer::default()).await;
    let callbacks = json!([
        "routing",
        faulty("no", json!({"on_llm_start": [refusal("no")]})),
        {"name": "nosuch", "required": false},
    ]);
    let config = with_callbacks(&[openai(&upstream)], &callbacks);
    let gateway = Gateway::with_config(config).start().await;
    for _ in 0..3 {
        let _ = gateway.client().chat("gpt").send().await.expect_status(418);
    }
    let text = gateway.client().get("/metrics").await.expect_status(200).text();
    for line in [
        r#"callgate_callback_hook_runs_total{callback="routing",hook="on_llm_start"} 3"#,
        r#"callgate_callback_hook_outcomes_total{callback="no",hook="on_llm_start",outcome="rejection"} 3"#,
        r#"callgate_callback_breaker_open{callback="no"} 0"#,
        r#"callgate_callback_up{callback="no"} 1"#,
        r#"callgate_callback_up{callback="nosuch"} 0"#,
        "callgate_plugin_libraries 2",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing:\n{text}");
    }
    let p99 = r#"callgate_callback_hook_duration_seconds{callback="routing",hook="on_llm_start",quantile="0.99"} "#;
    let p99 = text.lines().find_map(|line| line.strip_prefix(p99)).unwrap();
    assert!(p99.parse::<f64>().unwrap() > 0.0, "{p99}");
}

#[tokio::test]
async fn a_call_that_waits_is_in_flight() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held(&gate)).await;
    let gateway = Gateway::with_config(config(&[openai(&upstream)])).start().await;
    let waiting = gateway.client().chat("gpt").spawn();
    gate.arrived(1).await;
    let text = gateway.client().get("/metrics").await.expect_status(200).text();
    assert!(text.lines().any(|line| line == "callgate_calls_in_flight 1"), "{text}");
    gate.open();
    let _ = waiting.await.unwrap().expect_status(200);
}

#[tokio::test]
async fn metrics_need_the_key_unless_the_config_opens_them() {
    let upstream = upstream(Answer::default()).await;
    for (open, status) in [(false, 401), (true, 200)] {
        let mut config = config(&[openai(&upstream)]);
        if open {
            config["litellm_settings"] = json!({"require_auth_for_metrics_endpoint": false});
        }
        let gateway = Gateway::with_config(config).start().await;
        for path in ["/metrics", "/metrics/"] {
            let _ =
                Client::new(gateway.address(), "sk-wrong").get(path).await.expect_status(status);
            let _ = gateway.client().get(path).await.expect_status(200);
        }
    }
}

#[tokio::test]
async fn broken_streams_and_clients_that_leave_are_no_successes() {
    let gate = Gate::new();
    let cut = upstream(Answer::text(["one ", "two"]).ending_after(2)).await;
    let slow = upstream(Answer::default().held(&gate)).await;
    let named = |name: &str, upstream: &ScriptedUpstream| {
        let mut deployment = deployment(name, "openai/x", &upstream.openai_base());
        deployment["model_info"] = json!({"id": name});
        deployment
    };
    let config = config(&[named("cut", &cut), named("slow", &slow)]);
    let gateway = Gateway::with_config(config).start().await;
    let _ = gateway.client().chat("cut").streaming().send().await;
    let leaving = gateway.client().chat("slow").spawn();
    gate.arrived(1).await;
    leaving.abort();
    gateway.log().times("\"call failed\"", 2).await;
    let text = gateway.client().get("/metrics").await.expect_status(200).text();
    for line in [
        r#"callgate_calls_total{model="cut",provider="openai",deployment="cut",status="200",outcome="cut"} 1"#,
        r#"callgate_calls_total{model="slow",provider="openai",deployment="slow",status="499",outcome="client_gone"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is missing:\n{text}");
    }
}
