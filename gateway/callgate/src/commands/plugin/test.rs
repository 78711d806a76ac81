//! `plugin test`: runs a callback, or a config's whole chain, on requests, and shows what each
//! changed and how the calls ended.
//!
//! The chain runs once for each of its callbacks, from the first up to that one, each time with
//! instances and counters of its own. A callback's changes are the difference from the run before.

mod as_text;
mod chunked;
mod difference;
mod http_rules;
mod input;
mod log_capture;
mod refused;
mod replay;
mod stage;
mod tested;

use super::finished::{Finished, as_json};
use crate::cli::Test;
use as_text::as_text;
use callgate_callbacks::{AssumedReply, Change, DryRunOutcome, changes};
use difference::unmet;
use http_rules::HttpRules;
use input::{Input, Request};
use refused::Refused;
use serde_json::Value;
use stage::{Part, Stage};
use std::{fmt::Write as _, time::Duration};
use tested::{Changed, Tested};
use tokio::runtime::Runtime;

pub(super) fn run(options: &Test) -> Finished {
    let finished = match &options.replay {
        Some(dir) => replay::run(options, dir),
        None => try_run(options),
    };
    match finished {
        Ok(finished) => finished,
        Err(Refused::Misuse(text)) => Finished::misused(&text),
        Err(Refused::Unfit(text)) => {
            Finished { complaint: text + "\n", code: 1, ..Finished::default() }
        }
    }
}

fn try_run(options: &Test) -> Result<Finished, Refused> {
    let input = input::read(options).map_err(Refused::Misuse)?;
    let expected = options.expect.as_deref();
    let expected = expected.map(|path| input::expected(path, input.requests.len())).transpose();
    let expected = expected.map_err(Refused::Misuse)?;
    // Without a config nothing grants anything.
    let granted = input.http.iter().flat_map(|http| http_rules::hosts(&http.rules)).collect();
    let stage = Stage::of(options, granted)?;
    // Async callbacks need its timers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Refused::Unfit(format!("error: no runtime: {error}")))?;
    let advance = Duration::from_secs_f64(options.advance);
    let mut tested = run_all(&stage, &input, advance, &runtime)?;
    runtime.shutdown_background();
    for (tested, expected) in tested.iter_mut().zip(expected.iter().flatten()) {
        let found = serde_json::to_value(&*tested).unwrap_or_default();
        tested.unmet = Some(unmet(expected, &found));
    }
    let good = tested.iter().all(Tested::is_good);
    let text = match &tested[..] {
        [single] if options.json => as_json(single),
        all if options.json => as_json(&all),
        [single] => as_text(single),
        all => all_as_text(all, &input),
    };
    Ok(Finished::judged(text, good))
}

/// Runs all requests, one after the other.
fn run_all(
    stage: &Stage,
    input: &Input,
    advance: Duration,
    runtime: &Runtime,
) -> Result<Vec<Tested>, Refused> {
    let parts = (0..=stage.entries.len()).map(|count| stage.part(count, input));
    let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
    let mut all = Vec::new();
    for (index, request) in input.requests.iter().enumerate() {
        if index > 0 {
            stage.advance(advance);
        }
        all.push(run_one(stage, &mut parts, input, request, runtime)?);
    }
    let rules = parts.last().and_then(|whole| whole.rules.as_deref());
    if let (Some(rules), Some(last)) = (rules, all.last_mut()) {
        last.http_unused = rules.unused();
    }
    Ok(all)
}

/// Runs one request through each part of the chain; the last part is the whole.
fn run_one(
    stage: &Stage,
    parts: &mut [Part],
    input: &Input,
    request: &Request,
    runtime: &Runtime,
) -> Result<Tested, Refused> {
    for part in &mut *parts {
        let asked = part.dry_run.ask(input.headers.clone(), request.body.clone());
        asked.map_err(|error| Refused::Misuse(format!("`--request`: {error}")))?;
    }
    let run = |part: &Part| runtime.block_on(part.dry_run.run(request.answered.clone()));
    let Some((whole, parts)) = parts.split_last() else {
        return Err(Refused::Unfit("error: the chain has no parts".to_owned()));
    };
    // Lines of the shorter parts are the same once more.
    let (shorter, _) = log_capture::captured(|| parts.iter().map(run).collect::<Vec<_>>());
    let (outcome, log) = log_capture::captured(|| run(whole));
    let outcomes: Vec<&DryRunOutcome> = shorter.iter().chain([&outcome]).collect();
    let mut callbacks = Vec::new();
    for (entry, pair) in stage.entries.iter().zip(outcomes.windows(2)) {
        let [before, after] = pair else { break };
        let callback = entry.called().to_owned();
        callbacks.push(Changed { callback, changes: changes(&before.call, &after.call) });
        if !after.passed {
            break;
        }
    }
    let answer_changes = answer_changes(&request.answered, &outcome);
    let http = whole.rules.as_deref().map(HttpRules::take_requested);
    let http_unused = Vec::new();
    Ok(Tested { callbacks, outcome, answer_changes, log, http, http_unused, unmet: None })
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

fn all_as_text(all: &[Tested], input: &Input) -> String {
    let mut text = String::new();
    for (number, (tested, request)) in all.iter().zip(&input.requests).enumerate() {
        let _ = writeln!(text, "request {}: {}", number + 1, request.file);
        for line in as_text(tested).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}
