//! The command line of `callgate-budget` and where its defaults point.

use crate::cli::{plugins_or_beside, programs_or_own};
use clap::Parser;
use std::path::PathBuf;

/// Counts instructions and allocations per call of a bare relay and the gateway, under valgrind,
/// and compares them with the recorded ones.
///
/// Exits with status 1 when a figure has grown by more than 2 %, 2 when there was nothing to
/// compare: no record, or the counting itself failed.
#[derive(Clone, Debug, Parser)]
#[command(name = "callgate-budget", version)]
pub struct Options {
    /// Write what was counted to the record instead of comparing it.
    #[arg(long)]
    pub record: bool,

    /// Count only the workloads whose name contains TEXT.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// The recorded figures.
    #[arg(long, value_name = "FILE", default_value = "tests/bench/budget.json")]
    pub record_file: PathBuf,

    /// Where `callgate`, `bench-upstream` and `bench-relay` are [default: beside this program].
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,

    /// Where the callbacks' shared objects are [default: the directory of the programs].
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,

    /// Where to keep callgrind's dumps [default: `budget` beside the directory of the programs].
    #[arg(long, value_name = "DIR")]
    pub dump_dir: Option<PathBuf>,
}

impl Options {
    /// The programs' directory; the current one when the system does not say where we are.
    #[must_use]
    pub fn programs(&self) -> PathBuf {
        programs_or_own(self.bin_dir.as_deref())
    }

    /// The directory given to the gateway to find callbacks in.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        plugins_or_beside(self.plugin_dir.as_deref(), &self.programs())
    }

    /// The dumps' directory.
    #[must_use]
    pub fn dumps(&self) -> PathBuf {
        self.dump_dir.clone().unwrap_or_else(|| self.programs().with_file_name("budget"))
    }
}
