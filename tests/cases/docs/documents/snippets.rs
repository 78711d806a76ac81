//! Builds the Rust of the plugin guide in one crate from `plugin new`. A block is a whole plugin if
//! it exports one, the body of a hook if its comment says so, otherwise items. Tests in blocks are
//! run; bodies run once on a made-up call and must not fail.

use super::{
    GUIDE,
    blocks::{Block, blocks},
    text,
};
use callgate_tests::{build, tool};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// The folder in which all generated crates are built.
pub(super) fn target() -> PathBuf {
    build::folder().join("generated")
}

/// The imports for every block that has none of its own.
const PRELUDE: &str = "\
    #![allow(dead_code, unused, clippy::all)]
    use plugin_api::{*, testing::*};
    use serde_json::{Value, json};
    use std::{sync::*, time::Duration};
";

/// The body of a hook that does nothing, for a callback that consists of `new`.
const IDLE: &str = "Ok(Flow::Continue)";

/// A callback with this body for `new` or a hook, and a test that runs it. The parameters have
/// their usual names, and `host` is the host that `new` got.
fn body(block: &Block, place: &str) -> String {
    let (waits, place) = place.strip_prefix("async ").map_or((false, place), |it| (true, it));
    let (callback, keyword, made) =
        if waits { ("AsyncCallback", "async ", "of_async") } else { ("Callback", "", "of") };
    let text = &block.text;
    let (parameters, drive) = match place {
        "new" | "on_llm_start" => ("call: &mut LlmCall<'_>", "tester.start(&mut call)"),
        "on_llm_during" => ("call: &mut CallView<'_>", "tester.during(&mut call)"),
        "on_llm_new_token" => (
            "call: &mut CallView<'_>, chunk: &mut Chunk<'_>",
            "tester.new_token(&mut call, &mut TestChunk::text(\"hello\"))",
        ),
        "on_llm_end" => (
            "call: &mut CallView<'_>, reply: &mut LlmReply<'_>",
            "tester.end(&mut call, &mut TestReply::text(\"hello\").usage(3, 4))",
        ),
        "on_llm_error" => (
            "call: &mut CallView<'_>, failure: &mut LlmFailure<'_>",
            "tester.error(&mut call, &mut TestFailure::new(FailureKind::TIMEOUT, 504, \"late\"))",
        ),
        other => panic!("{GUIDE}:{}: no hook is called `{other}`", block.line),
    };
    // A body that ends in a statement continues.
    let last = text.trim_end().lines().last().and_then(|line| line.split(" //").next());
    let goes_on = last.unwrap_or_default().trim_end().ends_with([';', '}']);
    let (hook, new, inside) = match (place, goes_on) {
        ("new", _) => ("on_llm_start", text.as_str(), IDLE.to_owned()),
        (_, true) => (place, "", format!("{text}\n#[allow(unreachable_code)] {IDLE}")),
        (_, false) => (place, "", text.clone()),
    };
    format!(
        "    struct Subject {{ host: Host }}
    impl {callback} for Subject {{
        type Settings = Value;
        fn new(host: Host, _: Value) -> Result<Self, InitError> {{
{new}
            Ok(Self {{ host }})
        }}
        {keyword}fn {hook}(&self, {parameters}) -> Hook {{
            let host = self.host;
{inside}
        }}
    }}
    #[test]
    fn it_runs() {{
        let tester = Tester::{made}::<Subject>(json!({{}})).unwrap();
        tester.host().answer_http(|_| Ok(HttpResponse::new(200)));
        let mut call = TestCall::chat(\"gpt\").provider(\"openai\").header(\"x-team\", \"blue\")
            .message(\"system\", \"be brief\").message(\"user\", \"hello\").param(\"temperature\", 0.5);
        let outcome = {drive};
        assert!(!matches!(outcome, Outcome::Fault(_)), \"{{outcome:?}}\");
        tester.host().run_tasks();
    }}
"
    )
}

/// The crate's library and, by name, its whole plugins.
fn sources() -> (String, Vec<(String, String)>) {
    let (mut library, mut plugins) = (String::new(), Vec::new());
    let blocks = blocks(GUIDE);
    let rust = blocks.iter().filter(|it| it.language == "rust" && it.marked("file: ").is_none());
    for block in rust {
        let line = block.line;
        if block.text.contains("export_callbacks!") {
            let name = block.text.split("name: \"").nth(1).and_then(|it| it.split('"').next());
            plugins.push((name.unwrap().to_owned(), block.text.clone()));
            continue;
        }
        let text = block.marked("in ").map_or_else(|| block.text.clone(), |hook| body(block, hook));
        let _ = write!(library, "#[cfg(test)]\nmod line_{line} {{\n{PRELUDE}\n{text}\n}}\n\n");
    }
    (library, plugins)
}

async fn cargo(root: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root).stdin(Stdio::null()).kill_on_drop(true);
    command.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
    // No time limit: the first run builds all dependencies.
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{GUIDE}, `line_N` is the block at line N: {said}");
}

/// Builds and tests the crate, runs `plugin check` on its plugins, and returns their folder.
pub(super) async fn build() -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    let made = tool::plugin(folder.path(), &["new", "guide"]).await;
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let root = folder.path().join("guide");
    let (library, plugins) = sources();
    assert!(library.matches("mod line_").count() > 10, "{GUIDE} lost its examples");
    fs::write(root.join("src/lib.rs"), library).unwrap();
    fs::remove_file(root.join("src/tests.rs")).unwrap();
    fs::create_dir(root.join("examples")).unwrap();
    let mut manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for (name, text) in &plugins {
        fs::write(root.join(format!("examples/{name}.rs")), text).unwrap();
        let _ = write!(
            manifest,
            "\n[[example]]\nname = \"{name}\"\ncrate-type = [\"cdylib\"]\ntest = true\n"
        );
    }
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    // Uses this workspace's versions, which are available offline.
    fs::copy(build::repository().join("Cargo.lock"), root.join("Cargo.lock")).unwrap();
    cargo(&root, &["test", "--lib", "--examples", "--quiet"]).await;
    cargo(&root, &["build", "--examples", "--quiet"]).await;
    let built = target().join("debug/examples");
    for (name, _) in plugins {
        let file = built.join(format!("lib{name}.so")).display().to_string();
        let checked = tool::plugin(&root, &["check", &file]).await;
        assert_eq!(checked.code(), 0, "{name}: {}{}", checked.stdout, checked.stderr);
    }
    built
}

/// The functions that an author can call, by file.
fn accessors() -> Vec<(String, String)> {
    let source = build::repository().join("plugin-api/src");
    let mut found = Vec::new();
    for room in ["view", "host"] {
        for entry in fs::read_dir(source.join(room)).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let code = fs::read_to_string(&path).unwrap();
            let names = code.lines().filter_map(|line| {
                line.trim_start().strip_prefix("pub fn ")?.split(['(', '<']).next()
            });
            found.extend(names.map(|name| (file.clone(), name.to_owned())));
        }
    }
    found
}

#[test]
fn the_guide_names_every_accessor_and_service() {
    let guide = text(GUIDE);
    // The functions for a test's script.
    let of_mocks = [
        "method",
        "url",
        "headers",
        "body_bytes",
        "own_timeout",
        "into_body",
        "with_header",
        "with_body",
    ];
    let missing: Vec<_> = accessors()
        .into_iter()
        .filter(|(file, name)| file != "http.rs" || !of_mocks.contains(&name.as_str()))
        .filter(|(_, name)| {
            !guide.contains(&format!("{name}(")) && !guide.contains(&format!("`{name}`"))
        })
        .collect();
    assert!(missing.is_empty(), "{GUIDE} does not name {missing:?}");
}
