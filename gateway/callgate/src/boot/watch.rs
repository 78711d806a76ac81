//! `callgate.watch`: notices changes of the config, its `.env` file or a plugin.
//!
//! It checks the files twice a second instead of subscribing to the system's events: this works
//! with the links that Kubernetes swaps and with network file systems, and costs a few system calls
//! for each file.

use callgate_plugin_host::SearchPath;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// The time between two checks. A change counts once two checks have the same result, so that a
/// file is not read while it is being written.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// The files of a config.
#[derive(Debug)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// Their state at the last reload or at the start.
    loaded: Vec<Seen>,
    last: Vec<Seen>,
}

/// A file and the metadata that change when it is written or replaced; `None` if it does not exist.
/// Links are followed.
type Seen = (PathBuf, Option<(u64, u64, u64, i64, i64)>);

impl Watch {
    /// Watches `config`, the environment file and the plugins: those in `loaded`, and all in the
    /// folders of `search`.
    pub(super) fn new(
        config: &Path,
        env_file: Option<&Path>,
        loaded: impl Iterator<Item = PathBuf>,
        search: &SearchPath,
    ) -> Self {
        let env_file = env_file.map_or_else(|| config.with_file_name(".env"), Path::to_owned);
        let files = [config.to_owned(), env_file].into_iter().chain(loaded).collect();
        let folders = search.folders().to_vec();
        let mut watch = Self { files, folders, loaded: Vec::new(), last: Vec::new() };
        watch.note_loaded();
        watch
    }

    /// Records the current state as loaded. Call it before the files are read, so that a later
    /// change is noticed.
    pub(super) fn note_loaded(&mut self) {
        self.loaded = self.look();
        self.last.clone_from(&self.loaded);
    }

    /// Checks the files: whether they differ from the loaded state and have stopped changing.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = self.look();
        let rests = now == self.last;
        self.last = now;
        rests && self.last != self.loaded
    }

    fn look(&self) -> Vec<Seen> {
        let listed = self.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let libraries = listed.flatten().map(|entry| entry.path());
        let libraries = libraries.filter(|path| path.extension().is_some_and(|it| it == "so"));
        let mut seen: Vec<Seen> = self
            .files
            .iter()
            .cloned()
            .chain(libraries)
            .map(|path| {
                let metadata = fs::metadata(&path).ok();
                let facts =
                    |it: fs::Metadata| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec());
                (path, metadata.map(facts))
            })
            .collect();
        seen.sort();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_counts_when_the_file_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yaml");
        fs::write(&config, "a").unwrap();
        let plugins = folder.path().join("plugins");
        let mut watch =
            Watch::new(&config, None, std::iter::empty(), &SearchPath::new(None, &config, None));
        assert!(!watch.has_changed());
        fs::write(&config, "ab").unwrap();
        assert!(!watch.has_changed(), "it may still be written");
        fs::write(&config, "abc").unwrap();
        assert!(!watch.has_changed(), "it was");
        assert!(watch.has_changed());
        watch.note_loaded();
        assert!(!watch.has_changed());
        fs::create_dir(&plugins).unwrap();
        fs::write(plugins.join("README"), "").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed(), "no plugin");
        fs::write(plugins.join("libx.so"), "").unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.yaml"), version).unwrap();
        }
        symlink("v1", at("data")).unwrap();
        symlink("data/config.yaml", at("config.yaml")).unwrap();
        let search = SearchPath::default();
        let mut watch = Watch::new(&at("config.yaml"), None, std::iter::empty(), &search);
        // Swaps a link, as Kubernetes does.
        symlink("v2", at("data.new")).unwrap();
        fs::rename(at("data.new"), at("data")).unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
    }
}
