//! Files that are not usable plugins: `check` and the start refuse each with the same sentence,
//! which says what was expected, what was found and what to do. Nothing crashes, nothing
//! half-starts.

use crate::callbacks::faulty::entry;
use callgate_tests::{Gateway, build, config::config};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink, path::Path};

pub(crate) fn listing(callback: &Value) -> Value {
    let mut config = config(&[]);
    config["litellm_settings"] = json!({"callbacks": [callback]});
    config
}

/// The lines that name the entry, which must be the same in `check` and in a start.
pub(crate) async fn refusal(callback: &Value) -> String {
    let mut said = Vec::new();
    for start in [false, true] {
        let setup = Gateway::with_config(listing(callback));
        let config = format!("error: {}", setup.config_path().display());
        let ended = if start { setup.refused().await } else { setup.check().await };
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let lines = ended.stderr.lines().filter(|line| line.starts_with(&config));
        let lines: Vec<_> = lines.map(|line| line.replace(&config, "error: config.yaml")).collect();
        assert_eq!(lines.len(), 1, "one sentence: {}", ended.stderr);
        said.extend(lines);
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].starts_with("error: config.yaml:1:"), "{}", said[0]);
    assert!(said[0].contains("litellm_settings.callbacks[0]: plugin `"), "{}", said[0]);
    said.remove(0)
}

fn patched(from: &[u8], to: &[u8]) -> Vec<u8> {
    replaced(&build::plugin("routing"), from, to)
}

/// A plugin with every `from` replaced by a `to` of the same length.
pub(crate) fn replaced(plugin: &Path, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a file's offsets must not move");
    let mut bytes = fs::read(plugin).unwrap();
    let mut at = 0;
    let mut found = 0;
    while let Some(next) = bytes[at..].windows(from.len()).position(|window| window == from) {
        bytes[at + next..at + next + from.len()].copy_from_slice(to);
        at += next + from.len();
        found += 1;
    }
    assert!(found > 0, "`{}` is not in the plugin", String::from_utf8_lossy(from));
    bytes
}

