//! What a schema expected and what was found, in one short sentence.

use callgate_telemetry::counted::counted;
use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;
use std::fmt;

/// A complaint about one value.
pub(super) struct Complaint {
    expected: String,
    found: String,
}

/// `expected a whole number, found text`
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl Complaint {
    pub(super) fn of(error: &ValidationError<'_>) -> Self {
        let instance = error.instance();
        let found = match error.kind() {
            Kind::Required { .. } => "none".to_owned(),
            Kind::MinItems { .. } | Kind::MaxItems { .. } => count(instance, "item"),
            Kind::MinLength { .. } | Kind::MaxLength { .. } => count(instance, "character"),
            Kind::UniqueItems => "one twice".to_owned(),
            Kind::Pattern { .. } | Kind::Format { .. } => "other text".to_owned(),
            Kind::Enum { .. } | Kind::Constant { .. } if instance.is_string() => {
                "another".to_owned()
            }
            _ => name(instance),
        };
        Self { expected: expected(error), found }
    }
}

fn expected(error: &ValidationError<'_>) -> String {
    match error.kind() {
        Kind::Type { kind } => types(kind),
        Kind::Required { property } => match property.as_str() {
            Some(name) => format!("the setting `{name}`"),
            None => "another setting".to_owned(),
        },
        Kind::Enum { options } => match options.as_array() {
            Some(options) => alternatives(options.iter().map(ToString::to_string)),
            None => options.to_string(),
        },
        Kind::Constant { expected_value } => expected_value.to_string(),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::MinLength { limit } => format!("at least {}", counted(*limit, "character")),
        Kind::MaxLength { limit } => format!("at most {}", counted(*limit, "character")),
        Kind::MinItems { limit } => format!("at least {}", counted(*limit, "item")),
        Kind::MaxItems { limit } => format!("at most {}", counted(*limit, "item")),
        Kind::MinProperties { limit } => format!("at least {}", counted(*limit, "setting")),
        Kind::MaxProperties { limit } => format!("at most {}", counted(*limit, "setting")),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::Pattern { pattern } => format!("text that matches `{pattern}`"),
        Kind::Format { format } => format!("a value of the format `{format}`"),
        Kind::UniqueItems => "different items".to_owned(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => branches(error, context),
        Kind::FalseSchema => "nothing here".to_owned(),
        other => format!("what the plugin's schema demands with `{}`", other.keyword()),
    }
}

/// The expectations of an alternative's branches for the value itself; if one branch got further
/// into the value than the others, what it missed there.
fn branches(error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> String {
    let here = error.instance_path();
    let deeper = context.iter().filter_map(|branch| {
        branch.iter().find(|error| error.instance_path().as_str().len() > here.as_str().len())
    });
    let is_shallow = |branch: &Vec<ValidationError<'_>>| {
        branch.iter().all(|error| error.instance_path() == here)
    };
    if let Some(deep) = deeper.max_by_key(|error| error.instance_path().as_str().len()) {
        let below = &deep.instance_path().as_str()[here.as_str().len()..];
        return format!(
            "at `{}` {}",
            below.trim_start_matches('/').replace('/', "."),
            expected(deep)
        );
    }
    let shallow = context.iter().filter(|branch| is_shallow(branch));
    alternatives(shallow.filter_map(|branch| branch.first()).map(expected))
}

fn alternatives(options: impl Iterator<Item = String>) -> String {
    let mut options: Vec<_> = options.collect();
    options.dedup();
    let Some(last) = options.pop() else { return "another value".to_owned() };
    if options.is_empty() { last } else { format!("{} or {last}", options.join(", ")) }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(kind) => type_name(kind.as_str()).to_owned(),
        TypeKind::Multiple(kinds) => {
            alternatives(kinds.into_iter().map(|kind| type_name(kind.as_str()).to_owned()))
        }
    }
}

fn type_name(name: &str) -> &str {
    match name {
        "null" => "nothing",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

/// Shows numbers and booleans; text may be secret, so only its type is shown.
fn name(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.is_empty() => "empty text".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn count(value: &Value, of: &str) -> String {
    let count = match value {
        Value::Array(items) => items.len(),
        Value::String(text) => text.chars().count(),
        _ => return name(value),
    };
    if count == 0 { "none".to_owned() } else { counted(count, of) }
}
