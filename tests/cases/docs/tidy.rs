//! The house rules that a machine can check: file sizes, opening sentences, who may use which
//! crate, where `unsafe` is allowed, and that the documents name existing things.

mod circles;
mod imports;
mod tooling;
mod words;

use callgate_tests::build;
use std::{
    fs,
    path::{Path, PathBuf},
};

const LINES: usize = 500;
const COLUMNS: usize = 100;

/// Every Rust file of the workspace, by its path from the root. Frozen files are exempt.
fn sources() -> Vec<(String, String)> {
    let root = build::repository();
    let mut files = Vec::new();
    for package in ["gateway", "plugin-api", "plugins", "tests"] {
        walk(&root.join(package), &mut files);
    }
    let frozen = root.join("tests/abi/1.");
    let frozen = frozen.to_str().unwrap();
    let named = files.into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    named
        .filter(|path| !path.to_str().unwrap().starts_with(frozen))
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            walk(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// The lines of code, with their numbers, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[track_caller]
fn check(offences: &[String]) {
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn files_are_short_enough_to_read_whole() {
    let long = sources().into_iter().filter(|(_, text)| text.lines().count() > LINES);
    check(
        &long
            .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
            .collect::<Vec<_>>(),
    );
}

/// Comments are wrapped by hand, because rustfmt does not. A table's row cannot be wrapped.
#[test]
fn comments_are_no_wider_than_code() {
    let mut wide = Vec::new();
    for (name, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            let comment = line.trim_start().strip_prefix("//");
            let words = comment.map(|it| it.trim_start_matches(['/', '!']).trim_start());
            if words.is_some_and(|it| !it.starts_with('|')) && line.chars().count() > COLUMNS {
                wide.push(format!("{name}:{}: {} columns", index + 1, line.chars().count()));
            }
        }
    }
    check(&wide);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|(_, text)| !text.starts_with("//!"));
    check(&silent.map(|(name, _)| format!("{name}: does not open with `//!`")).collect::<Vec<_>>());
}

#[test]
fn no_file_is_called_mod_and_nothing_is_called_utils() {
    let words =
        ["mod.rs", "util.rs", "utils.rs", "helper.rs", "helpers.rs", "common.rs", "manager.rs"];
    let named = sources()
        .into_iter()
        .filter(|(name, _)| words.iter().any(|w| name.ends_with(&format!("/{w}"))));
    check(&named.map(|(name, _)| name).collect::<Vec<_>>());
}

/// A crate's name, and the only places in the gateway and the plugin API that may use it.
const EDGES: [(&str, &[&str]); 10] = [
    ("axum", &["gateway/server/src"]),
    ("serde_yaml", &["gateway/config/src"]),
    ("saphyr_parser", &["gateway/config/src"]),
    ("dotenvy", &["gateway/config/src"]),
    (
        "abi_stable",
        &["plugin-api/src/abi", "plugin-api/src/lib.rs", "gateway/plugin-host/src/loader"],
    ),
    ("libloading", &["gateway/plugin-host/src/loader"]),
    ("async_ffi", &["plugin-api/src/abi", "gateway/plugin-host/src/loader"]),
    (
        "hyper_util",
        &["gateway/server/src", "gateway/callgate/src/commands/demo", "gateway/host/src/http"],
    ),
    ("compression_codecs", &["gateway/coding/src"]),
    ("clap", &["gateway/callgate/src/cli", "gateway/callgate/src/main.rs"]),
];

#[test]
fn crates_stay_in_their_rooms() {
    let mut offences = Vec::new();
    for (name, text) in sources() {
        if !name.starts_with("gateway/") && !name.starts_with("plugin-api/src") {
            continue;
        }
        for (number, line) in code(&text) {
            for (krate, rooms) in EDGES {
                let named =
                    line.contains(&format!("{krate}::")) || line.contains(&format!("use {krate}"));
                if named && !rooms.iter().any(|room| name.starts_with(room)) {
                    offences.push(format!("{name}:{number}: `{krate}` belongs in {rooms:?}"));
                }
            }
        }
    }
    check(&offences);
}

/// If one reader of URLs decides and another connects, their differences could be exploited.
#[test]
fn one_file_reads_urls() {
    let reads =
        |line: &str| line.contains("Uri") && line.contains("parse") || line.contains(": Uri =");
    let mut offences = Vec::new();
    for (name, text) in sources() {
        if !name.starts_with("gateway/") || name == "gateway/config/src/http_url.rs" {
            continue;
        }
        for (number, _) in code(&text).filter(|(_, line)| reads(line)) {
            offences.push(format!("{name}:{number}: `HttpUrl` of `config` reads URLs"));
        }
    }
    check(&offences);
}

#[test]
fn unsafe_stands_only_at_the_boundary_and_with_its_proof() {
    let rooms = [
        "plugin-api/src/abi",
        "plugin-api/src/export.rs",
        "plugin-api/src/view",
        "plugin-api/src/host",
        "gateway/plugin-host/src/loader",
        // Two settings of the C library, for which there is no safe crate.
        "gateway/plugin-host/src/memory.rs",
        "tests/plugins/faulty/src/segfault.rs",
        "tests/abi/next/host",
    ];
    let mut offences = Vec::new();
    // Assembled here, so that this file does not match itself.
    let keyword = ["un", "safe"].concat();
    for (name, text) in sources() {
        for (number, line) in code(&text) {
            let opens = ["{", "fn", "impl", "extern"];
            let used = opens.iter().any(|next| line.contains(&format!("{keyword} {next}")));
            if used && !rooms.iter().any(|room| name.starts_with(room)) {
                offences.push(format!("{name}:{number}: {}", line.trim()));
            }
        }
    }
    check(&offences);
}

#[test]
fn plugins_and_gateway_do_not_know_each_other() {
    let root = build::repository();
    let mut offences = Vec::new();
    let manifest = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let names =
        |text: &str, word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    for plugin in ["routing", "rate_limit", "guardrail", "audit_log", "langsmith"]
        .map(|it| format!("plugins/{it}"))
    {
        let text = manifest(&format!("{plugin}/Cargo.toml"));
        for word in ["callgate.", "callgate =", "callgate-", "abi_stable"] {
            if names(&text, word) {
                offences.push(format!("{plugin}: depends on `{word}`"));
            }
        }
    }
    for (package, _) in PLAN {
        let gateway = manifest(&format!("gateway/{package}/Cargo.toml"));
        for word in [
            "routing",
            "rate_limit",
            "guardrail",
            "audit_log",
            "langsmith",
            "callgate-routing",
            "callgate-rate",
            "callgate-guardrail",
            "callgate-audit",
            "callgate-lang",
        ] {
            if names(&gateway, word) {
                offences.push(format!("gateway/{package}: depends on `{word}`"));
            }
        }
    }
    check(&offences);
}

/// The gateway's packages, each with those it depends on. Every dependency is in an earlier row.
const PLAN: [(&str, &[&str]); 16] = [
    ("json", &[]),
    ("secret", &[]),
    ("telemetry", &[]),
    ("coding", &[]),
    ("failure", &["json"]),
    ("providers", &["json", "failure"]),
    ("config", &["secret", "telemetry", "providers"]),
    ("upstream", &["json", "secret", "coding", "config"]),
    ("deployments", &["secret", "telemetry", "providers", "config", "upstream"]),
    ("call", &["json", "secret", "failure", "providers", "config", "deployments"]),
    ("host", &["secret", "telemetry", "providers", "config", "upstream"]),
    ("plugin-host", &["secret", "telemetry", "config", "host"]),
    (
        "callbacks",
        &[
            "json",
            "secret",
            "telemetry",
            "failure",
            "providers",
            "config",
            "deployments",
            "call",
            "host",
            "plugin-host",
        ],
    ),
    (
        "server",
        &[
            "json",
            "secret",
            "telemetry",
            "coding",
            "failure",
            "providers",
            "config",
            "deployments",
            "call",
            "upstream",
            "host",
            "plugin-host",
            "callbacks",
        ],
    ),
    ("scripted-upstream", &[]),
    (
        "callgate",
        &[
            "secret",
            "telemetry",
            "config",
            "deployments",
            "host",
            "plugin-host",
            "callbacks",
            "server",
            "scripted-upstream",
        ],
    ),
];

#[test]
fn the_packages_of_the_gateway_stand_on_each_other_as_drawn() {
    let gateway = build::repository().join("gateway");
    let mut offences = Vec::new();
    let sorted = |names: &mut dyn Iterator<Item = String>| {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        names
    };
    let there = fs::read_dir(&gateway).unwrap();
    let there = sorted(&mut there.map(|it| it.unwrap().file_name().display().to_string()));
    let drawn = sorted(&mut PLAN.iter().map(|(name, _)| (*name).to_owned()));
    if there != drawn {
        offences.push(format!("gateway/: expected {drawn:?}, found {there:?}"));
    }
    for (index, (name, below)) in PLAN.iter().enumerate() {
        let manifest = fs::read_to_string(gateway.join(name).join("Cargo.toml")).unwrap();
        let table = manifest.split("[dependencies]\n").nth(1).unwrap_or_default();
        let lines = table.lines().take_while(|line| !line.starts_with('['));
        let found =
            lines.filter_map(|line| line.strip_prefix("callgate-")?.split(['.', ' ']).next());
        let found = sorted(&mut found.map(str::to_owned));
        if found != sorted(&mut below.iter().map(|it| (*it).to_owned())) {
            offences.push(format!("gateway/{name}: expected {below:?}, found {found:?}"));
        }
        for it in *below {
            if PLAN[..index].iter().all(|(earlier, _)| earlier != it) {
                offences.push(format!("gateway/{name}: the arrow to {it} runs backwards"));
            }
        }
    }
    check(&offences);
}

/// The default target would be the module's path, which operators filter by and which changes with
/// every move.
#[test]
fn every_event_names_its_target() {
    let mut offences = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("gateway/")) {
        let code = code(&text).map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        for level in ["error", "warn", "info", "debug", "trace"] {
            for event in code.split(&format!("tracing::{level}!(")).skip(1) {
                if !event.trim_start().starts_with("target:") {
                    let line = event.trim_start().lines().next().unwrap_or_default();
                    offences.push(format!("{name}: {level}!({line}"));
                }
            }
        }
    }
    check(&offences);
}

