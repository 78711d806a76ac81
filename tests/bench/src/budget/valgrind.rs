//! Processes under callgrind: how one is started, its counters zeroed and read while it runs.
//! The dump's content is `dump`'s business.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Pid;
use thiserror::Error;

use super::dump::{DumpError, Totals};
use crate::proxies::ProxyCommand;

const VALGRIND: &str = "valgrind";
/// Part of valgrind: what `callgrind_control` calls, too.
const VGDB: &str = "vgdb";
const OUT_FILE: &str = "callgrind";
/// Seconds. A process takes a command within milliseconds, and a dump within seconds.
const COMMAND_LIMIT: &str = "--cmd-time-out=60";

/// Why nothing was counted.
#[derive(Debug, Error)]
pub enum ValgrindError {
    #[error(
        "expected `{program}`, found none that runs; install it (on Debian: apt-get install valgrind)"
    )]
    NotInstalled { program: &'static str, source: io::Error },
    #[error("valgrind refused the command `{command}`: {said}")]
    Refused { command: &'static str, said: String },
    #[error("the dump `{path}` cannot be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("the dump `{path}` is not as expected")]
    Dump { path: PathBuf, source: DumpError },
    #[error("the dump cannot be kept as `{path}`")]
    Keep { path: PathBuf, source: io::Error },
}

/// An installed valgrind.
#[derive(Debug)]
pub(super) struct Callgrind {
    version: String,
}

impl Callgrind {
    /// Finds out which valgrind there is.
    ///
    /// # Errors
    /// When there is none, or none that can be talked to while it runs.
    pub(super) fn installed() -> Result<Self, ValgrindError> {
        said_by(VGDB, &["--help"])?;
        Ok(Self { version: said_by(VALGRIND, &["--version"])? })
    }

    /// As valgrind tells it.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// One process under callgrind. Its pipes and dumps are in `directory`, which is its alone.
#[derive(Debug)]
pub(super) struct Counters<'a> {
    pub(super) directory: &'a Path,
}

impl Counters<'_> {
    /// What starts `command` under callgrind. The process keeps its number.
    pub(super) fn wrap(&self, (program, arguments): ProxyCommand) -> ProxyCommand {
        let option = |name: &str, file: &str| {
            let mut option = OsString::from(name);
            option.push(self.directory.join(file));
            option
        };
        let mut wrapped = vec![
            "--tool=callgrind".into(),
            option("--callgrind-out-file=", OUT_FILE),
            option("--vgdb-prefix=", VGDB),
            // The threads of a process take turns as the system would have them.
            "--fair-sched=try".into(),
            program.into(),
        ];
        wrapped.extend(arguments);
        (VALGRIND.into(), wrapped)
    }

    /// Starts counting at nothing.
    ///
    /// # Errors
    /// When the process does not take the command.
    pub(super) fn zero(&self, pid: Pid) -> Result<(), ValgrindError> {
        self.command(pid, "zero")
    }

    /// What was counted since; the dump itself is kept as `kept`. Once in a process's life.
    ///
    /// # Errors
    /// When the process does not take the command, or the dump is not as expected.
    pub(super) fn take(&self, pid: Pid, kept: &Path) -> Result<Totals, ValgrindError> {
        self.command(pid, "dump")?;
        let path = self.directory.join(OUT_FILE).with_extension("1");
        let dump = std::fs::read(&path)
            .map_err(|source| ValgrindError::Read { path: path.clone(), source })?;
        std::fs::write(kept, &dump)
            .map_err(|source| ValgrindError::Keep { path: kept.to_owned(), source })?;
        // A function may have any name.
        Totals::read(&String::from_utf8_lossy(&dump))
            .map_err(|source| ValgrindError::Dump { path: kept.to_owned(), source })
    }

    fn command(&self, pid: Pid, command: &'static str) -> Result<(), ValgrindError> {
        let mut prefix = OsString::from("--vgdb-prefix=");
        prefix.push(self.directory.join(VGDB));
        let output = Command::new(VGDB)
            .arg(format!("--pid={pid}"))
            .arg(prefix)
            .args([COMMAND_LIMIT, command])
            .stdin(Stdio::null())
            .output()
            .map_err(|source| ValgrindError::NotInstalled { program: VGDB, source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(ValgrindError::Refused { command, said })
    }
}

fn said_by(program: &'static str, arguments: &[&str]) -> Result<String, ValgrindError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ValgrindError::NotInstalled { program, source })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
