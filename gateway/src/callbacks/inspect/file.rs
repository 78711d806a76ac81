//! The file itself: what it is, who could change it, its bytes (read once; every later step works
//! on these bytes, so nobody can swap them in between).

use std::fs::{self, File, FileType, Metadata};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// No plugin is this large; whatever is would only fill the memory.
const LARGEST: u64 = 512 << 20;

/// Why a file is not used, or not trusted.
#[derive(Debug, Error)]
pub(in crate::callbacks) enum FileError {
    #[error("expected a file that can be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("expected a regular file, found {0}")]
    NotRegular(&'static str),
    #[error("expected at most 512 MiB, found {0} bytes")]
    TooLarge(u64),
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
    pub(in crate::callbacks) fn remedy(&self) -> String {
        match self {
            Self::Unreadable(_) => {
                "let the gateway's user read the file and enter its folders".to_owned()
            }
            Self::NotRegular(_) | Self::TooLarge(_) => {
                "name the plugin's `.so` file itself".to_owned()
            }
            Self::Owner { path, .. } => format!("`chown root '{}'`", path.display()),
            Self::Writable { path, .. } => format!("`chmod go-w '{}'`", path.display()),
        }
    }
}

/// The bytes of a regular file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    // Before opening: opening a named pipe would wait for a writer.
    regular(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    regular(&metadata)?;
    if metadata.len() > LARGEST {
        return Err(FileError::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn regular(metadata: &Metadata) -> Result<(), FileError> {
    let is = |test: fn(&FileType) -> bool| test(&metadata.file_type());
    if metadata.is_file() {
        return Ok(());
    }
    Err(FileError::NotRegular(if metadata.is_dir() {
        "a folder"
    } else if is(FileType::is_fifo) {
        "a named pipe"
    } else if is(FileType::is_socket) {
        "a socket"
    } else {
        "a device"
    }))
}

/// Who, besides root and the gateway's own user, could change the plugin: by its file, or by the
/// folder it lies in (a sticky folder like `/tmp` protects its files' names).
pub(super) fn permissions(path: &Path) -> Vec<FileError> {
    const STICKY: u32 = 0o1000;
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let us = rustix::process::geteuid().as_raw();
    let mut unwise = Vec::new();
    for (path, is_folder) in [(Some(real.as_path()), false), (real.parent(), true)] {
        let Some((path, metadata)) = path.and_then(|path| Some((path, fs::metadata(path).ok()?)))
        else {
            continue;
        };
        let (owner, mode) = (metadata.uid(), metadata.permissions().mode());
        if owner != 0 && owner != us {
            unwise.push(FileError::Owner { path: path.to_owned(), owner });
        }
        if mode & 0o022 != 0 && !(is_folder && mode & STICKY != 0) {
            unwise.push(FileError::Writable { path: path.to_owned(), mode });
        }
    }
    unwise
}
