//! What the gateway costs before its first request: time from start to listening with a whole
//! configuration, and the size of the binary. Idle memory is read where the proxies start.

use crate::{
    process::{Cores, Place, Process, free_port},
    proxies::{SetupError, built, gateway_arguments},
};
use serde::Serialize;
use std::path::Path;

/// The gateway's own figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Startup {
    /// The time from before the process exists until it accepts a connection: the median of the
    /// starts, on one core. `None` if the configuration does not exist.
    pub start_ms: Option<f64>,
    pub binary_bytes: u64,
}

/// Starts the gateway `starts` times with `config`, and ends it each time.
///
/// # Errors
/// If it is not built, or does not start with that configuration.
pub fn measure(
    cores: &Cores,
    (programs, plugins): (&Path, &Path),
    config: &Path,
    directory: &Path,
    starts: usize,
) -> Result<Startup, SetupError> {
    let program = built(programs, "callgate")?;
    let binary_bytes = std::fs::metadata(&program).map_or(0, |metadata| metadata.len());
    let log = directory.join("startup.log");
    let mut times = Vec::new();
    if config.is_file() {
        for _ in 0..starts {
            let port = free_port()?;
            let arguments = gateway_arguments(config, port, plugins);
            let place = (cores, Place::ProxyCore);
            let process = Process::start(&program, arguments, place, port, &log)?;
            times.push(process.started_in.as_secs_f64() * 1e3);
        }
    }
    Ok(Startup { start_ms: crate::report::median(&times), binary_bytes })
}
