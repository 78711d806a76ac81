//! Shared objects that crash the process that maps them, made from a few lines of C, and whole
//! plugins with changed bytes: the gateway reports each problem, and survives.

use crate::plugins::plugin_files::{listing, refusal};
use callgate_tests::{Gateway, build};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The parts that the loader checks before it maps a file; the rest of a plugin is missing.
const LOOKS_LIKE_A_PLUGIN: &str = r#"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((section(".callgate.manifest"), used)) static const char manifest[] = MANIFEST;
const char _1as_0lib_1header_0root_bmodule_bloader[64] = {1};
"#;

/// A shared object with this C code in it.
pub(crate) fn compile(folder: &Path, name: &str, code: &str, arguments: &[&str]) -> PathBuf {
    let source = folder.join(format!("{name}.c"));
    let library = folder.join(format!("lib{name}.so"));
    let manifest = format!(
        r#"{{"api":"{0}","min_api":"{0}","package":"evil","version":"0.1.0"}}{{"name":"{name}","kind":"sync","hooks":"on_llm_start","reads":"","writes":"","settings_schema":{{"type":"object"}}}}"#,
        api()
    );
    let define = format!("#define MANIFEST {}\n", json!(manifest));
    fs::write(&source, format!("{define}{LOOKS_LIKE_A_PLUGIN}{code}")).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O0", "-o"]).arg(&library).arg(&source).args(arguments);
    let output = command.current_dir(folder).output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// The ABI version of this build's own plugins.
fn api() -> String {
    let bytes = fs::read(build::plugin("routing")).unwrap();
    let start = b"{\"api\":\"";
    let at = bytes.windows(start.len()).position(|it| it == start).unwrap() + start.len();
    bytes[at..].iter().take_while(|byte| **byte != b'"').map(|byte| char::from(*byte)).collect()
}

/// The entry of a compiled plugin, in a config with a short probe timeout.
fn constructor(folder: &Path, name: &str, body: &str) -> Value {
    let code = format!("__attribute__((constructor)) static void on_load(void) {{ {body} }}");
    json!({"name": name, "path": compile(folder, name, &code, &[])})
}

#[tokio::test]
async fn what_a_constructor_does_to_the_process_hurts_only_the_trial() {
    let folder = tempfile::tempdir().unwrap();
    for (name, body, sentence) in [
        ("segv", "*(volatile int *)8 = 1;", "crashed with SIGSEGV while being loaded"),
        (
            "bus",
            "signal(SIGBUS, SIG_DFL); raise(SIGBUS);",
            "crashed with SIGBUS while being loaded",
        ),
        ("fpe", "raise(SIGFPE);", "crashed with SIGFPE while being loaded"),
        ("leaves", "exit(0);", "ended the process with status 0 while being loaded"),
        ("slips", "_exit(3);", "ended the process with status 3 while being loaded"),
        (
            "speaks",
            "fputs(\"no such\\nlicence\", stderr); abort();",
            "crashed with SIGABRT while being loaded; it printed: no such\\nlicence;",
        ),
        (
            "prints",
            "puts(\"to stdout\"); exit(1);",
            "with status 1 while being loaded; it printed: to stdout",
        ),
    ] {
        let said = refusal(&constructor(folder.path(), name, body)).await;
        assert!(said.contains(sentence), "{name}: {said}");
        assert!(said.contains("callgate.probe: never"), "{name}: {said}");
    }
}

#[tokio::test]
async fn code_that_never_returns_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = "for (;;) pause();";
    let bodies = [
        ("hangs", hangs.to_owned()),
        ("spins", "for (;;);".to_owned()),
        ("forks", format!("fork(); {hangs}")),
    ];
    let starts = bodies.map(|(name, body)| {
        let mut config = listing(&constructor(folder.path(), name, &body));
        config["callgate"] = json!({"probe_timeout": "3s"});
        (name, tokio::spawn(Gateway::with_config(config).refused()))
    });
    for (name, start) in starts {
        let said = start.await.unwrap().stderr;
        assert!(said.contains("was not done within 3 s while being loaded"), "{name}: {said}");
        assert!(said.contains("callgate.probe_timeout"), "{name}: {said}");
    }
}

#[tokio::test]
async fn several_are_tried_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opening either end of a pipe waits for the other: alone, neither returns.
    let meets = |name, mode: &str| {
        let body = format!("if (!fopen({}, \"{mode}\")) abort();", json!(pipe));
        constructor(folder.path(), name, &body)
    };
    let callbacks = [meets("reads", "r"), meets("writes", "w")];
    let mut config = listing(&callbacks[0]);
    config["litellm_settings"]["callbacks"] = json!(callbacks);
    let said = Gateway::with_config(config).check().await.stderr;
    assert_eq!(said.matches("expected tables of abi_stable").count(), 2, "{said}");
}

