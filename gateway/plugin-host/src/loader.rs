//! Turns the config's entries into live callbacks: runs every step for every entry, and reports all
//! problems at once.
//!
//! `boot` and `check` call [`load_all`]; [`inspect_all`] does only the steps that execute nothing.
//! Only this module and its children know `abi_stable` and `libloading`. `callbacks` runs hooks and
//! judges their faults.

mod authenticator;
mod c;
mod crash_context;
mod crash_signals;
mod glibc;
mod instance;
mod layout;
mod library;
mod library_error;
mod names;
mod order;
mod plugin;
mod probe_load;
mod whereabouts;

use super::{
    hook::Hook,
    inspect::{Inspected, inspect},
    load_error::{LoadError, downgrade_if_optional},
    load_guard::LoadGuard,
    plugin_problem::about,
    resolve::{SearchPath, resolve},
    schema,
    snapshot::Snapshot,
};
use callgate_config::{CallbackEntry, ChosenHook, Environment, Mode, Problem, Problems};
use callgate_host::{Listing, MissingGrant, Needs, Permissions, Services};
pub(super) use crash_signals::record_into;
pub use crash_signals::{CrashWatch, exit_at_once, signal_name};
pub(super) use glibc::{Glibc, glibc_version, parse_glibc};
pub(super) use instance::InstanceError;
pub use instance::{Instance, RunningHook};
pub use library::mapped_libraries;
use library::{Library, is_mapped};
pub(super) use library_error::LibraryError;
pub(super) use names::{CREATE, DESCRIBE, LOAD, ROOT_SYMBOL};
pub use plugin::{ListedPlugin, Plugin, PluginKind, Recipe};
use plugin_api::abi::ApiVersion;
pub(super) use probe_load::{ProbeLoad, ProbeLoadError};
use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
pub use whereabouts::{PluginLocation, Whereabouts};

/// The result for the config's list.
#[derive(Debug)]
pub struct Loaded {
    /// The callbacks in call order.
    pub plugins: Vec<ListedPlugin>,
    /// Warnings to report once: unsafe permissions, a doubtful order, callbacks left out.
    pub warnings: Vec<Problem>,
    /// The entries that failed to load and are not `required`.
    pub left_out: Vec<LeftOut>,
}

impl Loaded {
    /// The callbacks with a new instance: all of them, if none was running.
    #[must_use]
    pub fn into_made(self) -> Vec<Plugin> {
        self.plugins.into_iter().filter_map(ListedPlugin::made).collect()
    }
}

/// An entry of the config's list that is not in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Index in the list as written, from 0.
    pub position: usize,
    /// The name it would have.
    pub name: String,
    /// The reason that was reported to the operator.
    pub reason: String,
}

impl LeftOut {
    pub fn new(entry: &CallbackEntry, reason: impl Into<String>) -> Self {
        let name = entry.called().to_owned();
        Self { position: entry.position, name, reason: reason.into() }
    }
}

/// Loads the plugins of all entries and creates one instance of each. Entries that share a file
/// share the mapped library, also with earlier calls: the same bytes are never mapped twice. All
/// plugins are inspected, and probed as `load_guard` decides, before any is mapped. An entry that
/// an instance in `running` already serves gets no new one. `listing` is that of the entries'
/// config.
///
/// # Errors
/// All problems, warnings included, if a `required` callback cannot be used. Instances created
/// until then have ended.
pub fn load_all(
    entries: &[CallbackEntry],
    search: &SearchPath,
    environment: &Environment,
    (services, listing): (&Arc<Services>, &Arc<Listing>),
    running: &[Arc<Recipe>],
    guard: &mut LoadGuard,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut candidates = Vec::new();
    let mut reasons = Reasons::default();
    for entry in entries {
        let (started, before) = (Instant::now(), problems.len());
        match inspect_entry(entry, search, &mut problems) {
            Some(inspected) => {
                let permissions = permissions(entry, &inspected, environment, &mut problems);
                let serves = |it: &&Arc<Recipe>| it.serves(entry, &inspected, &permissions);
                let running = running.iter().find(serves).cloned();
                let spent = started.elapsed();
                let has_room = true;
                let candidate =
                    Candidate { entry, inspected, permissions, running, has_room, spent };
                candidates.push(candidate);
            }
            None => reasons.add(entry, &problems[before..]),
        }
    }
    give_room(&mut candidates, guard.max_libraries());
    let mut plugins = Vec::new();
    let suspected = candidates.iter().any(|it| guard.suspect(&it.inspected).is_some());
    let tried = try_all(&candidates, guard);
    let is_refused = |(tried, it): (&Tried, &Candidate<'_>)| tried.is_err() && it.entry.required;
    let in_vain = guard.reloads()
        && (problems.iter().any(Problem::is_error)
            || tried.iter().zip(&candidates).any(is_refused));
    for (tried, candidate) in tried.into_iter().zip(candidates) {
        if in_vain && tried.is_ok() {
            continue;
        }
        let Candidate { entry, inspected, permissions, .. } = candidate;
        let file = inspected.file.clone();
        let loaded = tried.and_then(|trial| {
            let (snapshot, spent) = match trial {
                Trial::Runs(recipe) => {
                    return Ok(ListedPlugin::Running { recipe, position: entry.position });
                }
                Trial::Passed(snapshot, spent) => (snapshot, spent),
            };
            let started = Instant::now();
            let made = (permissions, Arc::clone(services), listing);
            let plugin = Plugin::load(entry, inspected, snapshot, made, guard)?;
            Ok(ListedPlugin::New(Box::new(plugin.loaded_in(spent + started.elapsed()))))
        });
        match loaded {
            Ok(plugin) => plugins.push(plugin),
            Err(error) => {
                let problem = downgrade_if_optional(entry, error.problem(entry, Some(&file)));
                reasons.add(entry, std::slice::from_ref(&problem));
                problems.push(problem);
            }
        }
    }
    guard.loaded();
    if problems.iter().any(Problem::is_error) {
        return Err(Problems(problems));
    }
    if !suspected && !entries.is_empty() {
        guard.clear_suspicion();
    }
    problems.extend(order::doubts(&plugins));
    Ok(Loaded { plugins, warnings: problems, left_out: reasons.0 })
}

/// The entries left out, with the reported reasons.
#[derive(Default)]
struct Reasons(Vec<LeftOut>);

impl Reasons {
    fn add(&mut self, entry: &CallbackEntry, said: &[Problem]) {
        let texts: Vec<_> = said.iter().map(|it| it.text.as_str()).collect();
        self.0.push(LeftOut::new(entry, texts.join("; ")));
    }
}

/// A plugin that passed the inspection.
struct Candidate<'a> {
    entry: &'a CallbackEntry,
    inspected: Inspected,
    permissions: Arc<Permissions>,
    /// The running callback that already serves the entry.
    running: Option<Arc<Recipe>>,
    /// Its file may be mapped.
    has_room: bool,
    spent: Duration,
}

