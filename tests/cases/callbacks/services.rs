//! The gateway's services for callbacks: store, metrics, HTTP, timer, tasks, secrets; who may use
//! them, and how much.

use crate::callbacks::faulty::seen;
use callgate_tests::{
    Answer, Endpoint, Gateway, ScriptedUpstream, build,
    config::{openai, with_callbacks},
    gateway::Setup,
    log::LogLine,
    upstream,
};
use serde_json::{Value, json};

#[expect(clippy::needless_pass_by_value, reason = "reads as `json!({…})`")]
pub(crate) fn entry(name: &str, settings: Value, grants: Value) -> Value {
    json!({"name": name, "path": build::plugin("all_services"), "settings": settings, "grants": grants})
}

#[expect(clippy::needless_pass_by_value, reason = "callers pass what they just made")]
pub(crate) fn setup(upstream: &ScriptedUpstream, entry: Value) -> Setup {
    Gateway::with_config(with_callbacks(&[openai(upstream)], &json!([entry])))
}

pub(crate) async fn called(gateway: &Gateway) {
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
}

pub(crate) fn said(line: &LogLine) -> String {
    format!("{}: {}", seen(line, "outcome"), seen(line, "detail"))
}

/// The outcome and detail in the first line of this step.
pub(crate) async fn step(gateway: &Gateway, name: &str) -> String {
    let line = gateway.log().find(|line| line.message() == name).await;
    said(&line.unwrap_or_else(|| panic!("no `{name}`:\n{}", gateway.log().text())))
}

#[tokio::test]
async fn a_sync_hook_uses_every_service() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|_, _| Some((201, "yes".to_owned()))).await,
    );
    let steps = json!([
        {"kv_set": {"key": "k", "value": "v", "live_ms": 600_000}}, {"kv_get": "k"},
        {"count": "steps_total"}, {"secret": "GRANTED_KEY"},
        {"spawn": [{"sleep_ms": 1}, {"http": {"url": format!("{}/beacon?q", other.url()), "body": "hello"}}]},
        "job", "trace", {"spawn": ["panic"]},
    ]);
    let grants = json!({"secrets": ["GRANTED_KEY"], "http_hosts": ["127.0.0.1"]});
    let gateway = setup(&upstream, entry("all_services", json!({"on_llm_start": steps}), grants))
        .file(".env", "GRANTED_KEY=from-the-file\n")
        .start()
        .await;
    called(&gateway).await;
    for (name, expected) in [
        ("headers", "ok: ***"),
        ("kv_set", "ok: "),
        ("kv_get", "ok: v"),
        ("count", "ok: "),
        ("secret", "ok: 13"),
        ("sleep", "ok: "),
        ("http", "ok: 201 yes"),
        ("job", "ok: "),
        ("traced", "ok: 7"),
    ] {
        assert_eq!(step(&gateway, name).await, expected, "{name}");
    }
    let sent = other.came(1).await.remove(0);
    assert_eq!((sent.line.as_str(), &sent.body[..]), ("POST /beacon?q", &b"hello"[..]));
    assert!(sent.header("user-agent").unwrap().starts_with("callgate/"));
    let panic = gateway.log().containing("a background task panicked").await;
    assert_eq!(panic.field("callback.name"), "all_services");
    assert!(panic.message().contains("step.rs:") && panic.message().contains("asked to"));
    let metrics = gateway.client().get("/metrics").await.expect_status(200);
    let line = r#"callgate_plugin_all_services_steps_total{callback="all_services"} 1"#;
    assert!(metrics.text().lines().any(|found| found == line), "{}", metrics.text());
    let log = gateway.stop().await;
    assert!(!log.contains("from-the-file"), "{log}");
}

