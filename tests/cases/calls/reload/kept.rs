//! What a reload keeps: calls in flight, instances that nothing has changed, counters, statistics,
//! connections to upstreams.

use super::{apply, build_of, config, metric, modest, put_build, running, setup};
use crate::callbacks::faulty::{entry, faulty, hooks, recorder, report, seen, with};
use callgate_tests::{Answer, Gate, Gateway, build, upstream, within};
use serde_json::{Value, json};

async fn chat(gateway: &Gateway) -> String {
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    reply.header("x-litellm-call-id").to_owned()
}

#[tokio::test]
async fn calls_end_on_what_they_began_with() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let old = [recorder("old"), recorder("gone")];
    let gateway = setup(&config(&upstream.openai_base(), &json!(old))).start().await;
    let calls =
        [false, true].map(|stream| gateway.client().chat("gpt").set("stream", stream).spawn());
    within("two calls in flight", gate.arrived(2)).await;
    // The model leaves the config, too, and the callback that stays gets other settings.
    let mut next = modest(&json!([with(recorder("old"), "settings", json!({"label": "new"}))]));
    next["model_list"] = json!([]);
    apply(&gateway, &next).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(400);
    assert_eq!(running(&gateway).await, ["old"]);
    gate.open();
    for call in calls {
        let reply = within("the call's end", call).await.unwrap().expect_status(200);
        assert!(reply.complete && reply.text().contains("Hello"));
        let id = reply.header("x-litellm-call-id").to_owned();
        gateway.log().until("four hooks", |_| hooks(gateway.log(), &id).len() == 4).await;
        let order = ["old on_llm_start", "gone on_llm_start", "old on_llm_end", "gone on_llm_end"];
        assert_eq!(hooks(gateway.log(), &id), order);
    }
}

#[tokio::test]
async fn an_instance_ends_after_its_last_call() {
    let gate = Gate::new();
    let upstream = upstream(Answer::default().held_after(1, &gate)).await;
    let base = upstream.openai_base();
    let gateway = setup(&config(&base, &json!([faulty("used", json!({}))]))).start().await;
    let call = gateway.client().chat("gpt").streaming().spawn();
    within("a call in flight", gate.arrived(1)).await;
    apply(&gateway, &config(&base, &json!([faulty("next", json!({}))]))).await;
    apply(&gateway, &config(&base, &json!([faulty("last", json!({}))]))).await;
    // Without a call, this one has ended.
    gateway.log().until("the end of `next`", |lines| says(lines, "dropped", "next")).await;
    assert!(!says(&gateway.log().lines(), "shut down", "used"), "{}", gateway.log().text());
    gate.open();
    let _ = call.await.unwrap().expect_status(200);
    gateway.log().until("the end of `used`", |lines| says(lines, "dropped", "used")).await;
    let lines = gateway.log().lines();
    let at = |what| lines.iter().position(|it| says(std::slice::from_ref(it), what, "used"));
    assert!(at("shut down") < at("dropped"));
}

fn says(lines: &[callgate_tests::log::LogLine], what: &str, label: &str) -> bool {
    lines.iter().any(|line| line.message() == what && seen(line, "label") == label)
}

#[tokio::test]
async fn unchanged_instances_keep_their_state_wherever_they_stand() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let acts = |label: &str| {
        let remember = json!({"on_llm_start": ["recall", {"remember": label}]});
        entry("faulty", label, remember)
    };
    let (a, b) = (acts("a"), acts("b"));
    let gateway = setup(&config(&base, &json!([a, b]))).start().await;
    chat(&gateway).await;
    let recalled = async |gateway: &Gateway, label: &str| {
        let lines = gateway.log().lines();
        let of = |line: &&callgate_tests::log::LogLine| {
            line.message() == "recalled" && seen(line, "label") == label
        };
        lines.iter().filter(of).map(|line| seen(line, "text")).collect::<Vec<_>>()
    };
    for next in [
        json!([b, a]),
        json!([recorder("new"), b, a]),
        json!([b, with(recorder("new"), "enabled", json!(false)), a]),
        json!([with(a.clone(), "settings", json!({"label": "a", "on_llm_start": ["recall"]})), b]),
    ] {
        apply(&gateway, &config(&base, &next)).await;
        chat(&gateway).await;
    }
    gateway.log().times("recalled", 10).await;
    assert_eq!(recalled(&gateway, "a").await, ["nothing", "a", "a", "a", "nothing"]);
    assert_eq!(recalled(&gateway, "b").await, ["nothing", "b", "b", "b", "b"]);
    assert_eq!(running(&gateway).await, ["a", "b"]);
    let report = report(&gateway).await;
    assert_eq!(report[0]["hooks"]["on_llm_start"]["calls"], 5, "{report:?}");
    let lines = gateway.log().lines();
    let created = lines.iter().filter(|line| line.message() == "created").count();
    assert_eq!(created, 3, "a, b, and a with other settings");
    // The same connection carried all calls of one worker.
    let connections = upstream.journal().connections;
    let workers = std::thread::available_parallelism().unwrap().get();
    assert!(connections <= workers, "{connections}");
}

