//! The options of `callgate key …`.

use clap::{Args, Subcommand};

/// Make keys for clients.
#[derive(Debug, Args)]
pub struct KeyCommand {
    /// The tool.
    #[command(subcommand)]
    pub tool: KeyTool,
}

/// A tool for keys.
#[derive(Debug, Subcommand)]
pub enum KeyTool {
    /// Print a new random key, and its entry for `callgate.keys`.
    New(NewKey),
}

/// Options of `key new`.
#[derive(Debug, Args)]
pub struct NewKey {
    /// The key's name in the log, in limits and for callbacks.
    #[arg(long, default_value = "new-key")]
    pub name: String,
}
