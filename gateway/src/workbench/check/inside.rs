//! The process that executes the plugin. It tells each step's begin and end on what was its
//! standard output; the plugin's own prints go to standard error.

use super::{CREATE, HOOKS, LOAD, Told};
use crate::{
    callbacks::{Caution, Plugin, SearchPath, disagreements, load_all, map},
    cli::CheckPlugin,
    config::{CallbackEntry, Problem},
    host::Counters,
    workbench::{Finished, subject},
};
use plugin_api::testing::conformance;
use rustix::process::{Resource, Rlimit, Signal};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    sync::Arc,
};

struct Teller(File);

impl Teller {
    /// Takes standard output over, so that nothing a plugin prints is taken for a report.
    fn new() -> io::Result<Self> {
        let own = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
        rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
        Ok(Self(own.into()))
    }

    /// Written at once: the next step may be the last. Nobody is left to be told when it fails.
    fn tell(&mut self, told: &Told) {
        let mut line = serde_json::to_vec(told).unwrap_or_default();
        line.push(b'\n');
        let _ = self.0.write_all(&line);
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
    restrain();
    let mut settings = String::new();
    let read = io::stdin().read_to_string(&mut settings);
    let settings = read.ok().and_then(|_| subject::settings(Some(&settings)).ok().flatten());
    let (Some(settings), Some(name)) = (settings, options.subject.callback.as_deref()) else {
        return Finished::misused(&"expected a callback's name, and its settings on stdin");
    };
    let entry = CallbackEntry::of_file(name, &options.subject.file, settings, "settings");
    match Teller::new() {
        Ok(mut teller) => {
            run_steps(&entry, &mut teller);
            teller.tell(&Told::Done);
            Finished::default()
        }
        Err(error) => Finished::failed(&format!("no way to report: {error}")),
    }
}

/// A crash is expected here: it leaves no core behind, and this process does not outlive its parent.
fn restrain() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
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
        let wrong = disagreements(std::slice::from_ref(&plugin), &deployments);
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
    let counters = Arc::new(Counters::default());
    let loaded = load_all(std::slice::from_ref(entry), search, &counters, &mut Caution::none())
        .map_err(|problems| errors(&problems.0))?;
    loaded.plugins.into_iter().next().ok_or_else(|| "no instance was made".to_owned())
}

fn errors(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
