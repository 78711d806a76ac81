//! One figure: starts a process under callgrind, warms it up, zeroes its counters, sends a fixed
//! number of requests, and reads the counters. Only the pace of streams depends on the clock.

use super::{
    record::Cost,
    valgrind::{Counters, ValgrindError},
};
use crate::{
    measure::{MeasureError, counted_run, open_session},
    process::{Place, Process, ProcessError, free_port},
    proxies::{Kind, Setup, SetupError},
    workload::Workload,
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;
use tokio::time::sleep;

/// The part of the counted requests that is sent as a warm-up.
const WARM_UP_PART: u64 = 5;
/// A process that used no CPU for this long has finished its work after the last reply.
const QUIET: Duration = Duration::from_millis(30);
/// A process's timers may keep it from ever being quiet; they cost almost nothing.
const QUIET_TRIES: usize = 50;

/// Why a figure is missing.
#[derive(Debug, Error)]
pub enum CountError {
    #[error("`{path}` cannot be made")]
    Directory { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error("{proxy}, {workload}: nothing was counted")]
    Valgrind { proxy: &'static str, workload: &'static str, source: ValgrindError },
}

/// What one workload costs in one proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    pub workload: &'static str,
    pub unit: &'static str,
    pub kind: Kind,
    pub cost: Cost,
    /// Callgrind's own file, for `callgrind_annotate`.
    pub dump: PathBuf,
}

/// Everything needed for counting.
#[derive(Debug)]
pub(super) struct Counter<'a> {
    pub(super) setup: &'a Setup<'a>,
    /// The folder for the dumps.
    pub(super) dumps: &'a Path,
}

impl Counter<'_> {
    /// Starts the proxy, counts, and ends it.
    pub(super) async fn count(
        &self,
        kind: Kind,
        workload: &Workload,
    ) -> Result<Counted, CountError> {
        let name = format!("{}.{}", workload.name.replace(' ', "-"), kind.file_stem());
        let directory = self.setup.directory.join(&name);
        std::fs::create_dir(&directory)
            .map_err(|source| CountError::Directory { path: directory.clone(), source })?;
        let counters = Counters { directory: &directory };
        let process = self.start(kind, &counters)?;
        let upstream = self.setup.upstream;
        let title = kind.title();
        let mut session = open_session(process.address, title, workload).await?;
        let warm_up = Workload { requests: workload.requests / WARM_UP_PART, ..workload.clone() };
        counted_run(&mut session, title, &warm_up, upstream).await?;
        quiet(&process).await?;
        let failed =
            |source| CountError::Valgrind { proxy: title, workload: workload.name, source };
        counters.zero(process.pid()).map_err(failed)?;
        let run = counted_run(&mut session, title, workload, upstream).await?;
        quiet(&process).await?;
        let dump = self.dumps.join(name).with_added_extension("callgrind");
        let totals = counters.take(process.pid(), &dump).map_err(failed)?;
        let cost = Cost::per_unit(totals, run.units);
        Ok(Counted { workload: workload.name, unit: workload.unit(), kind, cost, dump })
    }

    fn start(&self, kind: Kind, counters: &Counters<'_>) -> Result<Process, CountError> {
        let port = free_port()?;
        let (program, arguments) = counters.wrap(self.setup.command(kind, port)?);
        let place = (self.setup.cores, Place::ProxyCore);
        let log = self.setup.log(kind);
        Ok(Process::start(&program, arguments, place, port, &log)?)
    }
}

/// Waits for the work of a process after its last reply, such as writing its log.
async fn quiet(process: &Process) -> Result<(), ProcessError> {
    let mut used = process.usage()?.cpu;
    for _ in 0..QUIET_TRIES {
        sleep(QUIET).await;
        let now = process.usage()?.cpu;
        if now == used {
            break;
        }
        used = now;
    }
    Ok(())
}
