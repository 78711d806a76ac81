//! Log lines: to standard error, as people or as machines read them.
//!
//! `RUST_LOG` chooses what is said (the default is `info`). A line is one write.

use crate::cli::LogFormat;
use std::io::{self, IsTerminal as _};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Starts logging for the whole process; later calls change nothing.
pub fn start(format: Option<LogFormat>) {
    let terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if terminal { LogFormat::Pretty } else { LogFormat::Json });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // A subscriber that is set already stays: tests start several gateways in one process.
    let _ = match format {
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init()
        }
        LogFormat::Pretty => {
            let lines = fmt::layer().with_target(false).with_ansi(terminal).with_writer(io::stderr);
            registry.with(lines).try_init()
        }
    };
}
