//! Looks up the plugin of a config's entry without executing anything, for tools that show it.

use super::{
    inspect::{Reason, inspect},
    load_error::LoadError,
    resolve::{SearchPath, resolve},
    schema,
};
use callgate_config::CallbackEntry;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// An entry and its file.
#[derive(Debug, Serialize)]
pub struct Lookup {
    /// Its index in the config's list.
    pub position: usize,
    /// The callback's name.
    pub name: String,
    /// The file it resolves to, if there is one.
    pub file: Option<PathBuf>,
    /// The file's SHA-256 in hex, if it could be a plugin.
    pub sha256: Option<String>,
    /// Whether the gateway refuses to start if it cannot be used.
    pub required: bool,
    /// Whether a start would accept it, up to executing its code.
    pub usable: bool,
    /// Why it is not usable: the first reason.
    pub problem: Option<Reason>,
}

impl Lookup {
    /// Looks the entry up.
    #[must_use]
    pub fn of(entry: &CallbackEntry, search: &SearchPath) -> Self {
        let mut resolved = Self {
            position: entry.position,
            name: entry.name.clone(),
            file: None,
            sha256: None,
            required: entry.required,
            usable: false,
            problem: None,
        };
        match resolve(entry, search) {
            Ok(file) => resolved.look_at(entry, &file, search),
            Err(error) => resolved.problem = Some(LoadError::from(error).into()),
        }
        resolved.usable = resolved.problem.is_none();
        resolved
    }

    fn look_at(&mut self, entry: &CallbackEntry, file: &Path, search: &SearchPath) {
        self.file = Some(file.to_owned());
        match inspect(entry, file, search, &mut Vec::new()) {
            Ok(inspected) => {
                self.sha256 = Some(inspected.sha256_hex());
                let wrong = schema::check(&inspected.callback.settings_schema, entry);
                self.problem = wrong.into_iter().next().map(|problem| Reason {
                    text: format!("{}: {}", problem.place.path, problem.text),
                    remedy: problem.remedy.unwrap_or_else(|| "correct its settings".to_owned()),
                });
            }
            Err(error) => self.problem = Some(error.into()),
        }
    }
}
