//! Tests the documents: their commands are run, their code is built, their configs are checked, and
//! their quotations are compared with the gateway's output. The comment above a block sets its
//! kind:
//!
//! | comment | block |
//! |---|---|
//! | `<!-- tested -->` | commands, and below them their output; `…` stands for any text |
//! | `<!-- file: PATH -->` | a file for the commands after it |
//! | `<!-- serves -->` | the command that starts the gateway for the commands after it |
//! | `<!-- in on_llm_start -->` | the body of a hook; `in async on_llm_start` and `in new` likewise
//! |
//!
//! `blocks` reads a document, `commands` runs it, `snippets` builds its Rust, `configs` checks its
//! YAML, `quotations` compares them, `links` follows its links, `form` keeps README short and the
//! decisions complete.

mod blocks;
mod commands;
mod configs;
mod form;
mod links;
mod quotations;
mod snippets;

use callgate_tests::build;
use std::fs;

const README: &str = "README.md";
const REFERENCE: &str = "docs/reference.md";
const GUIDE: &str = "docs/plugin-guide.md";
const OPERATORS: &str = "docs/callbacks-for-operators.md";
const SHIPPED: &str = "docs/shipped-callbacks.md";

fn text(document: &str) -> String {
    let path = build::repository().join(document);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// Whether `found` matches `expected`, where `…` stands for any text.
fn fits(expected: &str, found: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected == found };
    let Some(found) = found.strip_prefix(start) else { return false };
    let mut starts = found.char_indices().map(|(at, _)| at).chain([found.len()]);
    starts.any(|at| fits(rest, &found[at..]))
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (expected, found, same) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "a\nb", true),
        ("…b…d", "abcd", true),
        ("…b…d", "abc", false),
        ("…", "", true),
    ] {
        assert_eq!(fits(expected, found), same, "{expected} {found}");
    }
}
