//! An open file to which whole lines are appended.
//!
//! Several processes may append to one file. Each batch is one `write` at the end of the file, so
//! their lines never mix. If the disk takes only a part of a batch, the half line is cut off again,
//! under a lock against the other writers. If that is not possible, a line end is written before
//! the next line.

use super::FileError;
use rustix::{
    fs::{Access, AtFlags, CWD, FlockOperation, SeekFrom, accessat, flock, seek},
    io::Errno,
};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    identity: (u64, u64),
    size: u64,
    /// False for devices, which are not measured or renamed.
    is_regular: bool,
    /// The file ends within a line.
    torn: bool,
}

/// Checks that the file can be opened or created, without creating it.
pub(super) fn try_access(path: &Path) -> Result<(), FileError> {
    let failed = |error| FileError::Open(path.to_owned(), error);
    match fs::metadata(path) {
        Ok(found) if !usable(&found) => Err(FileError::Kind(path.to_owned())),
        Ok(_) => OpenOptions::new().append(true).open(path).map(drop).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.file_name().is_some() => {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let may = Access::WRITE_OK | Access::EXEC_OK;
            accessat(CWD, folder, may, AtFlags::EACCESS).map_err(|error| failed(error.into()))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Called before opening, because opening a named pipe would wait for a reader.
fn usable(found: &Metadata) -> bool {
    found.is_file() || found.file_type().is_char_device()
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

impl AppendFile {
    pub(super) fn at(path: &Path) -> Result<Self, FileError> {
        let failed = |error| FileError::Open(path.to_owned(), error);
        if fs::metadata(path).is_ok_and(|it| !usable(&it)) {
            return Err(FileError::Kind(path.to_owned()));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let (is_regular, size) = (found.is_file(), found.len());
        let torn = is_regular && ends_inside_a_line(path, size);
        Ok(Self { identity: identity(&found), size, is_regular, torn, file })
    }

    /// Returns whether `found` describes the open file. If so, updates the size.
    pub(super) fn is_of(&mut self, found: &Metadata) -> bool {
        let same = identity(found) == self.identity;
        if same {
            self.size = found.len();
        }
        same
    }

    pub(super) fn has_room(&self, len: u64, max_bytes: u64) -> bool {
        !self.is_regular || self.size == 0 || self.size.saturating_add(len) <= max_bytes
    }

    /// Appends lines. Returns how many bytes of whole lines were written, and the error that
    /// stopped it.
    pub(super) fn append(&mut self, lines: &[u8]) -> (usize, Option<io::Error>) {
        let mut done = 0;
        loop {
            let rest = lines.get(done..).unwrap_or_default();
            if rest.is_empty() {
                return (done, None);
            }
            match self.append_once(rest) {
                Ok(0) => return (done, Some(io::ErrorKind::StorageFull.into())),
                Ok(whole) => done += whole,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (done, Some(error)),
            }
        }
    }

    /// Makes one write. Returns how many of its bytes are whole lines.
    fn append_once(&mut self, lines: &[u8]) -> io::Result<usize> {
        // The file ends within a line, which the new lines must not continue.
        let joined;
        let (bytes, before) = if self.torn {
            joined = [b"\n", lines].concat();
            (joined.as_slice(), 1)
        } else {
            (lines, 0)
        };
        let _alone = self.is_regular.then(|| Locked::alone(&self.file));
        let written = (&self.file).write(bytes)?;
        self.size = self.size.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        let whole = bytes.get(..written).unwrap_or_default();
        let whole = whole.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // On a device there is nothing to cut off.
        let cut = written > whole && cut(&self.file, self.is_regular, written - whole);
        if cut {
            self.size -= u64::try_from(written - whole).unwrap_or_default();
        }
        self.torn = written > whole && !cut;
        // The line end before the lines is not counted.
        Ok(whole.saturating_sub(before))
    }
}

/// Cuts off the half line of the last write, if the file still ends with it.
fn cut(file: &File, is_regular: bool, half: usize) -> bool {
    // After an append the position is the end of the written bytes.
    let Ok(end) = seek(file, SeekFrom::Current(0)) else { return false };
    let is_last = is_regular && file.metadata().is_ok_and(|found| found.len() == end);
    let start = end.saturating_sub(u64::try_from(half).unwrap_or_default());
    is_last && file.set_len(start).is_ok()
}

fn ends_inside_a_line(path: &Path, size: u64) -> bool {
    let mut last = [b'\n'];
    let Some(at) = size.checked_sub(1) else { return false };
    // If the file cannot be read, assume that it ends with a whole line.
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, at));
    read.is_ok() && last != *b"\n"
}

/// A lock against other writers, held from a write until its half line is cut off. If the file
/// system has no locks, or another process keeps the file locked, the write goes on without it.
struct Locked<'a>(&'a File);

impl<'a> Locked<'a> {
    fn alone(file: &'a File) -> Self {
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            if flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK) {
                break;
            }
            // A write takes microseconds.
            std::thread::sleep(Duration::from_millis(1));
        }
        Self(file)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}
