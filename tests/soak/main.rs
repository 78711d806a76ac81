//! Many calls through five callbacks of every kind: memory, threads and mapped libraries must stay
//! at the level after the first calls, and every replaced instance must be gone.
//!
//! `make test` makes 20 000 calls; `make soak` makes more, and `CALLGATE_SOAK_CALLS` sets the
//! number. One in 20 goes through the real gateway over sockets, which is slow; the others go
//! through the same chain in this process (`DryRun`). It is a separate test binary, so that no
//! other test's memory is measured. `chain` has the callbacks, `vitals` the measurements,
//! `instances` the counts of instances.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod chain;
mod instances;
mod vitals;

use callgate_tests::{Answer, Gateway, upstream};
use chain::{CALLBACKS, Callbacks};
use instances::Instances;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vitals::Course;

const CALLS: &str = "CALLGATE_SOAK_CALLS";

/// How often the process is measured.
const INTERVALS: usize = 10;

/// The number of concurrent clients.
const CLIENTS: usize = 8;

/// One in so many calls goes to the callback with its own threads.
const SLOW: usize = 100;

#[tokio::test]
async fn nothing_grows() {
    let calls = std::env::var(CALLS).map_or(20_000, |calls| calls.parse().expect("a number"));
    in_this_process(calls - calls / 20).await;
    over_sockets(calls / 20).await;
}

async fn in_this_process(calls: usize) {
    let instances = Instances::watch();
    let callbacks = Callbacks::new(calls);
    let usual = callbacks.dry_run("usual");
    let slow = callbacks.dry_run("slow");
    let answers = [chain::json_answer(), chain::stream_answer()];
    let mut course = Course::new("in one process", std::process::id());
    let mut verdicts = [0; 3];
    for _ in 0..INTERVALS {
        for call in 0..calls / INTERVALS {
            let dry_run = if call % SLOW == 0 { &slow } else { &usual };
            let story = dry_run.run(answers[call % 2].clone()).await;
            verdicts[match story.verdict {
                "continue" => 0,
                "refused" => 1,
                _ => 2,
            }] += 1;
        }
        course.look(calls / INTERVALS);
    }
    let [passed, refused, broke] = verdicts;
    // Each chain has its own instances.
    let made = instances.settle(2 * CALLBACKS).await;
    course.print(&format!("{passed} passed, {refused} refused, {broke} broke; {made} instances"));
    assert!(passed > refused && refused > 0 && broke > 0 && made > 2 * CALLBACKS);
    course.is_level();
}

async fn over_sockets(calls: usize) {
    let upstream = upstream(Answer::default()).await;
    let config = Callbacks::new(calls).config(&upstream.openai_base());
    let quiet = "error,callgate::boot=info,callgate::callback=info";
    let gateway = Gateway::with_config(config).env("RUST_LOG", quiet).start().await;
    let mut course = Course::new("over sockets", gateway.pid());
    let (mut passed, mut refused, mut broke) = (0, 0, 0);
    for _ in 0..INTERVALS {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let calls = calls / INTERVALS / CLIENTS;
            clients.spawn(statuses(gateway.client(), client, calls));
        }
        for status in clients.join_all().await.concat() {
            match status {
                200 => passed += 1,
                418 => refused += 1,
                503 => broke += 1,
                other => panic!("no callback answers with {other}"),
            }
        }
        course.look(calls / INTERVALS);
    }
    let made = instances::settle(gateway.log(), CALLBACKS).await;
    course.print(&format!("{passed} passed, {refused} refused, {broke} broke; {made} instances"));
    assert!(passed > refused && refused > 0 && broke > 0 && made > CALLBACKS);
    course.is_level();
    gateway.stop().await;
}

async fn statuses(client: callgate_tests::Client, number: usize, calls: usize) -> Vec<u16> {
    let mut statuses = Vec::with_capacity(calls);
    for call in 0..calls {
        let model = if call % SLOW == number { "slow" } else { "usual" };
        let request = client.chat(model).set("stream", Value::from(call % 2 == 0));
        statuses.push(request.set("metadata", json!({"call": call})).send().await.status);
    }
    statuses
}
