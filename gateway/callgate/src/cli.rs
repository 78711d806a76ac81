//! The command line. Options that LiteLLM has, too, are spelled the same.

mod config_tool;
mod key;
mod listen_address;
mod litellm;
mod misread;
mod plugin;

pub use config_tool::{ConfigCommand, ConfigTool, Schema};
pub use key::{KeyCommand, KeyTool, NewKey};
pub use listen_address::ListenAddress;
pub use litellm::LitellmOptions;
pub use misread::{Misread, log_format_of_unread};

/// `plugin check`; not to be confused with the `check` of a config.
pub use plugin::Check as CheckPlugin;
pub use plugin::{Bench, Inspect, List, New, Pin, PluginCommand, Selection, Test, Tool};

use callgate_config::{Environment, Problem, quoted};
use callgate_telemetry::LogFormat;
use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser},
};
use std::{ffi::OsString, path::PathBuf};

/// An LLM gateway on a LiteLLM config, extended with native callbacks.
#[derive(Debug, Parser)]
#[command(name = "callgate", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// The command, if it is not to serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options for serving.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report everything that is wrong with a config and its callbacks, without listening.
    Check(Check),
    /// Make the running gateway read its config and its plugins again, and wait until it has.
    Reload(Reload),
    /// Try a plugin, in a process started for that alone.
    #[command(name = callgate_plugin_host::PROBE, hide = true)]
    Probe,
    /// Walk through a whole deployment against a scripted upstream on this machine.
    Demo(Demo),
    /// Tools for configs.
    Config(ConfigCommand),
    /// Make keys for clients.
    Key(KeyCommand),
    /// Write, inspect, check, test, time, list and pin plugins.
    Plugin(PluginCommand),
}

const CONFIG: &str = "config.yaml";
/// Without a key: this machine alone.
const HOST: &str = "127.0.0.1";
/// With a key, as in LiteLLM: all addresses.
const KEYED_HOST: &str = "0.0.0.0";
const PORT: u16 = 4000;

/// Parses a port. An empty variable counts as unset, because `.env` files often have such lines.
fn port(text: &str) -> Result<u16, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(PORT);
    }
    text.parse().map_err(|_| format!("expected a number from 0 to 65535, found `{}`", quoted(text)))
}

fn log_format() -> impl TypedValueParser<Value = LogFormat> {
    let value = |name: &'static str, help: &'static str| PossibleValue::new(name).help(help);
    let known = [value("pretty", "For people"), value("json", "One JSON object a line")];
    PossibleValuesParser::new(known)
        .map(|name| LogFormat::called(&name).unwrap_or(LogFormat::Pretty))
}

fn config_file(path: OsString) -> PathBuf {
    if path.is_empty() { PathBuf::from(CONFIG) } else { PathBuf::from(path) }
}

/// The address to listen on, as far as the command line sets it.
#[derive(Clone, Debug, Default, Args)]
pub struct Address {
    /// The address to listen on [default: $HOST, else 0.0.0.0 with a key and 127.0.0.1 without].
    #[arg(long)]
    pub host: Option<String>,
    /// The port to listen on; 0 takes a free one [default: $PORT, else 4000].
    #[arg(long, value_parser = port)]
    pub port: Option<u16>,
}

impl Address {
    /// The address from the command line, otherwise from `HOST` and `PORT`, otherwise the default.
    /// `needs_key` says whether callers need a key that nobody can guess.
    ///
    /// # Errors
    /// If `PORT` is not a port.
    pub fn resolve(
        &self,
        environment: &Environment,
        needs_key: bool,
    ) -> Result<ListenAddress, Problem> {
        let given = self.host.as_deref().filter(|host| !host.trim().is_empty());
        let variable = environment.filled_var("HOST").filter(|_| given.is_none());
        let default = if needs_key { KEYED_HOST } else { HOST };
        let host = given.or(variable).unwrap_or(default).trim();
        // Without the brackets of a URL.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port_variable = environment.filled_var("PORT").filter(|_| self.port.is_none());
        let port = match (self.port, port_variable) {
            (Some(port), _) => Ok(port),
            (None, Some(text)) => port(text),
            (None, None) => Ok(PORT),
        };
        let port = port.map_err(|text| Problem::error(Environment::place_of("PORT"), text))?;
        Ok(ListenAddress {
            host: bare.to_owned(),
            port,
            host_is_variable: variable.is_some(),
            port_is_variable: port_variable.is_some(),
        })
    }
}

/// Options of a start, which `check` takes as well: its verdict hangs on them.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    /// The config.
    #[command(flatten)]
    pub source: Source,
    /// The address to listen on.
    #[command(flatten)]
    pub address: Address,
    /// Start without callbacks, to find out whether one of them is the problem.
    #[arg(long)]
    pub safe_mode: bool,
    /// Retry plugins that crashed an earlier start; they are refused otherwise.
    #[arg(long)]
    pub retry: bool,
    /// How log lines look; the default is pretty on a terminal and JSON elsewhere. `check` speaks
    /// to people unless JSON is asked for.
    #[arg(long, value_parser = log_format())]
    pub log_format: Option<LogFormat>,
}

/// Options of `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The options of the start or reload to come.
    #[command(flatten)]
    pub serve: Serve,
    /// Also show what a reload of the running gateway would change.
    #[arg(long)]
    pub against_running: bool,
    /// List every key of the config with what becomes of it, the honoured ones too.
    #[arg(long)]
    pub keys: bool,
    /// Print the report as one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The config's file.
