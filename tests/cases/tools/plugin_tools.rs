//! `callgate plugin …`: each tool, with the plugins of this build and with files that are not
//! plugins.

mod bench;
mod check;
mod inspect;
mod list;
mod new;
mod pin;
mod test;
mod test_http;

use callgate_tests::build;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn so(name: &str) -> String {
    build::plugin(name).display().to_string()
}

/// A file in `folder`.
fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}
