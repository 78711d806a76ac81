//! From the config's entries to live callbacks: every step of every entry, all problems at once.
//!
//! `boot`, `check` and a reload call [`load_all`]; [`inspect_all`] goes as far as possible without
//! executing anything. This room alone (with its children) knows `abi_stable` and `libloading`.
//! Not here: running hooks and judging their faults (`chain`).

mod instance;
mod layout;
mod library;
mod order;
mod plugin;

pub(super) use instance::{InstanceError, masked};
pub(super) use library::{LibraryError, ROOT_SYMBOL, glibc_version};

pub use instance::Instance;
pub use library::mapped_libraries;
pub(super) use plugin::Recipe;
pub use plugin::{Kind, Plugin};

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::inspect::{Inspected, inspect};
use super::refusal::{Refusal, about, weigh};
use super::resolve::{SearchPath, resolve};
use super::schema;
use crate::config::{CallbackEntry, ChosenHook, Mode, Problem, Problems};
use crate::host::Counters;

/// What became of the config's list.
#[derive(Debug)]
pub struct Loaded {
    /// The callbacks in call order.
    pub plugins: Vec<Plugin>,
    /// What is to be said once: unsafe permissions, a doubtful order, callbacks left out.
    pub warnings: Vec<Problem>,
    /// The entries that cannot be used and are not `required`.
    pub left_out: Vec<LeftOut>,
}

/// An entry of the config's list that is not in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Index in the list as written, from 0.
    pub position: usize,
    /// What it would be called.
    pub name: String,
    /// Why, as the operator was told.
    pub reason: String,
}

impl LeftOut {
    pub(crate) fn new(entry: &CallbackEntry, reason: impl Into<String>) -> Self {
        let name = entry.instance.as_ref().unwrap_or(&entry.name).clone();
        Self { position: entry.position, name, reason: reason.into() }
    }
}

/// Loads the plugins of all entries and makes one instance of each. Entries that share a file share
/// the mapped library, also with earlier calls: the same bytes are never mapped twice.
///
/// # Errors
/// All problems, warnings included, when a callback that is `required` cannot be used. The
/// instances made until then have been shut down.
pub fn load_all(
    entries: &[CallbackEntry],
    search: &SearchPath,
    counters: &Arc<Counters>,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut plugins = Vec::new();
    let mut left_out = Vec::new();
    for entry in entries {
        let (started, before) = (Instant::now(), problems.len());
        let loaded = inspect_entry(entry, search, &mut problems)
            .map(|inspected| Plugin::load(entry, inspected, counters, started));
        match loaded {
            Some(Ok(plugin)) => plugins.push(plugin),
            Some(Err((file, refusal))) => {
                problems.push(weigh(entry, refusal.problem(entry, Some(&file))));
            }
            None => {}
        }
        if plugins.last().is_none_or(|plugin| plugin.entry.position != entry.position) {
            let reasons: Vec<_> = problems[before..].iter().map(|it| it.text.as_str()).collect();
            left_out.push(LeftOut::new(entry, reasons.join("; ")));
        }
    }
    if problems.iter().any(Problem::is_error) {
        return Err(Problems(problems));
    }
    problems.extend(order::doubts(&plugins));
    Ok(Loaded { plugins, warnings: problems, left_out })
}

/// Everything that can be said about the entries without executing any plugin's code.
#[must_use]
pub fn inspect_all(entries: &[CallbackEntry], search: &SearchPath) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in entries {
        inspect_entry(entry, search, &mut problems);
    }
    problems
}

/// The steps that execute nothing; `None` when a problem found here leaves nothing to load.
fn inspect_entry(
    entry: &CallbackEntry,
    search: &SearchPath,
    problems: &mut Vec<Problem>,
) -> Option<Inspected> {
    let refuse = |refusal: Refusal, file: Option<&Path>| weigh(entry, refusal.problem(entry, file));
    let file = match resolve(entry, search) {
        Ok(file) => file,
        Err(error) => {
            problems.push(refuse(error.into(), None));
            return None;
        }
    };
    let inspected = match inspect(entry, &file, search, problems) {
        Ok(inspected) => inspected,
        Err(refusal) => {
            problems.push(refuse(refusal, Some(&file)));
            return None;
        }
    };
    let mut wrong = schema::check(&inspected.callback.settings_schema, entry);
    wrong.extend(missing_hooks(entry, &inspected.callback.hooks));
    let usable = wrong.is_empty();
    problems.extend(idle_keys(entry, &inspected.callback.kind));
    problems.extend(wrong.into_iter().map(|mut problem| {
        problem.text = about(entry, Some(&file), &problem.text);
        weigh(entry, problem)
    }));
    usable.then_some(inspected)
}

/// A problem for each hook the entry chooses and the plugin lacks.
fn missing_hooks(entry: &CallbackEntry, has: &[String]) -> Vec<Problem> {
    let chosen = entry.hooks.iter().flatten();
    let missing = chosen.filter(|hook| !has.contains(&hook.name));
    let problem = |hook: &ChosenHook| {
        let text = format!("expected the hook `{}`, found only {}", hook.name, has.join(", "));
        Problem::error(hook.place.clone(), text).remedy("take it off `hooks`")
    };
    missing.map(problem).collect()
}

/// A warning for each key that does nothing for a callback of this kind.
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
