//! A small file in the gateway's private folder, locked while the gateway lives, by which other
//! processes find it.

use super::served::Served;
use callgate_plugin_host::config_id;
use callgate_server::ReloadReport;
use rustix::{
    fs::{FlockOperation, flock},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// No gateway's file is larger.
const LARGEST: u64 = 16 << 20;

/// A running gateway, as its file shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunningGateway {
    /// The process id.
    pub pid: u32,
    /// The URL that it listens on.
    pub url: String,
    /// The number of attempted reloads.
    pub attempts: u64,
    /// When the last of them began, by [`monotonic_ns`].
    pub began_ns: u64,
    /// How the last one ended.
    pub last: ReloadReport,
    /// What it serves, to compare a config with.
    pub served: Served,
}

/// The machine's monotonic clock, which processes share and nobody can set.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default() * 1_000_000_000 + nanos.unwrap_or_default()
}

impl RunningGateway {
    /// The gateways that serve `config` now.
    #[must_use]
    pub fn find(folder: &Path, config: &Path) -> Vec<Self> {
        files(folder, config)
            .iter()
            .filter(|path| is_held(path))
            .filter_map(|it| read(it))
            .collect()
    }

    /// The same with as little as a reader of a reload's outcome needs.
    fn shortened(&self) -> Self {
        let problem = "warning: the gateway cannot write its whole report: its log has all of it";
        let last = ReloadReport {
            changes: Vec::new(),
            needs_restart: Vec::new(),
            problems: vec![problem.to_owned()],
            ..self.last.clone()
        };
        Self { last, served: Served::default(), url: self.url.clone(), ..*self }
    }
}

fn files(folder: &Path, config: &Path) -> Vec<PathBuf> {
    let prefix = prefix(config);
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = files
        .filter(|file| file.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)));
    ours.map(|file| file.path()).collect()
}

/// Whether the gateway of this file is running.
fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

fn read(path: &Path) -> Option<RunningGateway> {
    let mut text = Vec::new();
    File::open(path).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The file of this process.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
    /// Holds the lock.
    file: File,
}

impl RunFile {
    /// Creates the file for this process, and removes those of gateways that were killed.
    ///
    /// # Errors
    /// If it cannot be written or locked.
    pub fn create(folder: &Path, config: &Path, gateway: &RunningGateway) -> io::Result<Self> {
        files(folder, config).iter().filter(|path| !is_held(path)).for_each(|path| {
            let _ = fs::remove_file(path);
        });
        let path = folder.join(format!("{}{}", prefix(config), gateway.pid));
        let file = put(&path, gateway)?;
        Ok(Self { path, file })
    }

    /// Updates the file to the gateway's current state.
    ///
    /// # Errors
    /// If the file cannot be written whole; if at all possible, it then shows the outcome of the
    /// last reload.
    pub fn update(&mut self, gateway: &RunningGateway) -> io::Result<()> {
        match put(&self.path, gateway) {
            Ok(file) => {
                self.file = file;
                Ok(())
            }
            Err(error) => {
                // Less than is there already, so that a full disk has room for it.
                let text = serde_json::to_vec(&gateway.shortened())?;
                self.file.write_all_at(&text, 0)?;
                self.file.set_len(text.len() as u64)?;
                Err(error)
            }
        }
    }
}

/// Puts a file there at once, whole and locked, so that nobody finds it without its lock.
fn put(path: &Path, gateway: &RunningGateway) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec(gateway)?)?;
    flock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
    file.persist(path).map_err(|error| error.error)
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn prefix(config: &Path) -> String {
    format!("serving-{}-", config_id(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> RunningGateway {
        RunningGateway {
            pid: 7,
            url: "http://127.0.0.1:4000".to_owned(),
            attempts: 0,
            began_ns: 0,
            last: ReloadReport::default(),
            served: Served::default(),
        }
    }

    #[test]
    fn only_living_gateways_of_the_config_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (Path::new("/c/config.yaml"), Path::new("/d/config.yaml"));
        let mut file = RunFile::create(folder.path(), ours, &gateway()).unwrap();
        assert!(RunningGateway::find(folder.path(), other).is_empty());
        file.update(&RunningGateway { attempts: 1, ..gateway() }).unwrap();
        let found = RunningGateway::find(folder.path(), ours);
        assert_eq!(found.iter().map(|it| (it.pid, it.attempts)).collect::<Vec<_>>(), [(7, 1)]);
        drop(file);
        assert!(RunningGateway::find(folder.path(), ours).is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_whole_shows_the_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let config = Path::new("/c/config.yaml");
        let many = ReloadReport { changes: vec!["x".repeat(9); 999], ..ReloadReport::default() };
        let long = RunningGateway { last: many.clone(), ..gateway() };
        let mut file = RunFile::create(folder.path(), config, &long).unwrap();
        // No new file can be made there, as on a full disk.
        let gone = folder.path().join("gone/file");
        let path = std::mem::replace(&mut file.path, gone);
        let last = ReloadReport { applied: true, generation: 2, ..many };
        assert!(file.update(&RunningGateway { attempts: 1, last, ..gateway() }).is_err());
        let found = RunningGateway::find(folder.path(), config).remove(0);
        assert_eq!((found.attempts, found.last.applied, found.last.generation), (1, true, 2));
        assert!(found.last.problems[0].contains("its log has all of it"));
        file.path = path;
    }
}
