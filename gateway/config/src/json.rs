//! Converts free-form parts of the config to JSON: plugin settings, request parameters,
//! `model_info`. Strings are expanded; an unset variable becomes null and is returned to the
//! caller, which decides whether it is a warning or an error.

use super::{
    expand::Expanded,
    reader::{Field, Reader},
    yaml::{Kind, Node, Typed},
};
use serde_json::{Map, Value};

/// An unset variable, and the value that refers to it.
pub(super) struct Missing<'n> {
    pub(super) field: Field<'n>,
    pub(super) variable: String,
}

/// Recursion is shallow, because the tree is bounded.
pub(super) fn json<'n>(
    reader: &mut Reader<'_>,
    field: &Field<'n>,
    missing: &mut Vec<Missing<'n>>,
) -> Value {
    let child = |node: &'n Node, path: String| Field { node, path };
    match &field.node.kind {
        Kind::Sequence(items) => items
            .iter()
            .enumerate()
            .map(|(index, node)| child(node, format!("{}[{index}]", field.path)))
            .map(|item| json(reader, &item, missing))
            .collect(),
        Kind::Mapping(entries) => entries
            .iter()
            .map(|entry| {
                let item = child(&entry.value, format!("{}.{}", field.path, entry.key));
                (entry.key.clone(), json(reader, &item, missing))
            })
            .collect::<Map<_, _>>()
            .into(),
        Kind::Scalar(scalar) => match scalar.typed() {
            Typed::Null => Value::Null,
            Typed::Bool(truth) => truth.into(),
            Typed::Number(number) => number.into(),
            Typed::Text(text) => match reader.expand(text) {
                Expanded::Text(text, _) => text.into(),
                Expanded::Malformed(_) => {
                    reader.malformed(field);
                    Value::Null
                }
                Expanded::Unset(variable) => {
                    missing.push(Missing { field: field.clone(), variable });
                    Value::Null
                }
            },
        },
    }
}

/// A JSON object, or an error that says what was found instead.
pub(super) fn object<'n>(
    reader: &mut Reader<'_>,
    field: &Field<'n>,
    missing: &mut Vec<Missing<'n>>,
) -> Map<String, Value> {
    if reader.section(field).is_none() {
        return Map::new();
    }
    match json(reader, field, missing) {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
