//! `plugin test`: runs a callback, or a config's whole chain, on one request, and shows what each
//! changed and how the call ended.
//!
//! The chain runs once for each of its callbacks, from the first up to that one, each time with new
//! instances and counters. A callback's changes are the difference from the run before.

mod difference;
mod input;
mod log_capture;

use super::{
    finished::{Finished, as_json},
    inspect::sentence,
    select,
};
use crate::{
    boot,
    cli::{Selection, Source, Test},
};
use callgate_callbacks::{AssumedReply, DryRun, DryRunOutcome};
use callgate_config::{CallbackEntry, Environment, Problem};
use callgate_deployments::Deployments;
use callgate_host::{Listing, Services};
use callgate_plugin_host::{LoadGuard, PluginInfo, SearchPath, load_all};
use difference::{Change, changes, shown, unmet};
use input::Input;
use serde::Serialize;
use serde_json::Value;
use std::{fmt::Write as _, sync::Arc};
use tokio::runtime::Runtime;

#[derive(Serialize)]
struct Tested {
    callbacks: Vec<Changed>,
    #[serde(flatten)]
    outcome: DryRunOutcome,
    /// The hooks' changes of the upstream's reply.
    answer_changes: Vec<Change>,
    /// Log lines by callbacks and about them.
    log: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unmet: Option<Vec<Change>>,
}

/// The changes by one callback's start hook.
#[derive(Serialize)]
struct Changed {
    callback: String,
    changes: Vec<Change>,
}

/// The chain to run.
struct Stage {
    entries: Vec<CallbackEntry>,
    listing: Arc<Listing>,
    deployments: Arc<Deployments>,
    environment: Environment,
    search: SearchPath,
}

/// Why nothing could run: the command was wrong (status 2), or the plugin or config has problems
/// (status 1).
enum Refused {
    Misuse(String),
    Unfit(String),
}

pub(super) fn run(options: &Test) -> Finished {
    match try_run(options) {
        Ok(finished) => finished,
        Err(Refused::Misuse(text)) => Finished::misused(&text),
        Err(Refused::Unfit(text)) => {
            Finished { complaint: text + "\n", code: 1, ..Finished::default() }
        }
    }
}

fn try_run(options: &Test) -> Result<Finished, Refused> {
    let input = input::read(options).map_err(Refused::Misuse)?;
    let expected = options.expect.as_deref().map(input::json).transpose();
    let expected = expected.map_err(Refused::Misuse)?;
    let stage = stage(options)?;
    // Async callbacks need its timers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Refused::Unfit(format!("error: no runtime: {error}")))?;
    let mut tested = run_stage(&stage, &input, &runtime)?;
    runtime.shutdown_background();
    if let Some(expected) = expected {
        let found = serde_json::to_value(&tested).unwrap_or_default();
        tested.unmet = Some(unmet(&expected, &found));
    }
    let good = tested.unmet.as_ref().is_none_or(Vec::is_empty) && tested.outcome.verdict != "fault";
    let text = if options.json { as_json(&tested) } else { as_text(&tested) };
    Ok(Finished::judged(text, good))
}

fn stage(options: &Test) -> Result<Stage, Refused> {
    if let Some(config) = &options.config {
        let source =
            Source::of(config.clone(), options.plugin_dir.clone(), options.env_file.clone());
        let built =
            boot::build(&source, None).map_err(|problems| Refused::Unfit(lines(&problems.0)))?;
        let search =
            boot::search_path(source.files.plugin_dir.as_deref(), config, &built.config.gateway);
        let deployments = Arc::new(built.deployments);
        let environment = built.config.environment;
        let (listing, entries) = (built.listing, built.config.callbacks);
        return Ok(Stage { entries, listing, deployments, environment, search });
    }
    let file = options.file.clone().unwrap_or_default();
    let info = PluginInfo::of(&file);
    if let Some(reason) = info.reasons.first() {
        return Err(Refused::Unfit(format!("error: `{}`: {}", file.display(), sentence(reason))));
    }
    let (callback, settings) = (options.callback.clone(), options.settings.clone());
    let selection = Selection { file, callback, settings };
    let entry = select::entry(&info, &selection).map_err(Refused::Misuse)?;
    let deployments = Arc::new(select::deployments());
    let (environment, search) = (Environment::default(), SearchPath::default());
    let listing = Arc::default();
    Ok(Stage { entries: vec![entry], listing, deployments, environment, search })
}

