//! The parent's side: starts the child, reads its notes, and judges how it ended.

use super::{
    report::{CheckStep, StepOutcome},
    steps::{CheckNote, EXIT, executed},
};
use callgate_config::CallbackEntry;
use callgate_plugin_host::{
    child::{ChildEnding, ChildJob},
    masked, signal_name,
};
use callgate_telemetry::one_line;
use serde_json::Value;
use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

/// The child's notes until it ended or was stopped.
#[derive(Default)]
struct Heard {
    /// The steps that ended, each with its failure, if any, and its duration.
    ended: HashMap<String, (Option<String>, Duration)>,
    /// The step that has begun and not ended.
    open: Option<(String, Instant)>,
    done: bool,
}

impl Heard {
    fn hear(&mut self, note: &str) {
        match serde_json::from_str(note) {
            Ok(CheckNote::Began(step)) => self.open = Some((step, Instant::now())),
            Ok(CheckNote::Ended { step, failure }) => {
                let took = self.open.take().map(|(_, since)| since.elapsed());
                self.ended.insert(step, (failure, took.unwrap_or_default()));
            }
            Ok(CheckNote::Done) => self.done = true,
            // Only our own program writes here; a line that is not a note is ignored.
            Err(_) => {}
        }
    }
}

/// Runs the executed steps of one callback. Whatever the plugin does, each step gets a result.
pub(super) fn check(entry: &CallbackEntry, limit: Duration) -> Vec<CheckStep> {
    let name = Some(entry.name.as_str());
    let began = Instant::now();
    let settings = entry.settings.to_string();
    let job = ChildJob {
        arguments: arguments(entry),
        request: settings.as_bytes(),
        limit,
        ..ChildJob::of_this_program("plugin")
    };
    let mut heard = Heard::default();
    let outcome = match job.run_heard(&mut |note| heard.hear(note)) {
        Ok(outcome) => outcome,
        Err(error) => {
            let failure = format!("the process to run it in cannot be started: {error}");
            return failed_at_once(name, failure, began.elapsed());
        }
    };
    let end = how_it_ended(heard.done, &outcome.ending, limit)
        .map(|what| what + &last_words(&outcome.output, &entry.settings));
    let step = |step: &'static str| {
        if let Some((failure, took)) = heard.ended.get(step) {
            return CheckStep::done(name, step, failure.clone(), *took);
        }
        match (&heard.open, &end) {
            (Some((open, since)), end) if open == step => {
                let failure = end.clone().unwrap_or_else(|| "it did not come to an end".to_owned());
                CheckStep::done(name, step, Some(failure), since.elapsed())
            }
            (None, Some(end)) if step == EXIT => {
                CheckStep::done(name, step, Some(end.clone()), Duration::ZERO)
            }
            (None, None) if step == EXIT => CheckStep::done(name, step, None, Duration::ZERO),
            _ => CheckStep::new(name, step, StepOutcome::NotRun),
        }
    };
    executed().map(step).collect()
}

fn failed_at_once(name: Option<&str>, failure: String, took: Duration) -> Vec<CheckStep> {
    let mut steps = executed();
    let first = steps.next().map(|step| CheckStep::done(name, step, Some(failure), took));
    first
        .into_iter()
        .chain(steps.map(|step| CheckStep::new(name, step, StepOutcome::NotRun)))
        .collect()
}

/// The file is named on the command line; settings may be secret, and a command line is public.
fn arguments(entry: &CallbackEntry) -> Vec<std::ffi::OsString> {
    let file = entry.file.as_deref().unwrap_or_else(|| Path::new(""));
    let fixed = ["plugin", "check", "--inside", "--callback", &entry.name, "--"];
    fixed.into_iter().map(Into::into).chain([file.into()]).collect()
}

/// The fault in the child's end; `None` if it did its work and exited properly.
fn how_it_ended(done: bool, ending: &ChildEnding, limit: Duration) -> Option<String> {
    Some(match ending {
        ChildEnding::Exited(0) if done => return None,
        ChildEnding::Exited(status) => format!("it ended the process with status {status}"),
        ChildEnding::Signal(signal) => {
            format!("it crashed the process with {}", signal_name(*signal))
        }
        ChildEnding::OutOfTime => {
            format!("it was not done within {} s, and was stopped", limit.as_secs())
        }
        ChildEnding::Result(_) => "it gave an invalid result".to_owned(),
    })
}

/// The last line that it printed, with possible secrets masked.
fn last_words(output: &str, settings: &Value) -> String {
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    let line = |line: &str| format!("\nlast words: {}", one_line(&masked(line, settings)));
    last.map(line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_end_has_its_words() {
        let limit = Duration::from_secs(3);
        for (done, ending, words) in [
            (false, ChildEnding::Exited(0), "with status 0"),
            (true, ChildEnding::Exited(1), "with status 1"),
            (true, ChildEnding::Signal(11), "with SIGSEGV"),
            (false, ChildEnding::OutOfTime, "within 3 s"),
            (true, ChildEnding::Result(String::new()), "invalid result"),
        ] {
            let told = how_it_ended(done, &ending, limit).unwrap_or_default();
            assert!(told.contains(words), "{ending:?}: {told}");
        }
        assert_eq!(how_it_ended(true, &ChildEnding::Exited(0), limit), None);
    }

    #[test]
    fn last_words_hold_no_secret() {
        let settings = json!({"api_key": "sk-private"});
        assert_eq!(
            last_words("a\nfree() of sk-private\n\n", &settings),
            "\nlast words: free() of ***"
        );
        assert_eq!(last_words("\n", &settings), "");
    }
}
