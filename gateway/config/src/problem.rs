//! A problem of a config: file, line, column, key path, text and remedy. `config`, `deployments`
//! and the plugin loader report with these types; the command line prints them and chooses the exit
//! code.

use super::quote::quoted;
use callgate_secret::Masking;
use callgate_telemetry::one_line;
use std::{fmt, path::Path, sync::Arc};

/// A position in a config file, and its key path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// The file as it was named on the command line.
    pub file: Arc<Path>,
    /// Line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 when `line` is 0.
    pub column: usize,
    /// Key path such as `model_list[2].litellm_params.api_key`; empty at the top.
    pub path: String,
}

impl SourceLocation {
    /// The file as a whole.
    #[must_use]
    pub fn whole_file(file: &Path) -> Self {
        Self { file: Arc::from(file), line: 0, column: 0, path: String::new() }
    }
}

/// `config.yaml:12:7: model_list[2].litellm_params.model`
impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(&self.file.to_string_lossy()))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", quoted(&self.path))?;
        }
        Ok(())
    }
}

/// Whether a problem prevents the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The gateway starts and logs it once.
    Warning,
    /// The gateway does not start.
    Error,
}

/// As printed before a problem's text.
impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One problem of the config. Its text never holds a secret: found values are quoted only by
/// `quote`, and never for keys that carry secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it prevents the start.
    pub severity: Severity,
    /// Its location.
    pub place: SourceLocation,
    /// The text: `expected …, found …`.
    pub text: String,
    /// What to do about it, if that is not obvious.
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem that prevents the start.
    pub fn error(place: SourceLocation, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place, text: text.into(), remedy: None }
    }

    /// A problem that is only logged at startup.
    pub fn warning(place: SourceLocation, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place, text: text.into(), remedy: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Whether it prevents the start.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Problem {
    /// Masks secrets in its text and remedy.
    pub fn mask(&mut self, masking: &Masking) {
        masking.mask_in_place(&mut self.text);
        if let Some(remedy) = &mut self.remedy {
            masking.mask_in_place(remedy);
        }
    }
}

/// One line, even if a quoted value has several.
/// `config.yaml:12:7: model_list[2].litellm_params.model: expected …, found …; remedy`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, one_line(&self.text))?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {}", one_line(remedy)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// All problems of one attempt, errors and warnings, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The problems that prevent the start.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.is_error())
    }

    /// The problems that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| !problem.is_error())
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// Sorts by position and separates the outcomes: `Ok` with only warnings, or `Err` with all
/// problems.
pub fn settle(mut problems: Vec<Problem>) -> Result<Vec<Problem>, Problems> {
    sort(&mut problems);
    if problems.iter().any(Problem::is_error) { Err(Problems(problems)) } else { Ok(problems) }
}

/// Sorts problems by their position in the file.
pub fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| (problem.place.line, problem.place.column));
}
