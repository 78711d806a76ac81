//! Why a plugin is not used, from whichever step: one sentence and a remedy, reported as a
//! [`Problem`] of the config. Each step's own file has its sentences; `loader` reports them.

use super::{
    crash_journal::Suspect,
    inspect::{InspectError, Reason},
    loader::{InstanceError, LibraryError},
    plugin_problem::about,
    probe::ProbeError,
    resolve::ResolveError,
};
use callgate_config::{CallbackEntry, Problem, Severity};
use std::path::Path;
use thiserror::Error;

/// Why a plugin is not used.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error(transparent)]
    Suspect(#[from] Suspect),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Instance(#[from] InstanceError),
}

impl LoadError {
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::Resolve(error) => error.remedy(),
            Self::Inspect(error) => error.remedy(),
            Self::Suspect(_) => Suspect::remedy(),
            Self::Probe(error) => error.remedy(),
            Self::Library(error) => error.remedy(),
            Self::Instance(error) => error.remedy(),
        }
    }

    /// Whether it leaves something unprotected, in whatever list the entry stands.
    pub(super) fn protects(&self) -> bool {
        matches!(self, Self::Resolve(error) if error.protects())
    }

    /// The problem at the entry's location, with the plugin's name and file.
    pub(super) fn problem(&self, entry: &CallbackEntry, file: Option<&Path>) -> Problem {
        let text = about(entry, file, &self.to_string());
        let problem = match self {
            Self::Resolve(error) if error.is_harmless() => {
                Problem::warning(entry.place.clone(), text)
            }
            Self::Instance(error) => Problem::error(entry.place_of_message(error.words()), text),
            _ => Problem::error(entry.place.clone(), text),
        };
        problem.remedy(self.remedy())
    }
}

impl From<LoadError> for Reason {
    fn from(error: LoadError) -> Self {
        Self { text: error.to_string(), remedy: error.remedy() }
    }
}

/// Turns an error into a warning if the entry is not `required`.
pub(super) fn downgrade_if_optional(entry: &CallbackEntry, mut problem: Problem) -> Problem {
    if !entry.required && problem.is_error() {
        problem.severity = Severity::Warning;
        problem.text.push_str(" (left out, because it is not `required`)");
    }
    problem
}
