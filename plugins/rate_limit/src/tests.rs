//! Tests limits under various settings, through the same tables as those of a loaded plugin.

use crate::RateLimit;
use plugin_api::{
    Endpoint, FailureKind, Rejection,
    testing::{MockHost, Outcome, TestCall, TestFailure, Tester, conformance},
};
use serde_json::{Value, json};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

fn limits(limits: &Value) -> Tester {
    Tester::of::<RateLimit>(json!({"limits": limits})).unwrap()
}

fn to(provider: &str) -> TestCall {
    TestCall::chat("m").provider(provider)
}

fn passes(tester: &Tester, mut call: TestCall) -> bool {
    matches!(tester.start(&mut call), Outcome::Continue)
}

#[track_caller]
fn refused(tester: &Tester, mut call: TestCall) -> Rejection {
    match tester.start(&mut call) {
        Outcome::Reject(rejection) => rejection,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn by_default_groq_has_90_and_openai_100_per_minute_and_ollama_no_limit() {
    let tester = Tester::of::<RateLimit>(json!({})).unwrap();
    for (provider, expected) in [("groq", 90), ("openai", 100), ("ollama", 300), ("Groq", 300)] {
        let passed = (0..300).filter(|_| passes(&tester, to(provider))).count();
        assert_eq!(passed, expected, "{provider}");
    }
    assert!((0..300).all(|_| passes(&tester, TestCall::chat("nothing-serves-this"))));
}

#[test]
fn one_request_is_told_as_one() {
    let tester = limits(&json!([{"provider": "groq", "requests": 1, "per": "60s"}]));
    assert!(passes(&tester, to("groq")));
    let message = refused(&tester, to("groq")).message;
    assert_eq!(message, "1 request per 60 s for provider `groq` is used up; retry in 60 s");
}

#[test]
fn the_window_slides_and_the_wait_is_true_to_the_second() {
    let tester = limits(&json!([{"provider": "groq", "requests": 2, "per": "60s"}]));
    assert!(passes(&tester, to("groq")));
    tester.host().advance(Duration::from_millis(20_500));
    assert!(passes(&tester, to("groq")));

    let rejection = refused(&tester, to("groq"));
    assert_eq!((rejection.status, rejection.code.as_deref()), (429, Some("rate_limit_exceeded")));
    assert_eq!(rejection.retry_after, Some(Duration::from_millis(39_500)));
    assert_eq!(
        rejection.message,
        "2 requests per 60 s for provider `groq` are used up; retry in 40 s"
    );

    tester.host().advance(Duration::from_millis(39_499));
    refused(&tester, to("groq"));
    tester.host().advance(Duration::from_millis(1));
    assert!(passes(&tester, to("groq")));
    assert_eq!(refused(&tester, to("groq")).retry_after, Some(Duration::from_millis(20_500)));
}

#[test]
fn one_budget_for_all_a_pattern_takes_in() {
    let tester = limits(&json!([{"model": "groq-*", "requests": 2, "per": 60}]));
    assert!(passes(&tester, TestCall::chat("groq-a")));
    assert!(passes(&tester, TestCall::chat("groq-b")));
    refused(&tester, TestCall::chat("groq-c"));
    assert!(passes(&tester, TestCall::chat("openai-a")));
}

#[test]
fn each_gives_every_key_its_own_budget_up_to_the_bound() {
    let tester = limits(&json!([{"key": "*", "requests": 1, "per": "1h", "each": true}]));
    let of = |key: &str| to("groq").key_id(key);
    assert!(passes(&tester, of("ann")) && passes(&tester, of("bob")));
    let rejection = refused(&tester, of("ann"));
    assert!(rejection.message.contains("1 request per 3600 s for each key of `*`"));

    assert!((2..5000).all(|n| passes(&tester, of(&format!("key-{n}")))));
    refused(&tester, of("bob"));
    assert_eq!(tester.host().windows().len(), 5000);
}

#[test]
fn another_spelling_of_a_model_has_no_budget_of_its_own() {
    let asked = |name: &str| match name {
        "gpt" => TestCall::chat("gpt").provider("openai"),
        other => TestCall::chat(other).spelling_of("gpt", "gpt", "openai"),
    };
    for each in [false, true] {
        let pattern = if each { "*" } else { "GPT" };
        let tester = limits(&json!([{"model": pattern, "requests": 2, "per": "1h", "each": each}]));
        assert!(passes(&tester, asked("gpt")) && passes(&tester, asked("openai/up")));
        for name in ["gpt", "openai/up", "an-alias"] {
            refused(&tester, asked(name));
        }
    }
}

#[test]
fn under_a_wildcard_case_makes_no_other_model_and_its_pattern_limits_all() {
    let asked = |name: &str| TestCall::chat(name).spelling_of(name, "any-*", "openai");
    let each = limits(&json!([{"model": "*", "requests": 1, "per": "1h", "each": true}]));
    assert!(passes(&each, asked("any-a")) && passes(&each, asked("any-b")));
    refused(&each, asked("any-A"));
    let all = limits(&json!([{"model": "any-*", "requests": 2, "per": "1h"}]));
    assert!(passes(&all, asked("any-a")) && passes(&all, asked("Any-b")));
    refused(&all, asked("any-c"));
}

#[test]
fn made_up_names_use_up_nothing_of_others() {
    let tester = limits(&json!([{"model": "*", "requests": 2, "per": "1h", "each": true}]));
    let made_up = |n: usize| {
        let name = format!("any-{n}");
        TestCall::chat(&name).spelling_of(&name, "any-*", "openai")
    };
    assert!((0..1026).all(|n| passes(&tester, made_up(n))), "each has a budget of its own");
    for n in 1026..40_000 {
        tester.start(&mut made_up(n));
    }
    assert!(passes(&tester, to("groq")), "one of the config still has its own");
    tester.host().advance(Duration::from_secs(3600));
    assert!((50_000..50_100).all(|n| passes(&tester, made_up(n))), "idle ones made room");
}

#[test]
fn made_up_model_names_take_no_window() {
    let tester = limits(&json!([{"model": "*", "requests": 1, "per": 60, "each": true}]));
    assert!((0..2000).all(|n| passes(&tester, TestCall::chat(&format!("no-{n}")))));
    assert!(tester.host().windows().is_empty());
    assert!(passes(&tester, to("groq")));
    refused(&tester, to("groq"));
}

#[test]
fn a_refused_call_counts_in_no_limit() {
    let tester = limits(&json!([
        {"provider": "*", "requests": 10, "per": "60s"},
        {"key": "ann", "requests": 1, "per": "60s"},
    ]));
    assert!(passes(&tester, to("groq").key_id("ann")));
    for _ in 0..5 {
        let message = refused(&tester, to("groq").key_id("ann")).message;
        assert!(message.contains("key `ann`"), "{message}");
    }
    assert_eq!(tester.host().taken("provider * 60000 ms"), 1);
    assert!((0..9).all(|_| passes(&tester, to("groq").key_id("bob"))));
    refused(&tester, to("groq").key_id("bob"));
}

#[test]
fn places_come_back_only_when_no_upstream_was_asked() {
    let cases = [
        (FailureKind::REJECTED, true),
        (FailureKind::INVALID, true),
        (FailureKind::FAULT, true),
        (FailureKind::UPSTREAM_STATUS, false),
        (FailureKind::UPSTREAM_UNREACHABLE, false),
        (FailureKind::TIMEOUT, false),
        (FailureKind::BROKEN_STREAM, false),
        (FailureKind::CLIENT_GONE, false),
        (FailureKind::REPLY_REFUSED, false),
        (FailureKind::INTERNAL, false),
        (FailureKind(4711), false),
    ];
    for (kind, expected) in cases {
        let tester = limits(&json!([
            {"provider": "groq", "requests": 1, "per": "60s"},
            {"key": "*", "requests": 1, "per": "60s", "each": true},
            {"model": "m", "requests": 1, "per": "60s"},
        ]));
        let mut call = to("groq").deployment("elsewhere", "ollama", "x");
        assert_eq!(tester.start(&mut call), Outcome::Continue);
        // Edits of later callbacks do not change which places are given back.
        call.change_model("elsewhere");
        let mut failure = TestFailure::new(kind, 500, "ended").callback("other");
        assert_eq!(tester.error(&mut call, &mut failure), Outcome::Continue);
        assert_eq!(passes(&tester, to("groq")), expected, "{kind:?}");
    }
}

#[test]
fn whether_an_upstream_was_asked_counts_and_not_what_the_failure_is_called() {
    let kinds = [
        FailureKind::REJECTED,
        FailureKind::CLIENT_GONE,
        FailureKind::INTERNAL,
        FailureKind::FAULT,
        FailureKind::TIMEOUT,
    ];
    for (kind, asked) in kinds.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let tester = limits(&json!([{"provider": "groq", "requests": 1, "per": "60s"}]));
        let mut call = to("groq").upstream_asked(asked);
        assert_eq!(tester.start(&mut call), Outcome::Continue);
        tester.error(&mut call, &mut TestFailure::new(kind, 500, "ended"));
        assert_eq!(passes(&tester, to("groq")), !asked, "{kind:?} asked={asked}");
    }
}

#[test]
fn a_callback_that_took_no_place_gives_none_back() {
    let tester = limits(&json!([{"provider": "groq", "requests": 1, "per": "60s"}]));
    assert!(passes(&tester, to("groq")));
    let mut other = to("ollama").with_note(b"not a whole record");
    tester.error(&mut other, &mut TestFailure::new(FailureKind::INVALID, 400, "bad"));
    refused(&tester, to("groq"));
}

#[test]
fn a_reload_goes_on_with_the_same_window() {
    let host = MockHost::new();
    let settings = |requests: u64| json!({"limits": [{"provider": "groq", "requests": requests, "per": "1m"}]});
    let before = Tester::on::<RateLimit>(&host, settings(2)).unwrap();
    assert!(passes(&before, to("groq")) && passes(&before, to("groq")));
    let after = Tester::on::<RateLimit>(&host, settings(3)).unwrap();
    drop(before);
    assert!(passes(&after, to("groq")));
    refused(&after, to("groq"));
}

#[test]
fn many_threads_take_exactly_the_limit() {
    let tester = Tester::of::<RateLimit>(json!({})).unwrap();
    let passed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                let mine = (0..5).filter(|_| passes(&tester, to("groq"))).count();
                passed.fetch_add(mine, Relaxed);
            });
        }
    });
    assert_eq!(passed.into_inner(), 90);
}

