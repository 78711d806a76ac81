//! The child process that executes the plugin. It reports the begin and end of each step to the
//! parent.

use super::steps::{CREATE, CheckNote, HOOKS, LOAD};
use crate::{
    cli::CheckPlugin,
    commands::plugin::{finished::Finished, select},
};
use callgate_callbacks::mismatches;
use callgate_config::{CallbackEntry, Environment, Problem};
use callgate_host::Services;
use callgate_plugin_host::{LoadGuard, Plugin, SearchPath, child::ChildSide, load_all, map};
use plugin_api::testing::conformance;
use std::sync::Arc;

struct NoteSender(ChildSide);

impl NoteSender {
    /// Sends a note at once, because the next step may crash.
    fn send(&mut self, told: &CheckNote) {
        self.0.note(&serde_json::to_string(told).unwrap_or_default());
    }

    fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T, String>) -> Option<T> {
        self.send(&CheckNote::Began(name.to_owned()));
        let result = step();
        let failure = result.as_ref().err().cloned();
        self.send(&CheckNote::Ended { step: name.to_owned(), failure });
        result.ok()
    }
}

pub(super) fn run(options: &CheckPlugin) -> Finished {
    let child = match ChildSide::new() {
        Ok(child) => child,
        Err(error) => return Finished::misused(&format!("not for use by hand: {error}")),
    };
    let settings = serde_json::from_slice(&child.request);
    let (Ok(settings), Some(name)) = (settings, options.selection.callback.as_deref()) else {
        return Finished::misused(&"not for use by hand");
    };
    let entry = CallbackEntry::of_file(name, &options.selection.file, settings, "settings");
    let mut notes = NoteSender(child);
    run_steps(&entry, &mut notes);
    notes.send(&CheckNote::Done);
    Finished::default()
}

fn run_steps(entry: &CallbackEntry, notes: &mut NoteSender) {
    let search = SearchPath::default();
    let mapped = notes.step(LOAD, || map(entry, &search).map_err(|problems| errors(&problems.0)));
    if mapped.is_none() {
        return;
    }
    let Some(plugin) = notes.step(CREATE, || create(entry, &search)) else { return };
    let deployments = select::deployments();
    notes.step(HOOKS, || {
        let wrong = mismatches([&plugin], &deployments);
        if wrong.is_empty() { Ok(()) } else { Err(errors(&wrong)) }
    });
    let make = |host: &_| plugin.tester(host);
    let _ = conformance::run_watched(&make, &mut |step, ended| {
        let step = step.to_owned();
        notes.send(&match ended {
            None => CheckNote::Began(step),
            Some(result) => {
                CheckNote::Ended { step, failure: result.err().map(ToString::to_string) }
            }
        });
    });
    drop(plugin);
}

fn create(entry: &CallbackEntry, search: &SearchPath) -> Result<Plugin, String> {
    let (environment, services) = (Environment::default(), Arc::new(Services::idle()));
    let entries = std::slice::from_ref(entry);
    let loaded = load_all(
        entries,
        search,
        &environment,
        (&services, &Arc::default()),
        &[],
        &mut LoadGuard::none(),
    )
    .map_err(|problems| errors(&problems.0))?;
    loaded.into_made().into_iter().next().ok_or_else(|| "no instance was made".to_owned())
}

fn errors(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
