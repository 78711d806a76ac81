//! Builds everything that a config needs, without serving it: reads the config, checks its
//! deployments, loads its callbacks. A start, `check` and a reload use it.

use super::log_filter::RUST_LOG;
use crate::cli::{Address, ListenAddress, Source};
use callgate_callbacks::unknown_names;
use callgate_config::{
    CallbackEntry, Config, Environment, GatewaySettings, Problem, Problems, SourceLocation,
    UnknownKeys, quoted,
};
use callgate_deployments::{Deployments, Names, certificate_problems, nothing_but_unset};
use callgate_host::{Listing, ModelNames, Services};
use callgate_plugin_host::{
    LeftOut, ListedPlugin, LoadGuard, Loaded, Plugin, Recipe, SearchPath, StartMode, load_all,
    open_private_folder, state_folder,
};
use callgate_secret::Secrets;
use std::{
    net::{IpAddr, ToSocketAddrs as _},
    num::NonZero,
    path::Path,
    sync::Arc,
};

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
    pub address: ListenAddress,
    /// The callbacks, in order.
    pub plugins: Vec<ListedPlugin>,
    /// The services for the callbacks.
    pub services: Arc<Services>,
    /// The models and callbacks that callbacks can ask for.
    pub listing: Arc<Listing>,
    /// The entries of the callbacks' list that were left out.
    pub left_out: Vec<LeftOut>,
    /// Warnings for the operator.
    pub warnings: Vec<Problem>,
    /// Warnings that callbacks logged while they were created. A serving gateway has logged them
    /// already.
    pub said: Vec<Problem>,
    /// The record of this run, left behind if it crashes; drop it at an orderly end. `None` for a
    /// reload, which uses the guard of the start.
    pub guard: Option<LoadGuard>,
}

impl Built {
    /// The deployments, and the callbacks with a new instance: all of them, if none was running.
    #[must_use]
    pub fn into_made(self) -> (Deployments, Vec<Plugin>) {
        let made = self.plugins.into_iter().filter_map(ListedPlugin::made);
        (self.deployments, made.collect())
    }
}

/// What the config is built for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose<'a> {
    /// The address to listen on, if any.
    pub(super) address: Option<&'a Address>,
    pub(super) safe_mode: bool,
    pub(super) mode: StartMode,
}

/// The parts of a running gateway that a reload may keep.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) services: Arc<Services>,
    /// The callbacks with a live instance.
    pub(super) recipes: Vec<Arc<Recipe>>,
    pub(super) guard: &'a mut LoadGuard,
}

