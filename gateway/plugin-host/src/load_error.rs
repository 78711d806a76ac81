//! Why a plugin is not used, from whichever step: one sentence and a remedy, reported as a
//! [`Problem`] of the config. Each step's own file has its sentences; `loader` reports them.

use std::path::Path;

use thiserror::Error;

use super::crash_journal::Suspect;
use super::inspect::{ElfError, ExportError, FileError, PinMismatch};
use super::loader::{InstanceError, LibraryError};
use super::probe::ProbeError;
use super::resolve::ResolveError;
use callgate_config::{CallbackEntry, Problem, Severity, quoted};

/// Why a plugin is not used.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that other users can change, if that prevents the start.
    #[error(transparent)]
    Untrusted(FileError),
    #[error(transparent)]
    Pin(#[from] PinMismatch),
    #[error(transparent)]
    Elf(#[from] ElfError),
    #[error(transparent)]
    Export(#[from] ExportError),
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
            Self::File(error) => error.remedy(),
            Self::Untrusted(error) => {
                format!("{}, or set `callgate.verify_owner: warn`", error.remedy())
            }
            Self::Pin(error) => error.remedy(),
            Self::Elf(error) => error.remedy(),
            Self::Export(error) => error.remedy(),
            Self::Suspect(_) => Suspect::remedy(),
            Self::Probe(error) => error.remedy(),
            Self::Library(error) => error.remedy(),
            Self::Instance(error) => error.remedy(),
        }
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

/// ``plugin `src.callbacks.rate_limit` (`plugins/librate_limit.so`): …``, with the name as written.
pub(super) fn about(entry: &CallbackEntry, file: Option<&Path>, text: &str) -> String {
    let written = quoted(&entry.written);
    match file {
        Some(file) => format!("plugin `{written}` (`{}`): {text}", file.display()),
        None => format!("plugin `{written}`: {text}"),
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
