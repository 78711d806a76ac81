//! The dependency of a new crate on `callgate-plugin-api`. By default it is a copy of the sources
//! that this program was built with, so that the crate builds on any machine.

use crate::cli::New;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the copy in the new crate.
const FOLDER: &str = "callgate-plugin-api";

/// The package's files: path and text.
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/plugin_api.rs"));

/// Where `callgate-plugin-api` comes from.
pub(super) enum Api {
    Copy,
    /// A folder with the package, as TOML text.
    Folder(String),
    Published(String),
}

impl Api {
    pub(super) fn of(options: &New) -> Result<Self, String> {
        if let Some(folder) = &options.api_path {
            return in_folder(folder).map(Self::Folder).ok_or_else(|| {
                let folder = folder.display();
                format!("`--api-path`: expected the folder of the crate `callgate-plugin-api`, found none at `{folder}`")
            });
        }
        let Some(given) = &options.api_version else { return Ok(Self::Copy) };
        let part = |part: &str| !part.is_empty() && part.chars().all(|it| it.is_ascii_digit());
        if (1..=3).contains(&given.split('.').count()) && given.split('.').all(part) {
            return Ok(Self::Published(given.clone()));
        }
        let found = given.escape_debug();
        Err(format!("`--api-version`: expected a version like `1.0`, found `{found}`"))
    }

    /// The members of the dependency in `Cargo.toml`.
    pub(super) fn dependency(&self) -> String {
        match self {
            Self::Copy => format!("path = \"{FOLDER}\""),
            Self::Folder(folder) => format!("path = {folder}"),
            Self::Published(version) => format!("version = \"{version}\""),
        }
    }

    /// What the user is told about it.
    pub(super) fn note(&self) -> String {
        match self {
            Self::Copy => format!(
                "`{FOLDER}` in it is a copy of the crate that plugins are written with; to build \
                 against a newer one, replace the folder\n"
            ),
            Self::Folder(_) => String::new(),
            Self::Published(version) => {
                format!("it depends on the published `callgate-plugin-api` {version}\n")
            }
        }
    }

    /// The files to write into the new crate.
    pub(super) fn files(&self) -> impl Iterator<Item = (PathBuf, String)> {
        let sources = if matches!(self, Self::Copy) { SOURCES } else { &[] };
        sources.iter().map(|(name, text)| (Path::new(FOLDER).join(name), alone(text)))
    }
}

/// The manifest without its link to this workspace; any other file as it is.
fn alone(text: &str) -> String {
    text.replace("\n[lints]\nworkspace = true\n", "")
}

/// The path of the folder as TOML text, if it holds the package.
fn in_folder(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let is_api = manifest.contains("name = \"callgate-plugin-api\"");
    let folder = is_api.then(|| fs::canonicalize(folder).ok()).flatten()?;
    // TOML and JSON strings have the same syntax here.
    serde_json::to_string(folder.to_str()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_does_not_need_this_workspace() {
        let files: Vec<_> = Api::Copy.files().collect();
        let manifest = &files.iter().find(|(name, _)| name.ends_with("Cargo.toml")).unwrap().1;
        assert!(manifest.contains("name = \"callgate-plugin-api\""), "{manifest}");
        assert!(!manifest.contains("workspace = "), "{manifest}");
        assert!(files.iter().any(|(name, _)| name.ends_with("src/lib.rs")));
    }
}
