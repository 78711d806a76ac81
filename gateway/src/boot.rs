//! From a config to a running gateway, and the same without running it (`check`).

use crate::{
    app::App,
    callbacks::{self, Caution, LeftOut, Occasion, Plugin, SearchPath, StartupTable},
    cli::{Serve, Source},
    config::{
        self, CallbackEntry, Config, Environment, GatewaySettings, Problem, Problems, UnknownKeys,
    },
    deployments::{Deployments, proxy_warning},
    host::Services,
    secret::{Masking, Secrets},
    server::{Listener, Server, Stop},
};
use std::{fmt::Write as _, net::IpAddr, path::Path, sync::Arc, time::Duration};
use tracing::Level;

/// How long callbacks may take to end.
const CALLBACKS_END: Duration = Duration::from_secs(5);

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
        let level = |problem: &Problem| {
            if problem.is_error() { Level::ERROR } else { Level::WARN }
        };
        let mut lines: Vec<_> =
            problems.iter().map(|problem| (level(problem), problem.to_string())).collect();
        let errors = problems.iter().filter(|problem| problem.is_error()).count();
        let warnings = problems.len() - errors;
        let counts = format!("{} and {}", counted(errors, "error"), counted(warnings, "warning"));
        lines.push((Level::ERROR, format!("not started: {counts}")));
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
    /// The callbacks, in order.
    pub plugins: Vec<Plugin>,
    /// What the callbacks are lent.
    pub services: Arc<Services>,
    /// The entries of their list that are not among them.
    pub left_out: Vec<LeftOut>,
    /// What the operator should be told.
    pub warnings: Vec<Problem>,
    /// What this run leaves behind if it dies; drop it when it has not.
    pub caution: Caution,
}

/// What a config is built for.
#[derive(Clone, Copy, Debug)]
struct Purpose<'a> {
    /// The address to listen on, if any.
    host: Option<&'a str>,
    safe_mode: bool,
    occasion: Occasion,
}

/// Reads the config and loads its callbacks, as `check` does.
///
/// # Errors
/// All problems of all parts at once.
pub fn build(source: &Source, host: Option<&str>) -> Result<Built, Problems> {
    assemble(source, Purpose { host, safe_mode: false, occasion: Occasion::Check })
}

fn assemble(source: &Source, purpose: Purpose<'_>) -> Result<Built, Problems> {
    let Purpose { host, safe_mode, occasion } = purpose;
    let environment = Environment::load(&source.config, source.env_file.as_deref())
        .map_err(|problem| Problems(vec![problem]))?;
    let unknown = if source.strict { UnknownKeys::Refuse } else { UnknownKeys::Warn };
    let mut config = config::load(&source.config, &environment, unknown)?;
    let mut problems = std::mem::take(&mut config.problems);
    let incomplete = problems.iter().any(Problem::is_error);
    if let Some(host) = host
        && let Err(problem) = config.require_master_key(is_loopback(host))
    {
        problems.push(problem);
    }
    problems.extend(config.warn_of_no_key(host.is_none_or(is_loopback)));
    let mut found = Vec::new();
    let deployments = keep(Deployments::from_config(&config), &mut found);
    // A warning may only miss what an error above has left out.
    problems.extend(found.into_iter().filter(|problem| problem.is_error() || !incomplete));
    let off = |entries: &[CallbackEntry], why| -> Vec<LeftOut> {
        entries.iter().map(|entry| LeftOut::new(entry, why)).collect()
    };
    let mut left_out = off(&config.disabled_callbacks, "`enabled: false`");
    if safe_mode {
        left_out.extend(off(&config.callbacks, "`--safe-mode`"));
        problems.extend(leave_out_callbacks(&mut config));
    }
    let search = search_path(source.plugin_dir.as_deref(), &source.config, &config.gateway);
    // Nothing of a plugin is executed for a config that cannot start anyway.
    if problems.iter().any(Problem::is_error) {
        problems.extend(callbacks::inspect_all(&config.callbacks, &search));
        config::problem::sort(&mut problems);
        return Err(Problems(problems));
    }
    let (mut caution, said) = Caution::new(&config.gateway, &source.config, occasion);
    problems.extend(said);
    // Whoever names no address only looks.
    let services = if host.is_some() { Services::new() } else { Services::idle() };
    let services = Arc::new(services.with_masking(masking(&config, deployments.as_ref())));
    let environment = &config.environment;
    let loaded =
        callbacks::load_all(&config.callbacks, &search, environment, &services, &mut caution);
    let loaded = loaded.map(|loaded| ((loaded.plugins, loaded.left_out), loaded.warnings));
    match (deployments, keep(loaded, &mut problems)) {
        (Some(deployments), Some((plugins, unusable))) => {
            left_out.extend(unusable);
            problems.extend(proxy_warning(&source.config, &config.environment, &deployments));
            let warnings = problems;
            Ok(Built { config, deployments, plugins, services, left_out, warnings, caution })
        }
        _ => Err(Problems(problems)),
    }
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
    let names = left_out.iter().map(|it| format!("`{}`", it.called()));
    let names = names.collect::<Vec<_>>().join(", ");
    let place = left_out.first()?.place.clone();
    let text = format!(
        "safe mode: these callbacks are off, and nothing they do is done to any call: {names}"
    );
    Some(Problem::warning(place, text).remedy("start without `--safe-mode` to have them back"))
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
    app: Arc<App>,
    drain: Duration,
    /// To its orderly end.
    caution: Caution,
    /// Where clients reach it.
    pub url: String,
}

