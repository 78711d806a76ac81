//! The report of a check: for people, for programs (`Serialize`), and as JUnit XML.

use callgate_plugin_host::PluginInfo;
use callgate_telemetry::counted::counted;
use serde::Serialize;
use std::{
    fmt::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepOutcome {
    Passed,
    Failed,
    /// An earlier step failed, so it could not run.
    NotRun,
}

/// One step of the check.
#[derive(Debug, Serialize)]
pub(super) struct CheckStep {
    /// `None` for the file as a whole.
    pub(super) callback: Option<String>,
    pub(super) name: String,
    pub(super) outcome: StepOutcome,
    pub(super) milliseconds: f64,
    /// Why it failed.
    pub(super) failure: Option<String>,
}

impl CheckStep {
    pub(super) fn new(callback: Option<&str>, name: &str, outcome: StepOutcome) -> Self {
        Self {
            callback: callback.map(str::to_owned),
            name: name.to_owned(),
            outcome,
            milliseconds: 0.0,
            failure: None,
        }
    }

    pub(super) fn done(
        callback: Option<&str>,
        name: &str,
        failure: Option<String>,
        took: Duration,
    ) -> Self {
        let outcome = if failure.is_some() { StepOutcome::Failed } else { StepOutcome::Passed };
        let milliseconds = (took.as_secs_f64() * 1e4).round() / 10.0;
        Self { milliseconds, failure, ..Self::new(callback, name, outcome) }
    }
}

/// All steps for one file.
#[derive(Debug, Serialize)]
pub(super) struct PluginCheckReport {
    pub(super) file: PathBuf,
    pub(super) sha256: String,
    pub(super) passed: bool,
    pub(super) steps: Vec<CheckStep>,
}

impl PluginCheckReport {
    pub(super) fn new(info: PluginInfo, steps: Vec<CheckStep>) -> Self {
        // A file without callbacks must not pass.
        let passed = steps.iter().all(|step| step.outcome == StepOutcome::Passed)
            && steps.iter().any(|step| step.callback.is_some());
        Self { file: info.file, sha256: info.sha256, passed, steps }
    }

    /// One suite for the file, one test case for each step.
    pub(super) fn junit(&self) -> String {
        let count = |outcome| self.steps.iter().filter(|step| step.outcome == outcome).count();
        let seconds: f64 = self.steps.iter().map(|step| step.milliseconds / 1e3).sum();
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            xml,
            "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{seconds:.4}\">",
            escaped(&self.file.display().to_string()),
            self.steps.len(),
            count(StepOutcome::Failed),
            count(StepOutcome::NotRun),
        );
        for step in &self.steps {
            let (class, name) = (step.callback.as_deref().unwrap_or("file"), &step.name);
            let _ = write!(
                xml,
                "  <testcase classname=\"{}\" name=\"{}\" time=\"{:.4}\"",
                escaped(class),
                escaped(name),
                step.milliseconds / 1e3
            );
            let _ = match (step.outcome, &step.failure) {
                (StepOutcome::Passed, _) => writeln!(xml, "/>"),
                (StepOutcome::NotRun, _) => writeln!(xml, "><skipped/></testcase>"),
                (StepOutcome::Failed, failure) => {
                    let failure = escaped(failure.as_deref().unwrap_or_default());
                    writeln!(xml, "><failure message=\"{failure}\"/></testcase>")
                }
            };
        }
        xml.push_str("</testsuite>\n");
        xml
    }
}

/// Escapes text for an attribute. Characters that XML does not allow become question marks.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            '\r' => safe.push_str("&#13;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('?'),
            other => safe.push(other),
        }
    }
    safe
}

impl fmt::Display for PluginCheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.file.display())?;
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or_default();
        let mut under = None;
        for step in &self.steps {
            if step.callback != under {
                under.clone_from(&step.callback);
                writeln!(f, "\n{}", under.as_deref().unwrap_or_default())?;
            }
            let word = match step.outcome {
                StepOutcome::Passed => "ok",
                StepOutcome::Failed => "FAILED",
                StepOutcome::NotRun => "not run",
            };
            write!(f, "  {word:<7}  {:<width$}", step.name)?;
            if step.outcome == StepOutcome::NotRun {
                writeln!(f)?;
            } else {
                writeln!(f, "  {:>8.1} ms", step.milliseconds)?;
            }
            for line in step.failure.iter().flat_map(|failure| failure.lines()) {
                writeln!(f, "           {line}")?;
            }
        }
        let failed = self.steps.iter().filter(|step| step.outcome == StepOutcome::Failed).count();
        match (self.passed, failed) {
            (true, _) => writeln!(f, "\npassed: {}", counted(self.steps.len(), "step")),
            (false, count) => writeln!(f, "\nfailed: {}", counted(count, "step")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passed_in_every_step_passes() {
        let step = |callback, outcome| CheckStep::new(callback, "s", outcome);
        for (steps, passed) in [
            (vec![step(None, StepOutcome::Passed), step(Some("a"), StepOutcome::Passed)], true),
            (vec![step(None, StepOutcome::Passed)], false),
            (vec![], false),
            (
                vec![step(Some("a"), StepOutcome::Passed), step(Some("a"), StepOutcome::NotRun)],
                false,
            ),
            (vec![step(Some("a"), StepOutcome::Failed)], false),
        ] {
            assert_eq!(PluginCheckReport::new(PluginInfo::default(), steps).passed, passed);
        }
    }

    #[test]
    fn junit_is_xml_whatever_a_plugin_prints() {
        let failure = Some("<\"&\u{0}\n>".to_owned());
        let steps = vec![CheckStep::done(Some("a<b"), "s", failure, Duration::from_millis(1))];
        let xml = PluginCheckReport::new(PluginInfo::default(), steps).junit();
        assert!(xml.contains("failures=\"1\"") && xml.contains("classname=\"a&lt;b\""), "{xml}");
        assert!(xml.contains("message=\"&lt;&quot;&amp;?&#10;&gt;\""), "{xml}");
    }
}