/// Reads and builds everything, and masks the values of variables in all problems.
pub(super) fn assemble(
    source: &Source,
    purpose: Purpose<'_>,
    running: Option<Running<'_>>,
) -> Result<Built, Problems> {
    let environment =
        Environment::load(&source.files.config.path, source.files.env_file.as_deref())
            .map_err(|problem| Problems(vec![problem]))?;
    let unknown = if source.strict { UnknownKeys::Refuse } else { UnknownKeys::Warn };
    let config = callgate_config::load(&source.files.config.path, &environment, unknown)?;
    let hidden = config.hidden.clone();
    let mask = |problems: &mut Vec<Problem>| problems.iter_mut().for_each(|it| it.mask(&hidden));
    match assemble_config(source, purpose, running, &environment, config) {
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
    running: Option<Running<'_>>,
    environment: &Environment,
    mut config: Config,
) -> Result<Built, Problems> {
    let mut problems = std::mem::take(&mut config.problems);
    let workers = apply_options(source, environment, &mut config, &mut problems);
    let address = address(purpose.address, environment, &config, &mut problems);
    let incomplete = problems.iter().any(Problem::is_error);
    let mut found = Vec::new();
    let deployments = keep(Deployments::from_config(&config), &mut found);
    found.extend(deployments.as_ref().and_then(|it| nothing_but_unset(&config, it)));
    // Warnings are skipped only if there are errors, which may have hidden some of them.
    problems.extend(found.into_iter().filter(|problem| problem.is_error() || !incomplete));
    let left_out = switched_off(&mut config, purpose.safe_mode, &mut problems);
    if let Some(deployments) = &deployments {
        let has_callbacks = !config.callbacks.is_empty();
        let environment = &config.environment;
        problems.extend(certificate_problems(environment, deployments, has_callbacks));
    }
    problems.extend(no_plugin_folder(source, &config.gateway));
    // No plugin code runs for a config that cannot start.
    let Some(deployments) = deployments.filter(|_| !problems.iter().any(Problem::is_error)) else {
        let search = search_path(
            source.files.plugin_dir.as_deref(),
            &source.files.config.path,
            &config.gateway,
        );
        problems.extend(callgate_plugin_host::inspect_all(&config.callbacks, &search));
        callgate_config::problem::sort(&mut problems);
        return Err(Problems(problems));
    };
    let read = Read { config, workers, deployments, address, left_out, problems };
    load_callbacks(source, purpose.mode, running, read)
}

/// A config whose file and deployments allow a start.
struct Read {
    config: Config,
    workers: Option<NonZero<usize>>,
    deployments: Deployments,
    address: ListenAddress,
    left_out: Vec<LeftOut>,
    problems: Vec<Problem>,
}

fn load_callbacks(
    source: &Source,
    mode: StartMode,
    running: Option<Running<'_>>,
    read: Read,
) -> Result<Built, Problems> {
    let Read { mut config, workers, deployments, address, mut left_out, mut problems } = read;
    let secrets = secrets(&config, &deployments);
    let (mut made, recipes, services);
    let guard = match running {
        Some(running) => {
            running.guard.follow(&config.gateway);
            running.services.masking().learn_all(secrets);
            (made, recipes, services) = (None, running.recipes, running.services);
            running.guard
        }
        None => {
            let (guard, found) = LoadGuard::new(&config, &source.files.config.path, mode);
            problems.extend(found);
            let serves = matches!(mode, StartMode::Serve { .. });
            let state = || state_folder(config.gateway.state_dir.as_deref());
            let kept = || Services::new().with_state(state(), open_private_folder);
            let fresh = if serves { kept() } else { Services::idle() };
            (recipes, services) = (Vec::new(), Arc::new(fresh.with_masking(secrets.masking())));
            services.connect_by(deployments.connector());
            made = Some(guard);
            made.get_or_insert_with(LoadGuard::none)
        }
    };
    let search =
        search_path(source.files.plugin_dir.as_deref(), &source.files.config.path, &config.gateway);
    callgate_host::log::gather();
    let (entries, environment) = (&config.callbacks, &config.environment);
    let listing = Arc::new(Listing::new(ConfigModels(deployments.names()), entries));
    let lent = (&services, &listing);
    let loaded = load_all(entries, &search, environment, lent, &recipes, guard);
    let gathered = callgate_host::log::gathered();
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(found) => {
            problems.extend(found.0);
            problems.extend(warnings_of_callbacks(&config, gathered));
            return Err(Problems(problems));
        }
    };
    let Loaded { plugins, warnings, left_out: unusable } = loaded;
    problems.extend(warnings);
    left_out.extend(unusable);
    // Running callbacks may log at any time.
    let is_new = |name: &str| plugins.iter().any(|it| it.as_made().is_some() && *it.name == *name);
    let gathered = gathered.into_iter().filter(|(name, _)| recipes.is_empty() || is_new(name));
    let said = warnings_of_callbacks(&config, gathered.collect());
    problems.extend(unknown_names(&plugins, &deployments, &config));
    problems.extend(config.settle_silence(plugins.iter().any(may_keep_content)));
    if problems.iter().any(Problem::is_error) {
        problems.extend(said);
        return Err(Problems(problems));
    }
    if let Some(problem) = unnamed_authenticator(&config, &plugins) {
        problems.extend(said);
        problems.push(problem);
        return Err(Problems(problems));
    }
    let strict = source.strict || config.gateway.strict;
    if let Some(problem) = refuse_warnings(strict, &source.files.config.path, &problems, said.len())
    {
        problems.extend(said);
        problems.push(problem);
        return Err(Problems(problems));
    }
    Ok(Built {
        config,
        workers,
        deployments,
        address,
        plugins,
        services,
        listing,
        left_out,
        warnings: problems,
        said,
        guard: made,
    })
}

/// Whether a callback may write prompts or replies somewhere: all but the shipped ones that do not.
fn may_keep_content(plugin: &ListedPlugin) -> bool {
    let asks_for_content = plugin.entry.settings.get("content").is_some_and(|it| *it == true);
    let sees_none = plugin.chosen_hooks.iter().all(|hook| hook == "on_auth");
    match &*plugin.entry.name {
        "guardrail" | "rate_limit" | "routing" => false,
        "audit_log" => asks_for_content,
        _ => !sees_none,
    }
}

