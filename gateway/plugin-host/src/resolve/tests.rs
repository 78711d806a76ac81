//! From names and paths of entries to files: the order of the folders, and the errors.

use super::{ResolveError, SearchPath, resolve};
use callgate_config::CallbackEntry;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// An entry as the config reads `- name`, with these settings.
pub(crate) fn entry(name: &str, settings: Value) -> CallbackEntry {
    let mut entry = CallbackEntry::of_file(name, Path::new(""), settings, "config.yaml");
    entry.file = None;
    entry.breaker = None;
    entry.settings_path = "s".to_owned();
    entry
}

#[test]
fn folders_are_searched_in_the_documented_order() {
    let root = tempfile::tempdir().expect("a folder");
    let at = |path: &str| root.path().join(path);
    let folders = ["given", "etc/plugins", "usr/bin", "usr/lib/callgate/plugins"];
    let search =
        SearchPath::new(Some(&at("given")), &at("etc/config.yaml"), Some(&at("usr/bin/callgate")));
    let wanted = entry("routing", json!({}));
    let Err(ResolveError::NotFound { tried, near, .. }) = resolve(&wanted, &search) else {
        panic!("nothing is there yet")
    };
    assert_eq!(tried, folders.map(|folder| at(folder).join("librouting.so")));
    assert_eq!(near, None);
    // Filled from the last to the first: each new folder wins over those after it.
    for folder in folders.iter().rev() {
        fs::create_dir_all(at(folder)).expect("a folder");
        fs::write(at(folder).join("librouting.so"), "").expect("a file");
        assert_eq!(resolve(&wanted, &search), Ok(at(folder).join("librouting.so")));
    }
}

#[test]
fn a_folder_that_occurs_twice_is_tried_once() {
    let search = SearchPath::new(
        Some(Path::new("/a/plugins")),
        Path::new("/a/c.yaml"),
        Some(Path::new("/a/b/x")),
    );
    let error = resolve(&entry("none", json!({})), &search).expect_err("not there");
    assert_eq!(error.to_string().matches("/a/plugins/libnone.so").count(), 1);
}

#[test]
fn a_built_in_that_protects_is_an_error_in_every_list() {
    let search = SearchPath::new(None, Path::new("config.yaml"), None);
    for (name, is_error) in [("presidio", true), ("lakera", true), ("langfuse", false)] {
        let listed = entry(name, json!({}));
        let observes = CallbackEntry { required: false, only_observes: true, ..listed.clone() };
        let accepted = CallbackEntry { required: false, ..listed.clone() };
        for (entry, is_error) in [(listed, is_error), (observes, is_error), (accepted, false)] {
            let problems = crate::inspect_all(std::slice::from_ref(&entry), &search);
            assert_eq!((problems.len(), problems[0].is_error()), (1, is_error), "{entry:?}");
        }
    }
}

#[test]
fn a_miss_says_what_to_do() {
    let root = tempfile::tempdir().expect("a folder");
    fs::write(root.path().join("librate_limit.so"), "").expect("a file");
    let search = SearchPath::new(Some(root.path()), Path::new("config.yaml"), None);
    let refused = |name: &str| resolve(&entry(name, json!({})), &search).expect_err("not there");

    assert_eq!(refused("rate_limits").remedy(), "did you mean `rate_limit`?");
    assert!(refused("something").remedy().contains("--plugin-dir"));
    assert!(refused("prometheus").remedy().contains("`GET /metrics`"));
    let built_in = refused("presidio");
    assert!(built_in.to_string().starts_with("`presidio` is a built-in of LiteLLM"), "{built_in}");
    assert!(built_in.to_string().contains("plugins/libpresidio.so"), "{built_in}");
    assert!(built_in.remedy().contains("list `guardrail`"), "{}", built_in.remedy());
    assert!(!super::LITELLM_GUARDS.iter().any(|it| super::LITELLM_OBSERVERS.contains(it)));
    let python = refused("proxy_handler_instance");
    assert!(python.remedy().contains("Python callbacks are not run"), "{}", python.remedy());
    for (name, harmless) in
        [("langfuse", true), ("prometheus", true), ("presidio", false), ("something", false)]
    {
        assert_eq!(refused(name).is_harmless(), harmless, "{name}");
    }
    for odd in ["..", "a\0b", &"x".repeat(5000), ""] {
        assert!(matches!(refused(odd), ResolveError::NotFound { .. }), "{odd:?}");
    }
}

#[test]
fn dots_lead_to_a_folder_beside_the_config() {
    let root = tempfile::tempdir().expect("a folder");
    let mut wanted = entry("own", json!({}));
    wanted.folder = Some(root.path().join("src/callbacks"));
    let search = SearchPath::new(None, &root.path().join("config.yaml"), None);
    let missing = resolve(&wanted, &search).expect_err("not there").to_string();
    assert!(missing.contains("src/callbacks/libown.so`, `"), "{missing}");
    fs::create_dir_all(root.path().join("src/callbacks")).expect("a folder");
    let file = root.path().join("src/callbacks/libown.so");
    fs::write(&file, "").expect("a file");
    assert_eq!(resolve(&wanted, &search), Ok(file));
}

#[test]
fn a_dotted_name_is_also_a_module_and_its_instance() {
    let root = tempfile::tempdir().expect("a folder");
    let mut wanted = entry("proxy_handler_instance", json!({}));
    wanted.folder = Some(root.path().join("src/custom_callbacks"));
    let plugins = root.path().join("plugins");
    let search = SearchPath::new(None, &root.path().join("config.yaml"), None);
    // From the last to the first: each new file wins over those before it.
    for (folder, name) in [
        (&plugins, "custom_callbacks"),
        (&root.path().join("src"), "custom_callbacks"),
        (&plugins, "proxy_handler_instance"),
    ] {
        fs::create_dir_all(folder).expect("a folder");
        let file = folder.join(format!("lib{name}.so"));
        fs::write(&file, "").expect("a file");
        assert_eq!(resolve(&wanted, &search), Ok(file));
    }
}

#[test]
fn a_file_name_is_no_name_and_python_is_not_run() {
    let named = |written: &str, name: &str| {
        let mut wanted = entry(name, json!({}));
        written.clone_into(&mut wanted.written);
        resolve(&wanted, &SearchPath::default()).expect_err("not there")
    };
    let file = named("librouting.so", "routing");
    assert!(file.to_string().contains("found the file name `librouting.so`"), "{file}");
    assert_eq!(file.remedy(), "write `routing`, or a path: `./librouting.so`");
    let python = named("custom_callbacks.proxy_handler_instance", "proxy_handler_instance");
    assert!(python.remedy().contains("Python callbacks are not run"), "{}", python.remedy());
}

#[test]
fn a_path_is_used_as_it_is() {
    let root = tempfile::tempdir().expect("a folder");
    let mut wanted = entry("x", json!({}));
    wanted.file = Some(root.path().join("x.so"));
    let error = resolve(&wanted, &SearchPath::default()).expect_err("not there");
    assert!(error.to_string().contains("x.so`, found no file"), "{error}");
    fs::write(root.path().join("x.so"), "").expect("a file");
    assert_eq!(resolve(&wanted, &SearchPath::default()).ok(), wanted.file);
}
