//! Probes a plugin in a child process before the gateway maps it, so that crashes in its file, its
//! constructors or its callback do no harm. `child_side` is the child's part; `passed` remembers
//! plugins that passed.
//!
//! It is not a security boundary: a plugin can detect the probe, and one that passed can still
//! crash later. Called by `loader`.

mod child_side;
mod passed;

use super::{
    cache::CacheFolder,
    inspect::Inspected,
    loader::{DESCRIBE, LOAD, signal_name},
    settings_masking::masked,
    snapshot::Snapshot,
};
use crate::child::{self, ChildEnding, ChildJob, ChildOutcome};
use callgate_config::{CallbackEntry, Probing};
use callgate_telemetry::one_line;
pub use child_side::{HookListError, run as run_probe};
use passed::PassedProbes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use thiserror::Error;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__probe";

/// The most of a plugin's output that is shown.
const SHOWN: usize = 300;

/// Why a plugin did not pass.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ProbeError {
    #[error("expected it to survive a trial in a child process, found that it {how} {when}{said}")]
    Died { how: String, when: String, said: String, cause: Cause },
    /// The probe itself failed; nothing is known against the plugin.
    #[error("expected a trial in a child process, found that none can be run: {0}")]
    NoTrial(String),
    /// It was refused there as it would have been here.
    #[error("{text}")]
    Refused { text: String, remedy: String },
}

/// The part to blame, which decides the advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    File,
    Callback,
    Time,
    Killed,
}

impl ProbeError {
    pub(super) fn remedy(&self) -> String {
        let advice = match self {
            Self::Refused { remedy, .. } => return remedy.clone(),
            Self::NoTrial(_) => {
                return "let the gateway start a process of its own (descriptors, processes, memory, \
                        a mounted `/proc`); `callgate.probe: never` loads plugins untried"
                    .to_owned();
            }
            Self::Died { cause, .. } => match cause {
                Cause::File => "copy or build the plugin again",
                Cause::Callback => "correct its settings, or ask its author",
                Cause::Time => "ask its author, or allow more with `callgate.probe_timeout`",
                Cause::Killed => "make sure that it needs less than 4 GiB of memory",
            },
        };
        format!("{advice}; `callgate.probe: never` would load it anyway")
    }
}

/// The request to the child.
#[derive(Debug, Serialize, Deserialize)]
struct ProbeRequest {
    file: String,
    sha256: [u8; 32],
    callback: String,
    instance: String,
    settings: Value,
}

/// The child's result if it did not crash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProbeResult {
    Passed,
    /// The plugin refused its settings. The gateway tries again itself, because the child has no
    /// environment variables.
    Declined,
    Refused {
        text: String,
        remedy: String,
    },
}

/// Decides whether a plugin is probed, and probes it.
#[derive(Debug)]
pub(super) struct Prober {
    when: Probing,
    limit: Duration,
    verdicts: Option<PassedProbes>,
}

impl Prober {
    pub(super) fn new(when: Probing, limit: Duration, cache: Option<&CacheFolder>) -> Self {
        let verdicts = cache.and_then(|cache| PassedProbes::open(cache.clone()));
        Self { when, limit, verdicts }
    }

    /// Whether the plugin may be mapped here. Runs a child process, unless the plugin has passed
    /// before.
    pub(super) fn judge(
        &self,
        entry: &CallbackEntry,
        inspected: &Inspected,
        snapshot: &Snapshot,
    ) -> Result<(), ProbeError> {
        if self.when == Probing::Never || !child::is_enabled() {
            return Ok(());
        }
        let request = ProbeRequest {
            file: inspected.file.display().to_string(),
            sha256: inspected.sha256,
            callback: inspected.callback.name.clone(),
            instance: entry.called().to_owned(),
            settings: entry.settings.clone(),
        };
        let Ok(request) = serde_json::to_vec(&request) else { return Ok(()) };
        let verdict = self.verdicts.as_ref().map(|verdicts| verdicts.of(&request));
        if self.when == Probing::OnChange
            && verdict.as_ref().is_some_and(passed::PassedProbe::passed)
        {
            return Ok(());
        }
        let outcome = self
            .run(&request, snapshot)
            .map_err(|error| ProbeError::NoTrial(format!("it cannot be started: {error}")))?;
        tracing::debug!(
            target: "callgate::callbacks::probe", { step = %outcome.step },
        "probed `{}`", inspected.file.display()
        );
        if judge(outcome, &entry.settings, self.limit)?
            && let Some(verdict) = verdict
        {
            verdict.note_passed();
        }
        Ok(())
    }

    fn run(&self, request: &[u8], snapshot: &Snapshot) -> std::io::Result<ChildOutcome> {
        let file = snapshot.file()?;
        let job = ChildJob::of_this_program(SUBCOMMAND);
        ChildJob { input: Some(&file), request, limit: self.limit, ..job }.run()
    }
}

