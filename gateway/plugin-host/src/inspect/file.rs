//! The plugin's file: its kind, its permissions, and its bytes. They are read once and every later
//! step uses them, so nobody can swap the file in between.

use callgate_config::regular_file::{self, ReadError};
use std::{
    ffi::OsString,
    fs::{self, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};
use thiserror::Error;

/// In MiB. No plugin is this large; a larger file would only fill the memory.
const LARGEST: u64 = 512;

/// Why a file cannot be used or trusted.
#[derive(Debug, Error)]
pub(crate) enum FileError {
    #[error("expected a file that can be read: {0}")]
    Unreadable(io::Error),
    #[error(transparent)]
    NoPlugin(ReadError),
    #[error(
        "expected `{}` to belong to root or to the gateway's user, found user {owner}: a plugin is as privileged as the gateway",
        path.display()
    )]
    Owner { path: PathBuf, owner: u32 },
    #[error(
        "expected `{}` to be writable by its owner alone, found mode {:o}: a plugin is as privileged as the gateway",
        path.display(),
        mode & 0o7777
    )]
    Writable { path: PathBuf, mode: u32 },
}

impl FileError {
    /// The part that others could change, in short.
    pub(crate) fn found(&self) -> Option<String> {
        match self {
            Self::Owner { path, owner } => Some(format!("`{}` of user {owner}", path.display())),
            Self::Writable { path, mode } => {
                Some(format!("`{}` of mode {:o}", path.display(), mode & 0o7777))
            }
            Self::Unreadable(_) | Self::NoPlugin(_) => None,
        }
    }

    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Unreadable(_) => {
                "let the gateway's user read the file and enter its folders".to_owned()
            }
            Self::NoPlugin(_) => "name the plugin's `.so` file itself".to_owned(),
            Self::Owner { path, .. } => format!("`chown root '{}'`", path.display()),
            Self::Writable { path, .. } => format!("`chmod go-w '{}'`", path.display()),
        }
    }
}

/// The bytes of a regular file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    regular_file::read(path, LARGEST).map_err(|error| match error {
        ReadError::System(error) => FileError::Unreadable(error),
        error => FileError::NoPlugin(error),
    })
}

const STICKY: u32 = 0o1000;

/// The most links on the way to a file; the system has the same limit.
const MOST_LINKS: usize = 40;

/// Reports users besides root and the gateway's own who could change the plugin: its file, or the
/// folder it is in (a sticky folder like `/tmp` protects its files' names).
pub(super) fn permissions(path: &Path) -> Vec<FileError> {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut unwise = Vec::new();
    for path in [Some(real.as_path()), real.parent()].into_iter().flatten() {
        if let Ok(metadata) = fs::metadata(path) {
            judge(path, &metadata, &mut unwise);
        }
    }
    unwise
}

/// The same for every folder and link on the way to it from the root: a user who may rename one of
/// them can put another file there.
pub(crate) fn permissions_of_way(path: &Path) -> Vec<FileError> {
    let mut unwise = Vec::new();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut left: Vec<OsString> = segments(&absolute);
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    if let Ok(root) = fs::symlink_metadata(&at) {
        judge(&at, &root, &mut unwise);
    }
    while let Some(segment) = left.pop() {
        if segment == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&segment);
        let Ok(metadata) = fs::symlink_metadata(&next) else { break };
        judge(&next, &metadata, &mut unwise);
        if !metadata.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        let Ok(target) = fs::read_link(&next) else { break };
        if links > MOST_LINKS {
            break;
        }
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        left.extend(segments(&target));
    }
    unwise
}

/// The path's segments, last first.
fn segments(path: &Path) -> Vec<OsString> {
    let segments = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    let mut segments: Vec<_> = segments.collect();
    segments.reverse();
    segments
}

fn judge(path: &Path, metadata: &Metadata, unwise: &mut Vec<FileError>) {
    let us = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.permissions().mode());
    if owner != 0 && owner != us {
        unwise.push(FileError::Owner { path: path.to_owned(), owner });
    }
    // A link's own mode means nothing; in a sticky folder only its owner may rename it.
    let sticky = metadata.is_dir() && mode & STICKY != 0;
    if mode & 0o022 != 0 && !metadata.is_symlink() && !sticky {
        unwise.push(FileError::Writable { path: path.to_owned(), mode });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_folder_and_link_on_the_way_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("a/b/c")).expect("folders");
        fs::create_dir(at("other")).expect("a folder");
        fs::write(at("a/b/c/p.so"), "").expect("a file");
        symlink("../../../other/link", at("a/b/c/q.so")).expect("a link");
        symlink(at("a/b/c/p.so"), at("other/link")).expect("a link");
        let mode = |name: &str, mode| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).expect("ours");
        };
        for name in ["a", "a/b", "a/b/c", "other"] {
            mode(name, 0o755);
        }
        mode("a/b/c/p.so", 0o644);
        let ours = |name: &str| {
            let unwise = permissions_of_way(&at(name)).into_iter();
            let paths = unwise.filter_map(|it| match it {
                FileError::Owner { path, .. } | FileError::Writable { path, .. } => Some(path),
                _ => None,
            });
            paths.filter(|path| path.starts_with(root.path())).collect::<Vec<_>>()
        };
        assert!(ours("a/b/c/p.so").is_empty() && ours("a/b/c/q.so").is_empty());
        mode("a", 0o777);
        assert_eq!(ours("a/b/c/p.so"), [at("a")]);
        mode("a", 0o1777);
        assert!(ours("a/b/c/p.so").is_empty(), "sticky");
        mode("other", 0o775);
        assert!(ours("a/b/c/p.so").is_empty());
        assert_eq!(ours("a/b/c/q.so"), [at("other")]);
    }
}
