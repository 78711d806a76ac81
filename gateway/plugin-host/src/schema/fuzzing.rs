//! Checks settings against a plugin's schema, for fuzz targets.

use super::check;
use callgate_config::CallbackEntry;
use serde_json::Value;
use std::path::Path;

/// The path and the text of each problem.
#[must_use]
pub fn settings(schema: &Value, settings: Value) -> Vec<(String, String)> {
    let entry = CallbackEntry::of_file("plugin", Path::new("plugin.so"), settings, "settings.yaml");
    let told = check(schema, &entry).into_iter();
    told.map(|problem| (problem.place.path.clone(), problem.to_string())).collect()
}
