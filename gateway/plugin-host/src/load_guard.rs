//! How carefully plugins are loaded: tried in a child process first, written down while they are
//! loaded, and not loaded again when an earlier start died of that.
//!
//! `boot` makes one [`LoadGuard`] per start and keeps it; `loader` asks it.

use std::path::Path;
use std::time::Duration;

use super::cache::{CacheError, CacheFolder};
use super::crash_journal::{CrashJournal, PreviousRuns, Suspect};
use super::inspect::Inspected;
use super::probe::{ProbeError, Prober};
use super::snapshot::Snapshot;
use crate::child;
use callgate_config::{CallbackEntry, Config, GatewaySettings, Probing, Problem, SourceLocation};

/// What a start is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMode {
    /// To say what is wrong. Nothing that is remembered is forgotten.
    Check {
        /// As for a start.
        retry: bool,
    },
    /// To serve.
    Serve {
        /// Whether the operator wants what an earlier start died of to be loaded too.
        retry: bool,
    },
}

/// How carefully plugins are loaded.
#[derive(Debug)]
pub struct LoadGuard {
    prober: Prober,
    journal: Option<CrashJournal>,
    previous: PreviousRuns,
    cache: Option<CacheFolder>,
}

impl LoadGuard {
    /// As the config says, with what earlier runs left behind; and what is to be said of those.
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
            // Only the gateway itself has runs to remember and a subcommand to probe with.
            None
        };
        let mut previous = PreviousRuns::default();
        if let Some(cache) = &cache {
            previous = PreviousRuns::read(cache, config);
            match mode {
                StartMode::Serve { retry } => {
                    // In the log alone: it says nothing of the config, and `strict` is about that.
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
        });
        let prober = Prober::new(settings.probe, settings.probe_timeout, cache.as_ref());
        (Self { prober, journal, previous, cache }, problems)
    }

    /// None at all: for a process that tries a plugin itself, or was told to run it.
    pub fn none() -> Self {
        let prober = Prober::new(Probing::Never, Duration::ZERO, None);
        Self { prober, journal: None, previous: PreviousRuns::default(), cache: None }
    }

    /// Whether an earlier start died of this file.
    pub(super) fn suspect(&self, inspected: &Inspected) -> Option<Suspect> {
        self.previous.suspects.iter().find(|suspect| suspect.is(inspected)).cloned()
    }

    /// Whether it lives through being loaded, as a child process has shown.
    pub(super) fn probe(
        &self,
        entry: &CallbackEntry,
        inspected: &Inspected,
        snapshot: &Snapshot,
    ) -> Result<(), ProbeError> {
        self.prober.judge(entry, inspected, snapshot)
    }

    /// Notes what is about to be done with it in this process.
    pub(super) fn loading(&self, inspected: &Inspected, step: &str) {
        if let Some(journal) = &self.journal {
            journal.loading(inspected, step);
        }
    }

    /// Notes that nothing is being loaded any more.
    pub(super) fn loaded(&self) {
        if let Some(journal) = &self.journal {
            journal.loaded();
        }
    }

    /// Notes that this run serves: from now on its end is worth telling.
    pub fn serving(&self) {
        if let Some(journal) = &self.journal {
            journal.serving();
        }
    }

    /// Notes that a start went well and met no suspect.
    pub(super) fn clear_suspicion(&mut self) {
        if let Some(cache) = &self.cache {
            self.previous.forget_suspects(cache);
        }
    }
}

/// Without a folder everything works, and is tried anew at every start.
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
    let effect = "every plugin is tried at every start, and a crash is not told at the next";
    if asked_for {
        let problem = Problem::warning(place, error.to_string());
        problems.push(problem.remedy(format!("until then {effect}")));
    } else if tells {
        // In the log alone: under `strict`, a read-only system is no reason not to start.
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