#[tokio::test]
async fn windows_and_counters_carry_over_to_another_build() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = build_of("rate_limit", folder.path(), 1);
    let with_limit = |requests: u64| {
        let limits = json!([{"provider": "*", "requests": requests, "per": "1h"}]);
        let entry = json!({"name": "rate_limit", "path": file, "settings": {"limits": limits}});
        config(&upstream.openai_base(), &json!([entry]))
    };
    let gateway = setup(&with_limit(3)).start().await;
    chat(&gateway).await;
    put_build("rate_limit", &file, 2);
    let report = apply(&gateway, &with_limit(3)).await;
    assert!(report["changes"][0].as_str().unwrap().contains("its file changes"), "{report}");
    chat(&gateway).await;
    put_build("rate_limit", &file, 3);
    apply(&gateway, &with_limit(3)).await;
    chat(&gateway).await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(429);
    assert_eq!(metric(&gateway, "callgate_plugin_libraries").await, 3.0);
    // Back to the first build: it is mapped already.
    put_build("rate_limit", &file, 1);
    apply(&gateway, &with_limit(3)).await;
    assert_eq!(metric(&gateway, "callgate_plugin_libraries").await, 3.0);
    let _ = gateway.client().chat("gpt").send().await.expect_status(429);
}

#[tokio::test]
async fn two_versions_of_one_name_live_side_by_side() {
    let upstream = upstream(Answer::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let versions = ["1.0.0", "2.0.0"].map(|version| {
        let file = folder.path().join(format!("v{version}.so"));
        build::c_plugin("mark.c", &[("VERSION", version)], &file);
        file
    });
    let entry = |at: usize, instance: &str| {
        let settings = json!({"mark": instance});
        json!({"name": "mark", "path": versions[at], "instance": instance, "settings": settings})
    };
    let base = upstream.openai_base();
    let with = |callbacks: Value| config(&base, &callbacks);
    let gateway = setup(&with(json!([entry(0, "a")]))).start().await;
    apply(&gateway, &with(json!([entry(0, "a"), entry(1, "b")]))).await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!((reply.header("x-a"), reply.header("x-b")), ("a/a@1.0.0", "b/b@2.0.0"));
    apply(&gateway, &with(json!([entry(1, "a"), entry(0, "b")]))).await;
    let reply = gateway.client().chat("gpt").send().await.expect_status(200);
    assert_eq!((reply.header("x-a"), reply.header("x-b")), ("a/a@2.0.0", "b/b@1.0.0"));
    assert_eq!(reply.header("x-a-counts"), "2/2", "counters carry over");
}

/// A setting that only the new version knows is refused with the old one.
#[tokio::test]
async fn new_settings_come_with_the_version_that_knows_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libmark.so");
    build::c_plugin("mark.c", &[], &file);
    let entry = |settings: Value| json!({"name": "mark", "path": file, "settings": settings});
    let gateway = setup(&modest(&json!([entry(json!({"mark": "m"}))]))).start().await;
    let next = modest(&json!([entry(json!({"mark": "m", "colour": "red"}))]));
    let said = super::refuse(&gateway, &next.to_string()).await;
    assert!(said.contains("colour"), "{said}");
    let new = folder.path().join("new.so");
    build::c_plugin("mark.c", &[("MORE", "colour"), ("VERSION", "1.1.0")], &new);
    std::fs::rename(&new, &file).unwrap();
    apply(&gateway, &next).await;
    assert_eq!(report(&gateway).await[0]["version"], "1.1.0");
}

#[tokio::test]
async fn the_background_thread_of_a_removed_entry_ends() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let entry = |instance: &str| {
        let steps = json!([{"spawn": [{"sleep_ms": 1}]}]);
        json!({"name": "all_services", "path": build::plugin("all_services"),
               "instance": instance, "settings": {"on_llm_start": steps}})
    };
    let gateway = setup(&config(&base, &json!([entry("one"), entry("two")]))).start().await;
    chat(&gateway).await;
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap().flatten();
        let names = tasks.filter_map(|it| std::fs::read_to_string(it.path().join("comm")).ok());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("tasks:")).collect();
        names.sort();
        names
    };
    // A thread takes its name itself once it runs, so the names may come after the reply.
    let named = async |wanted: &[&str]| {
        while threads() != wanted {
            tokio::task::yield_now().await;
        }
    };
    within("two background threads", named(&["tasks:one\n", "tasks:two\n"])).await;
    apply(&gateway, &config(&base, &json!([entry("two")]))).await;
    within("the thread's end", named(&["tasks:two\n"])).await;
    chat(&gateway).await;
    gateway.stop().await;
}

/// Restarts after panics go on while reloads replace the chain.
#[tokio::test]
async fn a_callback_that_panics_is_made_anew_across_reloads() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let panics = || {
        let acts = json!({"every": 3, "record": true, "on_llm_start": [{"panic": "boom"}]});
        with(faulty("panics", acts), "on_error", json!("ignore"))
    };
    let gateway = setup(&config(&base, &json!([panics()]))).start().await;
    for round in 0..6 {
        let callbacks = if round % 2 == 0 {
            json!([recorder("first"), panics()])
        } else {
            json!([panics(), recorder("last")])
        };
        let calls = (0..4).map(|_| gateway.client().chat("gpt").spawn()).collect::<Vec<_>>();
        apply(&gateway, &config(&base, &callbacks)).await;
        for call in calls {
            let _ = call.await.unwrap().expect_status(200);
        }
    }
    let id = chat(&gateway).await;
    gateway.log().until("the last hooks", |_| hooks(gateway.log(), &id).len() >= 3).await;
    let seen = hooks(gateway.log(), &id);
    assert!(seen.contains(&"panics on_llm_start".to_owned()), "{seen:?}");
    assert_eq!(seen.iter().filter(|hook| hook.starts_with("last ")).count(), 2, "{seen:?}");
    gateway.stop().await;
}