#[derive(Clone, Debug, Args)]
pub struct ConfigFile {
    /// The config file.
    #[arg(
        short,
        long = "config",
        value_name = "FILE",
        default_value = CONFIG,
        env = "CONFIG_FILE_PATH",
        value_parser = OsStringValueParser::new().map(config_file)
    )]
    pub path: PathBuf,
}

/// The config's file, and where the files that it needs are.
#[derive(Clone, Debug, Args)]
pub struct ConfigFiles {
    /// The config.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The first folder to search for callbacks.
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// A file of `NAME=value` lines; the default is `.env` beside the config, if there is one.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// Where the config comes from.
#[derive(Clone, Debug, Args)]
pub struct Source {
    /// The files.
    #[command(flatten)]
    pub files: ConfigFiles,
    /// Turn every warning into an error.
    #[arg(long)]
    pub strict: bool,
    /// LiteLLM's options.
    #[arg(skip)]
    pub litellm: LitellmOptions,
}

impl Source {
    /// These files, and every other option as by default.
    #[must_use]
    pub fn of(config: PathBuf, plugin_dir: Option<PathBuf>, env_file: Option<PathBuf>) -> Self {
        let config = ConfigFile { path: config };
        let files = ConfigFiles { config, plugin_dir, env_file };
        Self { files, strict: false, litellm: LitellmOptions::default() }
    }
}

/// Options of `reload`.
#[derive(Debug, Args)]
pub struct Reload {
    /// The config that the gateway was started with.
    #[command(flatten)]
    pub config: ConfigFile,
    /// The file of variables that the gateway was started with.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// The process to reload, if several gateways serve the config.
    #[arg(long)]
    pub pid: Option<u32>,
    /// Seconds to wait for the reload to end.
    #[arg(long, default_value_t = 60)]
    pub timeout: u64,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The config whose deployment is shown.
    #[arg(short, long, value_name = "FILE", default_value = "config.yaml")]
    pub config: PathBuf,
    /// The first folder to search for callbacks.
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use std::path::Path;

    #[test]
    fn check_takes_whatever_changes_the_verdict_of_a_start() {
        let options = ["--strict", "--safe-mode", "--retry", "--log-format", "json", "--port", "1"];
        let line = |command: &[&str]| {
            Cli::try_parse_from([&["callgate"], command, &options].concat()).unwrap()
        };
        let Some(Command::Check(Check { serve: checked, .. })) = line(&["check"]).command else {
            panic!("no check")
        };
        let started = line(&[]).serve;
        assert_eq!(format!("{checked:?}"), format!("{started:?}"));
        assert!(checked.safe_mode && checked.retry);
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_command_line_is_understood() {
        let line = ["callgate", "--config", "c.yaml", "--port", "4000", "--host", "0.0.0.0"];
        let cli = Cli::try_parse_from(line).unwrap();
        let none = Environment::default();
        let resolved = |cli: &Cli, env: &Environment| {
            cli.serve.address.resolve(env, false).map(|address| (address.host, address.port))
        };
        assert_eq!(resolved(&cli, &none), Ok(("0.0.0.0".to_owned(), 4000)));
        assert!(Cli::try_parse_from(["callgate", "--port", "70000"]).is_err());
        let blank = Cli::try_parse_from(["callgate", "--port", "", "--host", " "]).unwrap();
        assert_eq!(resolved(&blank, &none), Ok((HOST.to_owned(), PORT)));
        let plain = Cli::try_parse_from(["callgate"]).unwrap();
        let env = Environment::from_pairs([("HOST", "[::1]"), ("PORT", "80")]);
        assert_eq!(resolved(&plain, &env), Ok(("::1".to_owned(), 80)));
        let env = Environment::from_pairs([("HOST", " "), ("PORT", "")]);
        assert_eq!(resolved(&plain, &env), Ok((HOST.to_owned(), PORT)));
        // A key opens the default alone.
        let keyed = |cli: &Cli, env| cli.serve.address.resolve(env, true).unwrap().host;
        assert_eq!(keyed(&plain, &none), "0.0.0.0");
        let env = Environment::from_pairs([("HOST", "::1")]);
        assert_eq!(keyed(&plain, &env), "::1");
        let local = Cli::try_parse_from(["callgate", "--host", "127.0.0.1"]).unwrap();
        assert_eq!(keyed(&local, &env), "127.0.0.1");
        let env = Environment::from_pairs([("PORT", "many")]);
        assert!(resolved(&plain, &env).unwrap_err().to_string().contains("PORT"));
        let (options, variables) = ((false, false), (true, true));
        let env = Environment::from_pairs([("HOST", "::1"), ("PORT", "80")]);
        for (cli, env, expected) in
            [(&cli, &env, options), (&plain, &none, options), (&plain, &env, variables)]
        {
            let address = cli.serve.address.resolve(env, false).unwrap();
            assert_eq!((address.host_is_variable, address.port_is_variable), expected);
        }
        let empty = Cli::try_parse_from(["callgate", "--config", ""]).unwrap();
        assert_eq!(empty.serve.source.files.config.path, Path::new(CONFIG));
        assert!(Cli::try_parse_from(["callgate", "check", "--config", "x"]).is_ok());
        assert!(Cli::try_parse_from(["callgate", "plugin", "inspect", "x.so", "--json"]).is_ok());
        assert!(Cli::try_parse_from(["callgate", "plugin", "test", "--request", "r"]).is_err());
    }
}
