//! `callgate config schema`: the JSON Schema of the config, for editors. Plugins are read, and
//! nothing of them is executed. A config that cannot be read only hides its own plugin folder.

use crate::{
    boot,
    cli::{ConfigTool, Schema},
    commands::plugin::Finished,
};
use callgate_config::{Environment, UnknownKeys, json_schema};
use callgate_plugin_host::settings_schemas;

/// Runs the tool.
#[must_use]
pub fn run(tool: &ConfigTool) -> Finished {
    let ConfigTool::Schema(options) = tool;
    let schema = schema(options);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    Finished { text, ..Finished::default() }
}

fn schema(Schema { files }: &Schema) -> serde_json::Value {
    let path = &files.config.path;
    let environment = Environment::load(path, files.env_file.as_deref()).unwrap_or_default();
    let config = callgate_config::load(path, &environment, UnknownKeys::Warn).ok();
    let settings = config.map(|config| config.gateway).unwrap_or_default();
    let search = boot::search_path(files.plugin_dir.as_deref(), path, &settings);
    json_schema(&settings_schemas(&search))
}
