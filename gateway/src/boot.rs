//! From a config to a running gateway, and the same without running it (`check`).

use crate::{
    app::App,
    callbacks::{self, LeftOut, Plugin, SearchPath, StartupTable},
    cli::{Serve, Source},
    config::{self, Config, Environment, Problem, Problems, UnknownKeys},
    deployments::Deployments,
    host::Counters,
    server::{Listener, Server},
};
use std::{fmt::Write as _, future::Future, net::IpAddr, sync::Arc, time::Duration};

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
    /// The entries of their list that are not among them.
    pub left_out: Vec<LeftOut>,
    /// What the operator should be told.
    pub warnings: Vec<Problem>,
}

/// Reads the config and loads its callbacks.
///
/// # Errors
/// All problems of all parts at once.
pub fn build(source: &Source, host: Option<&str>) -> Result<Built, Problems> {
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
    let mut found = Vec::new();
    let deployments = keep(Deployments::from_config(&config), &mut found);
    // A warning may only miss what an error above has left out.
    problems.extend(found.into_iter().filter(|problem| problem.is_error() || !incomplete));
    let executable = std::env::current_exe().ok();
    let plugin_dir = source.plugin_dir.as_deref().or(config.gateway.plugin_dir.as_deref());
    let search = SearchPath::new(plugin_dir, &source.config, executable.as_deref());
    // Nothing of a plugin is executed for a config that cannot start anyway.
    if problems.iter().any(Problem::is_error) {
        problems.extend(callbacks::inspect_all(&config.callbacks, &search));
        config::problem::sort(&mut problems);
        return Err(Problems(problems));
    }
    let counters = Arc::new(Counters::default());
    let loaded = callbacks::load_all(&config.callbacks, &search, &counters);
    let loaded = loaded.map(|loaded| ((loaded.plugins, loaded.left_out), loaded.warnings));
    match (deployments, keep(loaded, &mut problems)) {
        (Some(deployments), Some((plugins, mut left_out))) => {
            let disabled = config.disabled_callbacks.iter();
            left_out.extend(disabled.map(|entry| LeftOut::new(entry, "`enabled: false`")));
            Ok(Built { config, deployments, plugins, left_out, warnings: problems })
        }
        _ => Err(Problems(problems)),
    }
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
    /// Where clients reach it.
    pub url: String,
}

/// Builds everything and binds the address.
///
/// # Errors
/// See [`BootError`]; nothing is left half-started.
pub async fn ready(serve: &Serve) -> Result<Ready, BootError> {
    let built = build(&serve.source, Some(&serve.host))?;
    for problem in &built.warnings {
        tracing::warn!("{problem}");
    }
    let table = StartupTable::of(&built.plugins).to_string();
    for line in table.lines() {
        tracing::info!("{line}");
    }
    let drain = built.config.gateway.limits.drain_timeout;
    let app = Arc::new(App::new(&built.config, built.deployments, built.plugins, built.left_out));
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
    Ok(Ready { server, app, drain, url })
}

impl Ready {
    /// Serves until `stop` is done, then lets the running calls end. Says whether all did.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> bool {
        let drained = self.server.run(stop, self.drain).await;
        if !drained {
            tracing::warn!(
                "calls were still running after {} s and are cut off",
                self.drain.as_secs_f64()
            );
        }
        let app = self.app;
        // Callbacks may block while they end.
        let ended = tokio::task::spawn_blocking(move || app.shutdown());
        if tokio::time::timeout(CALLBACKS_END, ended).await.is_err() {
            tracing::warn!(
                "callbacks had not ended after {} s and are left behind",
                CALLBACKS_END.as_secs_f64()
            );
        }
        drained
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
            let models = built.deployments.models().len();
            let _ =
                write!(report, "config OK ({models} models, {} callbacks)", built.plugins.len());
            Ok(report)
        }
        Err(problems) => Err(list(&problems)),
    }
}

/// One line each: `error: config.yaml:12:7: …`.
fn list(problems: &Problems) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.0.iter().map(line).collect::<Vec<_>>().join("\n")
}
