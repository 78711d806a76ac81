//! `plugin check`: every step of a load, and the conformance suite of `plugin-api`, for each
//! callback. Plugin code runs in a child process (`child_side`), so that a crash, an exit or a hang
//! becomes a failed step of the report. A step passes only if its end was reported and the process
//! ended properly.

mod child_side;
mod parent_side;
mod report;
mod steps;

use super::{
    finished::{Finished, as_json},
    inspect::sentence,
    select,
};
use crate::cli::CheckPlugin;
use callgate_config::CallbackEntry;
use callgate_plugin_host::PluginInfo;
use report::{CheckStep, PluginCheckReport, StepOutcome};
use std::{
    fs,
    time::{Duration, Instant},
};
use steps::executed;

const INSPECT: &str = "inspect the file";
const SETTINGS: &str = "settings";

pub(super) fn run(options: &CheckPlugin) -> Finished {
    if options.inside {
        return child_side::run(options);
    }
    let began = Instant::now();
    let info = PluginInfo::of(&options.selection.file);
    let inspected = began.elapsed();
    let entries = match select::entries(&info, &options.selection) {
        Ok(entries) => entries,
        Err(misuse) => return Finished::misused(&misuse),
    };
    let mut steps = vec![inspect_step(&info, inspected)];
    if info.loadable {
        for entry in &entries {
            steps.extend(check(entry, Duration::from_secs(options.step_timeout)));
        }
    }
    let report = PluginCheckReport::new(info, steps);
    if let Some(path) = &options.junit
        && let Err(error) = fs::write(path, report.junit())
    {
        let complaint = format!("`--junit`: `{}` cannot be written: {error}", path.display());
        return Finished::misused(&complaint);
    }
    let text = if options.json { as_json(&report) } else { report.to_string() };
    Finished::judged(text, report.passed)
}

fn inspect_step(info: &PluginInfo, took: Duration) -> CheckStep {
    let reasons: Vec<_> = info.reasons.iter().map(sentence).collect();
    let failure = (!reasons.is_empty()).then(|| reasons.join("\n"));
    CheckStep::done(None, INSPECT, failure, took)
}

/// Runs all steps for one callback.
fn check(entry: &CallbackEntry, limit: Duration) -> Vec<CheckStep> {
    let began = Instant::now();
    let wrong = select::complaints(entry);
    let failure = (!wrong.is_empty()).then(|| {
        let mut text = wrong.join("\n");
        if entry.place.file.to_str() != Some("--settings") {
            text.push_str("\ngive settings that fit the schema with `--settings`");
        }
        text
    });
    let usable = failure.is_none();
    let name = Some(entry.name.as_str());
    let mut steps = vec![CheckStep::done(name, SETTINGS, failure, began.elapsed())];
    if usable {
        steps.extend(parent_side::check(entry, limit));
    } else {
        steps.extend(executed().map(|step| CheckStep::new(name, step, StepOutcome::NotRun)));
    }
    steps
}
