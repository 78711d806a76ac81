//! The moderation without a gateway.

use super::*;
use plugin_api::{
    HostError, HostErrorKind, HttpResponse,
    testing::{MockHost, Outcome, TestCall, TestReply, Tester, conformance},
};

/// A service that flags texts with `kill`.
fn host() -> MockHost {
    let host = MockHost::new();
    host.answer_http(|request| {
        let asked: Value = serde_json::from_slice(request.body_bytes()).unwrap();
        let flagged = asked["input"].as_str().unwrap().contains("kill");
        let categories = json!({"violence": flagged, "hate": false});
        let answer = json!({"results": [{"flagged": flagged, "categories": categories}]});
        Ok(HttpResponse::new(200).with_body(answer.to_string()))
    });
    host
}

fn tester(host: &MockHost, settings: Value) -> Tester {
    Tester::on_async::<Moderation>(host, settings).unwrap()
}

fn asks(prompt: &str) -> TestCall {
    TestCall::chat("gpt").message("system", "be kind").message("user", prompt)
}

fn refused(outcome: Outcome) -> Rejection {
    let Outcome::Reject(refused) = outcome else { panic!("expected a rejection: {outcome:?}") };
    refused
}

fn verdicts(host: &MockHost, part: &str, verdict: &str) -> Option<f64> {
    host.metric(&format!("verdicts_total{{part=\"{part}\",verdict=\"{verdict}\"}}"))
}

#[test]
fn a_flagged_prompt_is_refused_with_its_categories() {
    let host = host();
    host.set_secret("MODERATION_URL", "http://127.0.0.1:9/judge");
    host.set_secret("MODERATION_API_KEY", "sk-moderation");
    let tester = tester(&host, json!({}));
    assert_eq!(tester.during(&mut asks("hello")), Outcome::Continue);
    let refused = refused(tester.during(&mut asks("how do I kill a process?")));
    assert_eq!((refused.status, refused.code.as_deref()), (400, Some("moderation_refused")));
    assert_eq!(refused.message, "moderation refuses this prompt: violence");
    assert_eq!(verdicts(&host, "prompt", "passed"), Some(1.0));
    assert_eq!(verdicts(&host, "prompt", "flagged"), Some(1.0));
    let request = &host.http_requests()[0];
    assert_eq!(request.url(), "http://127.0.0.1:9/judge");
    assert_eq!(request.body_bytes(), br#"{"input":"be kind\nhello"}"#);
    let key = ("authorization".to_owned(), "Bearer sk-moderation".to_owned());
    assert!(request.headers().contains(&key));
}

#[test]
fn replies_are_judged_if_the_settings_say_so() {
    let host = host();
    let mut reply = TestReply::text("kill -9");
    let only_prompts = tester(&host, json!({}));
    assert_eq!(only_prompts.end(&mut asks("hello"), &mut reply), Outcome::Continue);
    assert!(host.http_requests().is_empty());
    let replies = tester(&host, json!({"replies": true}));
    let refused = refused(replies.end(&mut asks("hello"), &mut reply));
    assert_eq!(refused.message, "moderation refuses this reply: violence");
    assert_eq!(host.http_requests()[0].url(), URL);
    assert_eq!(verdicts(&host, "reply", "flagged"), Some(1.0));
    // No choice is passed over.
    let second = json!({"index": 1, "message": {"role": "assistant", "content": "kill them"}});
    let mut two = TestReply::text("hello");
    let mut value = two.value();
    value["choices"].as_array_mut().unwrap().push(second);
    two = TestReply::json(value);
    assert!(matches!(replies.end(&mut asks("hello"), &mut two), Outcome::Reject(_)));
    // A reply of tool calls alone has nothing to judge.
    let mut silent = TestReply::text("");
    assert_eq!(replies.end(&mut asks("hello"), &mut silent), Outcome::Continue);
    assert_eq!(host.http_requests().len(), 2);
}

#[test]
fn without_a_verdict_the_settings_decide() {
    let answers: [fn() -> Result<HttpResponse, HostError>; 4] = [
        || Err(HostError::new(HostErrorKind::TIMEOUT, "too late")),
        || Ok(HttpResponse::new(500)),
        || Ok(HttpResponse::new(200).with_body("garbage")),
        || Ok(HttpResponse::new(200).with_body(r#"{"results": []}"#)),
    ];
    for (count, answer) in (1..).zip(answers) {
        let host = MockHost::new();
        host.answer_http(move |_| answer());
        let closed = refused(tester(&host, json!({})).during(&mut asks("hello")));
        assert_eq!((closed.status, closed.retry_after), (503, Some(RETRY)), "{count}");
        let open = tester(&host, json!({"without_verdict": "pass"}));
        assert_eq!(open.during(&mut asks("hello")), Outcome::Continue, "{count}");
        assert_eq!(verdicts(&host, "prompt", "none"), Some(2.0), "{count}");
        assert_eq!(host.log()[1].message, "no verdict");
    }
}

#[test]
fn a_client_that_leaves_ends_the_question() {
    let host = MockHost::new();
    host.hang_http();
    let tester = tester(&host, json!({}));
    assert_eq!(tester.during_then_leave(&mut asks("hello")), None);
    assert_eq!((host.http_requests().len(), host.log().len()), (1, 0));
}

#[test]
fn a_missing_grant_is_told_at_the_start() {
    let host = MockHost::new();
    host.deny_http("https://api.openai.com/");
    let refused = Tester::on_async::<Moderation>(&host, json!({})).err().unwrap();
    assert!(refused.to_string().starts_with("MODERATION_URL: "), "{refused}");
}

#[test]
fn it_stands_what_every_callback_must() {
    let hooks = conformance::check_async::<Moderation>(&json!({"replies": true})).unwrap();
    assert_eq!(hooks.join(" "), "on_llm_during on_llm_end");
}
