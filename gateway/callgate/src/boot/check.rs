//! `callgate check`: reports what a start with the same options would report, without starting.

use super::{
    assembly::{Built, Purpose, assemble, refuse_warnings},
    key_report::KeyReport,
    run_file::RunningGateway,
};
use crate::cli::{Check, Serve, Source};
use callgate_config::{Problem, SourceLocation};
use callgate_plugin_host::{ListedPlugin, StartMode, StartupTable, cache_folder};
use callgate_telemetry::counted::counted;
use serde_json::json;
use std::fmt;
use tracing::Level;

/// The report of `check`: everything that a start would report, and faults that only a call would
/// show.
#[derive(Debug, Default)]
pub struct CheckReport {
    problems: Vec<Problem>,
    /// The table of the chain, if it could be built.
    table: String,
    /// With `--against-running`: what a reload would change.
    changes: String,
    keys: KeyReport,
    /// The lines about keys.
    key_lines: String,
    /// The last line.
    verdict: String,
}

impl CheckReport {
    /// Whether nothing prevents the start.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }

    /// The same as a JSON object: whether a start would succeed, the last line, each problem with
    /// its place, and what becomes of each key.
    #[must_use]
    pub fn json(&self) -> String {
        let problem = |it: &Problem| {
            let SourceLocation { file, line, column, path } = &it.place;
            json!({"severity": it.severity.to_string(), "file": file.to_string_lossy(),
                "line": line, "column": column, "key": path, "text": it.text,
                "remedy": it.remedy})
        };
        let problems: Vec<_> = self.problems.iter().map(problem).collect();
        json!({"ok": self.passed(), "summary": self.verdict, "problems": problems,
            "key_counts": self.keys.json_counts(), "keys": self.keys.json()})
        .to_string()
    }

    /// The same as log lines.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        let last = if self.passed() { Level::INFO } else { Level::ERROR };
        let more = self.table.lines().chain(self.changes.lines()).chain(self.key_lines.lines());
        let more = more.map(|line| (Level::INFO, line.to_owned()));
        let lines = self.problems.iter().map(as_line).chain(more);
        lines.chain([(last, self.verdict.clone())]).collect()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}: {problem}", problem.severity)?;
        }
        if !self.table.is_empty() {
            writeln!(f, "{}", self.table)?;
        }
        f.write_str(&self.changes)?;
        f.write_str(&self.key_lines)?;
        f.write_str(&self.verdict)
    }
}

/// Builds the report.
#[must_use]
pub fn check(options: &Check) -> CheckReport {
    let mut report = without_key_lines(options);
    if !report.passed() && report.keys.is_empty() {
        report.keys = KeyReport::of(&options.serve.source);
    }
    report.keys.mark_unserved(&report.problems);
    // Beside an error, only a difference is worth a line.
    if report.passed() || options.keys || !report.keys.all_honoured() {
        report.key_lines = report.keys.lines(options.keys);
    }
    report
}

fn without_key_lines(options: &Check) -> CheckReport {
    let Serve { source, address, safe_mode, retry, .. } = &options.serve;
    let mode = StartMode::Check { retry: *retry };
    let purpose = Purpose { address: Some(address), safe_mode: *safe_mode, mode };
    let mut built = match assemble(source, purpose, None) {
        Ok(built) => built,
        Err(problems) => return refusal(problems.0),
    };
    let mut problems = std::mem::take(&mut built.warnings);
    problems.append(&mut built.said);
    let made = built.plugins.iter().filter_map(ListedPlugin::as_made);
    let found = callgate_callbacks::mismatches(made, &built.deployments);
    let strict = source.strict || built.config.gateway.strict;
    // If all were missing, the start would have failed already.
    problems.extend(refuse_warnings(
        strict && !found.is_empty(),
        &source.files.config.path,
        &found,
        0,
    ));
    problems.extend(found);
    problems.iter_mut().for_each(|it| it.mask(&built.config.hidden));
    let running = if options.against_running { find_running(source, &built) } else { Ok(vec![]) };
    let changes = match running {
        Ok(gateways) => gateways.iter().map(|it| against(it, &built)).collect(),
        Err(problem) => {
            problems.push(problem);
            String::new()
        }
    };
    if problems.iter().any(Problem::is_error) {
        return refusal(problems);
    }
    callgate_config::problem::sort(&mut problems);
    built.warnings.clone_from(&problems);
    let table = StartupTable::of(&built.plugins).to_string();
    let verdict = verdict(&built);
    let keys = KeyReport::from(built.config.keys);
    CheckReport { problems, table, changes, keys, verdict, ..CheckReport::default() }
}

/// The gateways that serve the config now.
fn find_running(source: &Source, built: &Built) -> Result<Vec<RunningGateway>, Problem> {
    let folder = cache_folder(built.config.gateway.cache_dir.as_deref()).unwrap_or_default();
    let found = RunningGateway::find(&folder, &source.files.config.path);
    if !found.is_empty() {
        return Ok(found);
    }
    let text = "expected a gateway that serves this config, because of `--against-running`; found \
                none";
    let problem = Problem::error(SourceLocation::whole_file(&source.files.config.path), text);
    Err(problem.remedy("start it by the same user, with the same `--config`"))
}

/// What a reload of this gateway would change, a line each.
fn against(gateway: &RunningGateway, built: &Built) -> String {
    let changes = gateway.served.changes(built);
    let RunningGateway { pid, url, last, .. } = gateway;
    let what = match changes.len() {
        0 => "nothing".to_owned(),
        count => counted(count, "thing"),
    };
    let first = format!(
        "a reload of process {pid} at {url}, which serves config {}, would change {what}\n",
        last.generation
    );
    let lines = changes.into_iter().map(|change| format!("  {change}\n"));
    [first].into_iter().chain(lines).collect()
}

/// The problems, with their number in the last line.
fn refusal(mut problems: Vec<Problem>) -> CheckReport {
    callgate_config::problem::sort(&mut problems);
    let (errors, warnings) = counts(&problems);
    let verdict = format!("{errors}, {warnings}");
    CheckReport { problems, verdict, ..CheckReport::default() }
}

/// The number of errors and the number of warnings, as text.
pub(super) fn counts(problems: &[Problem]) -> (String, String) {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    (counted(errors, "error"), counted(problems.len() - errors, "warning"))
}

pub(super) fn as_line(problem: &Problem) -> (Level, String) {
    let level = if problem.is_error() { Level::ERROR } else { Level::WARN };
    (level, problem.to_string())
}

/// The line that says that a start would succeed.
pub(super) fn verdict(built: &Built) -> String {
    let deployments = &built.deployments;
    let patterns = deployments.all().iter().filter(|it| it.model_name.contains('*')).count();
    let mut parts = vec![counted(deployments.models().len(), "model")];
    if patterns > 0 {
        parts.push(counted(patterns, "wildcard"));
    }
    parts.push(counted(built.plugins.len(), "callback"));
    let warnings = match built.warnings.len() + built.said.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning")),
    };
    let proxies = match &*deployments.proxies() {
        [] => String::new(),
        [only] => format!("; upstreams through the proxy {only}"),
        several => format!("; upstreams through the proxies {}", several.join(", ")),
    };
    format!("config OK ({}{proxies}){warnings}", parts.join(", "))
}
