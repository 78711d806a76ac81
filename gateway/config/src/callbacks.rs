//! `litellm_settings.callbacks` and `callback_settings`: which plugins run, in which order, with
//! which settings. The loader finds their files and checks their settings; `policy` reads what each
//! may do at run time.

mod entry;
mod grants;
mod locations;
mod names;
mod policy;
mod policy_keys;
mod record;
mod scope_keys;

use super::{
    closest::closest,
    json::{json, object},
    litellm::{Listed, SettingOf},
    problem::{Problem, Severity},
    quote::quoted,
    reader::{Field, Reader},
    section::Section,
    yaml::Kind,
};
pub use entry::CallbackEntry;
pub use grants::{Grants, HostPattern};
pub use locations::{SettingLocations, setting_path};
pub use names::is_file_name;
use names::{last_segment, stem};
pub use policy::{BreakerLimits, CallScope, Canary, ChosenHook, Mode, OnError, Streams};
pub use record::RecordTo;
use serde_json::Value;
use std::collections::HashSet;

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
    let (mut known, mut called, mut modules) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (position, item) in items.iter().enumerate() {
        let Some((mut entry, enabled)) = entry(reader, item, position) else { continue };
        let mut earlier = entries.enabled.iter().chain(&entries.disabled);
        if let Some(other) = earlier.find(|it| it.called() == entry.called()) {
            entry.is_told_apart_from(other);
        }
        apply_settings(reader, &mut entry, settings.as_ref());
        apply_litellm_settings(reader, &mut entry, &listed.settings);
        if !called.insert(entry.called().to_owned()) {
            let text = format!("`{}` is listed more than once", quoted(entry.called()));
            let remedy = "remove one, or tell them apart with `instance: <name>`";
            reader.problems.push(Problem::error(entry.place.clone(), text).remedy(remedy));
        }
        known.insert((entry.name.clone(), entry.instance.clone()));
        modules.extend(entry.module().map(str::to_owned));
        if enabled { &mut entries.enabled } else { &mut entries.disabled }.push(entry);
    }
    observers(reader, listed, settings.as_ref(), &mut entries, &mut known);
    warn_of_lonely_shares(reader, &entries);
    for setting in &listed.settings {
        if !known.iter().any(|(name, _)| name == setting.callback) {
            let text = format!("no callback is called `{}`; this is not used", setting.callback);
            reader.warning(&setting.field, text);
        }
    }
    if let Some(settings) = settings {
        report_unused(reader, &settings, &known, &modules);
    }
    entries
}

/// Adds the callbacks that LiteLLM lists apart because they only observe. One that is listed
/// already is not added again, and one without a plugin is left out.
fn observers<'n>(
    reader: &mut Reader<'_>,
    listed: &Listed<'n>,
    settings: Option<&Section<'n>>,
    entries: &mut Entries,
    known: &mut HashSet<(String, Option<String>)>,
) {
    for item in &listed.observers {
        let position = entries.enabled.len() + entries.disabled.len();
        let Some((mut entry, enabled)) = entry(reader, item, position) else { continue };
        if known.iter().any(|(name, _)| *name == entry.name) {
            continue;
        }
        entry.required = false;
        entry.only_observes = true;
        apply_settings(reader, &mut entry, settings);
        apply_litellm_settings(reader, &mut entry, &listed.settings);
        known.insert((entry.name.clone(), entry.instance.clone()));
        if enabled { &mut entries.enabled } else { &mut entries.disabled }.push(entry);
    }
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
    let path = format!("{}.settings", field.path);
    let mut entry = CallbackEntry::unnamed(reader.place(field), path);
    entry.position = position;
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
    policy_keys::read(reader, &mut section, entry);
    scope_keys::read(reader, &mut section, entry);
    entry.record = section.take("record").and_then(|field| record::read(reader, &field));
    entry.sha256 = section.take("sha256").and_then(|field| pin(reader, &field));
    if let Some(field) = section.take("grants") {
        entry.grants = grants::read(reader, &field);
    }
    let required = section.take("required").and_then(|field| reader.boolean(&field));
    entry.required = required.unwrap_or(true);
    let enabled = section.take("enabled").and_then(|field| reader.boolean(&field));
    section.finish_own(reader);
    scope_keys::warn_of_gaps(reader, entry);
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
    entry.settings_places = SettingLocations::of(reader, field);
    for missing in missing {
        reader.note_unset(&missing.field, &missing.variable, Severity::Error);
    }
}

/// Reads `callback_settings`, which names an entry by its instance, otherwise by its name, dotted
/// or not, or by its module.
fn apply_settings<'n>(
    reader: &mut Reader<'_>,
    entry: &mut CallbackEntry,
    settings: Option<&Section<'n>>,
) {
    let key = entry.called();
    let names_it = |name: &str| {
        let is_other = name.contains('.') && entry.written.contains('.');
        name == key || name == entry.written || (!is_other && last_segment(name) == key)
    };
    let by_module = |name: &str| entry.module() == Some(name);
    let found = settings.and_then(|settings| {
        let mut members = settings.members();
        let found = members.find(|(name, _)| names_it(name));
        found.or_else(|| settings.members().find(|(name, _)| by_module(name)))
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
    modules: &HashSet<String>,
) {
    let names = || known.iter().map(|(name, instance)| instance.as_ref().unwrap_or(name).as_str());
    for (key, _) in settings.members() {
        let is_module = modules.contains(key);
        if is_module || names().any(|name| name == key || name == last_segment(key)) {
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
