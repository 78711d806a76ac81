//! Turns a config into a running gateway, or checks it without running (`check`).
//!
//! `assembly` builds everything that a config asks for, `serving` binds the address and serves,
//! `reload` does the first again while the second goes on (`served` compares, `reload_log` reports,
//! `watch` notices changes), `key_report` says what becomes
//! of the keys, `run_file` lets other processes find the running gateway.

mod activation;
mod assembly;
mod check;
mod key_report;
mod log_filter;
mod reload;
mod reload_log;
mod run_file;
mod served;
mod serving;
mod watch;

use crate::cli::{Address, Source};
pub use assembly::{Built, search_path};
use assembly::{Purpose, assemble};
use callgate_config::{Problem, Problems};
use callgate_plugin_host::StartMode;
pub use check::{CheckReport, check};
use check::{as_line, counts};
pub use log_filter::log_filter;
pub use run_file::{RunFile, RunningGateway, monotonic_ns};
pub use served::Served;
pub use serving::{Ready, ready};
use tracing::Level;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Problems of the config or its callbacks.
    #[error("{}", list(.0))]
    Problems(Problems),
    /// The address cannot be used.
    #[error("cannot listen on {host}:{port}: {source}; {remedy}")]
    Listen {
        /// The host as given.
        host: String,
        /// The port as given.
        port: u16,
        /// The system's error.
        source: std::io::Error,
        /// The remedy.
        remedy: &'static str,
    },
    /// The socket from the service manager cannot be used.
    #[error("cannot use the socket of the service manager (LISTEN_FDS): {0}")]
    Socket(std::io::Error),
    /// The worker threads could not be started.
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
}

impl BootError {
    /// One line for each problem; the last says that the gateway did not start.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        let Self::Problems(Problems(problems)) = self else {
            return vec![(Level::ERROR, format!("not started: {self}"))];
        };
        let mut lines: Vec<_> = problems.iter().map(as_line).collect();
        let (errors, warnings) = counts(problems);
        lines.push((Level::ERROR, format!("not started: {errors} and {warnings}")));
        lines
    }
}

impl From<Problems> for BootError {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

/// Reads the config and loads its callbacks, as `check` does.
///
/// # Errors
/// All problems of all parts at once.
pub fn build(source: &Source, address: Option<&Address>) -> Result<Built, Problems> {
    let mode = StartMode::Check { retry: false };
    assemble(source, Purpose { address, safe_mode: false, mode }, None)
}

/// One line for each problem: `error: config.yaml:12:7: …`.
fn list(problems: &Problems) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}
