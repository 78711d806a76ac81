//! Opens files that people name, but only regular files: opening a named pipe could block, a device
//! may never end, and opening either may have side effects.
//!
//! Used wherever a config, an environment file, a plugin or certificates are read.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Why a file cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    System(#[from] io::Error),
    #[error("expected a regular file, found {0}")]
    NotRegular(&'static str),
    #[error("expected at most {most} MiB, found more")]
    TooLarge { most: u64 },
}

/// The bytes of a regular file of at most so many MiB.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let (file, metadata) = open(path)?;
    let bound = most << 20;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(bound)).unwrap_or(0));
    file.take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bound { Err(ReadError::TooLarge { most }) } else { Ok(bytes) }
}

/// A regular file, opened for reading.
pub fn open(path: &Path) -> Result<(File, Metadata), ReadError> {
    check(&fs::metadata(path)?)?;
    // The path may have become a pipe meanwhile, and opening that must not block either.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// Checks that this is a regular file.
pub(crate) fn check(metadata: &Metadata) -> Result<(), ReadError> {
    let is = |test: fn(&FileType) -> bool| test(&metadata.file_type());
    if metadata.is_file() {
        return Ok(());
    }
    Err(ReadError::NotRegular(if metadata.is_dir() {
        "a folder"
    } else if is(FileType::is_fifo) {
        "a named pipe"
    } else if is(FileType::is_socket) {
        "a socket"
    } else {
        "a device"
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::net::UnixListener, process::Command};

    #[test]
    fn what_is_no_file_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let made = Command::new("mkfifo").arg(at("pipe")).status();
        assert!(made.is_ok_and(|it| it.success()));
        let _socket = UnixListener::bind(at("socket")).expect("bound");
        fs::write(at("file"), "text").expect("written");
        std::os::unix::fs::symlink(at("pipe"), at("link")).expect("linked");
        for (path, found) in [
            (at("pipe"), "a named pipe"),
            (at("link"), "a named pipe"),
            (at("socket"), "a socket"),
            (at(""), "a folder"),
            ("/dev/zero".into(), "a device"),
        ] {
            let error = read(&path, 1).expect_err(found).to_string();
            assert_eq!(error, format!("expected a regular file, found {found}"));
        }
        assert_eq!(read(&at("file"), 1).expect("a file"), b"text");
        fs::write(at("file"), vec![b'x'; (1 << 20) + 1]).expect("written");
        let error = read(&at("file"), 1).expect_err("too large").to_string();
        assert_eq!(error, "expected at most 1 MiB, found more");
    }
}
