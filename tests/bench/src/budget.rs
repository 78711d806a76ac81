//! The instruction budget: how many instructions and allocations a call costs, counted by
//! valgrind's callgrind. Counts are the same on every machine of one target, so they can be
//! recorded in the repository and compared; the benchmark's times cannot. Called by
//! `callgate-budget`.
//!
//! Every figure comes from a new process, so that it depends only on its workload. One connection
//! sends one request after the other: how calls share a worker is not counted.

pub mod cli;
mod count;
mod dump;
mod record;
mod text;
mod valgrind;
mod verdict;

use crate::{
    process::{Cores, ProcessError},
    proxies::{Kind, Setup, SetupError},
    workload::{Workload, counted_workloads},
};
use cli::Options;
use count::Counter;
pub use count::{CountError, Counted};
pub use dump::{DumpError, Totals};
pub use record::{Cost, Figure, Origin, Record, RecordError};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;
use valgrind::Callgrind;
pub use valgrind::ValgrindError;
pub use verdict::{Change, Measure, Verdict};

/// What is counted, in the order of the table's columns.
pub const KINDS: [Kind; 3] = [Kind::Relay, Kind::Gateway, Kind::GatewayWithCallbacks];

/// Why there is nothing to compare.
#[derive(Debug, Error)]
pub enum BudgetError {
    #[error("`{path}` cannot be made")]
    Directory { path: PathBuf, source: io::Error },
    #[error("no workload's name contains `{text}`; there are `{names}`")]
    NoWorkload { text: String, names: String },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Valgrind(#[from] ValgrindError),
    #[error(transparent)]
    Count(#[from] CountError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The result of one invocation.
#[derive(Debug)]
pub struct Outcome {
    pub counted: Vec<Counted>,
    pub origin: Origin,
    /// The comparison with the record; `None` if the record was written instead.
    pub verdict: Option<Verdict>,
    pub record: PathBuf,
}

impl Outcome {
    /// Whether every figure was recorded and none has grown.
    #[must_use]
    pub fn kept(&self) -> bool {
        self.verdict.as_ref().is_none_or(|verdict| verdict.grown.is_empty())
    }

    /// Whether there was a recorded figure for everything counted.
    #[must_use]
    pub fn recorded(&self) -> bool {
        self.verdict.as_ref().is_none_or(|verdict| verdict.unrecorded.is_empty())
    }
}

/// Counts what `options` ask for, then compares it with the record or writes the record.
///
/// # Errors
/// If valgrind or a program is missing, if an exchange failed, or if the record cannot be read or
/// written.
pub async fn run(options: &Options) -> Result<Outcome, BudgetError> {
    let callgrind = Callgrind::installed()?;
    // Checked before minutes are spent on figures that could not be compared.
    let mut record = Record::read(&options.record_file)?;
    let origin = Origin::found(callgrind.version(), &options.programs());
    let counted = count_all(options).await?;
    let verdict = if options.record {
        record.replace(&counted, origin.clone());
        record.write(&options.record_file)?;
        None
    } else {
        Some(Verdict::of(&counted, &record))
    };
    Ok(Outcome { counted, origin, verdict, record: options.record_file.clone() })
}

async fn count_all(options: &Options) -> Result<Vec<Counted>, BudgetError> {
    let chosen = chosen_workloads(options)?;
    let (programs, plugins, dumps) = (options.programs(), options.plugins(), options.dumps());
    make_directory(&dumps)?;
    let scratch = tempfile::tempdir()
        .map_err(|source| BudgetError::Directory { path: std::env::temp_dir(), source })?;
    let cores = Cores::shared()?;
    let upstream = Setup::start_upstream(&cores, &programs, scratch.path())?;
    let setup = Setup {
        cores: &cores,
        directory: scratch.path(),
        upstream: upstream.address,
        programs: &programs,
        plugins: &plugins,
        nginx: None,
        // All workloads, so that the configuration does not depend on the selection.
        workloads: &counted_workloads(),
        under_valgrind: true,
    };
    let counter = Counter { setup: &setup, dumps: &dumps };
    let mut counted = Vec::new();
    for workload in &chosen {
        for kind in KINDS {
            // Progress messages are optional: a closed standard error must not end the run.
            let _ = writeln!(io::stderr(), "counting: {}, {}", workload.name, kind.title());
            counted.push(counter.count(kind, workload).await?);
        }
    }
    Ok(counted)
}

fn chosen_workloads(options: &Options) -> Result<Vec<Workload>, BudgetError> {
    let mut chosen = counted_workloads();
    if let Some(text) = &options.only {
        chosen.retain(|workload| workload.name.contains(text));
        if chosen.is_empty() {
            let names: Vec<_> = counted_workloads().iter().map(|workload| workload.name).collect();
            return Err(BudgetError::NoWorkload { text: text.clone(), names: names.join("`, `") });
        }
    }
    Ok(chosen)
}

fn make_directory(path: &Path) -> Result<(), BudgetError> {
    std::fs::create_dir_all(path)
        .map_err(|source| BudgetError::Directory { path: path.to_owned(), source })
}
