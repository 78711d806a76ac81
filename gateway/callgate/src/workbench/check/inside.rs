//! The process that executes the plugin: each step's begin and end is a note to the parent.

use super::{CREATE, HOOKS, LOAD, Told};
use crate::{
    cli::CheckPlugin,
    workbench::{Finished, subject},
};
use callgate_callbacks::mismatches;
use callgate_config::{CallbackEntry, Environment, Problem};
use callgate_host::Services;
use callgate_plugin_host::{LoadGuard, Plugin, SearchPath, child::ChildSide, load_all, map};
use plugin_api::testing::conformance;
use std::sync::Arc;

struct Teller(ChildSide);

impl Teller {
    /// At once: the next step may be the last.
    fn tell(&mut self, told: &Told) {
        self.0.note(&serde_json::to_string(told).unwrap_or_default());
    }

    fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T, String>) -> Option<T> {
        self.tell(&Told::Began(name.to_owned()));
        let result = step();
        let failure = result.as_ref().err().cloned();
        self.tell(&Told::Ended { step: name.to_owned(), failure });
        result.ok()
    }
}

pub(super) fn run(options: &CheckPlugin) -> Finished {
    let child = match ChildSide::new() {
        Ok(child) => child,
        Err(error) => return Finished::misused(&format!("not for use by hand: {error}")),
    };
    let settings = serde_json::from_slice(&child.request);
    let (Ok(settings), Some(name)) = (settings, options.subject.callback.as_deref()) else {
        return Finished::misused(&"not for use by hand");
    };
    let entry = CallbackEntry::of_file(name, &options.subject.file, settings, "settings");
    let mut teller = Teller(child);
    run_steps(&entry, &mut teller);
    teller.tell(&Told::Done);
    Finished::default()
}

fn run_steps(entry: &CallbackEntry, teller: &mut Teller) {
    let search = SearchPath::default();
    let mapped = teller.step(LOAD, || map(entry, &search).map_err(|problems| errors(&problems.0)));
    if mapped.is_none() {
        return;
    }
    let Some(plugin) = teller.step(CREATE, || create(entry, &search)) else { return };
    let deployments = subject::deployments();
    teller.step(HOOKS, || {
        let wrong = mismatches(std::slice::from_ref(&plugin), &deployments);
        if wrong.is_empty() { Ok(()) } else { Err(errors(&wrong)) }
    });
    let make = |host: &_| plugin.tester(host);
    let _ = conformance::run_watched(&make, &mut |step, ended| {
        let step = step.to_owned();
        teller.tell(&match ended {
            None => Told::Began(step),
            Some(result) => Told::Ended { step, failure: result.err().map(ToString::to_string) },
        });
    });
    drop(plugin);
}

fn create(entry: &CallbackEntry, search: &SearchPath) -> Result<Plugin, String> {
    let (environment, services) = (Environment::default(), Arc::new(Services::idle()));
    let entries = std::slice::from_ref(entry);
    let loaded = load_all(entries, search, &environment, &services, &mut LoadGuard::none())
        .map_err(|problems| errors(&problems.0))?;
    loaded.plugins.into_iter().next().ok_or_else(|| "no instance was made".to_owned())
}

fn errors(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
