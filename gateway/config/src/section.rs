//! One mapping of the config while it is read: returns values by name, records the names, and
//! finally reports keys that nobody read, with the nearest known name.

use super::closest::closest;
use super::problem::{Problem, Severity};
use super::protection::Protection;
use super::quote::quoted;
use super::reader::{Field, Reader};
use super::yaml::{Entry, Kind, Mark};
use super::{SourceLocation, UnknownKeys};

/// Protective keys, and sections with such keys; a misspelt one must not be ignored.
const PROTECTING: &[&str] = &[
    "allow_hosts",
    "callback_settings",
    "callbacks",
    "callgate",
    "cors",
    "expires",
    "general_settings",
    "grants",
    "hooks",
    "keys",
    "limits",
    "litellm_settings",
    "master_key",
    "max_body_bytes",
    "max_request_size_mb",
    "models",
    "on_error",
    "only",
    "require_auth_for_metrics_endpoint",
    "require_pins",
    "scopes",
    "settings",
    "sha256",
    "verify_owner",
];

/// A mapping and the names that were read.
pub(super) struct Section<'n> {
    pub(super) field: Field<'n>,
    entries: &'n [Entry],
    asked: Vec<&'static str>,
}

impl Reader<'_> {
    pub(super) fn section<'n>(&mut self, field: &Field<'n>) -> Option<Section<'n>> {
        if let Kind::Mapping(entries) = &field.node.kind {
            return Some(Section::new(field.clone(), entries));
        }
        self.error(field, format!("expected a mapping, found {}", field.node.describe()));
        None
    }
}

impl<'n> Section<'n> {
    pub(super) fn new(field: Field<'n>, entries: &'n [Entry]) -> Self {
        Self { field, entries, asked: Vec::new() }
    }

    /// `None` without an error if `field` is not a mapping.
    pub(super) fn of(field: &Field<'n>) -> Option<Self> {
        match &field.node.kind {
            Kind::Mapping(entries) => Some(Self::new(field.clone(), entries)),
            Kind::Scalar(_) | Kind::Sequence(_) => None,
        }
    }

    /// The value of `key`; null counts as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then(|| self.field_of(entry))
    }

    /// Every member in the order of the file, for mappings whose keys are the operator's own.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'n str, Field<'n>)> {
        self.entries.iter().map(|entry| (entry.key.as_str(), self.field_of(entry)))
    }

    /// The members that were not read.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&'n str, Field<'n>)> {
        self.unasked().map(|entry| (entry.key.as_str(), self.field_of(entry)))
    }

    /// Reports keys that were not read; `not_yet` are LiteLLM's keys that this gateway ignores.
    pub(super) fn finish(self, reader: &mut Reader<'_>, not_yet: &[&'static str]) {
        for entry in self.unasked() {
            let place = self.place_of_key(reader, &entry.key);
            let problem = if let Some(protection) = Protection::of(&entry.key, &entry.value) {
                protection.problem(place, &reader.accepted)
            } else if not_yet.contains(&entry.key.as_str()) {
                not_acted_on(place, &entry.key)
            } else {
                self.unknown(reader, &entry.key, not_yet.iter().copied())
            };
            reader.problems.push(problem);
        }
    }

    /// Reports that `key` is unknown, with the nearest name among the known ones and `other`.
    pub(super) fn unknown(
        &self,
        reader: &Reader<'_>,
        key: &str,
        others: impl Iterator<Item = &'static str>,
    ) -> Problem {
        let near = closest(key, self.asked.iter().copied().chain(others));
        let mut remedy = near.map(|near| format!("did you mean `{near}`?"));
        let protects = near
            .is_some_and(|near| PROTECTING.contains(&near) || Protection::named(near).is_some());
        let elsewhere = near.is_none().then(|| self.misplaced(key)).flatten();
        let severity = match reader.unknown {
            UnknownKeys::Warn if protects || elsewhere.is_some() => Severity::Error,
            UnknownKeys::Warn => Severity::Warning,
            UnknownKeys::Refuse => Severity::Error,
        };
        remedy = elsewhere.map(str::to_owned).or(remedy);
        let text = format!("unknown key `{}`", quoted(key));
        Problem { severity, place: self.place_of_key(reader, key), text, remedy }
    }

    /// The section to which a misplaced protective key belongs: the list of callbacks, the master
    /// key, or an unknown section with one of them.
    fn misplaced(&self, key: &str) -> Option<&'static str> {
        const PLACES: [(&str, &str); 2] = [
            ("callbacks", "callbacks are listed in `litellm_settings.callbacks`"),
            ("master_key", "the master key is `general_settings.master_key`"),
        ];
        let place = |key: &str| PLACES.iter().find(|(name, _)| *name == key).map(|(_, at)| *at);
        if !["", "general_settings", "litellm_settings", "router_settings", "callgate"]
            .contains(&self.field.path.as_str())
        {
            return None;
        }
        let value = self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        place(key).or_else(|| match value.map(|value| &value.kind) {
            Some(Kind::Mapping(members)) => members.iter().find_map(|member| place(&member.key)),
            _ => None,
        })
    }

    /// Reports a known key that has no effect here.
    pub(super) fn not_yet(&self, reader: &mut Reader<'_>, key: &str) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            let place = self.key_place(reader, key, entry.mark);
            let protection = Protection::of(key, &entry.value);
            let problem = protection.map(|it| it.problem(place.clone(), &reader.accepted));
            reader.problems.push(problem.unwrap_or_else(|| not_acted_on(place, key)));
        }
    }

    /// The location of `key` itself.
    pub(super) fn place_of_key(&self, reader: &Reader<'_>, key: &str) -> SourceLocation {
        let mark = self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.mark);
        self.key_place(reader, key, mark.unwrap_or(self.field.node.mark))
    }

    fn unasked(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()))
    }

    fn key_place(&self, reader: &Reader<'_>, key: &str, mark: Mark) -> SourceLocation {
        mark.place(&reader.file, &join(&self.field.path, key))
    }

    fn field_of(&self, entry: &'n Entry) -> Field<'n> {
        Field { node: &entry.value, path: join(&self.field.path, &entry.key) }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn not_acted_on(place: SourceLocation, key: &str) -> Problem {
    Problem::warning(
        place,
        format!("`{}` is not used: this gateway does not act on it", quoted(key)),
    )
}
