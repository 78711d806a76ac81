//! Later versions of the ABI: the live `plugin-api` with entries appended (1.2), with another major
//! version (2.0), and with one field renamed, each built with its plugins from `tests/abi/next`.

use super::building;
use callgate_tests::build;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The built packages.
pub(super) struct Next {
    folder: PathBuf,
}

impl Next {
    pub(super) fn built() -> Self {
        let root = build::repository();
        let folder = building::copy(&root.join("tests/abi/next"), "next");
        let layout = "gateway/plugin-host/src/loader/layout.rs";
        building::write(&folder.join("host/src/layout.rs"), text(&root.join(layout)));
        // The live workspace's dependencies and lints, for the copies of its package.
        let live = text(&root.join("Cargo.toml"));
        let (from, to) = (live.find("[workspace.package]"), live.find("[profile."));
        let shared = &live[from.expect("a package table")..to.expect("profiles")];
        // All are called `callgate-plugin-api`, so each is a workspace of its own.
        for (name, edits) in [("api_1_2", "1.2"), ("api_2", "2.0"), ("api_renamed", "renamed")] {
            let edits = text(&folder.join(format!("{edits}.edits")));
            edited(&folder.join(name), &edits, &format!("\n[workspace]\n\n{shared}"));
        }
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\n\
             members = [\"plugin\", \"host\", \"other_2\", \"other_renamed\"]\n\
             exclude = [\"api_1_2\", \"api_2\", \"api_renamed\"]\n\n{shared}"
        );
        building::write(&folder.join("Cargo.toml"), &manifest);
        Self { folder: building::cargo(&folder) }
    }

    /// The shared object of one of the plugins.
    pub(super) fn plugin(&self, name: &str) -> PathBuf {
        self.folder.join(format!("libnext_{name}.so"))
    }

    /// The host that speaks 1.2.
    pub(super) fn host(&self) -> PathBuf {
        self.folder.join("next-host")
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The live package as a workspace, with these edits: `@@ file`, a text in it, `=>`, and its
/// replacement.
fn edited(folder: &Path, edits: &str, workspace: &str) {
    let live = build::repository().join("plugin-api");
    let edits: Vec<_> = edits
        .split("\n@@ ")
        .skip(1)
        .map(|edit| {
            let (file, edit) = edit.split_once('\n').expect("a text");
            let (from, to) = edit.split_once("\n=>\n").expect("its replacement");
            (file, from, to.trim_end_matches('\n'))
        })
        .collect();
    for file in building::files(&live) {
        let name = file.strip_prefix(&live).unwrap().to_str().unwrap();
        let mut content = text(&file);
        for (_, from, to) in edits.iter().filter(|(edited, _, _)| *edited == name) {
            let mend = "mend the edit below tests/abi/next";
            assert!(content.contains(from), "{mend}: `plugin-api/{name}` no longer has `{from}`");
            content = content.replace(from, to);
        }
        if name == "Cargo.toml" {
            content.push_str(workspace);
        }
        building::write(&folder.join(name), &content);
    }
}
