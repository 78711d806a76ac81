//! One mapping of the config while it is read: returns values by name, records the names, and
//! finally reports keys that nobody read, with the nearest known name.

use super::closest::closest;
use super::litellm_keys::{KeySection, ReportedKey, SILENCE, Standing};
use super::problem::{Problem, Severity};
use super::protection::{Protection, is_off};
use super::quote::quoted;
use super::reader::{Field, Reader};
use super::yaml::{Entry, Kind, Mark, Node};
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

/// Keys whose members are reported in their place.
const CONTAINERS: &[&str] = &[
    "callbacks",
    "callgate",
    "general_settings",
    "litellm_params",
    "litellm_settings",
    "model_info",
    "model_list",
    "router_settings",
];

const YOUR_OWN: Standing = Standing::Harmless("a key of your own; callbacks see it");
const SWITCHED_OFF: Standing = Standing::Harmless("its value asks for nothing");

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

    /// Says what becomes of every key, and reports those that were not read.
    pub(super) fn finish(self, reader: &mut Reader<'_>, section: KeySection) {
        self.report_read(reader, section);
        for entry in self.unasked() {
            let problem = self.unread(reader, section, entry);
            reader.problems.extend(problem);
        }
    }

    /// Says what becomes of the keys that were read.
    pub(super) fn report_read(&self, reader: &mut Reader<'_>, section: KeySection) {
        for entry in self.entries.iter().filter(|it| self.asked.contains(&it.key.as_str())) {
            let standing = match section.standing(&entry.key) {
                Some(it @ (Standing::Approximated(_) | Standing::Harmless(_))) => it,
                _ => Standing::Honoured,
            };
            self.report(reader, entry, standing);
        }
    }

    /// As [`Section::finish`], for a mapping that LiteLLM does not have.
    pub(super) fn finish_own(self, reader: &mut Reader<'_>) {
        reader.own.push((self.field.path.clone(), self.asked.clone()));
        self.finish(reader, KeySection::Own);
    }

    /// Says what becomes of a key that was not read; the problem is for the caller to report.
    fn unread(
        &self,
        reader: &mut Reader<'_>,
        section: KeySection,
        entry: &Entry,
    ) -> Option<Problem> {
        let key = &entry.key;
        let place = self.place_of_key(reader, key);
        let standing = self.standing_of(section, entry);
        let problem = match standing {
            Standing::Unknown => Some(self.unknown(reader, key, section)),
            Standing::Protects { .. } => {
                Protection::named(key).map(|protection| protection.problem(place, &reader.accepted))
            }
            Standing::Unsupported(meaning) => Some(not_used(place, key, meaning)),
            Standing::Honoured | Standing::Approximated(_) | Standing::Harmless(_) => None,
        };
        if standing == SILENCE {
            self.report(reader, entry, standing);
            reader.silencing.extend(problem);
            return None;
        }
        match &problem {
            Some(Problem { remedy: Some(remedy), .. }) if standing == Standing::Unknown => {
                let key = ReportedKey::new(self.place_of_key(reader, key), standing, remedy);
                reader.keys.push(key);
            }
            _ => self.report(reader, entry, standing),
        }
        problem
    }

    /// Says what becomes of each key of a `model_info`, which may have any.
    pub(super) fn report_info(&self, reader: &mut Reader<'_>) {
        for entry in self.entries {
            match KeySection::ModelInfo.standing(&entry.key) {
                None => self.report(reader, entry, YOUR_OWN),
                Some(known @ (Standing::Honoured | Standing::Approximated(_))) => {
                    self.report(reader, entry, known);
                }
                Some(_) => {
                    let problem = self.unread(reader, KeySection::ModelInfo, entry);
                    reader.problems.extend(problem);
                }
            }
        }
    }

    /// What becomes of a key that nobody reads, with its value.
    fn standing_of(&self, section: KeySection, entry: &Entry) -> Standing {
        let Entry { key, value, .. } = entry;
        let standing = section.standing(key);
        if Protection::of(key, value).is_some() {
            return standing.unwrap_or_else(|| {
                Protection::named(key).map_or(Standing::Unknown, Protection::standing)
            });
        }
        match standing {
            None if Protection::named(key).is_some() => SWITCHED_OFF,
            None => Standing::Unknown,
            Some(Standing::Protects { .. }) => SWITCHED_OFF,
            Some(Standing::Unsupported(_)) if asks_for_nothing(key, value) => SWITCHED_OFF,
            Some(Standing::Honoured | Standing::Approximated(_))
                if section != KeySection::LitellmParams =>
            {
                Standing::Unsupported("this gateway does not act on it")
            }
            Some(other) => other,
        }
    }

    /// Says what becomes of a key, unless its members are reported themselves.
    fn report(&self, reader: &mut Reader<'_>, entry: &Entry, standing: Standing) {
        if standing == Standing::Honoured && CONTAINERS.contains(&entry.key.as_str()) {
            return;
        }
        let place = self.key_place(reader, &entry.key, entry.mark);
        reader.keys.push(ReportedKey::new(place, standing, standing.reason()));
    }

    /// Reports that `key` is unknown, with the nearest name among the known ones.
    fn unknown(&self, reader: &Reader<'_>, key: &str, section: KeySection) -> Problem {
        let near = closest(key, self.asked.iter().copied().chain(section.names()));
        let protects = near
            .is_some_and(|near| PROTECTING.contains(&near) || Protection::named(near).is_some());
        let misplaced = near.is_none().then(|| self.misplaced(key)).flatten();
        let severity = match reader.unknown {
            UnknownKeys::Warn if protects || misplaced.is_some() => Severity::Error,
            UnknownKeys::Warn => Severity::Warning,
            UnknownKeys::Refuse => Severity::Error,
        };
        let elsewhere = section.elsewhere(key).map(|it| format!("it belongs to `{it}`"));
        let remedy = misplaced.map(str::to_owned).or(elsewhere);
        let remedy = remedy.or_else(|| near.map(|near| format!("did you mean `{near}`?")));
        let text = format!("unknown key `{}`", quoted(key));
        Problem { severity, place: self.place_of_key(reader, key), text, remedy }
    }

    /// Says what becomes of a key that the caller read by itself.
    pub(super) fn judge(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        section: KeySection,
    ) -> Option<Problem> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.unread(reader, section, entry)
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

    /// The location of `key` itself.
    pub(super) fn place_of_key(&self, reader: &Reader<'_>, key: &str) -> SourceLocation {
        let mark = self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.mark);
        self.key_place(reader, key, mark.unwrap_or(self.field.node.mark))
    }

    fn unasked(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str()))
    }

    fn key_place(&self, reader: &Reader<'_>, key: &str, mark: Mark) -> SourceLocation {
        mark.place(&reader.files, &join(&self.field.path, key))
    }

    fn field_of(&self, entry: &'n Entry) -> Field<'n> {
        Field { node: &entry.value, path: join(&self.field.path, &entry.key) }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether the value of a key that is not supported asks for nothing, so that nothing is lost.
fn asks_for_nothing(key: &str, value: &Node) -> bool {
    // Its `false` is the request.
    let off = is_off(value) && !(key == "ssl_verify" && value.is_false());
    let zero = || matches!(&value.kind, Kind::Scalar(scalar) if scalar.text == "0");
    off || (["max_retries", "num_retries"].contains(&key) && zero())
}

pub(super) fn not_used(place: SourceLocation, key: &str, meaning: &str) -> Problem {
    Problem::warning(place, format!("`{}` is not used: {meaning}", quoted(key)))
}
