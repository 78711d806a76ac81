//! The configs, each with a mark of its own, and the builds of the plugin that shows it.

use callgate_tests::{
    build,
    config::{deployment, with_callbacks},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// One reload in so many has another build of the plugin.
const BUILDS: usize = 10;

/// One config in so many is broken.
const BROKEN: usize = 5;

/// One build in so many is compiled anew; the others have only a byte more at their end.
const COMPILED: usize = 2;

/// All configs of a run.
pub(crate) struct Versions {
    folder: TempDir,
    base: String,
    builds: Vec<Vec<u8>>,
    used: usize,
}

/// The next config.
pub(crate) struct Next {
    pub(crate) config: String,
    pub(crate) is_good: bool,
}

impl Versions {
    /// Compiles in advance, so that the compiler does not slow the calls.
    pub(crate) fn new(base: &str, reloads: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let mut builds = Vec::new();
        for number in 0..=reloads / BUILDS {
            let file = folder.path().join("build.so");
            let version = format!("1.{}.0", number / COMPILED);
            build::c_plugin("mark.c", &[("VERSION", &version)], &file);
            let mut bytes = fs::read(file).unwrap();
            bytes.extend(number.to_le_bytes());
            builds.push(bytes);
        }
        let versions = Self { folder, base: base.to_owned(), builds, used: 0 };
        versions.put(&versions.builds[0]);
        versions
    }

    pub(crate) fn first(&self) -> String {
        self.config(0).to_string()
    }

    /// The config of a reload, counted from 1; puts the plugin's file in its place.
    pub(crate) fn next(&mut self, number: usize) -> Next {
        if number.is_multiple_of(BROKEN) {
            return Next { config: self.broken(number), is_good: false };
        }
        if number / BUILDS > self.used {
            self.used = number / BUILDS;
        }
        self.put(&self.builds[self.used]);
        Next { config: self.config(number).to_string(), is_good: true }
    }

    fn broken(&self, number: usize) -> String {
        let mut config = self.config(number);
        match number / BROKEN % 6 {
            0 => return config.to_string() + "]",
            1 => config["model_list"] = json!([{"model_name": "x"}]),
            2 => config["litellm_settings"]["callbacks"][1]["path"] = json!("nowhere.so"),
            3 => config["litellm_settings"]["callbacks"][0]["settings"] = json!({"mark": 7}),
            4 => config["general_settings"] = json!({"master_key": "sk-1234"}),
            _ => {
                let whole = &self.builds[self.used];
                self.put(&whole[..whole.len() / 2]);
            }
        }
        config.to_string()
    }

    fn config(&self, number: usize) -> Value {
        let entry = |name: &str| {
            json!({"name": "mark", "path": self.file(), "instance": name,
                   "settings": {"mark": format!("g{number}")}})
        };
        let order = if number.is_multiple_of(2) { ["a", "b"] } else { ["b", "a"] };
        let callbacks: Vec<_> = order.into_iter().map(entry).collect();
        let models = [
            deployment("gpt", "openai/gpt-4o-mini", &self.base),
            deployment(&format!("m{number}"), "openai/m", &self.base),
        ];
        let mut config = with_callbacks(&models, &json!(callbacks));
        config["callgate"] = json!({"cache_dir": self.folder.path().join("cache")});
        config
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("libmark.so")
    }

    fn put(&self, bytes: &[u8]) {
        let new = self.folder.path().join("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, self.file()).unwrap();
    }
}