#[test]
fn the_operators_message_replaces_ours() {
    let tester = limits(&json!([
        {"provider": "groq", "requests": 1, "per": "60s", "message": "ask again later"},
    ]));
    assert!(passes(&tester, to("groq")));
    assert_eq!(refused(&tester, to("groq")).message, "ask again later");
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_remedy() {
    let cases = [
        (json!([]), "remove `limits` for the default ones"),
        (json!([{"requests": 1, "per": 1}]), "limits[0]: expected one of `provider`"),
        (json!([{"provider": "a", "key": "b", "requests": 1, "per": 1}]), "found several"),
        (json!([{"provider": "", "requests": 1, "per": 1}]), "found an empty text"),
        (json!([{"provider": "a", "requests": 0, "per": 1}]), "from 1 to 10000000, found 0"),
        (
            json!([{"provider": "a", "requests": 1, "per": 0}]),
            "limits[0].per: expected `per` from 1ms to 31d, found 0 s",
        ),
        (json!([{"provider": "a", "requests": 1, "per": "32d"}]), "from 1ms to 31d"),
        (json!([{"provider": "a", "requests": 1, "per": "soon"}]), "found `soon`"),
        (json!([{"provider": "a", "requests": 1, "per": true}]), "a duration like `60s`"),
        (json!([{"provider": "a", "requests": 1}]), "missing field `per`"),
        (json!([{"provider": "a", "requests": 1, "per": 1, "burst": 2}]), "unknown field `burst`"),
        (
            json!([
                {"provider": "a", "requests": 5, "per": 60},
                {"provider": "a", "requests": 9, "per": "1m"},
            ]),
            "limits[1]: counts the same calls over the same span as `limits[0]`",
        ),
    ];
    for (limits, expected) in cases {
        let error = Tester::of::<RateLimit>(json!({"limits": limits})).unwrap_err().to_string();
        assert!(error.contains(expected), "{limits}: {error}");
    }
}

#[test]
fn a_gateway_without_counters_is_refused() {
    let error = Tester::without_services::<RateLimit>(json!({})).unwrap_err().to_string();
    assert!(error.contains("with counters"), "{error}");
}

#[test]
fn conforms_and_exports_the_hooks_it_has() {
    let each = json!({"limits": [{"model": "*", "requests": 3, "per": 1, "each": true}]});
    for settings in [json!({}), each] {
        let implemented = conformance::check::<RateLimit>(&settings).unwrap();
        assert_eq!(implemented, ["on_llm_start", "on_llm_error"]);
    }
}

#[test]
fn every_endpoint_counts() {
    let tester = limits(&json!([{"provider": "*", "requests": 1, "per": 60}]));
    let call = || TestCall::with_body(Endpoint::EMBEDDINGS, json!({"model": "m"})).provider("x");
    assert!(passes(&tester, call()));
    refused(&tester, call());
}

#[test]
fn the_schema_is_json() {
    let schema = include_str!("../settings.schema.json");
    assert_eq!(serde_json::from_str::<Value>(schema).unwrap()["type"], "object");
}
