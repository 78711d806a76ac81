//! The gateway's private folder: plugins that passed the probe, and records of earlier crashes. The
//! gateway works without it, but then probes every plugin at each start and knows of no earlier
//! crash.
//!
//! `probe::passed` and `crash_journal` write the files.

use super::inspect::permissions_of_way;
use callgate_config::regular_file;
use std::{
    fs::{self, DirBuilder},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};
use thiserror::Error;

/// No file kept here is larger.
const LARGEST: u64 = 64 << 10;

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(super) enum CacheError {
    /// Neither the config nor the environment names one.
    #[error("expected `callgate.cache_dir`, `$XDG_CACHE_HOME` or `$HOME`, found none of them")]
    Nowhere,
    /// It cannot be created or examined.
    #[error("expected a folder that can be written at `{}`: {error}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// It is a link, whose target may change or belong to others.
    #[error("expected a folder at `{}`, found a link; name the folder it leads to", .0.display())]
    Link(PathBuf),
    /// Other users could write to it.
    #[error(
        "expected `{}` to belong to the gateway's user and to be writable by nobody else, found user {owner} and mode {:o}",
        path.display(),
        mode & 0o7777
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// Other users could replace it by another folder.
    #[error(
        "expected every folder on the way to `{}` to belong to root or the gateway's user and to be writable by nobody else, found {found}",
        path.display()
    )]
    Way {
        /// The folder.
        path: PathBuf,
        /// The faulty folder, and what is wrong with it.
        found: String,
    },
}

/// A folder that only the gateway's user can write to.
#[derive(Clone, Debug)]
pub(super) struct CacheFolder(PathBuf);

impl CacheFolder {
    /// Opens the folder in the config, otherwise `callgate` in `$XDG_CACHE_HOME` or in `~/.cache`;
    /// creates it with mode 0700 if it is missing.
    ///
    /// # Errors
    /// If there is no folder that only this user can write to.
    pub(super) fn open(configured: Option<&Path>) -> Result<Self, CacheError> {
        let path = configured.map(Path::to_owned).or_else(default_path);
        let path = path.ok_or(CacheError::Nowhere)?;
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(CacheError::Link(path));
        }
        let judged = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        let judged = judged.and_then(|()| fs::metadata(&path)).and_then(|metadata| {
            // Tested by writing, because the file system may be read-only.
            tempfile::tempfile_in(&path).map(|_| metadata)
        });
        let metadata = match judged {
            Ok(metadata) => metadata,
            Err(error) => return Err(CacheError::Unusable { path, error }),
        };
        let (owner, mode) = (metadata.uid(), metadata.mode());
        if owner != rustix::process::geteuid().as_raw() || mode & 0o022 != 0 {
            return Err(CacheError::Shared { path, owner, mode });
        }
        // A user who may rename a parent folder could replace this one.
        match permissions_of_way(&path).into_iter().find_map(|unwise| unwise.found()) {
            Some(found) => Err(CacheError::Way { path, found }),
            None => Ok(Self(path)),
        }
    }

    /// The path of a file with this name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The content of a file; `None` if no such file belongs to the gateway's user.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name);
        let (file, metadata) = regular_file::open(&path).ok()?;
        if metadata.len() > LARGEST {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Writes a file completely, or leaves the old one.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        file.write_all(bytes)?;
        file.persist(self.path(name)).map_err(|error| error.error)?;
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::debug!(
                    target: "callgate::callbacks::cache",
                    "`{}` is not removed: {error}", self.path(name).display()
                );
            }
            _ => {}
        }
    }

    /// The files whose names begin with `prefix`, with the time each was written.
    pub(super) fn files(&self, prefix: &str) -> Vec<(String, SystemTime)> {
        let files = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let named = files.filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let written = file.metadata().and_then(|it| it.modified()).ok()?;
            name.starts_with(prefix).then_some((name, written))
        });
        named.collect()
    }
}

/// The gateway's private folder as the config sets it, or the default; `None` if no such folder can
/// be used.
#[must_use]
pub fn cache_folder(configured: Option<&Path>) -> Option<PathBuf> {
    CacheFolder::open(configured).ok().map(|folder| folder.0)
}

/// The folder for the state of callbacks as the config sets it, or the default.
#[must_use]
pub fn state_folder(configured: Option<&Path>) -> Option<PathBuf> {
    configured.map(Path::to_owned).or_else(|| default_below("XDG_STATE_HOME", ".local/state"))
}

/// Makes a folder that only the gateway's user can write to, or checks that it is one.
///
/// # Errors
/// What is wrong with it.
pub fn open_private_folder(path: &Path) -> Result<(), String> {
    CacheFolder::open(Some(path)).map(drop).map_err(|error| error.to_string())
}

fn default_path() -> Option<PathBuf> {
    default_below("XDG_CACHE_HOME", ".cache")
}

fn default_below(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let base = absolute(variable).or_else(|| Some(absolute("HOME")?.join(in_home)));
    Some(base?.join("callgate"))
}

#[cfg(test)]
mod tests {
    use super::{CacheError, CacheFolder};
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt as _,
    };

    #[test]
    fn it_is_made_for_this_user_alone_and_keeps_what_it_is_given() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        let cache = CacheFolder::open(Some(&path)).expect("made");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
        cache.write("x-1", b"one").expect("written");
        cache.write("x-1", b"two").expect("written again");
        assert_eq!(cache.read("x-1").as_deref(), Some(&b"two"[..]));
        assert_eq!(cache.files("x-").len(), 1);
        cache.remove("x-1");
        assert_eq!((cache.read("x-1"), cache.files("x-").len()), (None, 0));
        fs::create_dir(path.join("x-2")).expect("made");
        assert_eq!(cache.read("x-2"), None);
        let made = std::process::Command::new("mkfifo").arg(path.join("x-3")).status();
        assert!(made.is_ok_and(|it| it.success()));
        assert_eq!(cache.read("x-3"), None);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("ours");
        let opened = CacheFolder::open(Some(folder.path()));
        assert!(matches!(opened, Err(CacheError::Shared { .. })));
        let above = folder.path().join("above");
        fs::create_dir_all(above.join("a/b")).expect("made");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
        for (mode, usable) in [(0o755, true), (0o777, false), (0o775, false), (0o1777, true)] {
            fs::set_permissions(&above, Permissions::from_mode(mode)).expect("ours");
            let opened = CacheFolder::open(Some(&above.join("a/b")));
            assert_eq!(opened.is_ok(), usable, "{mode:o}");
            let said = opened.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(usable || said.ends_with(&format!("above` of mode {mode:o}")), "{said}");
        }
        let real = folder.path().join("real");
        fs::create_dir(&real).expect("made");
        std::os::unix::fs::symlink(&real, folder.path().join("link")).expect("made");
        let opened = CacheFolder::open(Some(&folder.path().join("link")));
        assert!(matches!(opened, Err(CacheError::Link(_))));
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let opened = CacheFolder::open(Some(&file));
        assert!(matches!(opened, Err(CacheError::Unusable { .. })));
    }
}