#[tokio::test]
async fn an_async_hook_waits_for_the_host_within_its_limit() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|index, _| (index == 0).then(|| (200, "there".to_owned()))).await,
    );
    let http = |timeout: Value| json!({"http": {"url": other.url(), "timeout_ms": timeout}});
    let steps = json!([{"sleep_ms": 1}, http(Value::Null), http(json!(20))]);
    let grants = json!({"http_hosts": [other.url().trim_start_matches("http://")]});
    let mut entry = entry("all_services_async", json!({"on_llm_start": steps}), grants);
    entry["timeout"] = json!(60);
    let gateway = setup(&upstream, entry).start().await;
    called(&gateway).await;
    let log = gateway.log();
    log.times(r#""message":"http""#, 2).await;
    let lines = log.lines();
    let http: Vec<_> = lines.iter().filter(|line| line.message() == "http").map(said).collect();
    assert_eq!(http, ["ok: 200 there", "timeout: `127.0.0.1` did not answer within 20 ms"]);
}

#[tokio::test]
async fn an_answer_is_bounded_and_a_redirect_is_not_followed() {
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|index, _| match index {
        0 => Some((302, "elsewhere".to_owned())),
        _ => Some((200, "x".repeat(8 * 1024 * 1024 + 1))),
    })
    .await;
    let http = json!({"http": {"url": other.url()}});
    let settings = json!({"on_llm_start": [http, http]});
    let mut entry = entry("all_services_async", settings, json!({"http_hosts": ["127.0.0.1"]}));
    entry["timeout"] = json!(60);
    let gateway = setup(&upstream, entry).start().await;
    called(&gateway).await;
    gateway.log().times(r#""message":"http""#, 2).await;
    let lines = gateway.log().lines();
    let http: Vec<_> = lines.iter().filter(|line| line.message() == "http").map(said).collect();
    assert_eq!(http[0], "ok: 302 elsewhere");
    assert!(http[1].starts_with("too large: `127.0.0.1` answered with more than"), "{}", http[1]);
}

#[tokio::test]
async fn what_is_not_granted_is_refused_by_name() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|_, _| Some((200, String::new()))).await,
    );
    let steps = json!([
        {"secret": "OTHER_KEY"}, {"http": {"url": other.url()}},
    ]);
    let gateway =
        setup(&upstream, entry("all_services", json!({"on_llm_start": steps}), json!({})))
            .env("OTHER_KEY", "not-for-you")
            .env("OPENAI_API_KEY", "not-for-you-either")
            .start()
            .await;
    let asked = gateway.log().containing("it asks for the variable `OPENAI_API_KEY`").await;
    assert!(asked.text.contains("add `OPENAI_API_KEY` to `grants.secrets`"), "{}", asked.text);
    called(&gateway).await;
    let secret = step(&gateway, "secret").await;
    assert!(secret.starts_with("not granted: the variable `OTHER_KEY`"), "{secret}");
    assert!(secret.contains("`grants.secrets`"), "{secret}");
    let http = step(&gateway, "http").await;
    assert!(http.starts_with("not granted: `127.0.0.1:"), "{http}");
    assert!(http.contains("`grants.http_hosts`"), "{http}");
    assert!(other.taken().is_empty());
    assert!(!gateway.stop().await.contains("not-for-you"));
}

#[tokio::test]
async fn variables_with_its_own_name_need_no_grant() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|_, _| Some((200, "own".to_owned()))).await,
    );
    let steps = json!([{"secret": "ALL_SERVICES_API_KEY"}, {"http": {"url": other.url()}}]);
    let gateway =
        setup(&upstream, entry("all_services", json!({"on_llm_start": steps}), json!({})))
            .env("ALL_SERVICES_API_KEY", "123456")
            .env("ALL_SERVICES_BASE_URL", &format!("{}/base", other.url()))
            .start()
            .await;
    called(&gateway).await;
    assert_eq!(step(&gateway, "secret").await, "ok: 6");
    assert_eq!(step(&gateway, "http").await, "ok: 200 own");
}

