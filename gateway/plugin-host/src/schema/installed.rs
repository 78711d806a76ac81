//! The schemas of the settings of all plugins in the folders, for editors.

use super::closed;
use crate::{PluginInfo, SearchPath};
use serde_json::Value;
use std::{collections::BTreeMap, fs};

/// The schema of each callback's settings, by its name. As at a start, the first folder that has a
/// plugin wins. Files that a start would refuse are left out; nothing is executed.
#[must_use]
pub fn settings_schemas(search: &SearchPath) -> BTreeMap<String, Value> {
    let mut schemas = BTreeMap::new();
    for folder in search.folders() {
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
        let mut files: Vec<_> = files
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with("lib") && name.ends_with(".so")
            })
            .collect();
        files.sort();
        for info in files.iter().map(|file| PluginInfo::of(file)).filter(|info| info.loadable) {
            for callback in info.callbacks {
                let schema = closed(&callback.settings_schema);
                schemas.entry(callback.name).or_insert(schema);
            }
        }
    }
    schemas
}
