//! The file: appended to, watched, rotated. Only the writer's thread comes here, so it may block.

mod append_file;

use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use append_file::AppendFile;

/// How long a file that was renamed or removed may go unnoticed, and how often opening is tried.
const WATCH: Duration = Duration::from_secs(1);

/// See the module. Nothing is opened, let alone made, before the first line.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    max_bytes: Option<u64>,
    keep: u32,
    open: Option<AppendFile>,
    /// When the path was last looked at.
    looked: Option<Instant>,
}

/// Why lines were not written, or not as they should.
#[derive(Debug)]
pub(crate) enum FileError {
    Open(PathBuf, io::Error),
    Kind(PathBuf),
    Write(PathBuf, io::Error),
    Rotate(PathBuf, io::Error),
    /// As was told before; opening is not tried for every line.
    StillClosed(PathBuf),
}

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(path, error) => write!(
                out,
                "expected to append to `{}`: {error}; let the gateway's user write there and make \
                 its folder",
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
                "cannot rename `{}` for a new one: {error}; it grows beyond `max_bytes`",
                path.display()
            ),
            Self::StillClosed(path) => write!(out, "`{}` cannot be opened", path.display()),
        }
    }
}

impl std::error::Error for FileError {}

/// What became of some lines.
#[derive(Debug)]
pub(crate) struct Written {
    /// How many of their bytes are in the file: whole lines only.
    pub(crate) bytes: usize,
    pub(crate) error: Option<FileError>,
}

impl LogFile {
    /// # Errors
    /// When the file could not be appended to, or not be made. It is neither made nor changed.
    pub(crate) fn new(path: &Path, max_bytes: Option<u64>, keep: u32) -> Result<Self, FileError> {
        append_file::try_access(path)?;
        Ok(Self { path: path.to_owned(), max_bytes, keep, open: None, looked: None })
    }

    /// How many bytes of lines may be given at once, so that a full file is left in time.
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

    /// At most once a second: whether the path still means the open file; opens it where not.
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

    /// Begins a new file when the open one has no room. One that cannot be renamed is written on.
    fn rotate_before(&mut self, len: usize) -> Result<(), FileError> {
        let (Some(max_bytes), Some(open)) = (self.max_bytes, &self.open) else { return Ok(()) };
        if open.has_room(u64::try_from(len).unwrap_or(u64::MAX), max_bytes) {
            return Ok(());
        }
        for number in (1..self.keep).rev() {
            // Those there are; a gap closes by itself.
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
