//! Hundreds of reloads under load: 64 clients call, as JSON and as streams, while the config
//! changes ten times a second, its plugin's file is another build now and then, and every fifth
//! config is broken. No call may fail, and each must pass the hooks of exactly one config.
//!
//! `make test` reloads 40 times; `make soak` reloads 500 times, and `CALLGATE_SOAK_RELOADS` sets
//! the number. It prints how fast calls were with and without reloads, and what a reload costs in
//! memory; it judges neither, because both depend on the machine. `load` calls and checks the
//! answers, `versions` has the configs and the plugin's builds.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod load;
mod versions;

use callgate_tests::{
    Answer, Gateway,
    config::{config, deployment},
    upstream,
};
use load::{Latencies, Load};
use serde_json::json;
use std::{
    io::Write as _,
    time::{Duration, Instant},
};
use versions::{Next, Versions};

const RELOADS: &str = "CALLGATE_SOAK_RELOADS";

/// The time from one reload to the next, if they are fast enough.
const PACE: Duration = Duration::from_millis(100);

fn reloads() -> usize {
    std::env::var(RELOADS).map_or(40, |reloads| reloads.parse().expect("a number"))
}

fn print(what: &str) {
    let _ = writeln!(std::io::stderr(), "reloads: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_notices_a_reload() {
    let upstream = upstream(Answer::default()).await;
    let mut versions = Versions::new(&upstream.openai_base(), reloads());
    let setup = Gateway::with_config(versions.first()).plugin_dir(None);
    let gateway = setup.env("RUST_LOG", "warn,callgate::boot=info").start().await;
    let time = PACE * u32::try_from(reloads()).unwrap();

    let load = Load::start(gateway.address());
    tokio::time::sleep(time).await;
    let (calm, calls) = load.stop().await;
    let before = gateway.memory();

    let load = Load::start(gateway.address());
    let mut took = Latencies::default();
    let (began, mut applied, mut refused) = (Instant::now(), 0, 0);
    let mut pace = tokio::time::interval(PACE);
    for number in 1..=reloads() {
        pace.tick().await;
        let Next { config, is_good } = versions.next(number);
        gateway.write("config.yaml", config);
        let asked = Instant::now();
        let reply = gateway.client().request("POST", "/admin/reload").send().await;
        took.add(asked.elapsed());
        let expected = if is_good { 200 } else { 422 };
        let report = reply.expect_status(expected).json();
        if is_good {
            applied += 1;
        } else {
            refused += 1;
        }
        assert_eq!(report["generation"], applied + 1, "{report}");
    }
    let elapsed = began.elapsed();
    let (busy, more) = load.stop().await;
    let total = calls + more;

    // Every call of all time has had its start hook and its end hook once, in both callbacks.
    let last = gateway.client().chat("gpt").send().await.expect_status(200);
    let all = format!("{0}/{0}", total + 1);
    assert_eq!((last.header("x-a-counts"), last.header("x-b-counts")), (&*all, &*all));
    assert_eq!(upstream.journal().requests.len(), total + 1, "nothing was sent twice");
    for request in upstream.requests() {
        assert_eq!(request.header("x-a"), request.header("x-b"), "one config");
        assert!(request.header("x-a").is_some(), "hookless");
    }
    let metrics = gateway.client().get("/metrics").await.text();
    let mapped = metrics.lines().find(|it| it.starts_with("callgate_plugin_libraries ")).unwrap();
    let grown = gateway.memory().saturating_sub(before) / 1024;
    print(&format!(
        "{applied} applied and {refused} refused in {:.1} s, each in {took}; {mapped}",
        elapsed.as_secs_f64()
    ));
    print(&format!("{calls} calls without reloads: {calm}"));
    print(&format!("{more} calls with reloads:    {busy}"));
    print(&format!("p99 is {:.2} times that without", busy.p99() / calm.p99()));
    print(&format!("{grown} KiB more memory, {:.1} KiB for each reload", per(grown, reloads())));
    gateway.stop().await;
}

fn per(amount: usize, count: usize) -> f64 {
    amount as f64 / count as f64
}

/// The time that a reload of a large config takes, away from the path of calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_models_are_reloaded() {
    let upstream = upstream(Answer::default()).await;
    let many = |last: usize| {
        let base = upstream.openai_base();
        let models = (0..1000).map(|at| {
            let name = format!("m{}", if at == 999 { last } else { at });
            deployment(&name, "openai/m", &base)
        });
        let mut config = config(&models.collect::<Vec<_>>());
        config["callgate"] = json!({"cache_dir": "cache"});
        config
    };
    let gateway = Gateway::with_config(many(999)).plugin_dir(None).start().await;
    let mut took = Latencies::default();
    for number in 0..10 {
        gateway.write("config.yaml", many(1000 + number));
        let asked = Instant::now();
        let reply = gateway.client().request("POST", "/admin/reload").send().await;
        took.add(asked.elapsed());
        let changes = reply.expect_status(200).json()["changes"].as_array().unwrap().len();
        assert_eq!(changes, 3, "one comes, one goes, and the order");
        let name = format!("m{}", 1000 + number);
        let _ = gateway.client().chat(&name).send().await.expect_status(200);
    }
    print(&format!("a config of 1 000 models: {took}"));
    gateway.stop().await;
}
