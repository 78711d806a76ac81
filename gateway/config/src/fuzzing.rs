//! Files that operators write, for fuzz targets.

use super::{Environment, UnknownKeys, environment, parse};
use std::{path::Path, sync::Arc};

/// The problems of a file: line, column and text, as reported.
pub type ReportedProblems = Vec<(usize, usize, String)>;

/// Reads the text of a config. Returns all problems, and whether they prevent the start.
#[must_use]
pub fn config(text: &str, strict: bool) -> (bool, ReportedProblems) {
    let file: Arc<Path> = Arc::from(Path::new("config.yaml"));
    let environment = Environment::from_pairs([("OPENAI_API_KEY", "sk-1"), ("EMPTY", "")]);
    let unknown = if strict { UnknownKeys::Refuse } else { UnknownKeys::Warn };
    let (refused, problems) = match parse(&file, text, &environment, unknown) {
        Ok(config) => (false, config.problems),
        Err(problems) => (true, problems.0),
    };
    let told = problems.into_iter();
    (refused, told.map(|it| (it.place.line, it.place.column, it.to_string())).collect())
}

/// The variables of an environment file, by name.
///
/// # Errors
/// The location and text of the first problem.
pub fn dotenv(text: &str) -> Result<Vec<(String, String)>, (usize, usize, String)> {
    let read = environment::parse(Path::new(".env"), text, &Environment::default());
    let read = read.map_err(|it| (it.place.line, it.place.column, it.to_string()))?;
    let mut variables: Vec<_> = read.into_iter().collect();
    variables.sort();
    Ok(variables)
}
