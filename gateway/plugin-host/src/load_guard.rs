//! Guards the loading of plugins: each is probed in a child process first and recorded while it is
//! loaded, and is not loaded again if that killed an earlier start.
//!
//! `boot` creates one [`LoadGuard`] for each start; `loader` uses it.

use super::{
    cache::{CacheError, CacheFolder},
    crash_journal::{CrashJournal, PreviousRuns, Suspect},
    inspect::Inspected,
    probe::{ProbeError, Prober},
    snapshot::Snapshot,
};
use crate::child;
use callgate_config::{CallbackEntry, Config, GatewaySettings, Probing, Problem, SourceLocation};
use std::{path::Path, sync::Arc, time::Duration};

/// The purpose of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// To report problems. It keeps all records.
    Check {
        /// As in `Serve`.
        retry: bool,
    },
    /// To serve.
    Serve {
        /// Whether to load plugins that killed an earlier start.
        retry: bool,
    },
}

/// The guard of one start.
#[derive(Debug)]
pub struct LoadGuard {
    prober: Prober,
    journal: Option<Arc<CrashJournal>>,
    previous: PreviousRuns,
    cache: Option<CacheFolder>,
    max_libraries: usize,
    /// Calls are served meanwhile.
    reloads: bool,
}

impl LoadGuard {
    /// Creates the guard from the config, with the records of earlier runs; also returns problems
    /// to report.
    #[must_use]
    pub fn new(
        Config { gateway: settings, callbacks, .. }: &Config,
        config: &Path,
        mode: StartMode,
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let serves = matches!(mode, StartMode::Serve { .. });
        let cache = if child::is_enabled() {
            open_cache(settings, config, serves && !callbacks.is_empty(), &mut problems)
        } else {
            // Only the gateway's own binary has records and a subcommand for the probe.
            None
        };
        let mut previous = PreviousRuns::default();
        if let Some(cache) = &cache {
            previous = PreviousRuns::read(cache, config);
            match mode {
                StartMode::Serve { retry } => {
                    // Only logged: it is not a problem of the config, so `strict` does not apply.
                    previous.crashes.iter().for_each(|it| {
                        tracing::warn!(
                            target: "callgate::callbacks::caution",
                            "{}", it.sentence()
                        );
                    });
                    previous.forget_crashes(cache);
                    if retry {
                        previous.forget_suspects(cache);
                    }
                }
                StartMode::Check { retry: true } => previous.pass_over_suspects(),
                StartMode::Check { retry: false } => {}
            }
        }
        let journal = cache.clone().and_then(|cache| {
            let journal = CrashJournal::begin(cache, config);
            journal
                .inspect_err(|error| {
                    tracing::debug!(
                        target: "callgate::callbacks::caution",
                        "this run leaves no record: {error}"
                    );
                })
                .ok()
                .map(Arc::new)
        });
        let prober = Prober::new(settings.probe, settings.probe_timeout, cache.as_ref());
        let max_libraries = settings.limits.max_plugin_libraries;
        (Self { prober, journal, previous, cache, max_libraries, reloads: false }, problems)
    }

    /// No guard, for a process that itself probes a plugin, or runs it by request.
    pub fn none() -> Self {
        let prober = Prober::new(Probing::Never, Duration::ZERO, None);
        Self {
            prober,
            journal: None,
            previous: PreviousRuns::default(),
            cache: None,
            max_libraries: usize::MAX,
            reloads: false,
        }
    }

    /// Switches to the settings of another config, for a reload. The cache folder stays.
    pub fn follow(&mut self, settings: &GatewaySettings) {
        self.prober = Prober::new(settings.probe, settings.probe_timeout, self.cache.as_ref());
        self.max_libraries = settings.limits.max_plugin_libraries;
        self.reloads = true;
    }

    /// Whether this is for a reload. After a problem a reload maps no more files, because a mapped
    /// file stays mapped; a start continues, to report every problem at once.
    pub(super) fn reloads(&self) -> bool {
        self.reloads
    }

    /// The most plugin files that may be mapped.
    pub(super) fn max_libraries(&self) -> usize {
        self.max_libraries
    }

    /// Returns the suspect if this file killed an earlier start.
    pub(super) fn suspect(&self, inspected: &Inspected) -> Option<Suspect> {
        self.previous.suspects.iter().find(|suspect| suspect.is(inspected)).cloned()
    }

    /// Checks in a child process that loading it does not crash.
    pub(super) fn probe(
        &self,
        entry: &CallbackEntry,
        inspected: &Inspected,
        snapshot: &Snapshot,
    ) -> Result<(), ProbeError> {
        self.prober.judge(entry, inspected, snapshot)
    }

    /// Records the next step with this plugin in this process.
    pub(super) fn loading(&self, inspected: &Inspected, step: &str) {
        if let Some(journal) = &self.journal {
            journal.loading(inspected, step);
        }
    }

    /// Records that no plugin is being loaded.
    pub(super) fn loaded(&self) {
        if let Some(journal) = &self.journal {
            journal.loaded();
        }
    }

    /// The record of this run.
    #[must_use]
    pub fn record(&self) -> RunRecord {
        RunRecord(self.journal.clone())
    }

    /// Records that this run serves: from now on a crash is worth reporting.
    pub fn serving(&self) {
        if let Some(journal) = &self.journal {
            journal.serving();
        }
    }

    /// Records that a start succeeded without a suspect.
    pub(super) fn clear_suspicion(&mut self) {
        if let Some(cache) = &self.cache {
            self.previous.forget_suspects(cache);
        }
    }
}

/// The record of a run, from which the next start learns how it ended.
#[derive(Debug)]
pub struct RunRecord(Option<Arc<CrashJournal>>);

impl RunRecord {
    /// Removes it: the run has ended in order.
    pub fn ended_in_order(&self) {
        if let Some(journal) = &self.0 {
            journal.remove();
        }
    }
}

/// Opens the cache. Without it everything works, but each plugin is probed at every start.
fn open_cache(
    settings: &GatewaySettings,
    config: &Path,
    tells: bool,
    problems: &mut Vec<Problem>,
) -> Option<CacheFolder> {
    let error = match CacheFolder::open(settings.cache_dir.as_deref()) {
        Ok(cache) => return Some(cache),
        Err(error) => error,
    };
    let asked_for = settings.cache_dir.is_some()
        || matches!(error, CacheError::Shared { .. } | CacheError::Way { .. });
    let place =
        SourceLocation { path: "callgate.cache_dir".into(), ..SourceLocation::whole_file(config) };
    let effect = "every plugin is probed at every start, and a crash is not reported at the next";
    if asked_for {
        let problem = Problem::warning(place, error.to_string());
        problems.push(problem.remedy(format!("until then {effect}")));
    } else if tells {
        // Only logged: under `strict`, a read-only system must not prevent a start.
        tracing::warn!(
            target: "callgate::callbacks::caution",
            "nothing can be kept between starts, so {effect}: {error}; set `callgate.cache_dir`"
        );
    } else {
        tracing::debug!(
            target: "callgate::callbacks::caution",
            "nothing is kept between starts: {error}"
        );
    }
    None
}
