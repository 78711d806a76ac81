//! `callgate reload`: makes the running gateway reload, and shows the result.

use crate::{
    boot::{RunningGateway, monotonic_ns},
    cli::Reload,
    commands::plugin::Finished,
};
use callgate_config::{Environment, UnknownKeys};
use callgate_plugin_host::cache_folder;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt::Write as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// The time between two reads of the gateway's file.
const LOOK: Duration = Duration::from_millis(50);

/// Why the result of a reload is not known.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(
        "expected a running gateway that serves `{}`, found none; start it by the same user and with \
         the same path, and send SIGHUP to one that was started with another `callgate.cache_dir`",
        .0.display()
    )]
    NotRunning(PathBuf),
    #[error(
        "expected the gateway's private folder, found none; set `callgate.cache_dir`, `HOME` or \
         `XDG_CACHE_HOME` as for the gateway, or send it SIGHUP"
    )]
    NoFolder,
    #[error("expected one gateway that serves the config, found {0}; choose one with `--pid`")]
    Several(String),
    #[error("cannot send SIGHUP to process {pid}: {error}")]
    Signal { pid: u32, error: rustix::io::Errno },
    #[error("the gateway ended before it had reloaded")]
    Ended,
    #[error(
        "the gateway has not reloaded within {0} s; its log, or `GET /admin/reload`, says what it \
         waits for"
    )]
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
    let folders = folders(options);
    if folders.is_empty() {
        return Err(ReloadError::NoFolder);
    }
    let pid = only_one(find(&folders, options), options)?.pid;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or_else(|| ReloadError::NotRunning(options.config.path.clone()))?;
    // A reload that began earlier may have read the config before it was changed.
    let asked = monotonic_ns();
    kill_process(process, Signal::HUP).map_err(|error| ReloadError::Signal { pid, error })?;
    let started = Instant::now();
    let mut missing = 0;
    while started.elapsed() < Duration::from_secs(options.timeout) {
        thread::sleep(LOOK);
        match find(&folders, options).into_iter().find(|it| it.pid == pid) {
            Some(now) if now.began_ns >= asked => return Ok(now),
            Some(_) => missing = 0,
            // On a full disk it is written in place.
            None if missing < 20 => missing += 1,
            None => return Err(ReloadError::Ended),
        }
    }
    Err(ReloadError::Timeout(options.timeout))
}

/// The private folders in which a gateway with this config may have its file. The gateway itself
/// says what is wrong with a config that cannot be read here.
fn folders(options: &Reload) -> Vec<PathBuf> {
    let environment = Environment::load(&options.config.path, options.env_file.as_deref());
    let environment = environment.unwrap_or_default();
    let config = callgate_config::load(&options.config.path, &environment, UnknownKeys::Warn);
    let configured = config.ok().and_then(|config| config.gateway.cache_dir);
    let mut folders: Vec<_> = cache_folder(configured.as_deref()).into_iter().collect();
    folders.extend(cache_folder(None).filter(|usual| !folders.contains(usual)));
    folders
}

fn find(folders: &[PathBuf], options: &Reload) -> Vec<RunningGateway> {
    let find = |folder: &PathBuf| RunningGateway::find(folder, &options.config.path);
    let all = folders.iter().flat_map(find);
    all.filter(|gateway| options.pid.is_none_or(|pid| pid == gateway.pid)).collect()
}

fn only_one(mut all: Vec<RunningGateway>, options: &Reload) -> Result<RunningGateway, ReloadError> {
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
        writeln!(
            text,
            "not reloaded: process {pid} at {url} still serves config {}",
            last.generation
        )
    };
    text
}
