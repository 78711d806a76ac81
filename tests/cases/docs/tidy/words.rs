//! One meaning for each word: a word in the glossary of `CONTRIBUTING.md` is one type, and no two
//! packages of the gateway have types with the same name.
//!
//! Plugins count, too, except for `plugin-api`: its names are frozen, and it is the other side of
//! the boundary. A private type is only read in its own file, so it may share a name.

use super::{check, code, sources};
use callgate_tests::build;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// Names so general that each may be used once in all, private types included.
const GENERAL: [&str; 14] = [
    "Answer",
    "Known",
    "Lines",
    "Open",
    "Outcome",
    "Phase",
    "Place",
    "Reply",
    "Snapshot",
    "Step",
    "Subject",
    "Target",
    "Told",
    "UpstreamError",
];

/// Types that share a name, and why they may.
const SHARED: [(&str, &str); 2] = [
    ("Settings", "each plugin has its own: the associated type of the plugin API is called so"),
    ("ToolCall", "a word of the upstreams' APIs, which a dialect reads and a script writes"),
];

/// More words than anybody keeps in mind.
const WORDS: usize = 25;

struct Definition {
    /// Such as `gateway/call`.
    package: String,
    file: String,
    name: String,
    is_private: bool,
}

/// The types at the top level of the gateway's and the plugins' files.
fn definitions() -> Vec<Definition> {
    let mut found = Vec::new();
    for (file, text) in sources() {
        let ours = ["gateway/", "plugins/"].iter().any(|folder| file.starts_with(folder));
        if !ours || file.ends_with("/tests.rs") || file.contains("/tests/") {
            continue;
        }
        let package = file.split('/').take(2).collect::<Vec<_>>().join("/");
        for (_, line) in code(&text) {
            if let Some((name, is_private)) = defined(line) {
                let (package, file) = (package.clone(), file.clone());
                found.push(Definition { package, file, name, is_private });
            }
        }
    }
    found
}

/// The type that an unindented line defines, and whether it is private.
fn defined(line: &str) -> Option<(String, bool)> {
    let (rest, is_private) = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => (rest.split_once(')')?.1.trim_start(), false),
        Some(rest) => (rest.trim_start(), false),
        None => (line, true),
    };
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    let end = name.find(|it: char| !it.is_alphanumeric()).unwrap_or(name.len());
    Some((name[..end].to_owned(), is_private))
}

/// The words of the glossary.
fn glossary() -> Vec<String> {
    let text = fs::read_to_string(build::repository().join("CONTRIBUTING.md")).unwrap();
    let section = text.split("\n## Words\n").nth(1).expect("CONTRIBUTING.md has a glossary");
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let words = cells.skip(1).flat_map(|cell| cell.split(", "));
    words.map(str::to_owned).collect()
}

/// `model name` → `ModelName`.
fn as_type(word: &str) -> String {
    let parts = word.split(' ').filter_map(|part| part.split_at_checked(1));
    parts.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

fn is_shared(name: &str) -> bool {
    SHARED.iter().any(|(shared, _)| *shared == name)
}

#[test]
fn a_word_of_the_glossary_is_one_type() {
    let words = glossary();
    assert!((10..=WORDS).contains(&words.len()), "{} words: {words:?}", words.len());
    let definitions = definitions();
    let mut offences = Vec::new();
    let listed = words.iter().map(|word| (as_type(word), false));
    for (name, or_private) in listed.chain(GENERAL.map(|name| (name.to_owned(), true))) {
        let named = definitions.iter().filter(|it| it.name == name);
        let files: Vec<_> =
            named.filter(|it| or_private || !it.is_private).map(|it| it.file.as_str()).collect();
        if files.len() > 1 && !is_shared(&name) {
            offences.push(format!("`{name}` is {} types: {}", files.len(), files.join(", ")));
        }
    }
    check(&offences);
}

#[test]
fn no_two_packages_of_the_gateway_have_a_type_of_one_name() {
    let mut by_name: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    let visible = definitions().into_iter().filter(|it| !it.is_private);
    for it in visible.filter(|it| it.package.starts_with("gateway/")) {
        by_name.entry(it.name).or_default().insert((it.package, it.file));
    }
    let mut offences = Vec::new();
    for (name, places) in by_name {
        let packages: BTreeSet<_> = places.iter().map(|(package, _)| package).collect();
        if packages.len() > 1 && !is_shared(&name) {
            let files: Vec<_> = places.iter().map(|(_, file)| file.as_str()).collect();
            offences.push(format!("`{name}`: {}", files.join(", ")));
        }
    }
    check(&offences);
}
