//! The log file: appends, watches and rotates it. Only the writer's thread uses it, so it may
//! block.

mod append_file;

use append_file::AppendFile;
use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often to check whether the file was renamed or removed, and to try to open it.
const WATCH: Duration = Duration::from_secs(1);

/// The log file. It is opened or created for the first line.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    max_bytes: Option<u64>,
    keep: u32,
    open: Option<AppendFile>,
    /// When the path was last checked.
    looked: Option<Instant>,
}

/// The reason why lines were not written, or the file was not rotated.
#[derive(Debug)]
pub(crate) enum FileError {
    Open(PathBuf, io::Error),
    Kind(PathBuf),
    Write(PathBuf, io::Error),
    Rotate(PathBuf, io::Error),
    /// The file could not be opened a moment ago; opening is not tried for every line.
    StillClosed(PathBuf),
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(
                out,
                "cannot append to `{}`: {error}; create its folder, and let the gateway's user write \
                 there",
                path.display()
            ),
            Self::Kind(path) => write!(
                out,
                "expected `{}` to be a file, found something else; name a file",
                path.display()
            ),
            Self::Write(path, error) => {
                write!(out, "cannot write to `{}`: {error}", path.display())
            }
            Self::Rotate(path, error) => write!(
                out,
                "cannot rename `{}` to start a new file: {error}; it grows beyond `max_bytes`",
                path.display()
            ),
            Self::StillClosed(path) => write!(out, "`{}` cannot be opened", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

/// The result of writing lines.
#[derive(Debug)]
pub(crate) struct Written {
    /// The number of bytes that were written, as whole lines.
    pub(crate) bytes: usize,
    pub(crate) error: Option<FileError>,
}

impl LogFile {
    /// # Errors
    /// Returns an error if the file cannot be opened or created. The file is neither created nor
    /// changed.
    pub(crate) fn new(path: &Path, max_bytes: Option<u64>, keep: u32) -> Result<Self, FileError> {
        append_file::try_access(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, keep, open: None, looked: None })
    }

    /// Returns how many bytes to write at once, so that rotation keeps to `max_bytes`.
    pub(crate) fn most_at_once(&self) -> usize {
        let most =
            self.max_bytes.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
        most.min(64 * 1024)
    }

    /// Appends whole lines.
    pub(crate) fn append(&mut self, lines: &[u8], now: Instant) -> Written {
        let nothing = |error| Written { bytes: 0, error: Some(error) };
        if let Err(error) = self.look(now) {
            return nothing(error);
        }
        let rotated = self.rotate_before(lines.len());
        let Some(open) = &mut self.open else {
            let closed = || FileError::StillClosed(self.path.clone());
            return nothing(rotated.err().unwrap_or_else(closed));
        };
        let (bytes, error) = open.append(lines);
        let error = error.map(|error| FileError::Write(self.path.clone(), error));
        Written { bytes, error: error.or(rotated.err()) }
    }

    /// Checks, at most once a second, whether the path still leads to the open file. If not, opens
    /// it again.
    fn look(&mut self, now: Instant) -> Result<(), FileError> {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < WATCH) {
            return Ok(());
        }
        self.looked = Some(now);
        if let Some(open) = &mut self.open {
            match fs::metadata(&self.path) {
                Ok(found) if open.is_of(&found) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
                Ok(_) | Err(_) => {}
            }
        }
        self.open = None;
        self.open = Some(AppendFile::at(&self.path)?);
        Ok(())
    }

    /// Starts a new file if the open one has no room. If it cannot be renamed, it stays in use.
    fn rotate_before(&mut self, len: usize) -> Result<(), FileError> {
        let (Some(max_bytes), Some(open)) = (self.max_bytes, &self.open) else { return Ok(()) };
        if open.has_room(u64::try_from(len).unwrap_or(u64::MAX), max_bytes) {
            return Ok(());
        }
        for number in (1..self.keep).rev() {
            // Some of these files may not exist.
            let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        fs::rename(&self.path, numbered(&self.path, 1))
            .map_err(|error| FileError::Rotate(self.path.clone(), error))?;
        self.open = None;
        self.open = Some(AppendFile::at(&self.path)?);
        Ok(())
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests;
