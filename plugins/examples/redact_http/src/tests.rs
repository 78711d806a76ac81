//! The redaction without a gateway.

use super::*;
use plugin_api::{
    HostError, HostErrorKind, HttpResponse,
    testing::{MockHost, Outcome, TestCall, TestReply, Tester, conformance},
};
use serde_json::{Value, json};

fn settings() -> Value {
    json!({"url": "http://127.0.0.1:9/redact"})
}

/// A service that knows Bob.
fn tester() -> Tester {
    let host = MockHost::new();
    host.answer_http(|request| {
        let asked: Value = serde_json::from_slice(request.body_bytes()).unwrap();
        let texts = asked["texts"].as_array().unwrap().iter();
        let texts: Vec<_> =
            texts.map(|text| text.as_str().unwrap().replace("Bob", "[NAME_1]")).collect();
        let answer = json!({"texts": texts, "originals": {"[NAME_1]": "Bob \"B\""}});
        Ok(HttpResponse::new(200).with_body(answer.to_string()))
    });
    Tester::on_async::<RedactHttp>(&host, settings()).unwrap()
}

fn started(tester: &Tester) -> TestCall {
    let mut call = TestCall::chat("gpt").message("user", "I am Bob");
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    assert_eq!(call.body()["messages"][0]["content"], "I am [NAME_1]");
    call
}

#[test]
fn a_placeholder_is_restored_however_the_stream_divides_it() {
    let tester = tester();
    let text = "Hello [NAME_1], not [NAME_2] [";
    for size in 1..=text.len() {
        let chunks: Vec<_> =
            text.as_bytes().chunks(size).map(|part| std::str::from_utf8(part).unwrap()).collect();
        let shown = tester.stream_text(&mut started(&tester), &chunks);
        assert_eq!(shown, "Hello Bob \"B\", not [NAME_2] [", "in chunks of {size}");
    }
}

#[test]
fn a_json_reply_is_restored_and_stays_json() {
    let tester = tester();
    let mut reply = TestReply::text("Hello [NAME_1]");
    tester.end(&mut started(&tester), &mut reply);
    assert_eq!(reply.value()["choices"][0]["message"]["content"], "Hello Bob \"B\"");
}

#[test]
fn without_the_service_nothing_leaves() {
    let host = MockHost::new();
    let tester = Tester::on_async::<RedactHttp>(&host, settings()).unwrap();
    let answers: [fn() -> Result<HttpResponse, HostError>; 4] = [
        || Err(HostError::new(HostErrorKind::TIMEOUT, "too late")),
        || Ok(HttpResponse::new(500)),
        || Ok(HttpResponse::new(200).with_body("garbage")),
        || Ok(HttpResponse::new(200).with_body(r#"{"texts": [], "originals": {}}"#)),
    ];
    for answer in answers {
        host.answer_http(move |_| answer());
        let mut call = TestCall::chat("gpt").message("user", "I am Bob");
        let Outcome::Reject(refused) = tester.start(&mut call) else { panic!("it leaves") };
        assert_eq!(refused.status, 503);
    }
}

#[test]
fn a_missing_grant_is_told_at_the_start() {
    let host = MockHost::new();
    host.deny_http("http://127.0.0.1:9/");
    let refused = Tester::on_async::<RedactHttp>(&host, settings()).err().unwrap();
    assert!(refused.to_string().starts_with("url: "), "{refused}");
}

#[test]
fn it_stands_what_every_callback_must() {
    let hooks = conformance::check_async::<RedactHttp>(&settings()).unwrap();
    assert_eq!(hooks.join(" "), "on_llm_start on_llm_new_token on_llm_end");
}
