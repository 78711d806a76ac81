//! Tests the callback on a mock host: what it sends and when, and the outcome.

use crate::Langsmith;
use plugin_api::{
    HostError, HostErrorKind, HttpRequest, HttpResponse,
    testing::{MockHost, Outcome, TestCall, TestFailure, TestReply, Tester, conformance},
};
use serde_json::{Value, json};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(5);

fn host() -> MockHost {
    let host = MockHost::new();
    host.set_secret("LANGSMITH_API_KEY", "ls-key");
    host.answer_http(|_| Ok(HttpResponse::new(202)));
    host
}

fn tester(host: &MockHost, settings: Value) -> Tester {
    Tester::on::<Langsmith>(host, settings).expect("it starts")
}

fn call() -> TestCall {
    TestCall::chat("gpt").message("user", "hi")
}

fn answered(tester: &Tester) {
    let reply = json!({
        "id": "chatcmpl-1",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    });
    let mut reply = TestReply::json(reply).usage(11, 4);
    assert_eq!(tester.end(&mut call(), &mut reply), Outcome::Continue);
}

fn runs(request: &HttpRequest) -> Vec<Value> {
    let body: Value = serde_json::from_slice(request.body_bytes()).expect("JSON");
    body["post"].as_array().expect("runs").clone()
}

fn count(host: &MockHost, name: &str) -> f64 {
    host.metric(name).expect("registered")
}

#[test]
fn a_batch_goes_out_after_the_interval() {
    let host = host();
    host.set_secret("LANGSMITH_PROJECT", "projx");
    host.set_secret("LANGSMITH_TENANT_ID", "tenant");
    host.set_secret("LANGSMITH_BASE_URL", "https://eu.example/");
    let tester = tester(&host, json!({}));
    answered(&tester);
    let failure =
        &mut TestFailure::new(plugin_api::FailureKind::UPSTREAM_STATUS, 500, "upstream says 500");
    assert_eq!(tester.error(&mut call(), failure), Outcome::Continue);
    assert_eq!(host.run_tasks(), 1);
    assert!(host.http_requests().is_empty());
    host.advance(INTERVAL);
    assert_eq!(host.run_tasks(), 1, "it waits whether more comes");
    let sent = host.http_requests();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].url(), "https://eu.example/api/v1/runs/batch");
    let header =
        |name: &str| sent[0].headers().iter().find(|(it, _)| it == name).map(|it| it.1.as_str());
    assert_eq!((header("x-api-key"), header("x-tenant-id")), (Some("ls-key"), Some("tenant")));
    let runs = runs(&sent[0]);
    let (good, bad) = (&runs[0], &runs[1]);
    assert_eq!((&good["name"], &good["run_type"]), (&json!("LLMRun"), &json!("llm")));
    assert_eq!(good["session_name"], "projx");
    assert_eq!(good["id"], good["trace_id"]);
    assert!(good["dotted_order"].as_str().unwrap().ends_with(good["id"].as_str().unwrap()));
    assert!(good["start_time"].as_f64() <= good["end_time"].as_f64());
    assert_eq!(good["inputs"]["messages"], json!([{"role": "user", "content": "hi"}]));
    assert_eq!(good["inputs"]["status"], "success");
    assert_eq!(good["outputs"]["choices"][0]["message"]["content"], "Hello");
    assert_eq!(
        good["outputs"]["usage_metadata"],
        json!({"input_tokens": 11, "output_tokens": 4, "total_tokens": 15})
    );
    assert_eq!(good.get("error"), None);
    assert_eq!(
        (&bad["error"], &bad["inputs"]["status"]),
        (&json!("upstream says 500"), &json!("failure"))
    );
    host.advance(INTERVAL);
    assert_eq!(host.run_tasks(), 0, "with nothing left the task ends");
    assert_eq!(count(&host, "runs_sent_total"), 2.0);
    answered(&tester);
    assert_eq!(host.run_tasks(), 1, "and another one is started");
}