/// Whether it passed completely.
fn judge(outcome: ChildOutcome, settings: &Value, limit: Duration) -> Result<bool, ProbeError> {
    let ChildOutcome { ending, step, output } = outcome;
    let (how, cause) = match ending {
        ChildEnding::Result(answer) => match serde_json::from_str(&answer) {
            Ok(ProbeResult::Passed) => return Ok(true),
            Ok(ProbeResult::Declined) => return Ok(false),
            Ok(ProbeResult::Refused { text, remedy }) => {
                return Err(ProbeError::Refused { text, remedy });
            }
            Err(_) => ("gave an invalid result".to_owned(), None),
        },
        ChildEnding::Exited(_) if step.is_empty() => {
            return Err(ProbeError::NoTrial(format!(
                "it ended at once{}",
                printed(&output, settings)
            )));
        }
        ChildEnding::Exited(status) => (format!("ended the process with status {status}"), None),
        ChildEnding::Signal(9) => {
            ("was killed (SIGKILL), perhaps for lack of memory,".to_owned(), Some(Cause::Killed))
        }
        ChildEnding::Signal(signal) => (format!("crashed with {}", signal_name(signal)), None),
        ChildEnding::OutOfTime => {
            (format!("was not done within {} s", limit.as_secs_f64()), Some(Cause::Time))
        }
    };
    let in_code = !["", LOAD, DESCRIBE].contains(&step.as_str());
    let cause = cause.unwrap_or(if in_code { Cause::Callback } else { Cause::File });
    let when = match step.as_str() {
        "" => "before it was loaded".to_owned(),
        step => step.to_owned(),
    };
    Err(ProbeError::Died { how, when, said: printed(&output, settings), cause })
}

/// The end of its output, on one line, with possible secrets masked.
fn printed(output: &str, settings: &Value) -> String {
    let output = masked(output.trim(), settings);
    if output.is_empty() {
        return String::new();
    }
    let skipped = output.char_indices().rev().nth(SHOWN - 1).map_or(0, |(start, _)| start);
    let dots = if skipped > 0 { "…" } else { "" };
    format!("; it printed: {dots}{}", one_line(output.get(skipped..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{Cause, LOAD, ProbeError, ProbeResult, judge, printed};
    use crate::{
        child::{ChildEnding, ChildOutcome},
        loader::CREATE,
    };
    use serde_json::{Value, json};
    use std::time::Duration;

    fn judged(ending: ChildEnding, step: &str) -> Result<bool, ProbeError> {
        let outcome =
            ChildOutcome { ending, step: step.to_owned(), output: "so long\n".to_owned() };
        judge(outcome, &Value::Null, Duration::from_secs(5))
    }

    #[test]
    fn each_end_has_its_sentence_and_its_remedy() {
        for (ending, step, sentence, advised) in [
            (
                ChildEnding::Exited(0),
                LOAD,
                "ended the process with status 0 while being loaded; it printed: so long",
                Cause::File,
            ),
            (ChildEnding::Signal(7), "", "crashed with SIGBUS before it was loaded", Cause::File),
            (
                ChildEnding::Signal(11),
                CREATE,
                "crashed with SIGSEGV in its constructor",
                Cause::Callback,
            ),
            (
                ChildEnding::OutOfTime,
                "in on_llm_end",
                "not done within 5 s in on_llm_end",
                Cause::Time,
            ),
            (ChildEnding::Signal(9), CREATE, "was killed (SIGKILL)", Cause::Killed),
        ] {
            let error = judged(ending, step).unwrap_err();
            assert!(error.to_string().contains(sentence), "{error}");
            assert!(matches!(error, ProbeError::Died { cause, .. } if cause == advised), "{error}");
        }
    }

    #[test]
    fn a_child_that_cannot_begin_is_no_fault_of_the_plugin() {
        let error = judged(ChildEnding::Exited(1), "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a trial in a child process, found that none can be run: it ended at once; \
             it printed: so long"
        );
        assert!(error.remedy().contains("`/proc`") && error.remedy().contains("probe: never"));
    }

    #[test]
    fn an_answer_decides() {
        let answer = |answer| ChildEnding::Result(serde_json::to_string(&answer).unwrap());
        assert_eq!(judged(answer(ProbeResult::Passed), "x"), Ok(true));
        assert_eq!(judged(answer(ProbeResult::Declined), "x"), Ok(false));
        let refused = ProbeResult::Refused { text: "no".to_owned(), remedy: "yes".to_owned() };
        let error = judged(answer(refused), "x").unwrap_err();
        assert_eq!((error.to_string(), error.remedy()), ("no".to_owned(), "yes".to_owned()));
        assert!(judged(ChildEnding::Result("garbage".to_owned()), "x").is_err());
    }

    #[test]
    fn what_it_printed_is_short_and_holds_no_secret() {
        let settings = json!({"api_key": "sk-private"});
        assert_eq!(printed("\n", &settings), "");
        assert_eq!(printed("a\nwith sk-private", &settings), "; it printed: a\\nwith ***");
        let long = printed(&format!("{}end", "x".repeat(1000)), &settings);
        assert!(long.len() < 330 && long.contains('…') && long.ends_with("end"), "{long}");
    }
}
