//! Reloads: the new config and its callbacks go through every step of a start while the gateway
//! serves, then replace the old ones in one swap. Earlier calls keep the state they began with.
//!
//! One thread reloads, one reload at a time. Requests that arrive meanwhile are answered together
//! by the next reload, which reads the config after the last of them arrived.

use super::{
    assembly::{Built, Purpose, Running, assemble},
    check::verdict,
    reload_log,
    run_file::{RunFile, RunningGateway, monotonic_ns},
    served::{NeedsRestart, Served, changed_variables},
    watch::{LOOK, Watch},
};
use crate::cli::{Address, ListenAddress, Serve};
use callgate_config::{Environment, Problem, Problems, SourceLocation};
use callgate_host::{Clock as _, SystemClock};
use callgate_plugin_host::{LoadGuard, StartMode, StartupTable, cache_folder};
use callgate_server::{
    CurrentApp, ReloadReport, ReloadRequest, Reloads, WeakCurrentApp,
    app::{App, AppParts},
};
use callgate_telemetry::overdue;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// A reload that takes longer is reported, and a gateway that ends meanwhile blames the plugin that
/// it waits for.
pub(super) const LATE: Duration = Duration::from_secs(30);

/// Reloads the config of a running gateway.
#[derive(Debug)]
pub(super) struct Reloader {
    options: Serve,
    /// The address that the gateway listens on.
    address: Address,
    served: Served,
    environment: Environment,
    /// As the gateway was started.
    needs_restart: NeedsRestart,
    guard: LoadGuard,
    reloads: Arc<Reloads>,
    /// The number of reloads that were tried, and when the last of them began.
    attempts: u64,
    began_ns: u64,
    url: String,
    run_file: Option<RunFile>,
    watch: Option<Watch>,
}

/// A config that has taken effect.
struct Applied {
    changes: Vec<String>,
    needs_restart: Vec<String>,
    warnings: Vec<String>,
    /// Warnings that callbacks logged themselves.
    said: Vec<String>,
}

impl Reloader {
    /// Creates it for the gateway that was started with `options` and `built` from its config.
    pub(super) fn new(
        options: &Serve,
        listens: &ListenAddress,
        built: &Built,
        guard: LoadGuard,
        reloads: Arc<Reloads>,
        watch: Option<Watch>,
    ) -> Self {
        Self {
            address: Address { host: Some(listens.host.clone()), port: Some(listens.port) },
            served: Served::of(built),
            environment: built.config.environment.clone(),
            needs_restart: NeedsRestart::of(options, built),
            guard,
            reloads,
            attempts: 0,
            began_ns: 0,
            url: String::new(),
            run_file: None,
            watch,
            options: options.clone(),
        }
    }

    /// Lets `callgate reload` and `callgate check --against-running` find the gateway.
    pub(super) fn publish(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        let Some(folder) = cache_folder(self.needs_restart.cache_dir.as_deref()) else { return };
        match RunFile::create(&folder, &self.options.source.files.config.path, &self.as_running()) {
            Ok(file) => self.run_file = Some(file),
            Err(error) => tracing::warn!(
                target: "callgate::boot::reload",
                "`callgate reload` will not find this gateway, because its file cannot be written \
                 to `{}`: {error}; SIGHUP reloads all the same",
                folder.display()
            ),
        }
    }

    fn as_running(&self) -> RunningGateway {
        RunningGateway {
            pid: std::process::id(),
            url: self.url.clone(),
            attempts: self.attempts,
            began_ns: self.began_ns,
            last: ReloadReport::clone(&self.reloads.last()),
            served: self.served.clone(),
        }
    }

