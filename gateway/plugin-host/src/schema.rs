//! Checks an entry's settings against the JSON Schema in the plugin's manifest, before any of the
//! plugin runs. Each problem is reported at the setting's own path in the config.
//!
//! Called by `loader`. Values are never shown, because settings may hold secrets.

mod complaint;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod installed;
#[cfg(test)]
mod tests;

use callgate_config::{CallbackEntry, Problem, closest, setting_path};
use complaint::Complaint;
pub use installed::settings_schemas;
use jsonschema::{
    ValidationError,
    error::ValidationErrorKind,
    paths::{Location, LocationSegment},
};
use serde_json::Value;

/// All problems of an entry's settings. A schema without a rule for unlisted names refuses them: a
/// misspelt setting must not be ignored.
pub(super) fn check(schema: &Value, entry: &CallbackEntry) -> Vec<Problem> {
    let schema = closed(schema);
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            let text = format!("its manifest has a broken settings schema: {error}");
            let problem = Problem::error(entry.place.clone(), text);
            return vec![problem.remedy("ask the plugin's author for a corrected build")];
        }
    };
    validator
        .iter_errors(&entry.settings)
        .flat_map(|error| problems(&error, &schema, entry))
        .collect()
}

/// A setting that refers to a name in the config, as its schema declares with `x-callgate-values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Its key path in the config.
    pub path: String,
    /// The kind of name: `providers`, `models` or `keys`.
    pub what: String,
    /// The name or pattern.
    pub text: String,
}

/// The settings of `entry` that refer to names in the config. Only `properties` and `items` of the
/// schema are followed.
pub(super) fn namings(schema: &Value, entry: &CallbackEntry) -> Vec<Naming> {
    let mut found = Vec::new();
    gather(schema, &entry.settings, &entry.settings_path, &mut found);
    found
}

fn gather(schema: &Value, settings: &Value, path: &str, into: &mut Vec<Naming>) {
    match settings {
        Value::String(text) => {
            if let Some(what) = schema.get("x-callgate-values").and_then(Value::as_str) {
                let (path, what, text) = (path.to_owned(), what.to_owned(), text.clone());
                into.push(Naming { path, what, text });
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                let schema = schema.get("properties").and_then(|all| all.get(name));
                if let Some(schema) = schema {
                    gather(schema, value, &setting_path(path, name), into);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    gather(schema, item, &format!("{path}[{index}]"), into);
                }
            }
        }
        _ => {}
    }
}

/// The schema with `additionalProperties: false` at its top, unless it sets that itself.
fn closed(schema: &Value) -> Value {
    const SAYS_MORE: [&str; 9] = [
        "$ref",
        "$dynamicRef",
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
    ];
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut()
        && members.contains_key("properties")
        && !SAYS_MORE.iter().any(|keyword| members.contains_key(*keyword))
    {
        members.insert("additionalProperties".to_owned(), false.into());
    }
    schema
}

fn problems(error: &ValidationError<'_>, schema: &Value, entry: &CallbackEntry) -> Vec<Problem> {
    let path = config_path(&entry.settings_path, error.instance_path());
    let (ValidationErrorKind::AdditionalProperties { unexpected }
    | ValidationErrorKind::UnevaluatedProperties { unexpected }) = error.kind()
    else {
        return vec![Problem::error(
            entry.place_of_setting(&path),
            Complaint::of(error).to_string(),
        )];
    };
    let known = known_settings(schema, error);
    let problem = |key: &String| {
        let place = entry.place_of_name(&setting_path(&path, key));
        let text = "expected a setting of the plugin, found an unknown one";
        let problem = Problem::error(place, text);
        match closest(key, known.iter().copied()) {
            Some(near) => problem.remedy(format!("did you mean `{near}`?")),
            None if known.is_empty() => {
                problem.remedy("remove it: the plugin has no settings here")
            }
            None => problem.remedy(format!("it has `{}`", known.join("`, `"))),
        }
    };
    unexpected.iter().map(problem).collect()
}

/// The names that the failing part of the schema lists; none if they are behind a reference.
fn known_settings<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Vec<&'s str> {
    let keyword = error.schema_path().as_str();
    let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
    let properties = schema.pointer(parent).and_then(|part| part.get("properties"));
    properties
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Turns `callback_settings.rate_limit` and `/limits/0/requests` into
/// `callback_settings.rate_limit.limits[0].requests`.
fn config_path(settings: &str, instance: &Location) -> String {
    instance.iter().fold(settings.to_owned(), |path, segment| match segment {
        LocationSegment::Property(name) => setting_path(&path, &name),
        LocationSegment::Index(index) => format!("{path}[{index}]"),
    })
}
