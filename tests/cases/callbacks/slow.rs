//! Callbacks that hold up their thread, or fail in every call, are named in the log without filling
//! it: at most one line a second for each, with the number of suppressed ones.

use crate::callbacks::faulty::{faulty, faulty_async, with_policy};
use callgate_tests::{
    Answer, Gateway,
    config::{openai, with_callbacks},
    log::{Log, LogLine},
    upstream,
};
use serde_json::{Value, json};

const CALLS: u64 = 20;

/// The log after `CALLS` calls.
async fn log_of(callback: Value) -> Log {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&[openai(&upstream)], &json!([callback]));
    let gateway = Gateway::with_config(config).start().await;
    for _ in 0..CALLS {
        let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    }
    let log = gateway.log().clone();
    gateway.stop().await;
    log
}

/// Each line counts for itself and for the suppressed ones before it, whatever the clock did.
/// `unsaid` is the number of those before the first line that draw none.
fn check_paced(lines: &[LogLine], count: &str, unsaid: u64) {
    let mut told = unsaid;
    for line in lines {
        told += 1 + line.field("suppressed").as_u64().unwrap();
        assert_eq!(line.field(count).as_u64(), Some(told), "{}", line.text);
        assert!(told <= CALLS);
    }
}

fn lines(log: &Log, text: &str) -> Vec<LogLine> {
    log.lines().into_iter().filter(|line| line.text.contains(text)).collect()
}

#[tokio::test]
async fn a_hook_that_is_slow_again_and_again_or_very_slow_is_named() {
    for (hook, acts) in [
        ("on_llm_start", json!({"on_llm_start": [{"sleep_ms": 2}]})),
        ("on_llm_end", json!({"on_llm_end": [{"sleep_ms": 20}]})),
    ] {
        let log = log_of(faulty("slow", acts)).await;
        let lines = lines(&log, "held up every call on its thread");
        let first = lines.first().unwrap_or_else(|| panic!("{}", log.text()));
        assert_eq!(first.field("hook"), hook);
        assert_eq!(first.field("callback.name"), "slow");
        assert!(first.field("milliseconds").as_f64().unwrap() >= 2.0, "{}", first.text);
        let unsaid = first.field("slow").as_u64().unwrap() - 1;
        assert!(unsaid <= 2, "the third draws a line: {}", first.text);
        check_paced(&lines, "slow", unsaid);
    }
}

#[tokio::test]
async fn an_async_hook_may_wait() {
    let log = log_of(faulty_async("slow", json!({"on_llm_start": [{"wait_ms": 2}]}))).await;
    assert!(lines(&log, "held up").is_empty(), "{}", log.text());
}

#[tokio::test]
async fn a_hook_that_always_breaks_does_not_fill_the_log() {
    let acts = json!({"on_llm_start": [{"internal": "out of order"}]});
    let log = log_of(with_policy(faulty("bad", acts), "ignore")).await;
    let lines = lines(&log, "out of order");
    assert_eq!(lines.first().unwrap().field("faults"), 1);
    check_paced(&lines, "faults", 0);
}
