//! `plugin test --replay`: recorded calls through this build of a callback, and what it does
//! differently.

use super::{as_text::write_changes, http_rules::host, refused::Refused, stage::Stage};
use crate::{
    cli::Test,
    commands::plugin::finished::{Finished, as_json},
};
use callgate_callbacks::{Difference, RecordedCall, Replay, ReplayServices, Replayed};
use callgate_config::{CallScope, CallbackEntry, Environment, UnknownKeys, parse};
use callgate_deployments::Deployments;
use callgate_telemetry::counted::counted_as;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::runtime::Runtime;

#[derive(Default, Serialize)]
struct Report {
    calls: usize,
    same: usize,
    different: usize,
    /// The calls that differ.
    differences: Vec<Call>,
    /// Records of other callbacks.
    others: usize,
    unusable: Vec<Unusable>,
}

#[derive(Serialize)]
struct Call {
    file: String,
    call: String,
    hooks: Vec<Difference>,
}

#[derive(Serialize)]
struct Unusable {
    file: String,
    reason: String,
}

/// A recorded call and its file's name.
type Named = (String, RecordedCall);

pub(super) fn run(options: &Test, dir: &Path) -> Result<Finished, Refused> {
    let mut report = Report::default();
    let records = read_all(dir, &mut report)?;
    let urls = records.iter().flat_map(|(_, record)| record.urls());
    let stage = Stage::of(options, urls.filter_map(host).collect())?;
    let by_config = options.config.is_some();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| Refused::Unfit(format!("error: no runtime: {error}")))?;
    let total = records.len();
    for entry in &stage.entries {
        let own = |(_, record): &&Named| match by_config {
            true => record.entry() == entry.called(),
            false => record.callback() == entry.name,
        };
        let own: Vec<&Named> = records.iter().filter(own).collect();
        replay(&stage, entry, by_config, &own, &runtime, &mut report)?;
    }
    runtime.shutdown_background();
    report.others = total.saturating_sub(report.calls + report.unusable_calls(&records));
    if report.calls == 0 {
        let text = format!(
            "`--replay`: expected records of the callback in `{}`, found none{}",
            dir.display(),
            remarks(&report)
        );
        return Err(Refused::Misuse(text));
    }
    let text = if options.json { as_json(&report) } else { as_text(&report) };
    Ok(Finished::judged(text, report.different == 0))
}

impl Report {
    /// Files that were records, but could not be replayed.
    fn unusable_calls(&self, records: &[Named]) -> usize {
        let is_record = |it: &&Unusable| records.iter().any(|(file, _)| *file == it.file);
        self.unusable.iter().filter(is_record).count()
    }
}

/// The records of a folder, in the order of their names, which begin with the time.
fn read_all(dir: &Path, report: &mut Report) -> Result<Vec<Named>, Refused> {
    let unreadable = |error: std::io::Error| {
        Refused::Misuse(format!("`--replay`: `{}` cannot be read: {error}", dir.display()))
    };
    let files = fs::read_dir(dir).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "json"));
    files.sort();
    let mut records = Vec::new();
    for path in files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = callgate_config::read_text(&path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            RecordedCall::read(text.as_bytes()).map_err(|error| error.to_string())
        });
        match read {
            Ok(record) => records.push((file, record)),
            Err(reason) => report.unusable.push(Unusable { file, reason }),
        }
    }
    Ok(records)
}

/// Runs the records through one instance, in their order.
fn replay(
    stage: &Stage,
    entry: &CallbackEntry,
    by_config: bool,
    records: &[&Named],
    runtime: &Runtime,
    report: &mut Report,
) -> Result<(), Refused> {
    if records.is_empty() {
        return Ok(());
    }
    // Every recorded call was for the callback, and real time must not decide anything.
    let mut entry = CallbackEntry { breaker: None, only: CallScope::default(), ..entry.clone() };
    (entry.except, entry.skippable_by, entry.canary) = (None, Vec::new(), None);
    let deployments = if by_config {
        Arc::clone(&stage.deployments)
    } else {
        Arc::new(recorded_deployments(records).unwrap_or_default())
    };
    let replay_services = ReplayServices::default();
    let services = Arc::new(replay_services.services());
    let begin = || -> Result<Replay, Refused> {
        let plugin = stage.plugin(&entry, &services)?;
        let replay = Replay::new(plugin, &deployments, &replay_services);
        replay.ok_or_else(|| Refused::Unfit("error: no instance was made".to_owned()))
    };
    let mut instance = begin()?;
    for (file, record) in records.iter().copied() {
        match runtime.block_on(instance.run(record)) {
            Ok(Replayed { differences, panicked }) => {
                report.calls += 1;
                if differences.is_empty() {
                    report.same += 1;
                } else {
                    report.different += 1;
                    let (file, call) = (file.clone(), record.id().to_owned());
                    report.differences.push(Call { file, call, hooks: differences });
                }
                if panicked {
                    instance = begin()?;
                }
            }
            Err(error) => {
                let (file, reason) = (file.clone(), error.to_string());
                report.unusable.push(Unusable { file, reason });
            }
        }
    }
    Ok(())
}

/// Deployments that resolve the recorded model names to their recorded targets.
fn recorded_deployments(records: &[&Named]) -> Option<Deployments> {
    let mut by_name = BTreeMap::new();
    for (name, target) in records.iter().flat_map(|(_, record)| record.targets()) {
        by_name.entry(name).or_insert(target);
    }
    let item = |(name, target): (&str, &Value)| {
        let text = |member: &str| target[member].as_str().unwrap_or_default().to_owned();
        let model = format!("{}/{}", text("provider"), text("upstream_model"));
        let mut params = json!({"model": model, "api_key": "none"});
        if !text("api_base").is_empty() {
            params["api_base"] = text("api_base").into();
        }
        json!({"model_name": name, "litellm_params": params, "model_info": target["model_info"]})
    };
    let list: Vec<Value> = by_name.into_iter().map(item).collect();
    let file = Arc::from(Path::new("recorded"));
    let text = json!({"model_list": list}).to_string();
    let config = parse(&file, &text, &Environment::default(), UnknownKeys::Warn).ok()?;
    Deployments::from_config(&config).ok().map(|(deployments, _)| deployments)
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for Call { file, call, hooks } in &report.differences {
        let _ = writeln!(text, "call {call} ({file})");
        for Difference { hook, number, changes } in hooks {
            let _ = writeln!(text, "  {hook} (hook {number})");
            let mut lines = String::new();
            write_changes(changes, &mut lines);
            lines.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    let calls = counted_as(report.calls as u64, "call", "calls");
    let _ = writeln!(
        text,
        "{calls}: {} the same, {} different{}",
        report.same,
        report.different,
        remarks(report)
    );
    text
}

fn remarks(report: &Report) -> String {
    let mut text = String::new();
    if report.others > 0 {
        let others = counted_as(report.others as u64, "record is", "records are");
        let _ = write!(text, "\n{others} of another callback");
    }
    for Unusable { file, reason } in &report.unusable {
        let _ = write!(text, "\n{file} is not usable: {reason}");
    }
    text
}
