//! `litellm_settings.callbacks` and `callback_settings`: which plugins run, in which order, with
//! which settings. Finding a plugin's file and checking its settings is the loader's work.

mod grants;

pub use grants::{Grants, HostPattern};

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::json::{json, object};
use super::litellm::{Listed, SettingOf};
use super::problem::{Place, Problem, Severity};
use super::reader::{Field, Reader};
use super::section::{Section, closest};
use super::yaml::Kind;

/// What a callback's fault does to the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The call fails with 503 (the default).
    #[default]
    Fail,
    /// The call goes on as if the callback had not run.
    Ignore,
    /// As `Ignore`, and the callback stays off until the next reload.
    Disable,
}

/// One enabled entry of `litellm_settings.callbacks`. Resolving it to a file is the loader's work.
#[derive(Clone)]
pub struct CallbackEntry {
    /// Index in the list as written, from 0.
    pub position: usize,
    /// The plugin's name: the last dotted segment, or the file's stem without `lib`.
    pub name: String,
    /// Tells several entries of one plugin apart; unique together with `name`.
    pub instance: Option<String>,
    /// The file, when the entry names one; relative paths are resolved against the config's folder.
    pub file: Option<PathBuf>,
    /// Always an object; variables are expanded.
    pub settings: Value,
    /// Key path of the settings, for the errors of whoever checks them.
    pub settings_path: String,
    /// What a fault of this callback does to the call.
    pub on_error: OnError,
    /// Time an asynchronous hook may take.
    pub timeout: Option<Duration>,
    /// The first 12 to 64 hex digits of its file's SHA-256, in lower case.
    pub sha256: Option<String>,
    /// What it may have of the gateway beside what all may.
    pub grants: Grants,
    /// Whether the start is refused when the plugin cannot be loaded (true unless said otherwise).
    pub required: bool,
    /// The entry itself.
    pub place: Place,
}

impl CallbackEntry {
    /// An entry for one callback of one file, which stands in no config. Problems are told at
    /// `source`: where its settings came from.
    #[must_use]
    pub fn of_file(name: &str, file: &Path, settings: Value, source: &str) -> Self {
        Self {
            position: 0,
            name: name.to_owned(),
            instance: None,
            file: Some(file.to_owned()),
            sha256: None,
            settings,
            settings_path: "settings".to_owned(),
            on_error: OnError::Fail,
            timeout: None,
            grants: Grants::default(),
            required: true,
            place: Place::whole_file(Path::new(source)),
        }
    }
}

impl fmt::Debug for CallbackEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<_> = self.settings.as_object().into_iter().flat_map(Map::keys).collect();
        f.debug_struct("CallbackEntry")
            .field("position", &self.position)
            .field("name", &self.name)
            .field("instance", &self.instance)
            .field("file", &self.file)
            .field("settings", &settings)
            .field("on_error", &self.on_error)
            .finish_non_exhaustive()
    }
}

/// Meant for later: each is accepted with a warning.
const NOT_YET: &[&str] = &["mode", "only", "hooks"];

/// `listed` is from `litellm_settings`; `settings` is `callback_settings`.
pub(super) fn read<'n>(
    reader: &mut Reader<'_>,
    listed: &Listed<'n>,
    settings: Option<Section<'n>>,
) -> Vec<CallbackEntry> {
    let items = match &listed.callbacks {
        None => Vec::new(),
        Some(field) if matches!(field.node.kind, Kind::Sequence(_)) => reader.list(field),
        Some(field) => vec![field.clone()],
    };
    let mut entries = Vec::new();
    let mut known = HashSet::new();
    for (position, item) in items.iter().enumerate() {
        let Some((mut entry, enabled)) = entry(reader, item, position) else { continue };
        apply_settings(reader, &mut entry, settings.as_ref());
        apply_litellm_settings(reader, &mut entry, &listed.settings);
        if !known.insert((entry.name.clone(), entry.instance.clone())) {
            let name = &entry.name;
            let problem =
                Problem::error(entry.place.clone(), format!("`{name}` is listed more than once"));
            let remedy = "remove one, or tell them apart with `instance: <name>`";
            reader.problems.push(problem.remedy(remedy));
        }
        if enabled {
            entries.push(entry);
        }
    }
    for setting in &listed.settings {
        if !known.iter().any(|(name, _)| name == setting.callback) {
            let text = format!("no callback is called `{}`; this is not used", setting.callback);
            reader.warning(&setting.field, text);
        }
    }
    if let Some(settings) = settings {
        report_unused(reader, &settings, &known);
    }
    entries
}

/// The entry and whether it is enabled.
fn entry(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    position: usize,
) -> Option<(CallbackEntry, bool)> {
    let mut entry = CallbackEntry {
        position,
        name: String::new(),
        instance: None,
        file: None,
        settings: Value::Object(Map::new()),
        settings_path: format!("{}.settings", field.path),
        on_error: OnError::Fail,
        timeout: None,
        sha256: None,
        grants: Grants::default(),
        required: true,
        place: reader.place(field),
    };
    let mut enabled = true;
    if let Kind::Mapping(_) = field.node.kind {
        let section = reader.section(field)?;
        enabled = inline(reader, section, &mut entry)?;
    } else {
        let text = reader.text(field)?;
        (entry.name, entry.file) = named(reader, &text);
    }
    if entry.name.trim().is_empty() {
        reader.error(field, "expected a plugin's name or a path to its file, found neither");
        return None;
    }
    Some((entry, enabled))
}

