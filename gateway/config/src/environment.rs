//! The variables that a config is expanded with: the process's own, then `.env`, then the config's
//! `environment_variables`; the first that has a name wins. Read once and passed on, so that the
//! process environment is never written and tests can supply their own. `boot` builds it.

use super::problem::{Problem, SourceLocation};
use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fmt,
    io::{Cursor, ErrorKind::NotFound},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Read-only variables. `Debug` shows their number, never names or values.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Arc<HashMap<String, String>>,
}

impl Environment {
    /// The process's variables and, with lower priority, those of `env_file`; without `env_file`,
    /// those of `.env` in the folder of `config`, if it exists.
    ///
    /// # Errors
    /// If the file named by `env_file` is missing, or either file cannot be read or parsed.
    pub fn load(config: &Path, env_file: Option<&Path>) -> Result<Self, Problem> {
        Self::from_process(std::env::vars_os()).with_file(config, env_file)
    }

    /// Exactly these variables; if a name occurs twice, the first one counts.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        Self::default().below(pairs.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// As [`Environment::load`], with these variables in place of the process's.
    ///
    /// # Errors
    /// As [`Environment::load`].
    pub fn with_file(self, config: &Path, env_file: Option<&Path>) -> Result<Self, Problem> {
        let path: PathBuf = match env_file {
            Some(path) => path.to_owned(),
            None => config.with_file_name(".env"),
        };
        match super::read_text(&path) {
            Ok(text) => {
                let variables = parse(&path, &text, &self)?;
                Ok(self.below(variables))
            }
            Err(error) if error.system() == Some(NotFound) && env_file.is_none() => Ok(self),
            Err(error) => Err(error.problem(&path, "the environment file")),
        }
    }

    /// The location to report for a faulty variable.
    pub fn place_of(variable: &str) -> SourceLocation {
        SourceLocation {
            path: variable.to_owned(),
            ..SourceLocation::whole_file(Path::new("environment"))
        }
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().map(String::as_str)
    }

    /// The names whose values differ between these variables and `other`, in order.
    #[must_use]
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names: BTreeSet<&str> = self.names().chain(other.names()).collect();
        names.into_iter().filter(|name| self.var(name) != other.var(name)).collect()
    }

    /// The value of a variable; a blank one counts as set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The value of a variable that is set and not blank.
    #[must_use]
    pub fn filled_var(&self, name: &str) -> Option<&str> {
        self.var(name).filter(|value| !value.trim().is_empty())
    }

    /// Adds variables that do not override existing ones.
    pub fn below(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = Arc::make_mut(&mut self.variables);
        for (name, value) in pairs {
            variables.entry(name).or_insert(value);
        }
        self
    }

    /// Skips variables that are not UTF-8, which a config cannot use.
    fn from_process(variables: impl Iterator<Item = (OsString, OsString)>) -> Self {
        Self::from_pairs(variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}

/// Parses an environment file. As in a shell, the last assignment of a name counts. `${NAME}`
/// stands for a variable of `outer`, or one that was assigned before.
pub(super) fn parse(
    path: &Path,
    text: &str,
    outer: &Environment,
) -> Result<HashMap<String, String>, Problem> {
    let text = literal_dollars(text.trim_start_matches('\u{feff}'));
    let mut variables: HashMap<String, String> = HashMap::new();
    let mut room = EXPANDED + EXPANSION * text.len();
    for entry in dotenvy::from_read_iter(Cursor::new(&text)) {
        let (name, value) = entry.map_err(|error| unparsable(path, &text, &error))?;
        let known = |name: &str| outer.var(name).or_else(|| variables.get(name).map(|it| &**it));
        let Some(value) = expanded(&value, known, &mut room) else {
            let text =
                format!("the values up to `{name}` expand to more than {EXPANSION} times the file");
            return Err(Problem::error(SourceLocation::whole_file(path), text)
                .remedy("see which variable refers to itself several times"));
        };
        variables.insert(name, value);
    }
    Ok(variables)
}

/// All values of a file together may expand to so many bytes, and so many times its length. A
/// variable that refers to itself twice doubles each time it is assigned.
const EXPANDED: usize = 64 * 1024;
const EXPANSION: usize = 16;

/// Stands before every `${NAME}` that is to be expanded. Unicode keeps this code point for uses
/// like this one.
const MARK: char = '\u{fdd0}';

/// Expands the marked references in a value. `None` if there is no more room.
fn expanded<'v>(
    value: &str,
    known: impl Fn(&str) -> Option<&'v str>,
    room: &mut usize,
) -> Option<String> {
    let mut parts = value.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let reference = part.strip_prefix("${").and_then(|rest| rest.split_once('}'));
        let (inserted, rest) = match reference {
            Some((name, rest)) => (known(name).unwrap_or_default(), rest),
            None => ("", part),
        };
        *room = room.checked_sub(inserted.len() + rest.len())?;
        out.push_str(inserted);
        out.push_str(rest);
    }
    Some(out)
}