/// An error for a callback that says who may call, in a config that needs no key: if the callback
/// were off, everybody could call.
fn unnamed_authenticator(config: &Config, plugins: &[ListedPlugin]) -> Option<Problem> {
    let authenticates = |it: &&ListedPlugin| it.chosen_hooks.iter().any(|it| it == "on_auth");
    let plugin = plugins.iter().find(authenticates).filter(|_| !config.is_keyed())?;
    let text = format!(
        "callback `{}` says who may call (`on_auth`), and without it everybody could: there is no \
         key, and `general_settings.custom_auth` does not name it",
        plugin.name
    );
    let remedy = format!("add `general_settings: {{custom_auth: {}}}`", plugin.name);
    Some(Problem::error(plugin.entry.place.clone(), text).remedy(remedy))
}

/// The model names of a config, for its callbacks.
struct ConfigModels(Names);

impl ModelNames for ConfigModels {
    fn has(&self, name: &str) -> bool {
        self.0.has(name)
    }

    fn listed(&self) -> Vec<String> {
        self.0.listed().to_vec()
    }
}

/// The address to listen on, and its problems.
fn address(
    given: Option<&Address>,
    environment: &Environment,
    config: &Config,
    problems: &mut Vec<Problem>,
) -> ListenAddress {
    let resolved = given.unwrap_or(&Address::default()).resolve(environment, config.needs_key());
    let address = keep_one(resolved, problems).unwrap_or_default();
    if given.is_some() && !address.host.is_empty() {
        problems.extend(address_problems(config, &address));
    }
    address
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
    let given = source.files.plugin_dir.as_deref().map(|it| (it, "--plugin-dir", "command line"));
    let set = settings.plugin_dir.as_deref();
    let config = source.files.config.path.to_string_lossy();
    let set = set.map(|it| (it, "callgate.plugin_dir", &*config));
    let (folder, name, place) = given.or(set).filter(|(folder, ..)| !folder.is_dir())?;
    let place =
        SourceLocation { path: name.to_owned(), ..SourceLocation::whole_file(Path::new(place)) };
    let text = format!(
        "expected a folder of plugins at `{}`, found none",
        quoted(&folder.to_string_lossy())
    );
    Some(Problem::warning(place, text).remedy("plugins are looked up in the other folders"))
}

/// Reports a faulty `RUST_LOG`.
fn misread_filter(environment: &Environment) -> Option<Problem> {
    let found = callgate_telemetry::misread(environment.filled_var(RUST_LOG))?;
    let text = format!("expected a level or `target=level`, found `{}`", quoted(&found));
    Some(Problem::warning(Environment::place_of(RUST_LOG), text).remedy("`info` is used instead"))
}

/// The errors and warnings of serving this config at this host.
fn address_problems(config: &Config, address: &ListenAddress) -> Vec<Problem> {
    let loopback = is_loopback(&address.host);
    let refused = config.require_key(loopback).err();
    let key = refused.or_else(|| config.warn_of_no_key(loopback));
    key.into_iter().chain(unknown_host(address)).collect()
}

/// Reports a host that is neither an address nor a resolvable name, so that no start could listen
/// there.
fn unknown_host(address: &ListenAddress) -> Option<Problem> {
    let host = &*address.host;
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let found = (host, 0).to_socket_addrs().err()?;
    let text =
        format!("expected an address or name of this machine, found `{}`: {found}", quoted(host));
    let problem = Problem::error(address.place_of_host(), text);
    Some(problem.remedy("write an address without its port, such as `0.0.0.0`"))
}

/// The secrets that must not appear in error texts of upstreams and callbacks.
fn secrets(config: &Config, deployments: &Deployments) -> Secrets {
    let mut secrets = Secrets::default();
    let keys = config.gateway.keys.iter().filter_map(|key| key.value.as_ref());
    config.master_key.iter().chain(keys).for_each(|key| secrets.add(key.expose()));
    deployments.add_secrets(&mut secrets);
    secrets
}

/// The warnings that callbacks logged while they were created, each at its entry.
fn warnings_of_callbacks(config: &Config, gathered: Vec<(String, String)>) -> Vec<Problem> {
    let problem = |(name, text): (String, String)| {
        let entry = config.callbacks.iter().find(|entry| entry.called() == name);
        let place =
            entry.map_or_else(|| SourceLocation::whole_file(&config.file), |it| it.place.clone());
        Problem::warning(place, format!("callback `{}`: {text}", quoted(&name)))
    };
    gathered.into_iter().map(problem).collect()
}

/// With `--strict`, any warning prevents the start.
pub(super) fn refuse_warnings(
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
pub fn search_path(
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
    let text = format!("safe mode: these callbacks are off and affect no call: {names}");
    Some(Problem::warning(place, text).remedy("start without `--safe-mode` to enable them"))
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

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
