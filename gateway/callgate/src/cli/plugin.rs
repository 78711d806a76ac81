//! `callgate plugin …`: the tools for plugin authors and operators.

use super::ConfigFiles;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Tools for plugins.
#[derive(Debug, Args)]
pub struct PluginCommand {
    /// The tool.
    #[command(subcommand)]
    pub tool: Tool,
}

/// The tools.
#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Write a crate that builds: a callback with settings, tests, README and CI.
    New(New),
    /// Describe a file and list every reason why it could not be loaded, without executing it.
    Inspect(Inspect),
    /// Load a file and put its callbacks through the conformance suite, in a process of its own.
    Check(Check),
    /// Run one callback, or a config's chain, on a request, and show what it changes.
    Test(Test),
    /// Time the hooks of a file's callbacks.
    Bench(Bench),
    /// Show the plugins in the folders, and which file each entry of a config means.
    List(List),
    /// Write the SHA-256 of every callback's file into a config.
    Pin(Pin),
}

/// Options of `plugin new`.
#[derive(Debug, Args)]
pub struct New {
    /// The callback's name, as configs will list it.
    pub name: String,
    /// Make a callback whose hooks may wait.
    #[arg(long = "async")]
    pub waits: bool,
    /// The hooks it has.
    #[arg(long, value_name = "HOOKS", value_delimiter = ',', default_value = "on_llm_start")]
    pub hooks: Vec<String>,
    /// The folder the crate's own folder is made in.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub path: PathBuf,
    /// Depend on `callgate-plugin-api` in this folder, not on a copy in the new crate.
    #[arg(long, value_name = "DIR", conflicts_with = "api_version")]
    pub api_path: Option<PathBuf>,
    /// Depend on this published version of `callgate-plugin-api`, not on a copy.
    #[arg(long, value_name = "VERSION")]
    pub api_version: Option<String>,
}

/// Options of `plugin inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The file.
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// A callback of a file, and its settings.
#[derive(Debug, Args)]
pub struct Selection {
    /// The plugin's file.
    pub file: PathBuf,
    /// The callback, when the file has several.
    #[arg(long, value_name = "NAME")]
    pub callback: Option<String>,
    /// Its settings as JSON, or `@FILE`; the default is what its author gave as a sample, else
    /// `{}`.
    #[arg(long, value_name = "JSON|@FILE")]
    pub settings: Option<String>,
}

/// Options of `plugin check`.
#[derive(Debug, Args)]
pub struct Check {
    /// The callback to check; all callbacks of the file if none is named.
    #[command(flatten)]
    pub selection: Selection,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Write a JUnit report as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Seconds that one step may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub step_timeout: u64,
    /// This is the process that executes the plugin; settings come on standard input.
    #[arg(long, hide = true)]
    pub inside: bool,
}

/// Options of `plugin test`.
#[derive(Debug, Args)]
pub struct Test {
    /// The plugin's file; left out with `--config`.
    #[arg(required_unless_present = "config", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The callback, when the file has several.
    #[arg(long, value_name = "NAME", requires = "file")]
    pub callback: Option<String>,
    /// Its settings as JSON, or `@FILE`.
    #[arg(long, value_name = "JSON|@FILE", requires = "file")]
    pub settings: Option<String>,
    /// Run the chain of this config.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The first folder to search for callbacks.
    #[arg(long, value_name = "DIR", requires = "config")]
    pub plugin_dir: Option<PathBuf>,
    /// A file of `NAME=value` lines for the config.
    #[arg(long, value_name = "FILE", requires = "config")]
    pub env_file: Option<PathBuf>,
    /// The body of a chat completion; if repeated, one instance gets one after the other.
    #[arg(long, value_name = "FILE", required_unless_present = "replay")]
    pub request: Vec<PathBuf>,
    /// A header of the request, `name: value`; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// Make the request one for a stream.
    #[arg(long)]
    pub stream: bool,
    /// What the upstream answers: a chat completion, or for a stream also a list of chunks; one for
    /// all requests, or one for each.
    #[arg(long, value_name = "FILE")]
    pub reply: Vec<PathBuf>,
    /// Answers to the callbacks' own HTTP requests: a JSON list of rules.
    #[arg(long, value_name = "FILE")]
    pub http: Option<PathBuf>,
    /// Run the recorded calls of this folder, and show what the callback does differently.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["request", "header", "stream", "reply", "http", "advance", "expect"])]
    pub replay: Option<PathBuf>,
    /// Seconds that pass on the callbacks' clock between two requests.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = advance)]
    pub advance: f64,
    /// Print one JSON object; with several requests, a list of them.
    #[arg(long)]
    pub json: bool,
    /// What must come out: every member of this JSON object, compared with what `--json` prints.
    #[arg(long, value_name = "FILE")]
    pub expect: Option<PathBuf>,
}

/// Options of `plugin bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// The callback to time.
    #[command(flatten)]
    pub selection: Selection,
    /// Seconds that each hook and size is timed.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub time: f64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Options of `plugin list`.
#[derive(Debug, Args)]
pub struct List {
    /// The config whose entries are resolved.
    #[command(flatten)]
    pub files: ConfigFiles,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Options of `plugin pin`.
#[derive(Debug, Args)]
pub struct Pin {
    /// The config that is changed.
    #[command(flatten)]
    pub files: ConfigFiles,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
}

fn advance(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    // Ten years.
    if (0.0..=3.2e8).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0 to 320000000 seconds".to_owned())
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    if (0.01..=60.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("expected 0.01 to 60 seconds".to_owned())
    }
}
