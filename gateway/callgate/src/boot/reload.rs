//! Reloads: the new config and its callbacks go through every step of a start while the gateway
//! serves, then replace the old ones in one swap. Earlier calls keep the state they began with.
//!
//! One thread reloads, one reload at a time. Requests that arrive meanwhile are answered together
//! by the next reload, which reads the config after the last of them arrived.

use super::{
    assembly::{Built, Purpose, Running, assemble, search_path},
    check::{counts, verdict},
    log_filter,
    run_file::{RunFile, RunningGateway},
    watch::{LOOK, Watch},
};
use crate::cli::{Address, Serve};
use callgate_config::{Environment, Problem, Problems, SealedOutline};
use callgate_host::{Clock as _, SystemClock};
use callgate_plugin_host::{
    ListedPlugin, LoadGuard, StartMode, StartupTable, cache_folder, mapped_libraries,
};
use callgate_server::{CurrentApp, ReloadReport, ReloadRequest, Reloads, app::App};
use callgate_telemetry::counted::counted;
use std::{
    io,
    num::NonZero,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
};

/// The most changes that are logged; further ones are only counted.
const MAX_LINES: usize = 50;

/// The parts of the serving config that the next reload compares.
#[derive(Debug)]
struct Served {
    outline: SealedOutline,
    environment: Environment,
    callbacks: Vec<(String, String)>,
    needs_restart: NeedsRestart,
}

/// The settings that only a restart can change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NeedsRestart {
    address: Option<(String, u16)>,
    workers: Option<NonZero<usize>>,
    log_filter: Option<String>,
    cache_dir: Option<PathBuf>,
    watch: bool,
}

/// Reloads the config of a running gateway.
#[derive(Debug)]
pub(super) struct Reloader {
    options: Serve,
    /// The address that the gateway listens on.
    address: Address,
    served: Served,
    guard: Arc<Mutex<Option<LoadGuard>>>,
    reloads: Arc<Reloads>,
    attempts: u64,
    url: String,
    run_file: Option<RunFile>,
    watch: Option<Watch>,
}

impl Reloader {
    /// Creates it for the gateway that was started with `options` and `built` from its config.
    pub(super) fn new(
        options: &Serve,
        (host, port): (&str, u16),
        built: &Built,
        guard: LoadGuard,
        reloads: Arc<Reloads>,
    ) -> Self {
        let salt = format!("{:016x}", fastrand::u64(..));
        let files = built.plugins.iter().map(|plugin| plugin.file.clone());
        let source = &options.source;
        let search = search_path(
            source.files.plugin_dir.as_deref(),
            &source.files.config.path,
            &built.config.gateway,
        );
        let watch = || {
            Watch::new(&source.files.config.path, source.files.env_file.as_deref(), files, &search)
        };
        Self {
            address: Address { host: Some(host.to_owned()), port: Some(port) },
            served: Served {
                outline: built.config.outline.seal(&salt),
                environment: built.config.environment.clone(),
                callbacks: hashes(&built.plugins),
                needs_restart: NeedsRestart::of(options, built),
            },
            guard: Arc::new(Mutex::new(Some(guard))),
            reloads,
            attempts: 0,
            url: String::new(),
            run_file: None,
            watch: built.config.gateway.watch.then(watch),
            options: options.clone(),
        }
    }

    /// The guard; drop it at the orderly end of the process.
    pub(super) fn guard(&self) -> Arc<Mutex<Option<LoadGuard>>> {
        Arc::clone(&self.guard)
    }

    /// Lets `callgate reload` and `callgate check --against-running` find the gateway.
    pub(super) fn publish(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        let folder = cache_folder(self.served.needs_restart.cache_dir.as_deref());
        let Some(folder) = folder else { return };
        match RunFile::create(&folder, &self.options.source.files.config.path, &self.as_running()) {
            Ok(file) => self.run_file = Some(file),
            Err(error) => tracing::debug!(
                target: "callgate::boot::reload",
                "`callgate reload` will not find this gateway: {error}"
            ),
        }
    }

    fn as_running(&self) -> RunningGateway {
        RunningGateway {
            pid: std::process::id(),
            url: self.url.clone(),
            attempts: self.attempts,
            last: ReloadReport::clone(&self.reloads.last()),
            outline: self.served.outline.clone(),
            callbacks: self.served.callbacks.clone(),
        }
    }

