//! The form of the documents: README is one page, and each decision has its parts and its place in
//! the index.

use super::{README, text};
use callgate_tests::build;
use std::fs;

const PAGE: usize = 150;

const DECISIONS: &str = "docs/decisions";

#[test]
fn readme_is_one_page() {
    let lines = text(README).lines().count();
    assert!(lines <= PAGE, "{README} has {lines} lines; move details to docs/reference.md");
}

#[test]
fn every_decision_has_its_parts_and_is_in_the_index() {
    let index = text(&format!("{DECISIONS}/README.md"));
    let files = fs::read_dir(build::repository().join(DECISIONS)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name != "README.md").collect();
    names.sort();
    let mut offences = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let number = format!("{:03}", position + 1);
        let page = text(&format!("{DECISIONS}/{name}"));
        let parts = ["Context", "Choice", "Measurement", "Consequence"];
        let parts = parts.map(|part| format!("\n**{part}.**"));
        let missing = parts.iter().filter(|part| !page.contains(part.as_str()));
        offences.extend(missing.map(|part| format!("{name} lacks `{}`", part.trim())));
        if !name.starts_with(&number) || !page.starts_with(&format!("# {number}: ")) {
            offences.push(format!("{name}: expected the number {number}"));
        }
        if !index.contains(&format!("[{number}]({name})")) {
            offences.push(format!("{DECISIONS}/README.md lacks {name}"));
        }
    }
    assert!(offences.is_empty() && names.len() > 20, "{offences:#?}");
}
