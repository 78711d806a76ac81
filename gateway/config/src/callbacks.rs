//! `litellm_settings.callbacks` and `callback_settings`: which plugins run, in which order, with
//! which settings. The loader finds their files and checks their settings; `policy` reads what each
//! may do at run time.

mod policy;

pub use policy::{BreakerLimits, ChosenHook, Mode, OnError, Only};

mod locations;

pub use locations::{SettingLocations, setting_path};

mod grants;

pub use grants::{Grants, HostPattern};

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::json::{json, object};
use super::litellm::{Listed, SettingOf};
use super::problem::{Problem, Severity, SourceLocation};
use super::quote::quoted;
use super::reader::{Field, Reader};
use super::section::{Section, closest};
use super::yaml::Kind;

/// One entry of `litellm_settings.callbacks`. The loader resolves it to a file.
#[derive(Clone)]
pub struct CallbackEntry {
    /// Index in the list as written, from 0.
    pub position: usize,
    /// The plugin's name: the last dotted segment, or the file's stem without `lib`.
    pub name: String,
    /// Distinguishes several entries of one plugin. An entry's display name (this, otherwise
    /// `name`) is unique.
    pub instance: Option<String>,
    /// Entries of one plugin with the same value share counters and values on purpose.
    pub share: Option<(String, SourceLocation)>,
    /// The name or path as the operator wrote it.
    pub written: String,
    /// The folder beside the config that a dotted name leads to: `src/callbacks` of
    /// `src.callbacks.rate_limit`.
    pub folder: Option<PathBuf>,
    /// The file, if the entry names one; relative paths start at the config's folder.
    pub file: Option<PathBuf>,
    /// Always an object; variables are expanded.
    pub settings: Value,
    /// The key path of the settings, for errors about them.
    pub settings_path: String,
    /// The location of each setting in the config.
    pub settings_places: SettingLocations,
    /// The effect of this callback's faults on the call.
    pub on_error: OnError,
    /// The time limit of hooks that can time out: async ones, and those off the worker.
    pub timeout: Option<Duration>,
    /// Where sync hooks run.
    pub mode: Mode,
    /// The calls that the callback is for.
    pub only: Only,
    /// The hooks that it is limited to; `None` for all it has.
    pub hooks: Option<Vec<ChosenHook>>,
    /// The limits of its breaker; `None` for no breaker.
    pub breaker: Option<BreakerLimits>,
    /// The first 12 to 64 hex digits of its file's SHA-256, in lower case.
    pub sha256: Option<String>,
    /// Access that the operator grants to this callback alone.
    pub grants: Grants,
    /// Whether the gateway refuses to start if the plugin cannot be loaded (`true` by default).
    pub required: bool,
    /// The entry itself.
    pub place: SourceLocation,
}

impl CallbackEntry {
    /// Its name in logs, metrics and `callback_settings`.
    #[must_use]
    pub fn called(&self) -> &str {
        self.instance.as_ref().unwrap_or(&self.name)
    }

