//! From a config to a running gateway, and the same without running it (`check`).

mod check;

pub use check::{CheckReport, check};
use check::{as_line, counts, verdict};

use crate::cli::{Address, Serve, Source};
use callgate_callbacks::{Callbacks, unknown_names};
use callgate_config::{
    CallbackEntry, Config, Environment, GatewaySettings, Problem, Problems, SourceLocation,
    UnknownKeys, quoted,
};
use callgate_deployments::{Deployments, certificate_problems, proxy_warning};
use callgate_host::Services;
use callgate_plugin_host::{
    LeftOut, ListedPlugin, LoadGuard, Plugin, SearchPath, StartMode, StartupTable,
};
use callgate_secret::{Masking, Secrets};
use callgate_server::{CurrentApp, Listener, Server, Stop, app::App};
use callgate_telemetry::counted::counted_as;
use std::{
    net::{IpAddr, ToSocketAddrs as _},
    num::NonZero,
    path::Path,
    sync::Arc,
    time::Duration,
};
use tracing::Level;

/// How long callbacks may take to end.
const CALLBACKS_END: Duration = Duration::from_secs(8);

/// Which log lines are written.
const RUST_LOG: &str = "RUST_LOG";

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The config or its callbacks.
    #[error("{}", list(.0))]
    Problems(Problems),
    /// The address.
    #[error("cannot listen on {host}:{port}: {source}; {remedy}")]
    Listen {
        /// As given.
        host: String,
        /// As given.
        port: u16,
        /// The system's word.
        source: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The machine.
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
}

impl BootError {
    /// A line for each problem, and last that there was no start.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        let Self::Problems(Problems(problems)) = self else {
            return vec![(Level::ERROR, format!("not started: {self}"))];
        };
        let mut lines: Vec<_> = problems.iter().map(as_line).collect();
        let (errors, warnings) = counts(problems);
        lines.push((Level::ERROR, format!("not started: {errors} and {warnings}")));
        lines
    }
}

impl From<Problems> for BootError {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

/// Everything that was built from a config.
#[derive(Debug)]
pub struct Built {
    /// The config itself.
    pub config: Config,
    /// Which upstreams there are.
    pub deployments: Deployments,
    /// How many threads serve calls, where somebody says so.
    pub workers: Option<NonZero<usize>>,
    /// Where to listen; the default for a purpose that names no address.
    pub address: (String, u16),
    /// The callbacks, in order.
    pub plugins: Vec<ListedPlugin>,
    /// What the callbacks are lent.
    pub services: Arc<Services>,
    /// The entries of their list that are not among them.
    pub left_out: Vec<LeftOut>,
    /// What the operator should be told.
    pub warnings: Vec<Problem>,
    /// What callbacks said of themselves; a gateway that serves has logged it.
    pub said: Vec<Problem>,
    /// What this run leaves behind if it dies; drop it when it has not.
    pub guard: LoadGuard,
}

impl Built {
    /// The deployments, and the callbacks for which an instance was made: all, when none ran
    /// before.
    #[must_use]
    pub fn into_made(self) -> (Deployments, Vec<Plugin>) {
        let made = self.plugins.into_iter().filter_map(ListedPlugin::made);
        (self.deployments, made.collect())
    }
}

/// What a config is built for.
#[derive(Clone, Copy, Debug)]
struct Purpose<'a> {
    /// The address to listen on, if any.
    address: Option<&'a Address>,
    safe_mode: bool,
    mode: StartMode,
}

/// Reads the config and loads its callbacks, as `check` does.
///
/// # Errors
/// All problems of all parts at once.
pub fn build(source: &Source, address: Option<&Address>) -> Result<Built, Problems> {
    let mode = StartMode::Check { retry: false };
    assemble(source, Purpose { address, safe_mode: false, mode })
}

/// `RUST_LOG`, or what LiteLLM's options say in its place. Nothing is said here of a file that
/// cannot be read: the start is.
#[must_use]
pub fn log_filter(source: &Source) -> Option<String> {
    let environment = Environment::load(&source.config, source.env_file.as_deref());
    let environment = environment.unwrap_or_default();
    let litellm = source.litellm.with_environment(&environment);
    let wanted = environment.filled_var(RUST_LOG).map(str::to_owned);
    wanted.or_else(|| litellm.debug.then(|| "info,callgate=debug".to_owned()))
}