    /// Waits for requests on a separate thread, until the gateway shuts down.
    pub(super) fn start(
        mut self,
        current: WeakCurrentApp,
        requests: Receiver<ReloadRequest>,
    ) -> io::Result<()> {
        let work = move || {
            let _told = self.reloads.whereabouts().tell();
            while let Some(waiting) = self.next(&requests) {
                let Some(current) = current.upgrade() else { return };
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
        self.reloads.begin();
        self.began_ns = monotonic_ns();
        if let Some(watch) = &mut self.watch {
            watch.note_loaded(&self.options.source);
        }
        let watched = Arc::clone(&self.reloads);
        let watched = overdue::watch(LATE, move || reload_log::late(&watched));
        let loaded = catch_unwind(AssertUnwindSafe(|| self.load(current)));
        drop(watched);
        let loaded = loaded.unwrap_or_else(|_| {
            Err(self.refusal("the gateway failed to load it, by a fault of its own; see its log"))
        });
        let report = Arc::new(self.report(loaded));
        self.attempts += 1;
        self.reloads.note(&report);
        self.show();
        report
    }

    /// The report of a reload, which is logged.
    fn report(&self, loaded: Result<Applied, Problems>) -> ReloadReport {
        let generation = self.reloads.last().generation;
        let report = ReloadReport { unix_ms: SystemClock.unix_ms(), ..ReloadReport::default() };
        match loaded {
            Ok(Applied { changes, needs_restart, warnings, said }) => {
                let problems = warnings.iter().chain(&said);
                let problems = problems.map(|text| format!("warning: {text}")).collect();
                let report = ReloadReport {
                    applied: true,
                    generation: generation + 1,
                    changes,
                    needs_restart,
                    problems,
                    ..report
                };
                reload_log::applied(&report, &warnings);
                report
            }
            Err(problems) => {
                reload_log::refused(&problems, generation);
                let problems = problems.0.iter().map(|it| format!("{}: {it}", it.severity));
                ReloadReport { generation, problems: problems.collect(), ..report }
            }
        }
    }

    /// Updates the file for `callgate reload`.
    fn show(&mut self) {
        let gateway = self.as_running();
        if let Some(file) = &mut self.run_file
            && let Err(error) = file.update(&gateway)
        {
            tracing::warn!(
                target: "callgate::boot::reload",
                "`callgate reload` and `callgate check --against-running` see little of this \
                 gateway, because its file cannot be written: {error}"
            );
        }
    }

    /// Every step of a start, then the swap.
    fn load(&mut self, current: &CurrentApp) -> Result<Applied, Problems> {
        let app = current.load();
        let running = Running {
            services: Arc::clone(&app.services),
            recipes: app.callbacks.running(),
            guard: &mut self.guard,
        };
        let purpose = Purpose {
            address: Some(&self.address),
            safe_mode: self.options.safe_mode,
            mode: StartMode::Serve { retry: self.options.retry },
        };
        let built = assemble(&self.options.source, purpose, Some(running));
        // A plugin that crashes from here on does so while the gateway serves.
        self.guard.serving();
        let built = built?;
        let served = self.served.succeeded_by(&built);
        let needs_restart = NeedsRestart::of(&self.options, &built);
        let environment = built.config.environment.clone();
        let mut changes = self.served.changes(&built);
        changes.extend(changed_variables(&self.environment, &environment));
        let texts = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect();
        let applied = Applied {
            changes,
            needs_restart: self.needs_restart.changes(&needs_restart),
            warnings: texts(&built.warnings),
            said: texts(&built.said),
        };
        let (table, verdict) = (StartupTable::of(&built.plugins), verdict(&built));
        let most = built.config.gateway.limits.max_plugin_libraries;
        self.swap(current, &app, built)?;
        if !self.served.has_callbacks_of(&served) {
            table.log();
        }
        (self.served, self.environment) = (served, environment);
        tracing::info!(target: "callgate::boot::reload", "{verdict}");
        reload_log::mapped(most);
        Ok(applied)
    }

    fn swap(&self, current: &CurrentApp, app: &App, built: Built) -> Result<(), Problems> {
        let Built { config, deployments, plugins, left_out, services, listing, .. } = built;
        if self.reloads.is_closed() {
            return Err(self.refusal("the gateway is shutting down"));
        }
        let callbacks = app.callbacks.succeed(plugins, left_out);
        let callbacks = callbacks.map_err(|error| self.refusal(&error.to_string()))?;
        services.serve(listing);
        services.connect_by(deployments.connector());
        let host = self.address.host.as_deref().unwrap_or_default();
        let reloads = Arc::clone(&self.reloads);
        let parts = AppParts { config: &config, host, deployments, callbacks, services, reloads };
        current.replace(app.succeeded_by(parts));
        Ok(())
    }

    /// A problem that is none of the config's.
    fn refusal(&self, text: &str) -> Problems {
        let place = SourceLocation::whole_file(&self.options.source.files.config.path);
        Problems(vec![Problem::error(place, text)])
    }
}