#[test]
fn a_full_batch_goes_out_at_once_and_the_end_sends_the_rest() {
    let host = host();
    host.set_secret("LANGSMITH_BATCH_SIZE", "2");
    let tester = tester(&host, json!({}));
    (0..3).for_each(|_| answered(&tester));
    host.run_tasks();
    assert_eq!(host.http_requests().len(), 1);
    tester.shutdown();
    assert_eq!(host.run_tasks(), 0);
    let sizes: Vec<_> = host.http_requests().iter().map(|request| runs(request).len()).collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn what_fails_is_tried_again_with_growing_pauses_and_then_dropped_and_counted() {
    let host = host();
    host.answer_http(|_| Err(HostError::new(HostErrorKind::UNREACHABLE, "no route")));
    let tester = tester(&host, json!({}));
    answered(&tester);
    host.run_tasks();
    host.advance(INTERVAL);
    host.run_tasks();
    for (attempts, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(host.http_requests().len(), attempts);
        host.advance(Duration::from_millis(pause * 1000 - 1));
        host.run_tasks();
        assert_eq!(host.http_requests().len(), attempts, "not before its time");
        host.advance(Duration::from_millis(1));
        host.run_tasks();
    }
    assert_eq!(host.http_requests().len(), 5);
    assert_eq!(
        (count(&host, "runs_dropped_total"), count(&host, "attempts_failed_total")),
        (1.0, 5.0)
    );
    let told: Vec<_> =
        host.log().into_iter().filter(|line| line.message.contains("not sent")).collect();
    assert_eq!((told.len(), told[0].field("runs")), (1, Some("1")));
}

#[test]
fn a_server_that_recovers_gets_the_run_and_says_when() {
    let host = host();
    let mut attempts = 0;
    host.answer_http(move |_| {
        attempts += 1;
        Ok(HttpResponse::new(if attempts == 1 { 429 } else { 202 }).with_header("retry-after", "7"))
    });
    let tester = tester(&host, json!({}));
    answered(&tester);
    host.run_tasks();
    host.advance(INTERVAL);
    host.run_tasks();
    host.advance(Duration::from_millis(6999));
    host.run_tasks();
    assert_eq!(host.http_requests().len(), 1);
    host.advance(Duration::from_millis(1));
    host.run_tasks();
    assert_eq!((host.http_requests().len(), count(&host, "runs_sent_total")), (2, 1.0));
}

#[test]
fn one_bad_run_does_not_take_its_batch_along() {
    let host = host();
    host.answer_http(|request| {
        let bad = runs(request).iter().any(|run| run["name"] == "bad");
        Ok(HttpResponse::new(if bad { 422 } else { 202 }))
    });
    let tester = tester(&host, json!({"batch_size": 8}));
    for index in 0..8 {
        let name = if index == 5 { "bad" } else { "good" };
        let mut call = call().param("metadata", json!({"run_name": name}));
        tester.end(&mut call, &mut TestReply::json(json!({})));
    }
    host.run_tasks();
    assert_eq!((count(&host, "runs_sent_total"), count(&host, "runs_dropped_total")), (7.0, 1.0));
}

/// A 409 is the answer to the whole batch, so runs that LangSmith has not seen must not count as
/// sent.
#[test]
fn a_batch_of_which_some_is_known_already_is_sent_again_one_by_one() {
    let host = host();
    let mut known = std::collections::HashSet::new();
    let mut first = true;
    host.answer_http(move |request| {
        let ids: Vec<_> = runs(request).iter().map(|run| run["id"].clone()).collect();
        if ids.iter().any(|id| known.contains(id)) {
            return Ok(HttpResponse::new(409));
        }
        // LangSmith keeps a part of the first batch, and its answer is lost.
        let kept = if std::mem::take(&mut first) { 3 } else { ids.len() };
        known.extend(ids.iter().take(kept).cloned());
        Ok(HttpResponse::new(if kept < ids.len() { 503 } else { 202 }))
    });
    let tester = tester(&host, json!({"batch_size": 64}));
    for _ in 0..64 {
        answered(&tester);
    }
    host.run_tasks();
    host.advance(Duration::from_secs(1));
    host.run_tasks();
    assert_eq!((count(&host, "runs_sent_total"), count(&host, "runs_dropped_total")), (64.0, 0.0));
    let sent_alone = host.http_requests().iter().filter(|it| runs(it).len() == 1).count();
    assert!(sent_alone >= 3, "each that is known was asked for by itself");
}

#[test]
fn a_refused_key_drops_at_once_and_the_log_stays_short() {
    let host = host();
    host.answer_http(|_| Ok(HttpResponse::new(401)));
    let tester = tester(&host, json!({"batch_size": 1}));
    for _ in 0..20 {
        answered(&tester);
        host.run_tasks();
    }
    assert_eq!((host.http_requests().len(), count(&host, "runs_dropped_total")), (20, 20.0));
    let told = || host.log().iter().filter(|line| line.message.contains("status 401")).count();
    assert_eq!(told(), 1);
    host.advance(Duration::from_secs(60));
    answered(&tester);
    host.run_tasks();
    assert_eq!(told(), 2);
    assert_eq!(host.log().last().unwrap().field("runs"), Some("20"));
    assert!(host.log().iter().all(|line| !line.to_string().contains("ls-key")));
}

#[test]
fn without_a_key_a_warning_and_nothing_else() {
    let host = MockHost::new();
    host.set_secret("LANGSMITH_API_KEY", " ");
    let tester = tester(&host, json!({}));
    answered(&tester);
    assert_eq!(host.run_tasks(), 0);
    assert!(host.log()[0].message.contains("`LANGSMITH_API_KEY` is not set"));
    assert_eq!((host.log().len(), count(&host, "runs_dropped_total")), (1, 1.0));
}

#[test]
fn a_server_that_hangs_at_the_end_is_not_waited_for() {
    let host = host();
    let tester = tester(&host, json!({"batch_size": 1}));
    host.hang_http();
    answered(&tester);
    assert_eq!(host.run_tasks(), 1);
    tester.shutdown();
    for _ in 0..2 {
        assert_eq!(host.run_tasks(), 1);
        host.advance(Duration::from_secs(2));
    }
    assert_eq!(host.run_tasks(), 0);
    assert_eq!((host.http_requests().len(), count(&host, "runs_dropped_total")), (2, 1.0));
}

#[test]
fn conforms_and_exports_the_hooks_it_has() {
    let hooks = conformance::check::<Langsmith>(&json!({})).expect("it conforms");
    assert_eq!(hooks, ["on_llm_start", "on_llm_end", "on_llm_error"]);
}

#[test]
fn a_fractional_sampling_rate_is_one() {
    let sent = |rate: &str| {
        let host = host();
        host.set_secret("LANGSMITH_SAMPLING_RATE", rate);
        let tester = tester(&host, json!({"batch_size": 1000}));
        (0..400).for_each(|_| answered(&tester));
        tester.shutdown();
        host.run_tasks();
        let warned = host.log().len();
        (host.http_requests().iter().map(|request| runs(request).len()).sum::<usize>(), warned)
    };
    assert_eq!((sent("1"), sent("0")), ((400, 0), (0, 0)));
    // The probability of a result outside this range is below 1e-20.
    assert!((100..300).contains(&sent("0.5").0));
    assert_eq!((sent("1.5"), sent("half")), ((400, 1), (400, 1)));
}

#[test]
fn clients_name_and_place_their_runs() {
    let host = host();
    let tester = tester(&host, json!({"batch_size": 1}));
    let id = "11111111-1111-4111-8111-111111111111";
    let metadata = json!({"run_id": id, "run_name": "mine", "project_name": "p", "tags": ["a", "b"], "trace_id": "x"});
    let mut call = call().param("metadata", metadata).param("temperature", 0.25);
    tester.end(&mut call, &mut TestReply::streamed("Hello there"));
    host.run_tasks();
    let sent = host.http_requests().remove(0);
    let run = &runs(&sent)[0];
    assert_eq!(
        (&run["id"], &run["trace_id"], &run["name"]),
        (&run["id"], &run["id"], &json!("mine"))
    );
    assert_ne!(run["id"], id, "an id that LangSmith knows already would cost others of the batch");
    assert_eq!((&run["session_name"], &run["tags"]), (&json!("p"), &json!(["a", "b"])));
    assert_eq!(run["outputs"]["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(run["inputs"]["metadata"]["requester_metadata"]["run_name"], "mine");
    assert_eq!(run["inputs"]["model_parameters"], json!({"temperature": 0.25}));
}