/// Builds everything and binds the address.
///
/// # Errors
/// See [`BootError`]; nothing is left half-started.
pub async fn ready(serve: &Serve) -> Result<Ready, BootError> {
    let occasion = Occasion::Serve { retry: serve.retry };
    let purpose = Purpose { host: Some(&serve.host), safe_mode: serve.safe_mode, occasion };
    let built = assemble(&serve.source, purpose)?;
    for problem in &built.warnings {
        tracing::warn!("{problem}");
    }
    StartupTable::of(&built.plugins).log();
    let drain = built.config.gateway.limits.drain_timeout;
    let Built { config, deployments, plugins, left_out, services, .. } = built;
    let app = Arc::new(App::new(&serve.host, &config, deployments, plugins, left_out, services));
    let listener = Listener::bind((&serve.host, serve.port)).await.map_err(|source| {
        let remedy = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; choose another `--port`"
            }
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges",
            _ => "is `--host` an address of this machine?",
        };
        BootError::Listen { host: serve.host.clone(), port: serve.port, source, remedy }
    })?;
    let url =
        listener.address().map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let server = Server::start(listener, &app).map_err(BootError::Threads)?;
    tracing::info!(
        address = %url,
        models = app.deployments.models().len(),
        "listening on {url} (Press CTRL+C to quit)"
    );
    Ok(Ready { server, app, drain, caution: built.caution, url })
}

impl Ready {
    /// Serves until it is asked to stop, then lets the running calls end, until it is asked again.
    /// Says whether all did.
    pub async fn serve(self, mut stop: Stop) -> bool {
        let cut_off = self.server.run(&mut stop, self.drain).await;
        let app = self.app;
        // Callbacks may block while they end.
        let ended = tokio::task::spawn_blocking(move || app.shutdown());
        tokio::select! {
            ended = tokio::time::timeout(CALLBACKS_END, ended) => if ended.is_err() {
                tracing::warn!(
                    "callbacks had not ended after {} s and are left behind",
                    CALLBACKS_END.as_secs_f64()
                );
            },
            () = stop.asked() => tracing::warn!("told again to stop: callbacks are left behind"),
        }
        drop(self.caution);
        match cut_off {
            None => tracing::info!("ended: every call had its answer"),
            Some(calls) => tracing::warn!(calls, "ended: {calls} calls were cut off"),
        }
        cut_off.is_none()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The report of `check`.
///
/// # Errors
/// The same report, when something refuses the start.
pub fn check(source: &Source) -> Result<String, String> {
    match build(source, None) {
        Ok(built) => {
            let mut problems = built.warnings;
            problems.extend(callbacks::disagreements(&built.plugins, &built.deployments));
            config::problem::sort(&mut problems);
            let refused = problems.iter().any(Problem::is_error);
            let mut report = list(&Problems(problems));
            if refused {
                return Err(report);
            }
            if !report.is_empty() {
                report.push('\n');
            }
            let table = StartupTable::of(&built.plugins).to_string();
            if !table.is_empty() {
                let _ = writeln!(report, "{table}");
            }
            let models = counted(built.deployments.models().len(), "model");
            let callbacks = counted(built.plugins.len(), "callback");
            let _ = write!(report, "config OK ({models}, {callbacks})");
            Ok(report)
        }
        Err(problems) => Err(list(&problems)),
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// One line each: `error: config.yaml:12:7: …`.
fn list(problems: &Problems) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}
