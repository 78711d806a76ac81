//! Turns a config into a running gateway, or checks it without running (`check`).

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

/// The time that callbacks have to shut down.
const CALLBACKS_END: Duration = Duration::from_secs(8);

/// The variable that selects log lines.
const RUST_LOG: &str = "RUST_LOG";

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// Problems of the config or its callbacks.
    #[error("{}", list(.0))]
    Problems(Problems),
    /// The address cannot be used.
    #[error("cannot listen on {host}:{port}: {source}; {remedy}")]
    Listen {
        /// The host as given.
        host: String,
        /// The port as given.
        port: u16,
        /// The system's error.
        source: std::io::Error,
        /// The remedy.
        remedy: &'static str,
    },
    /// The worker threads could not be started.
    #[error("cannot start the worker threads: {0}")]
    Threads(std::io::Error),
}

impl BootError {
    /// One line for each problem; the last says that the gateway did not start.
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

/// Everything built from a config.
#[derive(Debug)]
pub struct Built {
    /// The config itself.
    pub config: Config,
    /// The deployments of its models.
    pub deployments: Deployments,
    /// The number of worker threads, if it is set.
    pub workers: Option<NonZero<usize>>,
    /// The address to listen on; the default if the purpose names none.
    pub address: (String, u16),
    /// The callbacks, in order.
    pub plugins: Vec<ListedPlugin>,
    /// What the callbacks are lent.
    pub services: Arc<Services>,
    /// The entries of the callbacks' list that were left out.
    pub left_out: Vec<LeftOut>,
    /// Warnings for the operator.
    pub warnings: Vec<Problem>,
    /// Warnings that callbacks logged while they were created. A serving gateway has logged them
    /// already.
    pub said: Vec<Problem>,
    /// The record of this run, left behind if it crashes; drop it at an orderly end.
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

/// `RUST_LOG`, or the filter that LiteLLM's options ask for. An unreadable environment file is not
/// reported here, but by the start.
#[must_use]
pub fn log_filter(source: &Source) -> Option<String> {
    let environment = Environment::load(&source.config, source.env_file.as_deref());
    let environment = environment.unwrap_or_default();
    let litellm = source.litellm.with_environment(&environment);
    let wanted = environment.filled_var(RUST_LOG).map(str::to_owned);
    wanted.or_else(|| litellm.debug.then(|| "info,callgate=debug".to_owned()))
}

/// Reads and builds everything, and masks the values of variables in all problems.
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
    // Warnings are skipped only if there are errors, which may have hidden some of them.
    problems.extend(found.into_iter().filter(|problem| problem.is_error() || !incomplete));
    let mut left_out = switched_off(&mut config, safe_mode, &mut problems);
    if let Some(deployments) = &deployments {
        let has_callbacks = !config.callbacks.is_empty();
        let environment = &config.environment;
        problems.extend(certificate_problems(environment, deployments, has_callbacks));
    }
    problems.extend(no_plugin_folder(source, &config.gateway));
    let search = search_path(source.plugin_dir.as_deref(), &source.config, &config.gateway);
    // No plugin code runs for a config that cannot start.
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

/// The entries of the callbacks' list that the config or `--safe-mode` disables.
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

/// Applies options of the command line and variables; returns the number of workers that they set.
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

/// Reports a configured plugin folder that does not exist: a plugin from another folder would be
/// used instead.
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

/// Reports a faulty `RUST_LOG`.
fn misread_filter(environment: &Environment) -> Option<Problem> {
    let found = callgate_telemetry::misread(environment.filled_var(RUST_LOG))?;
    let text = format!("expected a level or `target=level`, found `{}`", quoted(&found));
    Some(
        Problem::warning(Environment::place_of(RUST_LOG), text).remedy("until then `info` is used"),
    )
}

/// The errors and warnings of serving this config at this host.
fn address_problems(config: &Config, host: &str) -> Vec<Problem> {
    let loopback = is_loopback(host);
    let refused = config.require_master_key(loopback).err();
    let key = refused.or_else(|| config.warn_of_no_key(loopback));
    key.into_iter().chain(unknown_host(host)).collect()
}

/// Reports a host that is neither an address nor a resolvable name, so that no start could listen
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

/// The secrets that must not appear in error texts of upstreams and callbacks.
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

/// The warnings that callbacks logged while they were created, each at its entry.
fn said_by_callbacks(config: &Config, gathered: Vec<(String, String)>) -> Vec<Problem> {
    let problem = |(name, text): (String, String)| {
        let entry = config.callbacks.iter().find(|entry| entry.called() == name);
        let place =
            entry.map_or_else(|| SourceLocation::whole_file(&config.file), |it| it.place.clone());
        Problem::warning(place, format!("callback `{}`: {text}", quoted(&name)))
    };
    gathered.into_iter().map(problem).collect()
}

/// With `--strict`, any warning prevents the start.
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

/// The folders for a config's plugins, and how strictly their files are checked.
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

/// Safe mode: serves the config as if it listed no callbacks, and warns of what that disables.
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

/// A gateway that listens but does not serve yet.
#[derive(Debug)]
pub struct Ready {
    server: Server,
    current: CurrentApp,
    drain: Duration,
    /// Kept until the orderly end.
    guard: LoadGuard,
    /// The URL for clients.
    pub url: String,
}

/// Builds everything and binds the address.
///
/// # Errors
/// See [`BootError`]; after an error nothing is left running.
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
    /// Serves until the first stop request, then waits for running calls until the second. Returns
    /// whether all of them ended.
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

/// One line for each problem: `error: config.yaml:12:7: …`.
fn list(problems: &Problems) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}
