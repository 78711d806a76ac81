//! `GET /callbacks` and `GET /active/callbacks`: which callbacks are in the chain, which are not
//! and why, and their figures. Only for holders of the key, and without secrets.

use crate::callbacks::faulty::{faulty, recorder, refusal, report, with, with_policy};
use callgate_tests::{
    Answer, Gateway,
    config::{every_dialect, with_callbacks},
    upstream,
};
use serde_json::{Value, json};

fn callbacks() -> Value {
    let acts = |model: &str, act: Value| json!({"only_model": model, "on_llm_start": [act]});
    let mut told = acts("gpt", json!({"internal": "no luck with sk-private-1"}));
    told["on_llm_error"] = json!([{"set_route": {"api_key": "sk-private-1"}}]);
    json!([
        "routing",
        with(recorder("off"), "enabled", json!(false)),
        with(json!({"name": "nowhere"}), "required", json!(false)),
        faulty("refuses", acts("llama", refusal("no"))),
        with_policy(faulty("breaks", told), "ignore"),
        with_policy(faulty("once", acts("gpt", json!({"internal": "oops"}))), "disable"),
        with(with(recorder("apart"), "mode", json!("blocking")), "hooks", json!(["on_llm_end"])),
    ])
}

#[tokio::test]
async fn every_entry_is_listed_with_what_it_did() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&every_dialect(&upstream), &callbacks());
    let gateway = Gateway::with_config(config).start().await;
    for (model, status) in [("gpt", 200), ("gpt", 200), ("llama", 418), ("gemma", 200)] {
        let _ = gateway.client().chat(model).send().await.expect_status(status);
    }
    let all = report(&gateway).await;
    let names: Vec<_> = all.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["routing", "off", "nowhere", "refuses", "breaks", "once", "apart"]);
    for (index, one) in all.iter().enumerate() {
        assert_eq!(one["position"], index + 1, "{one}");
    }
    for (index, status, reason) in [
        (1, "left_out", "`enabled: false`"),
        (2, "left_out", "expected"),
        (5, "disabled", "on_error: disable"),
    ] {
        assert_eq!(all[index]["status"], status, "{}", all[index]);
        assert!(all[index]["reason"].as_str().unwrap().contains(reason), "{}", all[index]);
    }
    let routing = &all[0];
    for (key, expected) in [
        ("status", "enabled"),
        ("version", "0.1.0"),
        ("abi", "1.1"),
        ("kind", "sync"),
        ("mode", "inline"),
        ("on_error", "fail"),
        ("breaker", "closed"),
    ] {
        assert_eq!(routing[key], expected, "{key}: {routing}");
    }
    assert!(routing["file"].as_str().unwrap().ends_with("librouting.so"), "{routing}");
    assert_eq!(routing["sha256"].as_str().unwrap().len(), 12, "{routing}");
    let start = &routing["hooks"]["on_llm_start"];
    assert_eq!(start["calls"], 4, "{routing}");
    assert!(start["p50_us"].as_f64() <= start["p99_us"].as_f64(), "{routing}");
    assert_eq!(all[3]["hooks"]["on_llm_start"]["rejections"], 1, "{}", all[3]);
    assert_eq!((&all[3]["plugin"], &all[4]["faults"]), (&json!("faulty"), &json!(2)));
    assert_eq!(all[5]["hooks"]["on_llm_start"]["calls"], 1, "{}", all[5]);
    let apart = &all[6];
    assert_eq!((&apart["mode"], &apart["threads"]["stuck"]), (&json!("blocking"), &json!(0)));
    assert_eq!(apart["hooks"].as_object().unwrap().len(), 1, "{apart}");
    assert_eq!(apart["hooks"]["on_llm_end"]["calls"], 3, "{apart}");
    gateway.stop().await;
}

#[tokio::test]
async fn secrets_of_the_settings_are_shown_nowhere() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&every_dialect(&upstream), &callbacks());
    let gateway = Gateway::with_config(config).start().await;
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    let fault = report(&gateway).await[4]["last_fault"].clone();
    assert_eq!(fault["message"], "no luck with ***", "{fault}");
    assert!(fault["hook"] == "on_llm_start" && fault["unix_ms"].is_u64(), "{fault}");
    let log = gateway.stop().await;
    assert!(log.contains("no luck with ***") && !log.contains("sk-private"), "{log}");
}

#[tokio::test]
async fn litellms_path_has_the_names() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&every_dialect(&upstream), &callbacks());
    let gateway = Gateway::with_config(config).start().await;
    let active = gateway.client().get("/active/callbacks").await.expect_status(200).json();
    let running = json!(["routing", "refuses", "breaks", "once", "apart"]);
    assert_eq!(active["litellm.callbacks"], running);
    assert_eq!(active["all_litellm_callbacks"], running);
    assert_eq!(active["num_callbacks"], 5);
    assert_eq!(active["litellm.success_callback"], json!(["refuses", "breaks", "once", "apart"]));
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_else_sees_them() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&every_dialect(&upstream), &json!(["routing"]));
    let gateway = Gateway::with_config(config).start().await;
    for path in ["/callbacks", "/active/callbacks"] {
        let anonymous = gateway.client().without_key().request("GET", path).send().await;
        let refused = anonymous.expect_status(401);
        assert!(!refused.text().contains("routing"), "{}", refused.text());
        let posted = gateway.client().request("POST", path).send().await;
        assert_eq!(posted.status, 405);
    }
    gateway.stop().await;
}
