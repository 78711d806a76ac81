//! The command line, spelled as LiteLLM's where both have an option.

mod plugin;

/// `plugin check`, beside the `check` of a config.
pub use plugin::Check as CheckPlugin;
pub use plugin::{Bench, Inspect, List, New, Pin, Plugin, Subject, Test, Tool};

use crate::callbacks;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{convert::Infallible, path::PathBuf};

/// An LLM gateway on a LiteLLM config, extended with native callbacks.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with a config and its callbacks, without listening.
    Check(Check),
    /// Try a plugin, in a process started for that alone.
    #[command(name = callbacks::PROBE, hide = true)]
    Probe,
    /// Walk through a whole deployment against a scripted upstream on this machine.
    Demo(Demo),
    /// Write, inspect, check, test, time, list and pin plugins.
    Plugin(Plugin),
}

const HOST: &str = "127.0.0.1";
const PORT: u16 = 4000;

/// A variable that is set to nothing counts as not set: `.env` files are full of them.
fn host(text: &str) -> Result<String, Infallible> {
    Ok(if text.trim().is_empty() { HOST } else { text }.to_owned())
}

fn port(text: &str) -> Result<u16, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(PORT);
    }
    text.parse().map_err(|_| format!("expected a number from 0 to 65535, found `{text}`"))
}

/// Options of serving.
#[derive(Debug, Args)]
pub struct Serve {
    /// Which config.
    #[command(flatten)]
    pub source: Source,
    /// The address to listen on.
    #[arg(long, default_value = HOST, env = "HOST", value_parser = host)]
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = PORT, env = "PORT", value_parser = port)]
    pub port: u16,
    /// Start without callbacks: to find out whether one of them is what is wrong.
    #[arg(long)]
    pub safe_mode: bool,
    /// Load callbacks even if an earlier start ended while it loaded them.
    #[arg(long)]
    pub retry: bool,
    /// How log lines look; the default is pretty on a terminal and JSON elsewhere.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

/// Where the config comes from.
#[derive(Debug, Args)]
pub struct Source {
    /// The config file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "config.yaml",
        env = "CONFIG_FILE_PATH"
    )]
    pub config: PathBuf,
    /// The folder looked in first for callbacks.
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// A file of `NAME=value` lines; the default is `.env` beside the config, if there is one.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Refuse keys that nobody knows, instead of warning about them.
    #[arg(long)]
    pub strict: bool,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Which config.
    #[command(flatten)]
    pub source: Source,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The config whose deployment is shown.
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// The folder looked in first for callbacks.
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_command_line_is_understood() {
        let line = ["callgate", "--config", "c.yaml", "--port", "4000", "--host", "0.0.0.0"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!((cli.serve.port, &*cli.serve.host), (4000, "0.0.0.0"));
        assert!(Cli::try_parse_from(["callgate", "--port", "70000"]).is_err());
        let blank = Cli::try_parse_from(["callgate", "--port", "", "--host", " "]).unwrap();
        assert_eq!((blank.serve.port, &*blank.serve.host), (PORT, HOST));
        assert!(Cli::try_parse_from(["callgate", "check", "--config", "x"]).is_ok());
        assert!(Cli::try_parse_from(["callgate", "plugin", "inspect", "x.so", "--json"]).is_ok());
        assert!(Cli::try_parse_from(["callgate", "plugin", "test", "--request", "r"]).is_err());
    }
}