#[test]
fn documents_name_only_what_exists() {
    let root = build::repository();
    let mut offences = Vec::new();
    let docs = ["docs", "docs/decisions"].map(|folder| {
        let files = fs::read_dir(root.join(folder)).unwrap().map(|file| file.unwrap().file_name());
        let names = files.map(|name| format!("{folder}/{}", name.to_string_lossy()));
        names.filter(|name| name.ends_with(".md")).collect::<Vec<_>>()
    });
    let top = [
        "ARCHITECTURE.md",
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "plugin-api/ABI.md",
        "tests/abi/README.md",
        "gateway/callgate/templates/plugin/README.md.in",
    ];
    let top = top.map(str::to_owned);
    for document in top.into_iter().chain(docs.concat()) {
        let text = fs::read_to_string(root.join(&document)).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let roots = ["gateway/", "plugin-api/", "plugins/", "tests/", "docs/"];
        for path in quoted.filter(|path| roots.iter().any(|root| path.starts_with(root))) {
            let exact = path.split([':', '*', ' ', '{', '<']).next().unwrap_or_default();
            if !root.join(exact).exists() {
                offences.push(format!("{document}: `{path}` does not exist"));
            }
        }
    }
    check(&offences);
}

#[test]
fn comments_speak_of_the_product_alone() {
    let mut offences = Vec::new();
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["HA", "CK:"]].map(|word| word.concat());
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                offences.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check(&offences);
}

#[test]
fn documents_name_the_oldest_compiler() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("rust-version = \"").unwrap();
    let expected = format!("Rust {} or later", rest.split('"').next().unwrap());
    let silent = ["README.md", "docs/install.md", "docs/plugin-guide.md"]
        .into_iter()
        .filter(|name| !read(name).contains(&expected));
    check(&silent.map(|name| format!("{name}: expected `{expected}`")).collect::<Vec<_>>());
}
