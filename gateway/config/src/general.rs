//! `general_settings`: the master key and related settings. `Config::require_key` decides when
//! the key may be missing.

use http::HeaderName;

use super::callbacks::CallbackEntry;
use super::environment::Environment;
use super::key_value;
use super::litellm_keys::KeySection;
use super::problem::{Problem, Severity, SourceLocation};
use super::protection::Protection;
use super::quote::quoted;
use super::reader::{Field, Reader};
use super::section::Section;
use callgate_secret::Secret;

/// `general_settings`, without the master key.
#[derive(Clone, Debug, Default)]
pub struct GeneralSettings {
    /// Allows a start without a master key, or with the one of LiteLLM's documentation. Without a
    /// key, every request is admitted.
    pub permit_weak_or_unset_master_key: bool,
    /// One more request header that may carry the key, in lower case.
    pub key_header: Option<HeaderName>,
    /// The callback that says who may call.
    pub custom_auth: Option<String>,
    /// The model name used for every request, whatever the client asks for.
    pub completion_model: Option<String>,
}

/// The values of `general_settings` and the environment.
#[derive(Default)]
pub(super) struct General {
    pub(super) master_key: Option<Secret>,
    /// Where the key comes from.
    key_place: Option<SourceLocation>,
    pub(super) settings: GeneralSettings,
    /// `max_request_size_mb`, in bytes.
    pub(super) max_body_bytes: Option<usize>,
    /// `custom_auth`, and what to report if it names no callback of the list.
    custom_auth: Option<(Option<String>, Problem)>,
}

impl General {
    /// Uses the callback that `custom_auth` names, or reports that nobody checks callers.
    pub(super) fn settle_custom_auth(
        &mut self,
        reader: &mut Reader<'_>,
        callbacks: &mut [CallbackEntry],
    ) {
        let Some((name, problem)) = self.custom_auth.take() else { return };
        let named = |entry: &&mut CallbackEntry| {
            name.as_ref().is_some_and(|it| *it == entry.called() || *it == entry.written)
        };
        match callbacks.iter_mut().find(named) {
            Some(entry) => {
                entry.is_custom_auth = true;
                self.settings.custom_auth = Some(entry.called().to_owned());
            }
            None => {
                if let Some(protection) = Protection::named("custom_auth") {
                    reader.restate(&problem.place.path, protection.standing());
                }
                reader.problems.push(problem);
            }
        }
    }
}

/// `section` is `None` if the config has no `general_settings`.
pub(super) fn read(reader: &mut Reader<'_>, section: Option<Section<'_>>) -> General {
    let mut general = General::default();
    let mut written = None;
    if let Some(mut section) = section {
        let permit = section.take("dangerously_permit_weak_or_unset_master_key");
        let permit = permit.and_then(|field| reader.boolean(&field));
        general.settings.permit_weak_or_unset_master_key = permit.unwrap_or_default();
        written = section.take("master_key");
        let written_at = written.as_ref().map(|_| section.place_of_key(reader, "master_key"));
        general.key_place = written_at;
        let header = section.take("litellm_key_header_name");
        general.settings.key_header = header.and_then(|field| header_name(reader, &field));
        let model = section.take("completion_model");
        general.settings.completion_model = model.and_then(|field| reader.text(&field));
        general.custom_auth = custom_auth(reader, &mut section);
        let size = section.take("max_request_size_mb");
        general.max_body_bytes = size.and_then(|field| megabytes(reader, &field));
        section.finish(reader, KeySection::GeneralSettings);
    }
    warn_of_variables(reader, &general, written.is_some());
    if permitted_by_environment(reader) {
        general.settings.permit_weak_or_unset_master_key = true;
    }
    let permit = general.settings.permit_weak_or_unset_master_key;
    let unset = if permit { Severity::Warning } else { Severity::Error };
    general.master_key = match written {
        Some(field) => key_value::read(reader, &field, unset),
        None => reader.env.filled_var(KEY).map(Secret::new),
    };
    general.key_place.get_or_insert_with(|| Environment::place_of(KEY));
    general
}

fn custom_auth(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
) -> Option<(Option<String>, Problem)> {
    const KEY: &str = "custom_auth";
    let field = section.take(KEY)?;
    let protection = Protection::of(KEY, field.node)?;
    let problem = protection.problem(section.place_of_key(reader, KEY), &reader.accepted);
    Some((reader.any_text(&field), problem))
}

/// Refuses a key that no client could send, from whatever source.
pub(super) fn refuse_unsendable_key(general: &General) -> Option<Problem> {
    refuse_key(general, key_value::unsendable)
}

const KEY: &str = "LITELLM_MASTER_KEY";
const PERMIT: &str = "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY";

/// Warns of variables that look like one that is read here, but are not.
fn warn_of_variables(reader: &mut Reader<'_>, general: &General, key_is_written: bool) {
    let value = reader.env.filled_var(PERMIT).unwrap_or("false").trim();
    let permit = general.settings.permit_weak_or_unset_master_key;
    if !permit && !["true", "false"].iter().any(|it| it.eq_ignore_ascii_case(value)) {
        let text = format!("expected true or false, found `{}`", quoted(value));
        let problem = Problem::warning(Environment::place_of(PERMIT), text);
        reader.problems.push(problem.remedy("it counts as false"));
    }
    if key_is_written || reader.env.filled_var(KEY).is_some() {
        return;
    }
    // `LITELLM_SALT_KEY` is another one of LiteLLM's.
    let near = |name: &&str| *name != KEY && strsim::damerau_levenshtein(name, KEY) <= 2;
    let mut names: Vec<_> = reader.env.names().filter(near).map(str::to_owned).collect();
    names.sort();
    for name in names {
        let text = "this variable is not used, and there is no master key";
        let problem = Problem::error(Environment::place_of(&name), text);
        reader.problems.push(problem.remedy(format!("did you mean `{KEY}`?")));
    }
}

fn permitted_by_environment(reader: &Reader<'_>) -> bool {
    let value = reader.env.var(PERMIT);
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

fn header_name(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<HeaderName> {
    let text = reader.text(field)?;
    match HeaderName::try_from(text.trim()) {
        Ok(name) => Some(name),
        Err(_) => {
            reader.error(field, "expected the name of an HTTP header, found something else");
            None
        }
    }
}

/// In bytes.
fn megabytes(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<usize> {
    let bytes = (reader.number(field)? * f64::from(1 << 20)) as usize;
    if bytes == 0 {
        reader.error(field, "expected a size above 0, found 0");
        return None;
    }
    Some(bytes)
}

/// Refuses the documentation's key, from whatever source, unless the operator allows it.
pub(super) fn refuse_documented_key(general: &General) -> Option<Problem> {
    if general.settings.permit_weak_or_unset_master_key {
        return None;
    }
    refuse_key(general, key_value::documented)
}

fn refuse_key(
    general: &General,
    wrong: impl FnOnce(&Secret) -> Option<&'static str>,
) -> Option<Problem> {
    let text = wrong(general.master_key.as_ref()?)?;
    Some(Problem::error(general.key_place.clone()?, text).remedy(key_value::REMEDY))
}
