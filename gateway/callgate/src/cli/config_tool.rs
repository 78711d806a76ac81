//! The options of `callgate config …`.

use super::ConfigFiles;
use clap::{Args, Subcommand};

/// Tools for configs.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    /// The tool.
    #[command(subcommand)]
    pub tool: ConfigTool,
}

/// A tool for configs.
#[derive(Debug, Subcommand)]
pub enum ConfigTool {
    /// Print a JSON Schema of the config for editors, with the settings of the plugins.
    Schema(Schema),
}

/// Options of `config schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Where plugins are looked up, as a start with this config does.
    #[command(flatten)]
    pub files: ConfigFiles,
}
