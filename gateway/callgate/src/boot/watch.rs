//! `callgate.watch`: notices changes of the config, its `.env` file, certificates, files of tokens
//! or a plugin.
//!
//! It checks the files twice a second instead of subscribing to the system's events: this works
//! with the links that Kubernetes swaps and with network file systems, and costs a few system calls
//! for each file.

use super::assembly::search_path;
use crate::cli::Source;
use callgate_config::{Environment, TlsSettings, UnknownKeys};
use callgate_deployments::token_files;
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
#[derive(Debug, Default)]
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
    /// Watches the config, the file of variables, the certificates and the plugins that the config
    /// names by their paths, and all plugins that lie in the folders for them.
    pub(super) fn new(source: &Source) -> Self {
        let mut watch = Self::default();
        watch.note_loaded(source);
        watch
    }

    /// Takes the files as they are now for loaded. To be called before they are read, so that a
    /// change meanwhile is found.
    pub(super) fn note_loaded(&mut self, source: &Source) {
        self.follow(source);
        self.loaded = self.look();
        self.last.clone_from(&self.loaded);
    }

    /// Watches what the config names now; an unreadable one changes nothing.
    fn follow(&mut self, source: &Source) {
        let files = &source.files;
        let env_file = files.env_file.as_deref();
        let beside = || files.config.path.with_file_name(".env");
        let variables = env_file.map_or_else(beside, Path::to_owned);
        let environment = Environment::load(&files.config.path, env_file).unwrap_or_default();
        let own = [files.config.path.clone(), variables];
        match callgate_config::load(&files.config.path, &environment, UnknownKeys::Warn) {
            Ok(config) => {
                let plugins = config.callbacks.iter().filter_map(|entry| entry.file.clone());
                let included = config.files.iter().skip(1).map(|file| file.to_path_buf());
                let general = config.litellm.tls.clone().under(&environment);
                let certificates = config.models.iter().map(|entry| &entry.tls).chain([&general]);
                let certificates = certificates.flat_map(TlsSettings::files).map(Path::to_owned);
                let tokens = token_files(&config);
                let named = included.chain(plugins).chain(certificates).chain(tokens);
                self.files = own.into_iter().chain(named).collect();
                let plugin_dir = files.plugin_dir.as_deref();
                let search = search_path(plugin_dir, &files.config.path, &config.gateway);
                self.folders = search.folders().to_vec();
            }
            Err(_) if self.files.is_empty() => self.files = own.into(),
            Err(_) => {}
        }
    }

    /// Looks at the files: whether they differ from those that were loaded, and have come to rest.
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

    fn source(config: PathBuf) -> Source {
        Source::of(config, None, None)
    }

    #[test]
    fn a_change_counts_when_the_file_has_come_to_rest() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path().join("config.yaml"));
        let config = &source.files.config.path;
        fs::write(config, "model_list: []").unwrap();
        let mut watch = Watch::new(&source);
        // Tests run beside files that are built.
        watch.folders.truncate(1);
        watch.loaded = watch.look();
        assert!(!watch.has_changed() && !watch.has_changed());
        fs::write(config, "model_list: [] #").unwrap();
        assert!(!watch.has_changed(), "it may still be written");
        fs::write(config, "model_list: [] ##").unwrap();
        assert!(!watch.has_changed(), "it was");
        assert!(watch.has_changed());
        watch.loaded = watch.look();
        assert!(!watch.has_changed());
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins).unwrap();
        fs::write(plugins.join("README"), "").unwrap();
        assert!(!watch.has_changed() && !watch.has_changed(), "no plugin");
        fs::write(plugins.join("libx.so"), "").unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
    }

    #[test]
    fn the_plugins_that_the_config_names_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path().join("config.yaml"));
        let names = |path: &str| {
            let text = format!("litellm_settings: {{callbacks: [{{path: {path}}}]}}");
            fs::write(&source.files.config.path, text).unwrap();
        };
        names("a/libx.so");
        let mut watch = Watch::new(&source);
        let (a, b) = (folder.path().join("a/libx.so"), folder.path().join("b/libx.so"));
        assert!(watch.files.contains(&a));
        names("b/libx.so");
        watch.follow(&source);
        assert!(watch.files.contains(&b) && !watch.files.contains(&a));
        fs::write(&source.files.config.path, "]").unwrap();
        watch.follow(&source);
        assert!(watch.files.contains(&b), "as long as the config cannot be read");
    }

    #[test]
    fn the_certificates_that_the_config_names_are_watched() {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path().join("config.yaml"));
        let text = "litellm_settings: {ssl_verify: general.pem}\nmodel_list: [{model_name: a, \
                    litellm_params: {model: openai/x, ssl_certificate: own.pem}}]";
        fs::write(&source.files.config.path, text).unwrap();
        let watch = Watch::new(&source);
        for name in ["general.pem", "own.pem"] {
            assert!(watch.files.contains(&folder.path().join(name)), "{name}");
        }
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("config.yaml"), "model_list: []").unwrap();
        }
        symlink("v1", at("data")).unwrap();
        symlink("data/config.yaml", at("config.yaml")).unwrap();
        let mut watch = Watch::new(&source(at("config.yaml")));
        watch.folders.clear();
        watch.loaded = watch.look();
        // As Kubernetes does it.
        symlink("v2", at("data.new")).unwrap();
        fs::rename(at("data.new"), at("data")).unwrap();
        assert!(!watch.has_changed() && watch.has_changed());
    }
}