/// Reads and builds, and takes the values of variables out of what there is to say.
fn assemble(source: &Source, purpose: Purpose<'_>) -> Result<Built, Problems> {
    let environment = Environment::load(&source.config, source.env_file.as_deref())
        .map_err(|problem| Problems(vec![problem]))?;
    let unknown = if source.strict { UnknownKeys::Refuse } else { UnknownKeys::Warn };
    let config = callgate_config::load(&source.config, &environment, unknown)?;
    let hidden = config.hidden.clone();
    let mask = |problems: &mut Vec<Problem>| problems.iter_mut().for_each(|it| it.mask(&hidden));
    match assemble_config(source, purpose, &environment, config) {
        Ok(mut built) => {
            mask(&mut built.warnings);
            mask(&mut built.said);
            built.left_out.iter_mut().for_each(|it| hidden.mask_in_place(&mut it.reason));
            Ok(built)
        }
        Err(mut problems) => {
            mask(&mut problems.0);
            Err(problems)
        }
    }
}

fn assemble_config(
    source: &Source,
    purpose: Purpose<'_>,
    environment: &Environment,
    mut config: Config,
) -> Result<Built, Problems> {
    let Purpose { address, safe_mode, mode } = purpose;
    let strict = source.strict || config.gateway.strict;
    let mut problems = std::mem::take(&mut config.problems);
    let workers = apply_options(source, environment, &mut config, &mut problems);
    let incomplete = problems.iter().any(Problem::is_error);
    let listens = address.is_some();
    let address =
        keep_one(address.unwrap_or(&Address::default()).resolve(environment), &mut problems)
            .unwrap_or_default();
    if listens && !address.0.is_empty() {
        problems.extend(address_problems(&config, &address.0));
    }
    let mut found = Vec::new();
    let deployments = keep(Deployments::from_config(&config), &mut found);
    // A warning may only miss what an error above has left out.
    problems.extend(found.into_iter().filter(|problem| problem.is_error() || !incomplete));
    let mut left_out = switched_off(&mut config, safe_mode, &mut problems);
    if let Some(deployments) = &deployments {
        let has_callbacks = !config.callbacks.is_empty();
        let environment = &config.environment;
        problems.extend(certificate_problems(environment, deployments, has_callbacks));
    }
    problems.extend(no_plugin_folder(source, &config.gateway));
    let search = search_path(source.plugin_dir.as_deref(), &source.config, &config.gateway);
    // Nothing of a plugin is executed for a config that cannot start anyway.
    if problems.iter().any(Problem::is_error) {
        problems.extend(callgate_plugin_host::inspect_all(&config.callbacks, &search));
        callgate_config::problem::sort(&mut problems);
        return Err(Problems(problems));
    }
    let (mut guard, said) = LoadGuard::new(&config, &source.config, mode);
    problems.extend(said);
    let serves = matches!(mode, StartMode::Serve { .. });
    let services = if serves { Services::new() } else { Services::idle() };
    let services = Arc::new(services.with_masking(masking(&config, deployments.as_ref())));
    callgate_host::log::gather();
    let environment = &config.environment;
    let loaded = callgate_plugin_host::load_all(
        &config.callbacks,
        &search,
        environment,
        &services,
        &[],
        &mut guard,
    );
    let said = said_by_callbacks(&config, callgate_host::log::gathered());
    let loaded = loaded.map(|loaded| ((loaded.plugins, loaded.left_out), loaded.warnings));
    match (deployments, keep(loaded, &mut problems)) {
        (Some(deployments), Some((plugins, unusable))) => {
            left_out.extend(unusable);
            let (file, environment) = (&source.config, &config.environment);
            problems.extend(proxy_warning(file, environment, &deployments));
            problems.extend(unknown_names(&plugins, &deployments, config.key_id()));
            if let Some(problem) = refuse_warnings(strict, file, &problems, said.len()) {
                problems.extend(said);
                problems.push(problem);
                return Err(Problems(problems));
            }
            let warnings = problems;
            Ok(Built {
                config,
                workers,
                deployments,
                address,
                plugins,
                services,
                left_out,
                warnings,
                said,
                guard,
            })
        }
        _ => {
            problems.extend(said);
            Err(Problems(problems))
        }
    }
}

/// The entries of the callbacks' list that the config or `--safe-mode` switches off.
fn switched_off(config: &mut Config, safe_mode: bool, problems: &mut Vec<Problem>) -> Vec<LeftOut> {
    let off = |entries: &[CallbackEntry], why| -> Vec<LeftOut> {
        entries.iter().map(|entry| LeftOut::new(entry, why)).collect()
    };
    let mut left_out = off(&config.disabled_callbacks, "`enabled: false`");
    if safe_mode {
        left_out.extend(off(&config.callbacks, "`--safe-mode`"));
        problems.extend(leave_out_callbacks(config));
    }
    left_out
}

