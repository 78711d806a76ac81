//! `callgate reload`: makes the running gateway reload, and shows the result.

use crate::{boot::RunningGateway, cli::Reload, commands::plugin::Finished};
use callgate_config::{Environment, Problems, UnknownKeys};
use callgate_plugin_host::cache_folder;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// The time between two reads of the gateway's file.
const LOOK: Duration = Duration::from_millis(50);

/// Why the result of a reload is not known.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error("expected a gateway that serves `{}`, found none; is it started with the same path?", .0.display())]
    NotRunning(PathBuf),
    #[error("not reloaded: {0}")]
    Unreadable(Problems),
    #[error("expected one gateway that serves the config, found {0}; choose one with `--pid`")]
    Several(String),
    #[error("cannot send SIGHUP to process {pid}: {error}")]
    Signal { pid: u32, error: rustix::io::Errno },
    #[error("the gateway ended before it had reloaded")]
    Ended,
    #[error("the gateway had not reloaded after {0} s; its log says what it waits for")]
    Timeout(u64),
}

/// Exit status 0 if the new config serves, 1 if it was refused or the result is unknown.
#[must_use]
pub fn run(options: &Reload) -> Finished {
    match reload(options) {
        Ok(gateway) if gateway.last.applied => {
            Finished { text: report(&gateway), ..Finished::default() }
        }
        Ok(gateway) => Finished { complaint: report(&gateway), code: 1, ..Finished::default() },
        Err(error) => {
            Finished { complaint: format!("error: {error}\n"), code: 1, ..Finished::default() }
        }
    }
}

/// Returns the gateway's state after the reload.
fn reload(options: &Reload) -> Result<RunningGateway, ReloadError> {
    let folder = folder_of(&options.config.path)?;
    let before = find(&folder, options)?;
    let pid = before.pid;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| ReloadError::NotRunning(options.config.path.clone()))?;
    kill_process(process, Signal::HUP).map_err(|error| ReloadError::Signal { pid, error })?;
    let started = Instant::now();
    let mut missing = 0;
    while started.elapsed() < Duration::from_secs(options.timeout) {
        thread::sleep(LOOK);
        let all = RunningGateway::find(&folder, &options.config.path);
        match all.into_iter().find(|it| it.pid == pid) {
            Some(now) if now.attempts > before.attempts => return Ok(now),
            Some(_) => missing = 0,
            // The file may be incomplete while it is written.
            None if missing < 20 => missing += 1,
            None => return Err(ReloadError::Ended),
        }
    }
    Err(ReloadError::Timeout(options.timeout))
}

/// The private folder of gateways with this config. If the config cannot be read, the gateway would
/// refuse it, too.
fn folder_of(config: &Path) -> Result<PathBuf, ReloadError> {
    let environment = Environment::load(config, None).unwrap_or_default();
    let config = callgate_config::load(config, &environment, UnknownKeys::Warn)
        .map_err(ReloadError::Unreadable)?;
    Ok(cache_folder(config.gateway.cache_dir.as_deref()).unwrap_or_default())
}

fn find(folder: &Path, options: &Reload) -> Result<RunningGateway, ReloadError> {
    let mut all = RunningGateway::find(folder, &options.config.path);
    all.retain(|gateway| options.pid.is_none_or(|pid| pid == gateway.pid));
    if all.len() > 1 {
        let listed = all.iter().map(|it| format!("process {} at {}", it.pid, it.url));
        return Err(ReloadError::Several(listed.collect::<Vec<_>>().join(", ")));
    }
    all.pop().ok_or_else(|| ReloadError::NotRunning(options.config.path.clone()))
}

fn report(gateway: &RunningGateway) -> String {
    let mut text = String::new();
    let last = &gateway.last;
    for line in last.problems.iter().chain(&last.changes).chain(&last.needs_restart) {
        let _ = writeln!(text, "{line}");
    }
    let (pid, url) = (gateway.pid, &gateway.url);
    let _ = if last.applied {
        writeln!(text, "reloaded: process {pid} at {url} serves config {}", last.generation)
    } else {
        writeln!(text, "not reloaded: process {pid} at {url} serves config {} on", last.generation)
    };
    text
}
