//! What becomes of the keys of a config, as `check` prints it. Keys that draw a warning or an error
//! are not listed again, unless all are asked for.

use crate::cli::Source;
use callgate_config::{Environment, Problem, ReportedKey, Standing, UnknownKeys, quoted};
use callgate_telemetry::{counted::counted, one_line};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The standings, as they are counted.
const ORDER: [&str; 5] = ["honoured", "approximated", "no effect here", "not supported", "unknown"];

/// More lines of one key than are listed.
const MOST_LINES: usize = 5;

/// The keys of a config, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct KeyReport {
    keys: Vec<ReportedKey>,
}

impl KeyReport {
    /// Reads the config for its keys alone; none if it cannot be read.
    pub(super) fn of(source: &Source) -> Self {
        let path = &source.files.config.path;
        let read = Environment::load(path, source.files.env_file.as_deref())
            .ok()
            .and_then(|it| callgate_config::load(path, &it, UnknownKeys::Warn).ok());
        read.map(|config| config.keys).unwrap_or_default().into()
    }

    /// A model is not honoured if a problem says that its calls fail.
    pub(super) fn mark_unserved(&mut self, problems: &[Problem]) {
        for key in self.keys.iter_mut().filter(|it| it.standing == Standing::Honoured) {
            let path = &key.place.path;
            let is_model = path.ends_with(".litellm_params.model");
            if is_model && problems.iter().any(|it| it.place.path == *path) {
                let why = "calls of this entry fail";
                key.standing = Standing::Unsupported(why);
                why.clone_into(&mut key.text);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn all_honoured(&self) -> bool {
        self.keys.iter().all(|it| it.standing == Standing::Honoured)
    }

    /// Lines for people: the keys with a difference that no problem reports, or all; then how many
    /// there are of each kind.
    pub(super) fn lines(&self, all: bool) -> String {
        let mut lines = String::new();
        for group in self.groups(all) {
            let key = group[0];
            let numbers: Vec<_> =
                group.iter().take(MOST_LINES).map(|it| it.place.line.to_string()).collect();
            let more = if group.len() > MOST_LINES { ", …" } else { "" };
            let file = one_line(&key.place.file.to_string_lossy()).into_owned();
            let (at, path) = (numbers.join(", "), without_indices(&key.place.path));
            let _ = write!(lines, "{:<14}  {file}:{at}{more}: {}", key.standing, quoted(&path));
            let colon = if key.text.is_empty() { "" } else { ": " };
            let _ = writeln!(lines, "{colon}{}", one_line(&key.text));
        }
        lines + &self.summary(all)
    }

    /// How many keys there are of each kind, as a line.
    fn summary(&self, all: bool) -> String {
        let total = counted(self.keys.len(), "key");
        if self.keys.is_empty() {
            return String::new();
        }
        if self.all_honoured() {
            return format!("{total}: all honoured\n");
        }
        let counts: Vec<_> = self.counts().map(|(name, count)| format!("{count} {name}")).collect();
        let hint = if all { "" } else { "; `--keys` lists all" };
        format!("{total}: {}{hint}\n", counts.join(", "))
    }

    /// Keys that differ only in their entries' places are one group.
    fn groups(&self, all: bool) -> Vec<Vec<&ReportedKey>> {
        let mut groups: Vec<Vec<&ReportedKey>> = Vec::new();
        for key in self.keys.iter().filter(|key| all || is_only_here(key.standing)) {
            let same = |group: &&mut Vec<&ReportedKey>| {
                let first = group[0];
                first.text == key.text
                    && first.standing == key.standing
                    && without_indices(&first.place.path) == without_indices(&key.place.path)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(key),
                None => groups.push(vec![key]),
            }
        }
        groups
    }

    /// The standings that occur, and how often.
    fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let count =
            |name: &str| self.keys.iter().filter(|it| it.standing.to_string() == name).count();
        ORDER.into_iter().map(move |name| (name, count(name))).filter(|(_, count)| *count > 0)
    }

    pub(super) fn json(&self) -> Value {
        let key = |it: &ReportedKey| {
            let place = &it.place;
            json!({"key": place.path, "standing": it.standing.to_string(), "text": it.text,
                "file": place.file.to_string_lossy(), "line": place.line, "column": place.column})
        };
        self.keys.iter().map(key).collect()
    }

    pub(super) fn json_counts(&self) -> Value {
        self.counts()
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

impl From<Vec<ReportedKey>> for KeyReport {
    fn from(keys: Vec<ReportedKey>) -> Self {
        Self { keys }
    }
}

/// Whether a key's difference is told by nothing but this list.
fn is_only_here(standing: Standing) -> bool {
    matches!(standing, Standing::Approximated(_) | Standing::Harmless(_))
}

/// `model_list[].litellm_params.rpm` of `model_list[3].litellm_params.rpm`.
fn without_indices(path: &str) -> String {
    let mut bare = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = inside && c != ']';
        if !inside {
            bare.push(c);
        }
        inside = inside || c == '[';
    }
    bare
}