#[tokio::test]
async fn the_right_symbol_with_garbage_behind_it_is_no_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let path = compile(folder.path(), "garbage", "", &[]);
    let said = refusal(&json!({"name": "garbage", "path": path})).await;
    assert!(said.contains("expected tables of abi_stable"), "{said}");
}

#[tokio::test]
async fn a_library_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let gone = compile(folder.path(), "gone", "int gone(void) { return 1; }", &[]);
    let code = "int gone(void); int needs(void) { return gone(); }";
    let path = compile(folder.path(), "needs", code, &["-L.", "-lgone"]);
    fs::remove_file(gone).unwrap();
    let said = refusal(&json!({"name": "needs", "path": path})).await;
    assert!(said.contains("libgone.so") && said.contains("install the library it needs"), "{said}");
}

/// Runs `check` on each file, a few at a time, and expects at most one sentence, and no crash.
async fn check_each(cases: Vec<(String, Vec<u8>)>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut refused = 0;
    for group in cases.chunks(4) {
        let checks: Vec<_> = group
            .iter()
            .map(|(what, bytes)| {
                let path = folder.path().join(format!("lib{what}.so"));
                fs::write(&path, bytes).unwrap();
                let mut config = listing(&json!({"name": "routing", "path": path}));
                config["callgate"] = json!({"probe_timeout": "3s"});
                (what, tokio::spawn(Gateway::with_config(config).check()))
            })
            .collect();
        for (what, check) in checks {
            let ended = check.await.unwrap();
            let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
            assert_eq!(errors, usize::from(!ended.status.success()), "{what}: {}", ended.stderr);
            refused += errors;
        }
    }
    refused
}

#[tokio::test]
async fn a_file_cut_anywhere_is_refused() {
    let whole = fs::read(build::plugin("routing")).unwrap();
    let parts = [1, 2, 5, 10, 25, 33, 50, 66, 75, 90, 95, 98, 99];
    let cut =
        |percent: usize| (format!("cut-{percent}"), whole[..whole.len() * percent / 100].to_vec());
    assert_eq!(check_each(parts.map(cut).to_vec()).await, parts.len());
}

/// A generator with the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn flipped_bits_are_refused_or_harmless() {
    let whole = fs::read(build::plugin("routing")).unwrap();
    let mut cases = Vec::new();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for (kind, range, flips) in [
        ("head", 4096, 1),
        ("head", 4096, 40),
        ("all", whole.len(), 200),
        ("all", whole.len(), 20_000),
    ] {
        for number in 0..12 {
            let mut bytes = whole.clone();
            for _ in 0..flips {
                bytes[numbers.below(range)] ^= 1 << numbers.below(8);
            }
            cases.push((format!("{kind}-{flips}-{number}"), bytes));
        }
    }
    assert!(check_each(cases).await > 12);
}

#[tokio::test]
async fn a_broken_file_that_nobody_names_stops_no_start() {
    let folder = tempfile::tempdir().unwrap();
    constructor(folder.path(), "evil", "exit(0);");
    fs::write(folder.path().join("libbroken.so"), "no ELF").unwrap();
    fs::create_dir(folder.path().join("libfolder.so")).unwrap();
    fs::copy(build::plugin("routing"), folder.path().join("librouting.so")).unwrap();
    let config = listing(&json!("routing"));
    let setup = Gateway::with_config(config).plugin_dir(Some(folder.path().to_owned()));
    let log = setup.start().await.stop().await;
    assert!(log.contains("callback loaded"), "{log}");
}

#[tokio::test]
async fn two_versions_in_one_folder_are_two_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = fs::read(build::plugin("faulty")).unwrap();
    let path = |number| folder.path().join(format!("libfaulty-{number}.so"));
    fs::write(path(1), &bytes).unwrap();
    // Beyond the end of what the linker maps.
    bytes.extend_from_slice(b"version two");
    fs::write(path(2), &bytes).unwrap();
    let callbacks =
        [1, 2].map(|it| json!({"name": "faulty", "path": path(it), "instance": format!("v{it}")}));
    let mut config = listing(&callbacks[0]);
    config["litellm_settings"]["callbacks"] = json!(callbacks);
    let gateway = Gateway::with_config(config).start().await;
    let log = gateway.stop().await;
    let hashes: Vec<_> = log
        .lines()
        .filter(|line| line.contains("callback loaded"))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["sha256"].as_str().map(str::to_owned))
        .collect();
    assert!(hashes.len() == 2 && hashes[0] != hashes[1], "{log}");
}
