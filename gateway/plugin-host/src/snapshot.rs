//! A copy of the inspected bytes that nobody can change. The operator may overwrite the plugin's
//! own file at any time, and the process would crash at the next call into it.
//!
//! Called by `loader::library`, which opens it.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A private copy. It must live as long as its library is mapped: the dynamic linker identifies
/// libraries by path, and for a reused path it would return the old library.
#[derive(Debug)]
pub(super) enum Snapshot {
    /// Sealed memory; needs `/proc`, and a system that executes such files.
    Memory { file: File, path: PathBuf },
    /// A file in a private folder.
    Disk { _folder: TempDir, path: PathBuf },
}

impl Snapshot {
    /// Creates it in memory, or on disk if the system has no memory files.
    pub(super) fn of(name: &str, bytes: &[u8]) -> io::Result<Self> {
        Self::in_memory(name, bytes).or_else(|error| {
            tracing::debug!(target: "callgate::callbacks::snapshot", "no copy in memory: {error}");
            Self::on_disk(name, bytes)
        })
    }

    /// The copy that another process made, and its bytes.
    pub(super) fn inherited(file: File) -> io::Result<(Self, Vec<u8>)> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        let mut bytes = vec![0; len];
        // The file's position is shared with the other process.
        file.read_exact_at(&mut bytes, 0)?;
        Ok((Self::opened(file), bytes))
    }

    fn opened(file: File) -> Self {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        Self::Memory { file, path }
    }

    /// The file, for another process to inherit.
    pub(super) fn file(&self) -> io::Result<File> {
        match self {
            Self::Memory { file, .. } => file.try_clone(),
            Self::Disk { path, .. } => File::open(path),
        }
    }

    /// Whether it is in memory, so that a copy on disk may still be executable.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }

    /// Creates it in memory, sealed against changes.
    pub(super) fn in_memory(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 lack the flag that newer ones may require.
        let file =
            memfd_create(name, flags | MemfdFlags::EXEC).or_else(|_| memfd_create(name, flags))?;
        let mut file = File::from(file);
        file.write_all(bytes)?;
        fcntl_add_seals(
            &file,
            SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
        )?;
        Ok(Self::opened(file))
    }

    /// Creates it on disk, in a new folder that only this user can enter.
    pub(super) fn on_disk(name: &str, bytes: &[u8]) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("callgate-")
            .permissions(PermissionsExt::from_mode(0o700))
            .tempdir()?;
        let path = folder.path().join(name);
        File::create_new(&path)?.write_all(bytes)?;
        Ok(Self::Disk { _folder: folder, path })
    }

    /// The path for the dynamic linker.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Memory { path, .. } | Self::Disk { path, .. } => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Snapshot;
    use std::{fs, os::unix::fs::MetadataExt};

    #[test]
    fn holds_the_bytes_where_nobody_can_change_them() {
        let snapshot = Snapshot::in_memory("libx.so", b"bytes").expect("memory");
        assert_eq!(fs::read(snapshot.path()).expect("readable"), b"bytes");
        let written = fs::OpenOptions::new()
            .write(true)
            .open(snapshot.path())
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"other"));
        assert!(written.is_err());
        assert!(fs::OpenOptions::new().write(true).truncate(true).open(snapshot.path()).is_err());
    }

    #[test]
    fn two_copies_never_share_a_path() {
        let [one, two] = [b"1", b"2"].map(|it| Snapshot::in_memory("libx.so", it).expect("memory"));
        assert_ne!(one.path(), two.path());
        let [one, two] = [b"1", b"2"].map(|it| Snapshot::on_disk("libx.so", it).expect("disk"));
        assert_ne!(one.path(), two.path());
    }

    #[test]
    fn a_file_lies_in_a_folder_of_our_own_and_goes_with_it() {
        let snapshot = Snapshot::on_disk("libx.so", b"bytes").expect("a file");
        let path = snapshot.path().to_owned();
        assert_eq!(fs::read(&path).expect("readable"), b"bytes");
        let folder = path.parent().expect("a folder");
        assert_eq!(fs::metadata(folder).expect("there").mode() & 0o777, 0o700);
        drop(snapshot);
        assert!(!folder.exists());
    }
}