/// What the command line and variables say beside the config; returns how many workers they ask
/// for.
fn apply_options(
    source: &Source,
    environment: &Environment,
    config: &mut Config,
    problems: &mut Vec<Problem>,
) -> Option<NonZero<usize>> {
    let litellm = source.litellm.with_environment(environment);
    problems.extend(litellm.unprotected.iter().filter_map(|option| config.unprotected(option)));
    problems.extend(litellm.problems);
    problems.extend(misread_filter(environment));
    config.litellm.request_timeout = litellm.request_timeout.or(config.litellm.request_timeout);
    config.litellm.drop_params |= litellm.drop_params;
    litellm.workers
}

/// A folder of plugins that is named and is none: another folder's plugin would be taken in its
/// place.
fn no_plugin_folder(source: &Source, settings: &GatewaySettings) -> Option<Problem> {
    let given = source.plugin_dir.as_deref().map(|it| (it, "--plugin-dir", "command line"));
    let set = settings.plugin_dir.as_deref();
    let config = source.config.to_string_lossy();
    let set = set.map(|it| (it, "callgate.plugin_dir", &*config));
    let (folder, name, place) = given.or(set).filter(|(folder, ..)| !folder.is_dir())?;
    let place =
        SourceLocation { path: name.to_owned(), ..SourceLocation::whole_file(Path::new(place)) };
    let text = format!(
        "expected a folder of plugins at `{}`, found none",
        quoted(&folder.to_string_lossy())
    );
    Some(Problem::warning(place, text).remedy("plugins are looked for in the other folders"))
}

/// What is wrong with `RUST_LOG`.
fn misread_filter(environment: &Environment) -> Option<Problem> {
    let found = callgate_telemetry::misread(environment.filled_var(RUST_LOG))?;
    let text = format!("expected a level or `target=level`, found `{}`", quoted(&found));
    Some(
        Problem::warning(Environment::place_of(RUST_LOG), text).remedy("until then `info` is used"),
    )
}

/// What speaks against serving the config at this host.
fn address_problems(config: &Config, host: &str) -> Vec<Problem> {
    let loopback = is_loopback(host);
    let refused = config.require_master_key(loopback).err();
    let key = refused.or_else(|| config.warn_of_no_key(loopback));
    key.into_iter().chain(unknown_host(host)).collect()
}

/// A host that is neither an address nor a name this machine can look up: no start can listen
/// there.
fn unknown_host(host: &str) -> Option<Problem> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let found = (host, 0).to_socket_addrs().err()?;
    let place = SourceLocation {
        path: "--host".into(),
        ..SourceLocation::whole_file(Path::new("command line"))
    };
    let text =
        format!("expected an address or name of this machine, found `{}`: {found}", quoted(host));
    Some(Problem::error(place, text).remedy("write an address without its port, such as `0.0.0.0`"))
}

/// What neither upstreams' words nor callbacks' may show.
fn masking(config: &Config, deployments: Option<&Deployments>) -> Masking {
    let mut secrets = Secrets::default();
    if let Some(key) = &config.master_key {
        secrets.add(key.expose());
    }
    if let Some(deployments) = deployments {
        deployments.add_secrets(&mut secrets);
    }
    secrets.masking()
}

/// What callbacks warned of while they were made, each at its entry.
fn said_by_callbacks(config: &Config, gathered: Vec<(String, String)>) -> Vec<Problem> {
    let problem = |(name, text): (String, String)| {
        let entry = config.callbacks.iter().find(|entry| entry.called() == name);
        let place =
            entry.map_or_else(|| SourceLocation::whole_file(&config.file), |it| it.place.clone());
        Problem::warning(place, format!("callback `{}`: {text}", quoted(&name)))
    };
    gathered.into_iter().map(problem).collect()
}

/// Under `--strict`, whatever there is a warning about refuses the start.
fn refuse_warnings(
    strict: bool,
    config: &Path,
    warnings: &[Problem],
    others: usize,
) -> Option<Problem> {
    let count = warnings.len() + others;
    if !strict || count == 0 {
        return None;
    }
    let text = format!("expected no warning, because of `strict`; found {count}");
    Some(Problem::error(SourceLocation::whole_file(config), text))
}

/// Where this program looks for the plugins of a config, and how strictly it judges them.
pub(crate) fn search_path(
    plugin_dir: Option<&Path>,
    config: &Path,
    settings: &GatewaySettings,
) -> SearchPath {
    let executable = std::env::current_exe().ok();
    let plugin_dir = plugin_dir.or(settings.plugin_dir.as_deref());
    let as_root = || rustix::process::geteuid().is_root();
    SearchPath::new(plugin_dir, config, executable.as_deref())
        .strict_permissions(settings.strict_owner.unwrap_or_else(as_root))
        .require_pins(settings.require_pins)
}

