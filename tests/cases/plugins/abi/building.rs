//! Workspaces that are copied into the build folder, where cargo builds them without a network.

use callgate_tests::build;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The folder in which generated crates are built, shared with `plugin new`, because the
/// dependencies are the same.
fn target() -> PathBuf {
    build::folder().join("generated")
}

/// All files below a folder, in a fixed order.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|_| panic!("no {}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Writes a file, unless it already has this content: cargo compares times.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) {
    if fs::read(path).is_ok_and(|found| found == content.as_ref()) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A copy of a folder, to build in.
pub(super) fn copy(folder: &Path, name: &str) -> PathBuf {
    let copy = target().join("abi").join(name);
    for file in files(folder) {
        write(&copy.join(file.strip_prefix(folder).unwrap()), fs::read(&file).unwrap());
    }
    copy
}

/// Builds a workspace with the versions in this workspace's lock file. Returns the folder of the
/// products.
pub(super) fn cargo(workspace: &Path) -> PathBuf {
    // Cargo removes the packages that are not needed.
    let lock = build::repository().join("Cargo.lock");
    fs::copy(lock, workspace.join("Cargo.lock")).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.arg("build").current_dir(workspace).env("CARGO_TARGET_DIR", target());
    command.env("CARGO_NET_OFFLINE", "true").env("CARGO_TERM_COLOR", "never").stdin(Stdio::null());
    // No time limit: the first run builds all dependencies.
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo build in {}: {said}", workspace.display());
    target().join("debug")
}