    /// Waits for requests on a separate thread, until the gateway shuts down.
    pub(super) fn start(
        mut self,
        current: CurrentApp,
        requests: Receiver<ReloadRequest>,
    ) -> io::Result<()> {
        let work = move || {
            while let Some(waiting) = self.next(&requests) {
                let by = waiting.first().map_or("callgate.watch", |request| request.by);
                let report = self.reload(&current, by);
                waiting.into_iter().for_each(|request| request.answer(&report));
            }
        };
        thread::Builder::new().name("reload".to_owned()).spawn(work).map(drop)
    }

    /// The requests that the next reload answers; empty if a file has changed. `None` at the end.
    fn next(&mut self, requests: &Receiver<ReloadRequest>) -> Option<Vec<ReloadRequest>> {
        let first = loop {
            let Some(watch) = &mut self.watch else { break requests.recv().ok()? };
            match requests.recv_timeout(LOOK) {
                Ok(request) => break request,
                Err(RecvTimeoutError::Timeout) if watch.has_changed() => return Some(Vec::new()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        };
        Some([first].into_iter().chain(requests.try_iter()).collect())
    }

    fn reload(&mut self, current: &CurrentApp, by: &str) -> Arc<ReloadReport> {
        tracing::info!(target: "callgate::boot::reload", by, "reloading the config");
        if let Some(watch) = &mut self.watch {
            watch.note_loaded();
        }
        let mut report = ReloadReport {
            generation: self.reloads.last().generation,
            unix_ms: SystemClock.unix_ms(),
            ..ReloadReport::default()
        };
        match self.load(current, &mut report) {
            Ok(()) => log_applied(&report),
            Err(problems) => log_refused(&problems, &mut report),
        }
        self.attempts += 1;
        let report = Arc::new(report);
        self.reloads.note(&report);
        if let Some(file) = &self.run_file
            && let Err(error) = file.update(&self.as_running())
        {
            tracing::warn!(
                target: "callgate::boot::reload",
                "the file that shows this gateway to `callgate reload` is out of date: {error}"
            );
        }
        report
    }

    /// Runs every step of a start, then the swap.
    fn load(&mut self, current: &CurrentApp, report: &mut ReloadReport) -> Result<(), Problems> {
        let app = current.load();
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(guard) = guard.as_mut() else { return Ok(()) };
        let running = Running {
            services: Arc::clone(&app.services),
            recipes: app.callbacks.running(),
            guard,
        };
        let purpose = Purpose {
            address: Some(&self.address),
            safe_mode: self.options.safe_mode,
            mode: StartMode::Serve { retry: self.options.retry },
        };
        let built = assemble(&self.options.source, purpose, Some(running));
        // The gateway serves meanwhile, so a crash from here on counts as one while serving.
        guard.serving();
        let built = built?;
        let served = Served {
            outline: self.served.outline.resealed(&built.config.outline),
            environment: built.config.environment.clone(),
            callbacks: hashes(&built.plugins),
            needs_restart: NeedsRestart::of(&self.options, &built),
        };
        report.changes = self.served.changes(&served, &built);
        report.needs_restart = self.served.needs_restart.changes(&served.needs_restart);
        report.problems =
            built.warnings.iter().chain(&built.said).map(|it| format!("warning: {it}")).collect();
        if hashes_differ(&self.served, &served) {
            StartupTable::of(&built.plugins).log();
        }
        let verdict = verdict(&built);
        let most = built.config.gateway.limits.max_plugin_libraries;
        self.swap(current, &app, built)?;
        // Settings that need a restart are compared with those of the start.
        self.served = Served { needs_restart: self.served.needs_restart.clone(), ..served };
        report.applied = true;
        report.generation += 1;
        tracing::info!(target: "callgate::boot::reload", "{verdict}");
        warn_of_libraries(most);
        Ok(())
    }

    fn swap(&self, current: &CurrentApp, app: &App, built: Built) -> Result<(), Problems> {
        let Built { config, deployments, plugins, left_out, services, .. } = built;
        let callbacks = app.callbacks.succeed(plugins, left_out).map_err(|error| {
            let place = callgate_config::SourceLocation::whole_file(&config.file);
            Problems(vec![Problem::error(place, error.to_string())])
        })?;
        let host = self.address.host.as_deref().unwrap_or_default();
        let reloads = Arc::clone(&self.reloads);
        let next = App::new(host, &config, deployments, callbacks, services, reloads, Some(app));
        current.replace(next);
        Ok(())
    }
}

impl Served {
    /// One sentence for each change in the next config.
    fn changes(&self, next: &Self, built: &Built) -> Vec<String> {
        let mut changes = self.outline.changes(&built.config.outline);
        let variables = self.environment.differences(&next.environment);
        changes.extend(variables.iter().map(|name| format!("variable `{name}`: changed")));
        for (name, hash) in &next.callbacks {
            let before = self.callbacks.iter().find(|(known, _)| known == name);
            if let Some((_, before)) = before.filter(|(_, before)| before != hash) {
                changes.push(format!("callback `{name}`: its file is another, {before} → {hash}"));
            }
        }
        changes
    }
}

impl NeedsRestart {
    fn of(options: &Serve, built: &Built) -> Self {
        let address = options.address.resolve(&built.config.environment);
        Self {
            address: address.ok().map(|address| (address.host, address.port)),
            workers: built.workers,
            log_filter: log_filter(&options.source),
            cache_dir: built.config.gateway.cache_dir.clone(),
            watch: built.config.gateway.watch,
        }
    }

    /// One sentence for each of these settings that differs in the next config.
    fn changes(&self, next: &Self) -> Vec<String> {
        let changes = [
            (self.address != next.address, "the address to listen on (`HOST`, `PORT`)"),
            (self.workers != next.workers, "the number of workers (`NUM_WORKERS`)"),
            (self.log_filter != next.log_filter, "the log filter (`RUST_LOG`)"),
            (self.cache_dir != next.cache_dir, "`callgate.cache_dir`"),
            (self.watch != next.watch, "`callgate.watch`"),
        ];
        let changed = changes.iter().filter(|(differs, _)| *differs);
        changed.map(|(_, what)| format!("{what} changes at the next start")).collect()
    }
}

fn hashes(plugins: &[ListedPlugin]) -> Vec<(String, String)> {
    plugins.iter().map(|it| (it.name.to_string(), it.sha256_prefix())).collect()
}

fn hashes_differ(before: &Served, after: &Served) -> bool {
    before.callbacks != after.callbacks
}

/// Each replaced plugin file stays mapped until the process ends.
fn warn_of_libraries(most: usize) {
    let mapped = mapped_libraries();
    if mapped * 5 > most * 4 {
        tracing::warn!(
            target: "callgate::boot::reload", { mapped, most },
            "{} mapped, of at most {most} (`callgate.limits.max_plugin_libraries`): restart the \
             gateway, which forgets those of earlier versions",
            callgate_telemetry::counted::counted_as(mapped, "plugin file is", "plugin files are")
        );
    }
}

fn log_applied(report: &ReloadReport) {
    for problem in &report.problems {
        tracing::warn!(target: "callgate::boot", "{}", problem.trim_start_matches("warning: "));
    }
    for change in report.changes.iter().take(MAX_LINES) {
        tracing::info!(target: "callgate::boot::reload", "changed: {change}");
    }
    if let Some(more) = report.changes.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        tracing::info!(target: "callgate::boot::reload", "{} more", counted(more, "change"));
    }
    for change in &report.needs_restart {
        tracing::warn!(target: "callgate::boot::reload", "{change}");
    }
    tracing::info!(
        target: "callgate::boot::reload",
        generation = report.generation,
        "reloaded: {}",
        counted(report.changes.len(), "change")
    );
}

fn log_refused(Problems(problems): &Problems, report: &mut ReloadReport) {
    report.problems = problems.iter().map(|it| format!("{}: {it}", it.severity)).collect();
    for problem in problems {
        if problem.is_error() {
            tracing::error!(target: "callgate::boot", "{problem}");
        } else {
            tracing::warn!(target: "callgate::boot", "{problem}");
        }
    }
    let (errors, warnings) = counts(problems);
    tracing::error!(
        target: "callgate::boot::reload",
        generation = report.generation,
        "not reloaded: {errors} and {warnings}; the config that served before serves on"
    );
}
