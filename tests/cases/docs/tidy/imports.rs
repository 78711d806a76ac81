//! One import style: a block of `use` lines has one line for each root (`std`, `super`, a crate),
//! with braces for several items, and no blank line in it. rustfmt sorts the lines, but its option
//! that would merge them is not stable.

use super::{check, sources};

/// Files that were under change when the others were brought into this style. Take a file from the
/// list when you change its imports.
const NOT_YET: [&str; 14] = [
    "gateway/call/src/lib.rs",
    "gateway/callbacks/src/dry_run.rs",
    "gateway/callgate/src/cli.rs",
    "gateway/config/src/gateway.rs",
    "gateway/config/src/general.rs",
    "gateway/config/src/lib.rs",
    "gateway/config/src/protection.rs",
    "gateway/config/src/section.rs",
    "gateway/config/src/tests.rs",
    "gateway/deployments/src/lookup.rs",
    "gateway/secret/src/lib.rs",
    "gateway/server/src/lib.rs",
    "plugin-api/src/view.rs",
    "tests/cases/docs/documents/quotations.rs",
];

/// What comes before the first `::`, with indentation and visibility; the whole of a line without
/// one.
fn root(line: &str) -> Option<&str> {
    let import = line.trim_start();
    let is_import = import.starts_with("use ")
        || import.starts_with("pub use ")
        || import.starts_with("pub(") && import.contains(") use ");
    is_import.then(|| line.split_once("::").map_or(line, |(root, _)| root))
}

/// The numbers of the lines that should be one with an earlier line, or follow it directly.
fn apart(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut roots: Vec<&str> = Vec::new();
    let (mut inside, mut blank, mut marked) = (false, false, false);
    for (index, line) in text.lines().enumerate() {
        if inside {
            inside = !line.ends_with(';');
        } else if let Some(root) = root(line) {
            if blank && !roots.is_empty() || roots.contains(&root) {
                found.push(index + 1);
            }
            // A line with an attribute or a comment stays alone.
            if !marked {
                roots.push(root);
            }
            (inside, blank, marked) = (!line.ends_with(';'), false, false);
        } else if line.is_empty() {
            blank = true;
            marked = false;
        } else {
            roots.clear();
            blank = false;
            let line = line.trim_start();
            marked = line.starts_with("#[") || line.starts_with("//") && !line.starts_with("//!");
        }
    }
    found
}

#[test]
fn imports_that_are_apart_are_found() {
    for (text, expected) in [
        ("use a::B;\nuse std::{\n    fmt,\n    io,\n};\n", vec![]),
        ("use std::fmt;\nuse std::io;\n", vec![2]),
        ("use std::fmt;\n\nuse tokio::time;\n", vec![3]),
        ("use std::{\n    fmt,\n};\nuse std::io;\n", vec![4]),
        ("use a::B;\npub use a::C;\n", vec![]),
        ("use a::B;\n#[cfg(test)]\nuse a::C;\nuse a::D;\n", vec![]),
        ("use a::B;\n\nfn f() {\n    use a::C;\n    use a::D;\n}\n", vec![5]),
    ] {
        assert_eq!(apart(text), expected, "{text}");
    }
}

#[test]
fn imports_have_one_line_for_each_root() {
    let mut offences = Vec::new();
    for (name, text) in sources() {
        if !NOT_YET.contains(&name.as_str()) {
            let lines = apart(&text).into_iter().map(|line| format!("{name}:{line}"));
            offences.extend(lines.map(|place| {
                format!(
                    "{place}: merge it with the `use` of its root, without a blank line between"
                )
            }));
        }
    }
    check(&offences);
}
