//! The Makefile lists all its targets, and CI fails if tests are left out.

use super::check;
use callgate_tests::build;
use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

#[test]
fn make_help_lists_every_target() {
    let makefile = fs::read_to_string(build::repository().join("Makefile")).unwrap();
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    let targets: Vec<_> = phony.split(' ').filter(|target| *target != "help").collect();
    assert!(targets.contains(&"test"), "{targets:?}");
    let help = |target: &str| makefile.contains(&format!("\t@echo \"make {target} "));
    let silent = targets.into_iter().filter(|target| !help(target));
    check(&silent.map(|target| format!("`make help` lacks {target}")).collect::<Vec<_>>());
}

/// Whether `.ci/all-tests-ran` accepts this output of `make test`.
fn accepts(output: &str) -> bool {
    let mut command = Command::new(build::repository().join(".ci/all-tests-ran"));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(output.as_bytes()).unwrap();
    child.wait().unwrap().success()
}

#[test]
fn ci_fails_if_tests_are_left_out() {
    let result = |passed: u32, ignored: u32, filtered: u32| {
        format!(
            "test result: ok. {passed} passed; 0 failed; {ignored} ignored; 0 measured; \
             {filtered} filtered out; finished in 0.10s\n"
        )
    };
    let output = |units: &str, cases: &str, client: u32| {
        format!(
            "     Running unittests src/lib.rs (target/debug/deps/callgate_json-0)\n{units}\
             \x20    Running cases/main.rs (target/debug/deps/cases-0)\n{cases}\
             \x20    Running soak/main.rs (target/debug/deps/soak-0)\n{}\
             {client} passed, 0 failed\n",
            result(0, 0, 0)
        )
    };
    let ran = result(3, 0, 0);
    assert!(accepts(&output(&ran, &ran, 3)));
    for (what, output) in [
        ("nothing", String::new()),
        ("no unit test", output(&result(0, 0, 0), &ran, 3)),
        ("no end-to-end test", output(&ran, &result(0, 0, 0), 3)),
        ("no test of the client", output(&ran, &ran, 0)),
        ("an ignored test", output(&ran, &result(3, 1, 0), 3)),
        ("a filter", output(&ran, &result(3, 0, 1), 3)),
    ] {
        assert!(!accepts(&output), "{what}");
    }
}