    /// Whether a callback made for this entry can serve `other`: all but the places is the same.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let hooks = |entry: &Self| {
            let hooks = entry.hooks.as_ref()?;
            Some(hooks.iter().map(|hook| hook.name.clone()).collect::<Vec<_>>())
        };
        let share = |entry: &Self| entry.share.as_ref().map(|(name, _)| name.clone());
        self.called() == other.called()
            && self.name == other.name
            && self.settings == other.settings
            && self.on_error == other.on_error
            && self.timeout == other.timeout
            && self.mode == other.mode
            && self.only == other.only
            && self.breaker == other.breaker
            && self.grants == other.grants
            && hooks(self) == hooks(other)
            && share(self) == share(other)
    }

    /// The location of the value of the setting at the key path `path`.
    pub fn place_of_setting(&self, path: &str) -> SourceLocation {
        self.settings_places.of_value(path, &self.place)
    }

    /// The location of the name of the setting at the key path `path`.
    pub fn place_of_name(&self, path: &str) -> SourceLocation {
        self.settings_places.of_name(path, &self.place)
    }

    /// The location of the setting that a plugin's message begins with, as in `limits[0].per:
    /// expected …`; the entry's location for any other message.
    pub fn place_of_message(&self, message: &str) -> SourceLocation {
        let named =
            message.split_once(": ").map(|(path, _)| format!("{}.{path}", self.settings_path));
        match named.filter(|path| self.settings_places.has(path)) {
            Some(path) => self.place_of_setting(&path),
            None => self.place.clone(),
        }
    }

    /// An entry for one callback of one file, without a config. Problems are reported at `source`,
    /// the origin of its settings.
    #[must_use]
    pub fn of_file(name: &str, file: &Path, settings: Value, source: &str) -> Self {
        Self {
            position: 0,
            name: name.to_owned(),
            written: name.to_owned(),
            folder: None,
            instance: None,
            share: None,
            file: Some(file.to_owned()),
            sha256: None,
            settings,
            settings_path: "settings".to_owned(),
            settings_places: SettingLocations::default(),
            on_error: OnError::Fail,
            timeout: None,
            grants: Grants::default(),
            mode: Mode::default(),
            only: Only::default(),
            hooks: None,
            breaker: Some(BreakerLimits::default()),
            required: true,
            place: SourceLocation::whole_file(Path::new(source)),
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

/// The entries of the list, enabled and disabled ones apart.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) enabled: Vec<CallbackEntry>,
    pub(super) disabled: Vec<CallbackEntry>,
}

/// `listed` is from `litellm_settings`; `settings` is `callback_settings`.
pub(super) fn read<'n>(
    reader: &mut Reader<'_>,
    listed: &Listed<'n>,
    settings: Option<Section<'n>>,
) -> Entries {
    let items = match &listed.callbacks {
        None => Vec::new(),
        Some(field) if matches!(field.node.kind, Kind::Sequence(_)) => reader.list(field),
        Some(field) => vec![field.clone()],
    };
    let mut entries = Entries::default();
    let (mut known, mut called) = (HashSet::new(), HashSet::new());
    for (position, item) in items.iter().enumerate() {
        let Some((mut entry, enabled)) = entry(reader, item, position) else { continue };
        apply_settings(reader, &mut entry, settings.as_ref());
        apply_litellm_settings(reader, &mut entry, &listed.settings);
        if !called.insert(entry.called().to_owned()) {
            let text = format!("`{}` is listed more than once", quoted(entry.called()));
            let remedy = "remove one, or tell them apart with `instance: <name>`";
            reader.problems.push(Problem::error(entry.place.clone(), text).remedy(remedy));
        }
        known.insert((entry.name.clone(), entry.instance.clone()));
        if enabled { &mut entries.enabled } else { &mut entries.disabled }.push(entry);
    }
    warn_of_lonely_shares(reader, &entries);
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

/// Warns of a `share` that only one entry names, which is most likely a typo.
fn warn_of_lonely_shares(reader: &mut Reader<'_>, entries: &Entries) {
    let all = || entries.enabled.iter().chain(&entries.disabled);
    for entry in all() {
        let Some((share, place)) = &entry.share else { continue };
        let same = |it: &&CallbackEntry| {
            it.name == entry.name && it.share.as_ref().is_some_and(|(name, _)| name == share)
        };
        if all().filter(same).count() > 1 {
            continue;
        }
        let text =
            format!("no other entry of `{}` has `share: {}`", quoted(&entry.name), quoted(share));
        let problem = Problem::warning(place.clone(), text);
        reader
            .problems
            .push(problem.remedy("name it in each entry that is to share, or remove it"));
    }
}

/// Reads an entry; returns it and whether it is enabled.
fn entry(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    position: usize,
) -> Option<(CallbackEntry, bool)> {
    let mut entry = CallbackEntry {
        position,
        name: String::new(),
        written: String::new(),
        folder: None,
        instance: None,
        share: None,
        file: None,
        settings: Value::Object(Map::new()),
        settings_path: format!("{}.settings", field.path),
        settings_places: SettingLocations::default(),
        on_error: OnError::Fail,
        timeout: None,
        mode: Mode::default(),
        only: Only::default(),
        hooks: None,
        breaker: Some(BreakerLimits::default()),
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
        entry.is_called(reader, text);
    }
    if entry.name.trim().is_empty() {
        reader.error(field, "expected a plugin's name or a path to its file, found neither");
        return None;
    }
    Some((entry, enabled))
}

impl CallbackEntry {
    /// Takes `src.callbacks.rate_limit` as the name `rate_limit`, which is also looked up in the
    /// folder `src/callbacks`; text with a `/` is a path.
    fn is_called(&mut self, reader: &Reader<'_>, text: String) {
        if text.contains('/') {
            stem(&text).clone_into(&mut self.name);
            self.file = Some(reader.beside_config(&text));
        } else if is_file_name(&text) {
            stem(&text).clone_into(&mut self.name);
        } else {
            last_segment(&text).clone_into(&mut self.name);
            self.folder = folder(&text).map(|folder| reader.beside_config(&folder));
        }
        self.written = text;
    }
}

/// `rate_limit` of `x/librate_limit.so`.
fn stem(path: &str) -> &str {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.strip_prefix("lib").unwrap_or(stem)
}

/// Whether the text is like `libx.so`, which has no folder: it is neither a name nor, without a
/// `/`, a path.
pub fn is_file_name(text: &str) -> bool {
    text.strip_suffix(".so").is_some_and(|stem| !stem.is_empty() && !text.contains('/'))
}

/// `src/callbacks` of `src.callbacks.rate_limit`; `None` without dots.
fn folder(name: &str) -> Option<String> {
    let (folder, _) = name.rsplit_once('.')?;
    let whole = folder.split('.').all(|segment| !segment.is_empty());
    whole.then(|| folder.replace('.', "/"))
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
        stem(path).clone_into(&mut entry.name);
        entry.file = Some(reader.beside_config(path));
        entry.written.clone_from(path);
    }
    if let Some(name) = &name {
        let given = entry.file.take();
        entry.is_called(reader, name.clone());
        entry.file = given.or(entry.file.take());
    }
    entry.instance = section.take("instance").and_then(|field| filled(reader, &field));
    entry.share = section
        .take("share")
        .and_then(|field| Some((filled(reader, &field)?, reader.place(&field))));
    if let Some(field) = section.take("settings") {
        set_settings(reader, &field, entry);
    }
    policy::read(reader, &mut section, entry);
    entry.sha256 = section.take("sha256").and_then(|field| pin(reader, &field));
    if let Some(field) = section.take("grants") {
        entry.grants = grants::read(reader, &field);
    }
    let required = section.take("required").and_then(|field| reader.boolean(&field));
    entry.required = required.unwrap_or(true);
    let enabled = section.take("enabled").and_then(|field| reader.boolean(&field));
    section.finish(reader, &[]);
    (name.is_some() || path.is_some()).then(|| enabled.unwrap_or(true))
}