#[tokio::test]
async fn each_defect_has_its_sentence() {
    let whole = fs::read(build::plugin("routing")).unwrap();
    let other_machine = {
        let mut bytes = whole.clone();
        bytes[18..20].copy_from_slice(&243_u16.to_le_bytes());
        bytes
    };
    let with_byte = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("text", b"echo hello\n".to_vec(), "found a text file"),
        ("empty", Vec::new(), "found an empty file"),
        ("only the magic number", b"\x7fELF".to_vec(), "expected"),
        ("cut in the middle", whole[..whole.len() / 2].to_vec(), "the file is truncated"),
        ("cut by one byte", whole[..whole.len() - 1].to_vec(), "the file is truncated"),
        ("32-bit", with_byte(4, 1), "expected a 64-bit shared object, found a 32-bit one"),
        ("big-endian", with_byte(5, 2), "found a big-endian one"),
        ("an executable", with_byte(16, 2), "found an executable"),
        ("an executable of today", fs::read(build::binary()).unwrap(), "found an executable"),
        ("another machine", other_machine, "found one for"),
        (
            "another major of the ABI",
            patched(br#""api":"1."#, br#""api":"9."#),
            "found a plugin built for ABI 9.",
        ),
        (
            "a symbol nobody has",
            patched(b"\0pthread_key_create\0", b"\0pthread_key_crea7e\0"),
            "the dynamic linker refuses it",
        ),
        (
            "no entry point",
            patched(b"\0_1as_0lib_1header_0root", b"\0_1as_0lib_1header_0roof"),
            "that does not export `_1as_0lib",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (what, bytes, sentence) in cases {
        let file = folder.path().join("libbroken.so");
        fs::write(&file, bytes).unwrap();
        let entry = json!({"name": "routing", "path": file});
        let said = refusal(&entry).await;
        assert!(said.contains(sentence), "{what}: {said}");
        assert!(said.contains("libbroken.so") && said.contains("; "), "{what}: {said}");
    }
}

#[tokio::test]
async fn paths_that_are_not_plugin_files_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let dangling = folder.path().join("dangling.so");
    symlink(folder.path().join("nowhere"), &dangling).unwrap();
    let libm = Path::new("/lib/x86_64-linux-gnu/libm.so.6");
    let mut cases = vec![
        (folder.path().to_owned(), "found a folder"),
        (dangling, "found no file"),
        (Path::new("/dev/null").to_owned(), "expected a regular file"),
    ];
    if libm.exists() {
        cases.push((libm.to_owned(), "without the section `.callgate.manifest`"));
    }
    for (path, sentence) in cases {
        let said = refusal(&json!({"path": path})).await;
        assert!(said.contains(sentence), "{}: {said}", path.display());
    }
}

#[tokio::test]
async fn settings_are_judged_with_their_place() {
    for (settings, mentioned) in [
        (json!({"on_llm_start": [{"no_such_action": 1}]}), "no_such_action"),
        (json!({"on_llm_start": 7}), "expected a sequence"),
        (json!({"times": -1}), "-1"),
    ] {
        let said = refusal(&entry("faulty", "a", settings)).await;
        assert!(said.contains(mentioned), "{said}");
    }
    let config =
        listing(&json!({"name": "faulty", "path": build::plugin("faulty"), "settings": 7}));
    let said = Gateway::with_config(config).check().await.stderr;
    assert!(said.contains("callbacks[0].settings: expected a mapping"), "{said}");
}

#[tokio::test]
async fn two_entries_of_one_callback_need_names_of_their_own() {
    let mut config = config(&[]);
    config["litellm_settings"] = json!({"callbacks": ["routing", "src.callbacks.routing"]});
    let said = Gateway::with_config(config).check().await.stderr;
    assert!(said.contains("`routing` is listed more than once") && said.contains("instance"));
}

#[tokio::test]
async fn what_was_written_is_quoted_and_cut() {
    let long = format!("src.{}", "x".repeat(5000));
    let mut config = config(&[]);
    config["litellm_settings"] =
        json!({"callbacks": ["src.callbacks.bad", "librouting.so", "./none/libgone.so", long]});
    let said = Gateway::with_config(config).check().await.stderr;
    for expected in [
        "callbacks[0]: plugin `src.callbacks.bad`: expected `libbad.so`",
        "/src/callbacks/libbad.so`",
        "plugin `librouting.so`: expected a callback's name or a path with a `/`",
        "write `routing`, or a path: `./librouting.so`",
        "plugin `./none/libgone.so`: expected a plugin at",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains(&"x".repeat(201)), "{said}");
}

#[tokio::test]
async fn names_are_unique_and_a_lonely_share_is_reported() {
    let mut config = config(&[]);
    config["litellm_settings"] = json!({"callbacks": ["routing",
        {"name": "rate_limit", "instance": "routing", "share": "budget"},
        {"name": "guardrail", "instance": " "}]});
    let said = Gateway::with_config(config).check().await.stderr;
    assert!(said.contains("callbacks[1]: `routing` is listed more than once"), "{said}");
    assert!(
        said.contains("callbacks[1].share: no other entry of `rate_limit` has `share: budget`"),
        "{said}"
    );
    assert!(said.contains("callbacks[2].instance: expected a name, found empty text"), "{said}");
}

#[tokio::test]
async fn what_is_not_required_is_left_out_with_a_warning() {
    let gone = json!({"name": "gone", "required": false});
    let gateway = Gateway::with_config(listing(&gone)).start().await;
    let log = gateway.stop().await;
    let lines: Vec<_> = log.lines().filter(|line| line.contains("libgone.so")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("WARN") && lines[0].contains("not `required`"), "{}", lines[0]);
}