/// Makes the dry run of the first `count` callbacks.
fn dry_run(stage: &Stage, count: usize, input: &Input) -> Result<DryRun, Refused> {
    let entries = stage.entries.get(..count).unwrap_or_default();
    // New services for each run, so that no callback finds counters of an earlier one.
    let services = Arc::new(Services::idle());
    let loaded = load_all(
        entries,
        &stage.search,
        &stage.environment,
        (&services, &stage.listing),
        &[],
        &mut LoadGuard::none(),
    )
    .map_err(|problems| Refused::Unfit(lines(&problems.0)))?;
    let deployments = Arc::clone(&stage.deployments);
    let (headers, body) = (input.headers.clone(), input.body.clone());
    DryRun::new(loaded.into_made(), deployments, headers, body)
        .map_err(|error| Refused::Misuse(format!("`--request`: {error}")))
}

fn run_stage(stage: &Stage, input: &Input, runtime: &Runtime) -> Result<Tested, Refused> {
    let untouched = dry_run(stage, 0, input)?;
    let mut before = untouched.state(&untouched.call());
    let mut callbacks = Vec::new();
    for (index, entry) in stage.entries.iter().enumerate() {
        let part = dry_run(stage, index + 1, input)?;
        let outcome = runtime.block_on(part.run(AssumedReply::Nothing));
        let callback = entry.called().to_owned();
        callbacks.push(Changed { callback, changes: changes(&before, &outcome.call) });
        if outcome.verdict != "continue" {
            break;
        }
        before = outcome.call;
    }
    let (outcome, log) = log_capture::captured(|| {
        let all = dry_run(stage, stage.entries.len(), input)?;
        Ok(runtime.block_on(all.run(input.answered.clone())))
    });
    let outcome = outcome?;
    let answer_changes = answer_changes(&input.answered, &outcome);
    Ok(Tested { callbacks, outcome, answer_changes, log, unmet: None })
}

fn answer_changes(answered: &AssumedReply, outcome: &DryRunOutcome) -> Vec<Change> {
    match (answered, &outcome.reply, &outcome.chunks) {
        (AssumedReply::Json(before), Some(after), _) => changes(before, after),
        (AssumedReply::Chunks(before), _, Some(after)) => {
            // Chunks after the end of a rejected stream never came, so they are not changes.
            let before = before.iter().take(after.len()).cloned().collect();
            changes(&Value::Array(before), &Value::Array(after.clone()))
        }
        _ => Vec::new(),
    }
}

fn lines(problems: &[Problem]) -> String {
    let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn as_text(tested: &Tested) -> String {
    let mut text = String::new();
    for Changed { callback, changes } in &tested.callbacks {
        let _ = writeln!(text, "{callback}");
        write_changes(changes, &mut text);
    }
    let outcome = &tested.outcome;
    let by = outcome.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let _ = writeln!(text, "verdict: {}{by}", outcome.verdict);
    if let Some(error) = &outcome.error {
        let message = error.error.get("message").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(text, "  status {}: {}", error.status, message);
        let wait = error.retry_after.iter().map(|wait| format!("retry after {wait} s"));
        let cause = error.cause.iter().map(|cause| format!("cause: {cause}"));
        wait.chain(cause).for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    if outcome.reply.is_some() || outcome.chunks.is_some() {
        text.push_str(if outcome.reply.is_some() { "reply\n" } else { "chunks\n" });
        write_changes(&tested.answer_changes, &mut text);
        for (name, value) in &outcome.reply_headers {
            let _ = writeln!(text, "  + header {name}: {value}");
        }
    }
    if !tested.log.is_empty() {
        let _ = writeln!(text, "log\n  {}", tested.log.join("\n  "));
    }
    for Change { path, before, after } in tested.unmet.iter().flatten() {
        let (expected, found) = (shown(before.as_ref()), shown(after.as_ref()));
        let _ = writeln!(text, "not as expected: {path}: expected {expected}, found {found}");
    }
    text
}

fn write_changes(changes: &[Change], text: &mut String) {
    if changes.is_empty() {
        text.push_str("  no change\n");
    }
    let width = changes.iter().map(|change| change.path.chars().count()).max().unwrap_or_default();
    for Change { path, before, after } in changes {
        let _ = match (before, after) {
            (None, after) => writeln!(text, "  + {path:<width$}  {}", shown(after.as_ref())),
            (before, None) => writeln!(text, "  - {path:<width$}  {}", shown(before.as_ref())),
            (before, after) => {
                let (before, after) = (shown(before.as_ref()), shown(after.as_ref()));
                writeln!(text, "  ~ {path:<width$}  {before} → {after}")
            }
        };
    }
}