/// Escapes every `$`, and marks those of `${NAME}`: `dotenvy` would expand `$rest`, too, and
/// silently cut a key that contains a `$`, and it expands without a bound. Other tools for such
/// configs expand only `${NAME}`.
fn literal_dollars(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (mut single, mut previous) = (line.trim_start().starts_with('#'), ' ');
        let mut rest = line.chars();
        while let Some(c) = rest.next() {
            if c == '\'' && previous != '\\' {
                single = !single;
            }
            if c == '$' && !single && previous != '\\' {
                let after = rest.as_str();
                match after.strip_prefix('{') {
                    // Without an end, it is a fault that `dotenvy` reports.
                    Some(name) if !name.contains('}') => {}
                    Some(_) => escaped.extend([MARK, '\\']),
                    None => escaped.push('\\'),
                }
            }
            if c != MARK {
                escaped.push(c);
            }
            previous = c;
        }
    }
    escaped
}

/// Reports the line's number, but not its text, which may hold a key.
fn unparsable(path: &Path, text: &str, error: &dotenvy::Error) -> Problem {
    let mut place = SourceLocation::whole_file(path);
    if let dotenvy::Error::LineParse(line, _) = error {
        let first = line.lines().next().unwrap_or_default();
        let found = text.lines().position(|candidate| candidate.trim() == first.trim());
        if let Some(index) = found {
            (place.line, place.column) = (index + 1, 1);
        }
    }
    Problem::error(place, "expected `NAME=value`, found something else")
        .remedy("put values that hold spaces, quotes or `#` in single quotes")
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use std::path::Path;

    fn folder(env: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), env).unwrap();
        folder
    }

    #[test]
    fn the_real_environment_beats_the_file() {
        let folder = folder("A=file\n# note\nexport B='two words'\nC=\nC=last\n");
        let env = Environment::from_pairs([("A", "real")])
            .with_file(&folder.path().join("config.yaml"), None)
            .unwrap();
        assert_eq!(env.var("A"), Some("real"));
        assert_eq!(env.var("B"), Some("two words"));
        assert_eq!(env.var("C"), Some("last"));
    }

    #[test]
    fn only_braces_refer_to_a_variable() {
        let folder = folder(
            "# don't mind $this\nA=sk$1b$x\nB=\"p$w\"\nC='q$w'\nD=${A}-z\nE=\\$y\nF=${UNSET_9}\n",
        );
        let env = Environment::default().with_file(&folder.path().join("c"), None).unwrap();
        let values: Vec<_> =
            ["A", "B", "C", "D", "E", "F"].map(|name| env.var(name).unwrap()).into();
        assert_eq!(values, ["sk$1b$x", "p$w", "q$w", "sk$1b$x-z", "$y", ""]);
    }

    #[test]
    fn references_mean_the_real_environment_first_and_then_what_came_before() {
        let folder = folder("A=file\nB=${A}/${C}/${D}\nC=later\nD='${A}'\nE=\"${D}\\${A}\"\n");
        let outer = Environment::from_pairs([("A", "real")]);
        let env = outer.with_file(&folder.path().join("c"), None).unwrap();
        let values: Vec<_> = ["B", "D", "E"].map(|name| env.var(name).unwrap()).into();
        assert_eq!(values, ["real//", "${A}", "${A}${A}"]);
    }

    #[test]
    fn a_variable_that_refers_to_itself_twice_is_refused_before_it_grows() {
        let folder = folder(&"A=x${A}${A}\n".repeat(100));
        let config = folder.path().join("config.yaml");
        let problem = Environment::default().with_file(&config, None).unwrap_err();
        let expected = "the values up to `A` expand to more than 16 times the file; see which";
        assert!(problem.to_string().contains(expected), "{problem}");
        let once = self::folder(&"A=x${A}\n".repeat(100));
        let env = Environment::default().with_file(&once.path().join("c"), None).unwrap();
        assert_eq!(env.var("A").unwrap().len(), 100);
    }

    #[test]
    fn a_named_file_must_exist_and_the_default_one_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yaml");
        assert!(Environment::default().with_file(&config, None).is_ok());
        let missing = folder.path().join("prod.env");
        let problem = Environment::default().with_file(&config, Some(&missing)).unwrap_err();
        assert!(problem.to_string().contains("prod.env: the environment file cannot be read"));
    }

    #[test]
    fn a_bad_line_is_named_by_number_and_never_shown() {
        let folder = folder("A=1\nKEY=sk-secret and more'\n");
        let config = folder.path().join("config.yaml");
        let problem = Environment::default().with_file(&config, None).unwrap_err();
        assert_eq!((problem.place.line, problem.place.column), (2, 1));
        assert!(!problem.to_string().contains("sk-secret"));
        assert!(!format!("{problem:?}").contains("sk-secret"));
    }

    #[test]
    fn a_variable_may_be_blank_yet_not_filled() {
        let env = Environment::from_pairs([("BLANK", " ")]);
        assert_eq!((env.var("BLANK"), env.filled_var("BLANK")), (Some(" "), None));
        assert_eq!(format!("{env:?}"), "Environment(1 variables)");
        assert!(Path::new("config.yaml").with_file_name(".env") == Path::new(".env"));
    }
}
