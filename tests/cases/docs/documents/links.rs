//! Checks that the documents' links to files and headings of the repository lead somewhere.

use callgate_tests::build;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// All documents, by their path from the root.
fn documents() -> Vec<String> {
    let in_folder = |folder: &str| {
        let files = fs::read_dir(build::repository().join(folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
        let documents = names.filter(|name| name.ends_with(".md"));
        documents.map(|name| format!("{folder}{name}")).collect::<Vec<_>>()
    };
    ["", "docs/", "docs/decisions/", "plugin-api/", "tests/abi/"].map(in_folder).concat()
}

/// The text outside of fenced blocks.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("\n```").step_by(2).collect()
}

/// The link names of a document's headings.
fn anchors(path: &Path) -> Vec<String> {
    let prose = prose(path);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let named = headings.map(|line| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    });
    named.collect()
}

#[test]
fn links_lead_somewhere() {
    let root = build::repository();
    let mut broken = Vec::new();
    for document in documents() {
        let path = root.join(&document);
        for link in prose(&path).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let beside = || path.parent().unwrap().join(file);
            let target: PathBuf = if file.is_empty() { path.clone() } else { beside() };
            let found = target.exists()
                && (anchor.is_empty() || anchors(&target).iter().any(|known| known == anchor));
            if !found {
                broken.push(format!("{document}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}
