//! One benchmark, start to end: assigns the CPUs, starts everything, runs the rounds, reports.
//! Called by `main`; ends every process it started, however it returns.

use crate::{
    cli::{HOOKS, Options, installed_nginx},
    dry_runs::{self, DryRunsError},
    hooks::HookTiming,
    measure::{self, MeasureError},
    process::{Cores, ProcessError},
    proxies::{Kind, Proxy, Setup, SetupError},
    report::{Findings, Memory, Report},
    startup::{self, Startup},
    workload::{Workload, workloads},
};
use std::{io, path::Path};
use thiserror::Error;

const STARTS: usize = 9;
const HOOK_BATCHES: usize = 101;
const QUICK_HOOK_BATCHES: usize = 5;

/// Why there is nothing to report.
#[derive(Debug, Error)]
pub enum BenchError {
    #[error("no temporary directory")]
    Directory(#[source] io::Error),
    #[error("no workload's name contains `{text}`; there are `{names}`")]
    NoWorkload { text: String, names: String },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error(transparent)]
    Rehearsals(#[from] DryRunsError),
}

/// Measures everything `options` ask for.
///
/// # Errors
/// If a program is missing or any exchange failed, because then no figure of the run would mean
/// anything.
pub async fn run(options: &Options) -> Result<Report, BenchError> {
    let cores = Cores::divide()?;
    let directory = tempfile::tempdir().map_err(BenchError::Directory)?;
    let (programs, plugins) = (options.programs(), options.plugins());
    // Before anything else runs.
    let hooks = time_hooks(options, &plugins, directory.path())?;
    if options.wants_hooks_alone() {
        return Ok(Report::new(Findings { hooks, judged: !options.quick, ..Findings::default() }));
    }
    let workloads = chosen_workloads(options)?;
    let upstream = Setup::start_upstream(&cores, &programs, directory.path())?;
    let setup = Setup {
        cores: &cores,
        directory: directory.path(),
        upstream: upstream.address,
        programs: &programs,
        plugins: &plugins,
        nginx: installed_nginx(),
        workloads: &workloads,
        under_valgrind: false,
    };
    let startup = start_gateway(options, &setup)?;
    let proxies = start_proxies(options, &setup)?;
    let rows = measure::rounds(&proxies, &workloads, upstream.address, options.rounds).await?;
    let memory = |(column, proxy)| Memory::of(proxy, &rows, column);
    Ok(Report::new(Findings {
        rounds: options.rounds,
        kinds: &proxies.iter().map(|proxy| proxy.kind).collect::<Vec<_>>(),
        rows: &rows,
        memory: proxies.iter().enumerate().map(memory).collect(),
        hooks,
        startup,
        judged: !options.quick && !options.without_gateway && options.only.is_none(),
    }))
}

fn time_hooks(
    options: &Options,
    plugins: &Path,
    directory: &Path,
) -> Result<Vec<HookTiming>, DryRunsError> {
    let left_out = options.only.is_some() && !options.wants_hooks_alone();
    if options.without_gateway || left_out {
        return Ok(Vec::new());
    }
    let batches = if options.quick { QUICK_HOOK_BATCHES } else { HOOK_BATCHES };
    dry_runs::time(plugins, directory, batches)
}

fn chosen_workloads(options: &Options) -> Result<Vec<Workload>, BenchError> {
    let mut chosen = workloads(options.quick);
    if let Some(text) = &options.only {
        chosen.retain(|workload| workload.name.contains(text));
        if chosen.is_empty() {
            let mut names = workloads(true).iter().map(|it| it.name).collect::<Vec<_>>();
            names.push(HOOKS);
            return Err(BenchError::NoWorkload { text: text.clone(), names: names.join("`, `") });
        }
    }
    Ok(chosen)
}

fn start_gateway(options: &Options, setup: &Setup<'_>) -> Result<Option<Startup>, SetupError> {
    if options.without_gateway {
        return Ok(None);
    }
    let starts = if options.quick { 1 } else { STARTS };
    let directories: (&Path, &Path) = (setup.programs, setup.plugins);
    startup::measure(setup.cores, directories, &options.config, setup.directory, starts).map(Some)
}

fn start_proxies(options: &Options, setup: &Setup<'_>) -> Result<Vec<Proxy>, SetupError> {
    let gateways = [Kind::Gateway, Kind::GatewayWithCallbacks];
    let yardsticks = [Kind::Nginx, Kind::Relay].into_iter();
    let kinds = yardsticks.chain(gateways.into_iter().filter(|_| !options.without_gateway));
    kinds.filter_map(|kind| setup.start(kind).transpose()).collect()
}
