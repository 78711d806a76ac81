//! Runs processes under callgrind: starts them, zeroes their counters and reads them while they
//! run. `dump` reads the dump.

use super::dump::{DumpError, Totals};
use crate::proxies::ProxyCommand;
use nix::unistd::Pid;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use thiserror::Error;

const VALGRIND: &str = "valgrind";
/// The part of valgrind that `callgrind_control` uses, too.
const VGDB: &str = "vgdb";
const OUT_FILE: &str = "callgrind";
/// In seconds. A process handles a command within milliseconds, and a dump within seconds.
const COMMAND_LIMIT: &str = "--cmd-time-out=60";

/// Why counting failed.
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
    /// Finds the installed valgrind.
    ///
    /// # Errors
    /// If there is none, or if it cannot be controlled while it runs.
    pub(super) fn installed() -> Result<Self, ValgrindError> {
        output_of(VGDB, &["--help"])?;
        Ok(Self { version: output_of(VALGRIND, &["--version"])? })
    }

    /// The version that valgrind reports.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

/// One process under callgrind. Its pipes and dumps are in `directory`, which nothing else uses.
#[derive(Debug)]
pub(super) struct Counters<'a> {
    pub(super) directory: &'a Path,
}

impl Counters<'_> {
    /// The command that starts `command` under callgrind. The process id stays the same.
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
            // The threads of a process take turns as the system would schedule them.
            "--fair-sched=try".into(),
            program.into(),
        ];
        wrapped.extend(arguments);
        (VALGRIND.into(), wrapped)
    }

    /// Sets the counters to zero.
    ///
    /// # Errors
    /// If the process does not accept the command.
    pub(super) fn zero(&self, pid: Pid) -> Result<(), ValgrindError> {
        self.command(pid, "zero")
    }

    /// The counts since then; the dump itself is stored as `kept`. Call it once for a process.
    ///
    /// # Errors
    /// If the process does not accept the command, or the dump is not as expected.
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

fn output_of(program: &'static str, arguments: &[&str]) -> Result<String, ValgrindError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ValgrindError::NotInstalled { program, source })?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
