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

pub(super) use instance::InstanceError;
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
use crate::config::{CallbackEntry, Environment, Problem, Problems};
use crate::host::{Missing, Needs, Permissions, Services};

/// What became of the config's list.
#[derive(Debug)]
pub struct Loaded {
    /// The callbacks in call order.
    pub plugins: Vec<Plugin>,
    /// What is to be said once: unsafe permissions, a doubtful order, callbacks left out.
    pub warnings: Vec<Problem>,
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
    environment: &Environment,
    services: &Arc<Services>,
) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut plugins = Vec::new();
    for entry in entries {
        let started = Instant::now();
        let Some(inspected) = inspect_entry(entry, search, &mut problems) else { continue };
        let permissions = permissions(entry, &inspected, environment, &mut problems);
        match Plugin::load(entry, inspected, permissions, services, started) {
            Ok(plugin) => plugins.push(plugin),
            Err((file, refusal)) => {
                problems.push(weigh(entry, refusal.problem(entry, Some(&file))));
            }
        }
    }
    if problems.iter().any(Problem::is_error) {
        return Err(Problems(problems));
    }
    problems.extend(order::doubts(&plugins));
    Ok(Loaded { plugins, warnings: problems })
}

/// What the entry's callback may have; what it asks for in vain becomes a warning each.
fn permissions(
    entry: &CallbackEntry,
    inspected: &Inspected,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Arc<Permissions> {
    let callback = &inspected.callback;
    let needs = Needs {
        // The operator's word for it: a file given by its path may call itself anything.
        callback: &entry.name,
        secrets: &callback.needs_secrets,
        http_hosts: &callback.needs_http_hosts,
    };
    let (permissions, missing) = Permissions::new(&entry.grants, needs, environment);
    problems.extend(missing.into_iter().map(|Missing { text, remedy }| {
        let text = about(entry, Some(&inspected.file), &text);
        Problem::warning(entry.place.clone(), text).remedy(remedy)
    }));
    Arc::new(permissions)
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
    let wrong = schema::check(&inspected.callback.settings_schema, entry);
    let usable = wrong.is_empty();
    problems.extend(wrong.into_iter().map(|mut problem| {
        problem.text = about(entry, Some(&file), &problem.text);
        weigh(entry, problem)
    }));
    usable.then_some(inspected)
}