/// Safe mode: the config is served as if it listed none. What that turns off is said.
fn leave_out_callbacks(config: &mut Config) -> Option<Problem> {
    let left_out = std::mem::take(&mut config.callbacks);
    let names = left_out.iter().map(|it| format!("`{}`", quoted(it.called())));
    let names = names.collect::<Vec<_>>().join(", ");
    let place = left_out.first()?.place.clone();
    let text = format!(
        "safe mode: these callbacks are off, and nothing they do is done to any call: {names}"
    );
    Some(Problem::warning(place, text).remedy("start without `--safe-mode` to have them back"))
}

fn keep_one<T>(result: Result<T, Problem>, into: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| into.push(problem)).ok()
}

fn keep<T>(result: Result<(T, Vec<Problem>), Problems>, into: &mut Vec<Problem>) -> Option<T> {
    match result {
        Ok((value, warnings)) => {
            into.extend(warnings);
            Some(value)
        }
        Err(problems) => {
            into.extend(problems.0);
            None
        }
    }
}

/// A gateway that listens and does not serve yet.
#[derive(Debug)]
pub struct Ready {
    server: Server,
    current: CurrentApp,
    drain: Duration,
    /// To its orderly end.
    guard: LoadGuard,
    /// Where clients reach it.
    pub url: String,
}

/// Builds everything and binds the address.
///
/// # Errors
/// See [`BootError`]; nothing is left half-started.
pub async fn ready(serve: &Serve) -> Result<Ready, BootError> {
    let mode = StartMode::Serve { retry: serve.retry };
    let purpose = Purpose { address: Some(&serve.address), safe_mode: serve.safe_mode, mode };
    let mut built = assemble(&serve.source, purpose)?;
    let (host, port) = std::mem::take(&mut built.address);
    for problem in &built.warnings {
        tracing::warn!(target: "callgate::boot", "{problem}");
    }
    let verdict = verdict(&built);
    StartupTable::of(&built.plugins).log();
    let drain = built.config.gateway.limits.drain_timeout;
    let Built { config, workers, deployments, plugins, left_out, services, .. } = built;
    let made = plugins.into_iter().filter_map(ListedPlugin::made).collect();
    let callbacks = Callbacks::new(made, left_out);
    let current = CurrentApp::new(App::new(&host, &config, deployments, callbacks, services, None));
    let listener = Listener::bind((&*host, port)).await.map_err(|source| {
        let remedy = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; choose another `--port`"
            }
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges",
            _ => "is `--host` an address of this machine?",
        };
        BootError::Listen { host, port, source, remedy }
    })?;
    let url =
        listener.address().map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let server = Server::start(listener, &current, workers).map_err(BootError::Threads)?;
    built.guard.serving();
    tracing::info!(target: "callgate::boot", "{verdict}");
    tracing::info!(
        target: "callgate::boot",
        address = %url,
        models = current.load().deployments.models().len(),
        "listening on {url} (Press CTRL+C to quit)"
    );
    Ok(Ready { server, current, drain, guard: built.guard, url })
}

impl Ready {
    /// Serves until it is asked to stop, then lets the running calls end, until it is asked again.
    /// Says whether all did.
    pub async fn serve(self, mut stop: Stop) -> bool {
        let cut_off = self.server.run(&mut stop, self.drain).await;
        let app = self.current.load();
        // Callbacks may block while they end.
        let ended = tokio::task::spawn_blocking(move || app.shutdown());
        tokio::select! {
            ended = tokio::time::timeout(CALLBACKS_END, ended) => if ended.is_err() {
                tracing::warn!(
                    target: "callgate::boot",
                    "callbacks had not ended after {} s and are left behind",
                    CALLBACKS_END.as_secs_f64()
                );
            },
            () = stop.asked() => tracing::warn!(
                target: "callgate::boot",
                "told again to stop: callbacks are left behind"
            ),
        }
        drop(self.guard);
        match cut_off {
            None => tracing::info!(target: "callgate::boot", "ended: every call had its answer"),
            Some(calls) => tracing::warn!(
                target: "callgate::boot", { calls },
            "ended: {} cut off",
                counted_as(calls, "call was", "calls were")
            ),
        }
        cut_off.is_none()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One line each: `error: config.yaml:12:7: …`.
fn list(problems: &Problems) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}