#[tokio::test]
async fn its_own_name_is_the_one_the_operator_lists() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libharmless.so");
    std::fs::copy(build::plugin("langsmith"), &file).unwrap();
    let gateway =
        setup(&upstream, json!({"path": file})).env("LANGSMITH_API_KEY", "ls-key").start().await;
    gateway.log().containing("it asks for the variable `LANGSMITH_API_KEY`").await;
    gateway.log().containing("the variable `LANGSMITH_API_KEY` is not granted").await;
    called(&gateway).await;
}

#[tokio::test]
async fn credentials_are_seen_only_when_that_is_granted() {
    let upstream = upstream(Answer::default()).await;
    let grants = json!({"read_auth_header": true});
    let gateway = setup(&upstream, entry("all_services", json!({}), grants)).start().await;
    called(&gateway).await;
    // Without the grant it sees only `***`. If it logs the key, the log masks it.
    assert_eq!(step(&gateway, "headers").await, "ok: Bearer ***");
}

#[tokio::test]
async fn a_flood_meets_a_bound_and_calls_go_on() {
    let upstream = upstream(Answer::default()).await;
    let steps = json!(["flood_kv", "flood_metrics", "flood_tasks"]);
    let gateway =
        setup(&upstream, entry("all_services", json!({"on_llm_start": steps}), json!({})))
            .start()
            .await;
    called(&gateway).await;
    // One of the metrics is the plugin's own.
    for (name, expected) in
        [("flood_kv", "full: 167"), ("flood_metrics", "full: 127"), ("flood_tasks", "full: 1024")]
    {
        assert_eq!(step(&gateway, name).await, expected);
    }
    called(&gateway).await;
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn the_end_waits_for_tasks_and_not_for_ever() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|_, _| Some((200, String::new()))).await,
    );
    let bye = json!([{"http": {"url": format!("{}/bye", other.url())}}]);
    for stubborn in [false, true] {
        let mut shutdown = bye.clone();
        if stubborn {
            shutdown.as_array_mut().unwrap().push(json!("stubborn"));
        }
        let grants = json!({"http_hosts": ["127.0.0.1"]});
        let settings =
            json!({"shutdown": shutdown, "on_llm_start": [{"spawn": [{"sleep_ms": 1}]}]});
        let gateway = setup(&upstream, entry("all_services", settings, grants)).start().await;
        called(&gateway).await;
        let log = gateway.stop().await;
        assert!(log.contains("\"http\""), "{log}");
        assert_eq!(log.contains("are aborted"), stubborn, "{log}");
    }
    assert_eq!(other.taken().iter().filter(|it| it.line == "POST /bye").count(), 2);
}

#[tokio::test]
async fn a_check_sends_nothing() {
    let (upstream, other) = (
        upstream(Answer::default()).await,
        Endpoint::start(|_, _| Some((200, String::new()))).await,
    );
    let steps = json!([{"http": {"url": other.url()}}, "job", "stubborn"]);
    let settings = json!({"on_llm_start": steps, "shutdown": steps});
    let grants = json!({"http_hosts": ["127.0.0.1"]});
    let ended = setup(&upstream, entry("all_services", settings, grants)).check().await;
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    assert!(other.taken().is_empty());
}

#[tokio::test]
async fn wrong_grants_are_reported_with_their_place() {
    let upstream = upstream(Answer::default()).await;
    for (grants, expected) in [
        (json!({"secret": ["A"]}), "did you mean `secrets`?"),
        (json!({"secrets": ["sk-a-b"]}), "grants.secrets[0]: expected the name of a variable"),
        (json!({"secrets": "A"}), "expected a list"),
        (json!({"http_hosts": ["https://a.example/"]}), "grants.http_hosts[0]: expected a host"),
        (json!({"read_auth_header": "perhaps"}), "expected true or false"),
        (json!(["A"]), "grants: expected a mapping, found a list"),
    ] {
        let ended = setup(&upstream, entry("all_services", json!({}), grants))
            .arg("--strict")
            .check()
            .await;
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains(expected), "`{expected}` is missing:\n{}", ended.stderr);
        assert!(!ended.stderr.contains("sk-a-b"), "{}", ended.stderr);
    }
}
