//! A small file in the gateway's private folder, locked while the gateway lives, by which other
//! processes find it.

use callgate_config::SealedOutline;
use callgate_plugin_host::config_id;
use callgate_server::ReloadReport;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

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
    /// The result of the last one.
    pub last: ReloadReport,
    /// The config that it serves, without secrets.
    pub outline: SealedOutline,
    /// Its callbacks and the first digits of their files' SHA-256, in order.
    pub callbacks: Vec<(String, String)>,
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
        let file =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let created = Self { path, file };
        created.update(gateway)?;
        Ok(created)
    }

    /// Updates the file to the gateway's current state.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn update(&self, gateway: &RunningGateway) -> io::Result<()> {
        let text = serde_json::to_vec(gateway)?;
        // A reader that finds an incomplete file reads again.
        self.file.set_len(0)?;
        self.file.write_all_at(&text, 0)
    }
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

    #[test]
    fn only_living_gateways_of_the_config_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let gateway = RunningGateway {
            pid: 7,
            url: "http://127.0.0.1:4000".to_owned(),
            attempts: 0,
            last: ReloadReport::default(),
            outline: SealedOutline::default(),
            callbacks: Vec::new(),
        };
        let (ours, other) = (Path::new("/c/config.yaml"), Path::new("/d/config.yaml"));
        let file = RunFile::create(folder.path(), ours, &gateway).unwrap();
        assert!(RunningGateway::find(folder.path(), other).is_empty());
        file.update(&RunningGateway { attempts: 1, ..gateway }).unwrap();
        let found = RunningGateway::find(folder.path(), ours);
        assert_eq!(found.iter().map(|it| (it.pid, it.attempts)).collect::<Vec<_>>(), [(7, 1)]);
        drop(file);
        assert!(RunningGateway::find(folder.path(), ours).is_empty());
    }
}