/// `src.callbacks.rate_limit` means `rate_limit`; text with a `/` is a path.
fn named(reader: &Reader<'_>, text: &str) -> (String, Option<PathBuf>) {
    if text.contains('/') {
        let stem = Path::new(text).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name = stem.strip_prefix("lib").unwrap_or(stem);
        return (name.to_owned(), Some(reader.beside_config(text)));
    }
    (last_segment(text).to_owned(), None)
}

fn last_segment(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// Returns whether the entry is enabled; `None` when it has no name.
fn inline(
    reader: &mut Reader<'_>,
    mut section: Section<'_>,
    entry: &mut CallbackEntry,
) -> Option<bool> {
    let (name, path) = (section.take("name"), section.take("path"));
    let given = name.is_some() || path.is_some();
    let name = name.and_then(|field| reader.text(&field));
    let path = path.and_then(|field| reader.text(&field));
    if !given {
        reader.error(&section.field, "expected a `name` or a `path`, found neither");
    }
    if let Some(path) = &path {
        entry.name = named(reader, &format!("./{path}")).0;
        entry.file = Some(reader.beside_config(path));
    }
    if let Some(name) = &name {
        let (name, file) = named(reader, name);
        entry.name = name;
        entry.file = entry.file.take().or(file);
    }
    entry.instance = section.take("instance").and_then(|field| reader.text(&field));
    if let Some(field) = section.take("settings") {
        set_settings(reader, &field, entry);
    }
    if let Some(field) = section.take("on_error") {
        entry.on_error = on_error(reader, &field);
    }
    entry.timeout = section.take("timeout").and_then(|field| reader.duration(&field));
    entry.sha256 = section.take("sha256").and_then(|field| pin(reader, &field));
    if let Some(field) = section.take("grants") {
        entry.grants = grants::read(reader, &field);
    }
    let required = section.take("required").and_then(|field| reader.boolean(&field));
    entry.required = required.unwrap_or(true);
    let enabled = section.take("enabled").and_then(|field| reader.boolean(&field));
    section.finish(reader, NOT_YET);
    (name.is_some() || path.is_some()).then(|| enabled.unwrap_or(true))
}

/// Digits alone look like a number to YAML; they are taken as they are written.
fn pin(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.any_text(field)?.trim().to_ascii_lowercase();
    if (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(text);
    }
    let problem = format!("expected 12 to 64 hex digits of a SHA-256, found `{text}`");
    let remedy = "`sha256sum` prints them";
    reader.problems.push(Problem::error(reader.place(field), problem).remedy(remedy));
    None
}

fn on_error(reader: &mut Reader<'_>, field: &Field<'_>) -> OnError {
    match reader.text(field).as_deref() {
        Some("fail") | None => OnError::Fail,
        Some("ignore") => OnError::Ignore,
        Some("disable") => OnError::Disable,
        Some(other) => {
            let text = format!("expected `fail`, `ignore` or `disable`, found `{other}`");
            reader.error(field, text);
            OnError::Fail
        }
    }
}

/// A plugin cannot be made of settings that lack a value, so an unset variable is an error here.
fn set_settings<'n>(reader: &mut Reader<'_>, field: &Field<'n>, entry: &mut CallbackEntry) {
    let mut missing = Vec::new();
    entry.settings = Value::Object(object(reader, field, &mut missing));
    entry.settings_path.clone_from(&field.path);
    for missing in missing {
        reader.note_unset(&missing.field, &missing.variable, Severity::Error);
    }
}

/// `callback_settings` speaks of an entry by its instance, else its name, dotted or not.
fn apply_settings<'n>(
    reader: &mut Reader<'_>,
    entry: &mut CallbackEntry,
    settings: Option<&Section<'n>>,
) {
    let key = entry.instance.as_ref().unwrap_or(&entry.name);
    let found = settings.and_then(|settings| {
        settings.members().find(|(name, _)| *name == key || last_segment(name) == key)
    });
    let Some((_, field)) = found.filter(|(_, field)| !field.node.is_null()) else { return };
    if entry.settings.as_object().is_some_and(|inline| !inline.is_empty()) {
        let text = format!("settings of `{key}` are also given at `{}`", entry.settings_path);
        let problem = Problem::error(reader.place(&field), text).remedy("keep one of the two");
        reader.problems.push(problem);
        return;
    }
    set_settings(reader, &field, entry);
}

/// What LiteLLM keeps beside the list counts where the callback's own settings do not say it.
fn apply_litellm_settings(
    reader: &mut Reader<'_>,
    entry: &mut CallbackEntry,
    given: &[SettingOf<'_>],
) {
    for SettingOf { name, field, .. } in given.iter().filter(|it| it.callback == entry.name) {
        let mut missing = Vec::new();
        let value = json(reader, field, &mut missing);
        for missing in missing {
            reader.note_unset(&missing.field, &missing.variable, Severity::Error);
        }
        if let Some(settings) = entry.settings.as_object_mut() {
            settings.entry(*name).or_insert(value);
        }
    }
}

fn report_unused(
    reader: &mut Reader<'_>,
    settings: &Section<'_>,
    known: &HashSet<(String, Option<String>)>,
) {
    let names = || known.iter().map(|(name, instance)| instance.as_ref().unwrap_or(name).as_str());
    for (key, _) in settings.members() {
        if names().any(|name| name == key || name == last_segment(key)) {
            continue;
        }
        let place = settings.place_of_key(reader, key);
        let text = format!("no callback is called `{key}`; these settings are not used");
        let problem = Problem::warning(place, text);
        reader.problems.push(match closest(key, names()) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None => problem.remedy("name it in `litellm_settings.callbacks`"),
        });
    }
}