/// A name; an empty one distinguishes nothing.
fn filled(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.text(field)?;
    if text.trim().is_empty() {
        reader.error(field, "expected a name, found empty text; leave the key out for none");
        return None;
    }
    Some(text)
}

/// YAML takes digits alone for a number; they are kept as written.
fn pin(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.any_text(field)?.trim().to_ascii_lowercase();
    if (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(text);
    }
    let found = reader.found(field);
    let problem = format!("expected 12 to 64 hex digits of a SHA-256, found {found}");
    let remedy = "`sha256sum` prints them";
    reader.problems.push(Problem::error(reader.place(field), problem).remedy(remedy));
    None
}

/// Reads the settings. An unset variable is an error here, because a plugin must not be created
/// with a setting missing.
fn set_settings<'n>(reader: &mut Reader<'_>, field: &Field<'n>, entry: &mut CallbackEntry) {
    let mut missing = Vec::new();
    entry.settings = Value::Object(object(reader, field, &mut missing));
    entry.settings_path.clone_from(&field.path);
    entry.settings_places = SettingLocations::of(field);
    for missing in missing {
        reader.note_unset(&missing.field, &missing.variable, Severity::Error);
    }
}

/// Reads `callback_settings`, which names an entry by its instance, otherwise by its name, dotted
/// or not.
fn apply_settings<'n>(
    reader: &mut Reader<'_>,
    entry: &mut CallbackEntry,
    settings: Option<&Section<'n>>,
) {
    let key = entry.called();
    let found = settings.and_then(|settings| {
        settings.members().find(|(name, _)| *name == key || last_segment(name) == key)
    });
    let Some((_, field)) = found.filter(|(_, field)| !field.node.is_null()) else { return };
    if entry.settings.as_object().is_some_and(|inline| !inline.is_empty()) {
        let text =
            format!("settings of `{}` are also given at `{}`", quoted(key), entry.settings_path);
        let problem = Problem::error(reader.place(&field), text).remedy("keep one of the two");
        reader.problems.push(problem);
        return;
    }
    set_settings(reader, &field, entry);
}

/// Applies settings that LiteLLM keeps beside the list, unless the callback's own settings have
/// them.
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
        let text = format!("no callback is called `{}`; these settings are not used", quoted(key));
        // With a misspelt name, the callback would silently run with its default limits.
        reader.problems.push(match closest(key, names()) {
            Some(near) => Problem::error(place, text).remedy(format!("did you mean `{near}`?")),
            None => Problem::warning(place, text).remedy("name it in `litellm_settings.callbacks`"),
        });
    }
}