/// Sees which files may be mapped, before any of them is: what is mapped stays.
fn give_room(candidates: &mut [Candidate<'_>], most: usize) {
    let mut new = HashSet::new();
    for candidate in candidates {
        let sha256 = candidate.inspected.sha256;
        if !new.contains(&sha256) && !is_mapped(&sha256) {
            candidate.has_room = mapped_libraries() + new.len() < most;
            if candidate.has_room {
                new.insert(sha256);
            }
        }
    }
}

/// What came of a trial.
enum Trial {
    /// An instance is already running, so no probe is needed.
    Runs(Arc<Recipe>),
    /// The copy to load, and the time spent so far.
    Passed(Snapshot, Duration),
}

type Tried = Result<Trial, LoadError>;

/// The most child processes at once.
const AT_ONCE: usize = 8;

/// Probes all candidates, several at once.
fn try_all(candidates: &[Candidate<'_>], guard: &LoadGuard) -> Vec<Tried> {
    let mut tried = Vec::new();
    for group in candidates.chunks(AT_ONCE) {
        if let [only] = group {
            tried.push(try_one(only, guard));
            continue;
        }
        tried.extend(thread::scope(|scope| {
            let threads: Vec<_> = group
                .iter()
                .map(|it| thread::Builder::new().spawn_scoped(scope, || try_one(it, guard)))
                .collect();
            // Without a thread, or after a panic in it, the probe runs here.
            let results = threads.into_iter().zip(group).map(|(thread, it)| {
                let done = thread.ok().and_then(|thread| thread.join().ok());
                done.unwrap_or_else(|| try_one(it, guard))
            });
            results.collect::<Vec<_>>()
        }));
    }
    tried
}

fn try_one(candidate: &Candidate<'_>, guard: &LoadGuard) -> Tried {
    let Candidate { entry, inspected, running, spent, .. } = candidate;
    if let Some(recipe) = running {
        return Ok(Trial::Runs(Arc::clone(recipe)));
    }
    if !candidate.has_room {
        return Err(LibraryError::TooMany(guard.max_libraries()).into());
    }
    let started = Instant::now();
    if let Some(suspect) = guard.suspect(inspected) {
        return Err(suspect.into());
    }
    let snapshot = Snapshot::of(&inspected.file_name(), &inspected.bytes)
        .map_err(|error| LibraryError::Snapshot(error.to_string()))?;
    guard.probe(entry, inspected, &snapshot)?;
    Ok(Trial::Passed(snapshot, *spent + started.elapsed()))
}

/// The permissions of the entry's callback; each need that is not granted becomes a warning.
fn permissions(
    entry: &CallbackEntry,
    inspected: &Inspected,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Arc<Permissions> {
    let callback = &inspected.callback;
    let needs = Needs {
        // Uses the operator's name for it, because a file given by its path could claim any name.
        callback: &entry.name,
        secrets: &callback.needs_secrets,
        http_hosts: &callback.needs_http_hosts,
    };
    let (permissions, missing) = Permissions::new(&entry.grants, needs, environment);
    problems.extend(missing.into_iter().map(|MissingGrant { text, remedy }| {
        let text = about(entry, Some(&inspected.file), &text);
        Problem::warning(entry.place.clone(), text).remedy(remedy)
    }));
    Arc::new(permissions.with_settings(&entry.settings))
}

/// All problems of the entries that can be found without executing a plugin's code.
#[must_use]
pub fn inspect_all(entries: &[CallbackEntry], search: &SearchPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in entries {
        inspect_entry(entry, search, &mut problems);
    }
    problems
}

/// Maps the file of an entry and checks its tables; this runs only the library's constructors. A
/// later load finds it mapped.
///
/// # Errors
/// All problems, warnings included.
pub fn map(entry: &CallbackEntry, search: &SearchPath) -> Result<(), Problems> {
    let mut problems = Vec::new();
    if let Some(inspected) = inspect_entry(entry, search, &mut problems) {
        let mapped = Snapshot::of(&inspected.file_name(), &inspected.bytes)
            .map_err(|error| LibraryError::Snapshot(error.to_string()))
            .and_then(|snapshot| Library::of(&inspected, snapshot, &mut |_| {}));
        match mapped {
            Ok(_) => return Ok(()),
            Err(error) => {
                problems.push(LoadError::from(error).problem(entry, Some(&inspected.file)));
            }
        }
    }
    Err(Problems(problems))
}

/// Runs the steps that execute nothing; `None` if a problem leaves nothing to load.
fn inspect_entry(
    entry: &CallbackEntry,
    search: &SearchPath,
    problems: &mut Vec<Problem>,
) -> Option<Inspected> {
    let refuse = |error: LoadError, file: Option<&Path>| {
        let problem = error.problem(entry, file);
        let stays = entry.only_observes && error.protects();
        if stays { problem } else { downgrade_if_optional(entry, problem) }
    };
    let file = match resolve(entry, search) {
        Ok(file) => file,
        Err(error) => {
            problems.push(refuse(error.into(), None));
            return None;
        }
    };
    let inspected = match inspect(entry, &file, search, problems) {
        Ok(inspected) => inspected,
        Err(error) => {
            problems.push(refuse(error.into(), Some(&file)));
            return None;
        }
    };
    let mut wrong = schema::check(&inspected.callback.settings_schema, entry);
    wrong.extend(missing_hooks(entry, &inspected.callback.hooks));
    let misused = authenticator::misused(entry, &inspected);
    let usable = wrong.is_empty() && misused.is_empty();
    problems.extend(misused);
    problems.extend(idle_keys(entry, &inspected.callback.kind));
    problems.extend(unknown_hooks(entry, &inspected));
    problems.extend(wrong.into_iter().map(|mut problem| {
        problem.text = about(entry, Some(&file), &problem.text);
        downgrade_if_optional(entry, problem)
    }));
    usable.then_some(inspected)
}

/// A problem for each hook that the entry chooses and the plugin lacks.
fn missing_hooks(entry: &CallbackEntry, has: &[String]) -> Vec<Problem> {
    let chosen = entry.hooks.iter().flatten();
    let missing = chosen.filter(|hook| !has.contains(&hook.name));
    let problem = |hook: &ChosenHook| {
        let text = format!("expected the hook `{}`, found only {}", hook.name, has.join(", "));
        Problem::error(hook.place.clone(), text).remedy("take it off `hooks`")
    };
    missing.map(problem).collect()
}

/// A warning if a plugin has hooks that this gateway never calls, because it is newer or its author
/// made a mistake.
fn unknown_hooks(entry: &CallbackEntry, inspected: &Inspected) -> Option<Problem> {
    let known = |name: &str| Hook::ALL.iter().any(|hook| hook.name() == name);
    let hooks = inspected.callback.hooks.iter().filter(|name| !known(name));
    let hooks = hooks.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if hooks.is_empty() {
        return None;
    }
    let (ours, theirs) = (ApiVersion::CURRENT, inspected.header.api);
    let text = format!(
        "expected hooks of ABI {ours}, found {hooks} of a plugin built for ABI {theirs}, never called by this gateway"
    );
    let text = about(entry, Some(&inspected.file), &text);
    let remedy = if theirs > ours {
        "use a later gateway if the callback needs them"
    } else {
        "take them off the manifest's `hooks`"
    };
    Some(Problem::warning(entry.place.clone(), text).remedy(remedy))
}

/// A warning for each key that has no effect on a callback of this kind.
fn idle_keys(entry: &CallbackEntry, kind: &str) -> Option<Problem> {
    let (text, remedy) = match (kind, entry.mode) {
        ("async", Mode::Blocking) => (
            "`mode: blocking` is for sync callbacks; the hooks of this one are futures",
            "leave `mode` out",
        ),
        ("sync", Mode::Inline) if entry.timeout.is_some() => (
            "`timeout` does nothing for a sync callback that runs inline",
            "leave it out, or add `mode: blocking`",
        ),
        _ => return None,
    };
    let text = about(entry, None, text);
    Some(Problem::warning(entry.place.clone(), text).remedy(remedy))
}
