//! The file: appended to, watched, rotated. Only the writer's thread comes here, so it may block.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a file that was renamed or removed may go unnoticed, and how often opening is tried.
const WATCH: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    max_bytes: Option<u64>,
    keep: u32,
    open: Option<Open>,
    /// When the path was last looked at.
    looked: Option<Instant>,
    /// The last write ended inside a line.
    torn: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: (u64, u64),
    size: u64,
    /// Devices are neither measured nor renamed.
    is_regular: bool,
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
    /// How many of them are not in the file.
    pub(crate) lost: usize,
    pub(crate) error: Option<FileError>,
}

impl LogFile {
    pub(crate) fn open(path: &Path, max_bytes: Option<u64>, keep: u32) -> Result<Self, FileError> {
        let open = Some(Open::at(path)?);
        Ok(Self { path: path.to_owned(), max_bytes, keep, open, looked: None, torn: false })
    }

    /// How many bytes of lines may be given at once, so that a full file is left in time.
    pub(crate) fn most_at_once(&self) -> usize {
        let most =
            self.max_bytes.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
        most.min(64 * 1024)
    }

    /// Appends whole lines.
    pub(crate) fn append(&mut self, lines: &[u8], now: Instant) -> Written {
        let lost = |error| Written { lost: count(lines), error: Some(error) };
        if let Err(error) = self.look(now) {
            return lost(error);
        }
        let rotated = self.rotate_before(lines.len());
        let Some(open) = &mut self.open else {
            return lost(
                rotated.err().unwrap_or_else(|| FileError::StillClosed(self.path.clone())),
            );
        };
        // The torn line is somebody's half; what follows must not become its other half.
        let joined;
        let bytes = if self.torn {
            joined = [b"\n", lines].concat();
            &joined
        } else {
            lines
        };
        let (written, error) = open.write(bytes);
        if let Some(last) = written.checked_sub(1).and_then(|last| bytes.get(last)) {
            self.torn = *last != b'\n';
        }
        match error {
            None => Written { lost: 0, error: rotated.err() },
            Some(error) => Written {
                lost: count(bytes.get(written..).unwrap_or_default()),
                error: Some(FileError::Write(self.path.clone(), error)),
            },
        }
    }

    /// At most once a second: whether the path still means the open file; opens it where not.
    fn look(&mut self, now: Instant) -> Result<(), FileError> {
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < WATCH) {
            return Ok(());
        }
        self.looked = Some(now);
        if let Some(open) = &mut self.open {
            match fs::metadata(&self.path) {
                Ok(found) if identity(&found) == open.identity => {
                    open.size = found.len();
                    return Ok(());
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
                Ok(_) | Err(_) => {}
            }
        }
        self.open = None;
        self.open = Some(Open::at(&self.path)?);
        self.torn = false;
        Ok(())
    }

    /// Begins a new file when the open one has no room. One that cannot be renamed is written on.
    fn rotate_before(&mut self, len: usize) -> Result<(), FileError> {
        let (Some(max_bytes), Some(open)) = (self.max_bytes, &self.open) else { return Ok(()) };
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        if !open.is_regular || open.size == 0 || open.size.saturating_add(len) <= max_bytes {
            return Ok(());
        }
        for number in (1..self.keep).rev() {
            // Those there are; a gap closes by itself.
            let _ = fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1));
        }
        fs::rename(&self.path, numbered(&self.path, 1))
            .map_err(|error| FileError::Rotate(self.path.clone(), error))?;
        self.open = None;
        self.open = Some(Open::at(&self.path)?);
        self.torn = false;
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> Result<Self, FileError> {
        let failed = |error| FileError::Open(path.to_owned(), error);
        // Before opening: opening a named pipe would wait for a reader.
        let usable = |it: &Metadata| it.is_file() || it.file_type().is_char_device();
        if fs::metadata(path).is_ok_and(|it| !usable(&it)) {
            return Err(FileError::Kind(path.to_owned()));
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        Ok(Self {
            identity: identity(&found),
            size: found.len(),
            is_regular: found.is_file(),
            file,
        })
    }

    /// How many bytes were written, and what stopped it.
    fn write(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut written = 0;
        let error = loop {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break None;
            }
            match self.file.write(rest) {
                Ok(0) => break Some(io::ErrorKind::WriteZero.into()),
                Ok(some) => written += some,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        self.size = self.size.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        (written, error)
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

fn count(lines: &[u8]) -> usize {
    lines.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
