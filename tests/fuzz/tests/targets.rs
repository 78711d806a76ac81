//! Runs each target over its corpus and a few mutations, always the same ones. `make fuzz` runs
//! them for longer.

#![expect(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "these are tests")]

use callgate_fuzz::{
    engine::{self, Budget},
    targets::TARGETS,
};

const SEED: u64 = 1;

#[track_caller]
fn holds(name: &str, runs: u64) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let outcome = engine::run(target, SEED, Budget::Runs(runs), |_| {}).unwrap();
    if let Some(finding) = outcome.finding {
        panic!("{}\ninput: {}", finding.message, finding.input.escape_ascii());
    }
}

macro_rules! tests {
    ($($name:ident: $runs:literal,)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name), $runs);
        })*

        #[test]
        fn every_target_is_tried() {
            let tried = [$(stringify!($name)),*];
            assert_eq!(tried, TARGETS.each_ref().map(|target| target.name));
        }
    };
}

tests! {
    json_scan: 300,
    json_splice: 200,
    edits: 200,
    answer: 150,
    decoding: 60,
    sse: 150,
    ndjson: 150,
    reply: 300,
    upstream_error: 300,
    plugin_file: 300,
    settings: 100,
    config: 150,
    dotenv: 500,
    certificates: 300,
    proxy: 500,
    request_head: 500,
    log_line: 500,
    form: 300,
    events: 150,
    ingress: 100,
}
