//! The allowed changes of the ABI: a minor version that appends in every place works in both
//! directions, and anything else is refused in one line.

use super::{all_hooks_fire, marking, next, prebuilt, rebuilt};
use crate::plugins::plugin_files::{listing, refusal, replaced};
use callgate_tests::Gateway;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The report of the 1.2 host on these plugins, loaded in this order into one process.
fn host_of_1_1(plugins: &[(&Path, &str)]) -> Vec<String> {
    let mut command = Command::new(next().host());
    for (file, callback) in plugins {
        command.arg(file).arg(callback);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_plugin_of_1_0_works_in_a_host_of_1_1() {
    let (old, again, newer) = (prebuilt(), rebuilt(), next().plugin("1_1"));
    let renamed = next().plugin("other_renamed");
    let plugins: [(&Path, &str); 5] = [
        (&newer, "next"),
        (&old, "frozen_sync"),
        (&renamed, "other"),
        (&again, "frozen_async"),
        (&old, "frozen_async"),
    ];
    for turn in 0..plugins.len() {
        let mut plugins = plugins;
        plugins.rotate_left(turn);
        for ((_, callback), said) in plugins.iter().zip(host_of_1_1(&plugins)) {
            let expected = match *callback {
                "next" => "next of 1.2: [Continue, Continue, Continue, Continue] \
                     \"hello!\" | 11 12 13 | he | - | late | later Some(0)"
                    .to_owned(),
                "other" => "other: refused: `".to_owned(),
                frozen => format!(
                    "{frozen} of 1.0: [Continue, Continue, Continue, Continue] \"hello!\" | - | he! | \
                     ! ! 200 stop false | late [! 6] | later None"
                ),
            };
            assert!(said.starts_with(&expected), "{said}\n{expected}");
        }
    }
}

#[tokio::test]
async fn a_plugin_of_1_1_works_here_without_what_is_absent() {
    let (old, again, newer) = (prebuilt(), rebuilt(), next().plugin("1_1"));
    let list = [
        marking(&newer, "next", "n"),
        marking(&old, "frozen_sync", "a"),
        marking(&again, "frozen_async", "b"),
    ];
    for turn in 0..list.len() {
        let mut list = list.to_vec();
        list.rotate_left(turn);
        let found = all_hooks_fire(&list).await;
        assert_eq!(found.as_deref(), Some("absent absent absent"));
    }
}

#[tokio::test]
async fn a_later_hook_is_reported() {
    let setup = Gateway::with_config(listing(&marking(&next().plugin("1_1"), "next", "n")));
    let checked = setup.check().await;
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stderr);
    let sentence = "expected hooks of ABI 1.1, found `on_llm_later` of a plugin built for ABI 1.2";
    assert!(checked.stdout.contains(sentence), "{}", checked.stdout);
}

/// A copy with one text replaced by another of the same length.
fn patched(file: &Path, from: &str, to: &str, folder: &Path) -> PathBuf {
    let copy = folder.join(file.file_name().unwrap());
    fs::write(&copy, replaced(file, from.as_bytes(), to.as_bytes())).unwrap();
    copy
}

#[tokio::test]
async fn what_does_not_fit_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (newer, second) = (next().plugin("1_1"), next().plugin("other_2"));
    let needs = patched(&newer, r#""min_api":"1.0""#, r#""min_api":"1.2""#, folder.path());
    let lies = patched(&second, r#"api":"2.0""#, r#"api":"1.1""#, folder.path());
    for (file, callback, sentence) in [
        (
            needs,
            "next",
            "expected a plugin that runs with ABI 1.1, found one that needs 1.2 or later",
        ),
        (second, "other", "expected ABI 1.x, found a plugin built for ABI 2.0"),
        (lies, "other", "expected package version 1.1.0, found 2.0.0"),
        (
            next().plugin("other_renamed"),
            "other",
            "expected field `requested_model`, found `wanted_model`",
        ),
    ] {
        let said = refusal(&json!({"name": callback, "path": file})).await;
        assert!(said.contains(sentence), "{said}");
    }
}
