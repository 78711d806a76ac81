//! Tests that the faulty callbacks do what they say, so that the gateway's tests can rely on them.

use crate::{Faulty, FaultyAsync, Liar, Recorder, RecorderAsync};
use plugin_api::{
    FailureKind, Reply,
    testing::{
        MockHost, Outcome, TestCall, TestChunk, TestFailure, TestReply, Tester, conformance,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

fn call() -> TestCall {
    TestCall::chat("m").provider("groq").message("user", "hi")
}

/// The sync and the async callback with the same settings.
fn both(settings: &Value) -> [Tester; 2] {
    [
        Tester::of::<Faulty>(settings.clone()).unwrap(),
        Tester::of_async::<FaultyAsync>(settings.clone()).unwrap(),
    ]
}

#[track_caller]
fn fault(outcome: Outcome) -> String {
    match outcome {
        Outcome::Fault(message) => message,
        other => panic!("expected a fault, found {other:?}"),
    }
}

#[test]
fn every_hook_can_panic_and_fail() {
    let hooks = ["on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"];
    for (action, expected) in [
        (json!({"panic": "boom"}), "boom"),
        (json!({"panic_with_number": 7}), "a value that is not text"),
        (json!({"internal": "broken"}), "broken"),
    ] {
        for (index, hook) in hooks.into_iter().enumerate() {
            let settings = json!({hook: [action]});
            for tester in both(&settings) {
                let outcome = match index {
                    0 => tester.start(&mut call()),
                    1 => tester.new_token(&mut call(), &mut TestChunk::text("a")),
                    2 => tester.end(&mut call(), &mut TestReply::text("a")),
                    _ => {
                        let failure = &mut TestFailure::new(FailureKind::TIMEOUT, 504, "late");
                        tester.error(&mut call(), failure)
                    }
                };
                let message = fault(outcome);
                assert!(message.contains(expected), "{hook}: {message}");
            }
        }
    }
}

#[test]
fn an_unknown_action_is_reported() {
    let settings = json!({"on_llm_start": [{"remove_everything": 1}]});
    let error = Tester::of::<Faulty>(settings).unwrap_err().to_string();
    assert!(error.contains("unknown variant `remove_everything`"), "{error}");
}

#[test]
fn a_constructor_can_refuse_and_panic_and_an_instance_panics_when_dropped() {
    for action in [json!({"panic": "boom"}), json!({"internal": "boom"})] {
        let error = Tester::of::<Faulty>(json!({"new": [action]})).unwrap_err().to_string();
        assert!(error.contains("boom"), "{error}");
    }
    let error = Tester::of::<Faulty>(json!({"new": ["never"]})).unwrap_err().to_string();
    assert!(error.contains("does not work in `new`"), "{error}");

    let host = MockHost::new();
    let settings = json!({"label": "a", "shutdown": [{"panic": "x"}], "drop": [{"panic": "y"}]});
    let tester = Tester::on::<Faulty>(&host, settings).unwrap();
    tester.shutdown();
    drop(tester);
    let said: Vec<_> = host.log().into_iter().map(|line| line.message).collect();
    assert_eq!(said, ["created", "shut down", "dropped"]);
}

#[test]
fn a_hook_can_act_now_and_then_and_records_all_the_same() {
    let host = MockHost::new();
    let refuse = json!([{"reject": {"status": 418}}]);
    let settings = json!({"every": 3, "record": true, "on_llm_start": refuse});
    let tester = Tester::on::<Faulty>(&host, settings).unwrap();
    let refused = |_| matches!(tester.start(&mut call()), Outcome::Reject(_));
    let refused: Vec<_> = (0..6).map(refused).collect();
    assert_eq!(refused, [false, false, true, false, false, true]);
    let recorded = host.log().into_iter().filter(|line| line.message == "hook");
    assert_eq!(recorded.count(), 6);
}

#[test]
fn refusals_are_passed_on_unchecked() {
    for status in [0, 99, 200, 429, 999] {
        let settings = json!({"on_llm_start": [{"reject": {
            "status": status, "message": "no", "code": "c", "retry_after_ms": 1500,
            "headers": [["a b", "x\ny"]],
        }}]});
        for tester in both(&settings) {
            let Outcome::Reject(rejection) = tester.start(&mut call()) else { panic!("{status}") };
            assert_eq!(rejection.status, status);
            assert_eq!(rejection.headers, [("a b".to_owned(), "x\ny".to_owned())]);
            assert_eq!(rejection.retry_after.map(|wait| wait.as_millis()), Some(1500));
        }
    }
}

#[test]
fn answers_may_be_text_json_or_huge() {
    for (action, expected) in [
        (json!({"answer_text": "hello"}), Reply::Text("hello".to_owned())),
        (json!({"answer_json": "{"}), Reply::Json("{".to_owned())),
        (json!({"answer_big": 3}), Reply::Text("xxx".to_owned())),
    ] {
        for tester in both(&json!({"on_llm_start": [action]})) {
            assert_eq!(tester.start(&mut call()), Outcome::Reply(expected.clone()));
        }
    }
}

#[test]
fn everything_is_edited_and_refused_edits_are_logged() {
    let settings = json!({
        "on_llm_start": [
            {"set_model": "n"},
            {"set_route": {"provider": "openai", "model": "o", "api_base": "http://x", "api_key": "k"}},
            {"set_upstream_header": ["x-a", "1"]},
            {"set_param": ["temperature", "0"]},
            {"set_param": ["temperature", "{"]},
            {"set_param_big": ["user", 50_000_000]},
            {"append_message": ["user", "more"]},
            {"insert_message": [0, "system", "first"]},
            {"set_message_text": [1, "hello"]},
            {"set_message_json": [1, "nonsense"]},
            {"remove_message": 9},
            {"set_metadata": ["k", "v"]},
            {"set_metadata_big": 2_000_000},
            {"set_local": "note"},
            {"log": "done"},
        ],
        "on_llm_new_token": ["chunk_upper", {"chunk_json": "["}],
        "on_llm_end": [{"reply_header": ["x-b", "2"]}, {"reply_json": "{\"a\": 1}"}],
        "on_llm_error": [{"failure_status": 418}, {"failure_message": "tea"}, {"failure_status": 200}],
    });
    for tester in both(&settings) {
        let mut call = call();
        assert_eq!(tester.start(&mut call), Outcome::Continue);
        let body = call.body();
        assert_eq!((call.model(), call.route().provider), ("n", Some("openai")));
        assert_eq!((call.upstream_header("x-a"), call.shared("k")), (Some("1"), Some("v")));
        assert_eq!((&body["temperature"], call.note()), (&json!(0), b"note".as_slice()));
        assert_eq!(body["user"].as_str().map(str::len), Some(50_000_000));
        let texts: Vec<_> = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["content"].as_str().unwrap())
            .collect();
        assert_eq!(texts, ["first", "hello", "more"]);

        let mut chunk = TestChunk::text("loud");
        tester.new_token(&mut call, &mut chunk);
        assert_eq!(chunk.added(), "LOUD");
        let mut reply = TestReply::text("x");
        tester.end(&mut call, &mut reply);
        assert_eq!((reply.value(), reply.response_header("x-b")), (json!({"a": 1}), Some("2")));
        let mut failure = TestFailure::new(FailureKind::UPSTREAM_STATUS, 500, "x");
        tester.error(&mut call, &mut failure);
        assert_eq!(failure.shown(), (418, "tea"));

        let log = tester.host().log();
        let refused = log.iter().filter(|line| line.message == "edit refused");
        let refused: Vec<_> = refused.filter_map(|line| line.field("action")).collect();
        assert_eq!(
            refused,
            [
                "set_param",
                "set_message_json",
                "remove_message",
                "set_metadata_big",
                "chunk_json",
                "failure_status",
            ]
        );
        assert!(
            log.iter().any(|line| line.to_string() == "Info done label=faulty hook=on_llm_start")
        );
    }
}

#[test]
fn an_action_that_does_not_fit_its_hook_is_a_fault() {
    for tester in both(&json!({"on_llm_end": [{"set_model": "x"}]})) {
        let message = fault(tester.end(&mut call(), &mut TestReply::text("x")));
        assert_eq!(message, "`set_model` does not work in `on_llm_end`");
    }
    let tester = Tester::of::<Faulty>(json!({"on_llm_start": ["never"]})).unwrap();
    assert!(fault(tester.start(&mut call())).contains("`never` does not work"));
}

#[test]
fn the_settings_choose_calls_chunks_and_how_often() {
    let settings = json!({
        "only_model": "m", "at_chunk": 1, "times": 1,
        "on_llm_start": [{"internal": "x"}], "on_llm_new_token": ["chunk_drop"],
    });
    for tester in both(&settings) {
        assert_eq!(tester.start(&mut TestCall::chat("other")), Outcome::Continue);
        fault(tester.start(&mut call()));
        assert_eq!(tester.start(&mut call()), Outcome::Continue, "once is enough");
        let dropped = [0, 1, 1].map(|index| {
            let mut chunk = TestChunk::text("a").index(index);
            tester.new_token(&mut call(), &mut chunk);
            chunk.dropped()
        });
        assert_eq!(dropped, [false, true, false]);
    }
}

#[test]
fn async_hooks_wait_panic_afterwards_and_can_be_left() {
    let settings = json!({"on_llm_start": [{"wait_ms": 1}, {"panic": "late"}]});
    let tester = Tester::of_async::<FaultyAsync>(settings).unwrap();
    assert!(fault(tester.start(&mut call())).contains("late"));
    let tester = Tester::of_async::<FaultyAsync>(json!({"on_llm_start": ["never"]})).unwrap();
    assert_eq!(tester.start_then_leave(&mut call()), None);
}

#[test]
fn a_recorder_writes_one_line_per_hook() {
    let settings = json!({
        "label": "r", "headers": ["x-team", "authorization", "x-none"], "params": ["temperature"],
        "metadata": ["k"], "messages": true, "note": "n",
    });
    for tester in [
        Tester::of::<Recorder>(settings.clone()).unwrap(),
        Tester::of_async::<RecorderAsync>(settings.clone()).unwrap(),
    ] {
        let mut call = call()
            .id("id-1")
            .header("X-Team", "blue")
            .header("authorization", "Bearer sk")
            .param("temperature", 0.5)
            .metadata("k", "v")
            .stream();
        assert_eq!(tester.start(&mut call), Outcome::Continue);
        tester.new_token(&mut call, &mut TestChunk::text("Hel").index(2));
        tester.end(&mut call, &mut TestReply::streamed("Hello").usage(3, 1));
        let failure = TestFailure::new(FailureKind::BROKEN_STREAM, 502, "broke").sent("Hel");
        let failure = failure.usage(3, 1).duration(Duration::from_millis(5));
        let mut failure = failure.time_to_first_token(Duration::from_millis(2));
        tester.error(&mut call, &mut failure);

        let lines: Vec<String> = tester.host().log().iter().map(ToString::to_string).collect();
        let call = |hook: &str| {
            format!(
                "Info hook label=r hook={hook} call=id-1 endpoint=chat requested_model=m model=m \
                 provider=groq upstream_model=m stream=true key=test-key message_count=1 note=n \
                 header.x-team=blue header_bytes.x-team=4 header.authorization=*** \
                 header_bytes.authorization=3 param.temperature=0.5 metadata.k=v message.0=hi"
            )
        };
        assert_eq!(lines[0], call("on_llm_start"));
        assert_eq!(lines[1], call("on_llm_new_token") + " index=2 text=Hel");
        assert_eq!(
            lines[2],
            call("on_llm_end")
                + " status=200 text=Hello json=false finish_reason=stop prompt_tokens=3 \
                   completion_tokens=1 total_tokens=4 from_callback=false first_token=true \
                   upstream=true timed=false"
        );
        assert_eq!(
            lines[3],
            call("on_llm_error")
                + " kind=broken_stream before_upstream=false status=502 code=502 message=broke \
                   sent=true text=Hel prompt_tokens=3 completion_tokens=1 total_tokens=4 \
                   first_token=true upstream=false timed=true"
        );
    }
}

#[test]
fn without_actions_they_conform() {
    let all = ["on_llm_start", "on_llm_new_token", "on_llm_end", "on_llm_error"];
    let settings = json!({});
    assert_eq!(conformance::check::<Faulty>(&settings).unwrap(), all);
    assert_eq!(conformance::check_async::<FaultyAsync>(&settings).unwrap(), all);
    let settings = json!({"messages": true, "body": true});
    assert_eq!(conformance::check::<Recorder>(&settings).unwrap(), all);
    assert_eq!(conformance::check_async::<RecorderAsync>(&settings).unwrap(), all);
    assert_eq!(conformance::check::<Liar>(&json!({})).unwrap(), ["on_llm_start", "on_llm_error"]);
}

#[test]
fn conformance_names_the_hook_that_breaks() {
    for (settings, expected) in [
        (json!({"on_llm_start": [{"panic": "boom"}]}), "`on_llm_start` failed: panicked"),
        (json!({"on_llm_error": [{"internal": "x"}]}), "`on_llm_error` failed: x"),
        (json!({"on_llm_start": [{"reject": {"status": 200}}]}), "rejected with status 200"),
        (json!({"on_llm_end": [{"answer_text": "x"}]}), "`on_llm_end` answered the call"),
        (json!({"new": [{"internal": "x"}]}), "cannot make an instance"),
    ] {
        let violation = conformance::check::<Faulty>(&settings).unwrap_err().to_string();
        assert!(violation.contains(expected), "{violation}");
    }
}
