//! Writes `sha256` into entries of `litellm_settings.callbacks` by editing the text in place:
//! comments, order and layout stay. The result is parsed and compared with the original before it
//! is returned. `callgate plugin pin` calls it and writes the file.

mod spans;
#[cfg(test)]
mod tests;

use super::yaml::{self, Kind, Node};
use serde_json::{Map, Value};
use spans::{NodeShape, Spanned};
use std::{path::Path, sync::Arc};
use thiserror::Error;

/// One replacement, in bytes of the original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinEdit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// Why an entry cannot be pinned here.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PinError {
    #[error("line {line}: {found}; write `sha256: {hash}` into this entry by hand")]
    Entry { line: usize, found: &'static str, hash: String },
    #[error("expected `litellm_settings.callbacks` in the text, found no entry {0} there")]
    NoEntry(usize),
    #[error(
        "the entries are laid out in a way that cannot be edited safely; write `sha256` into them by hand"
    )]
    Unsafe,
    #[error("{0}")]
    Yaml(String),
}

/// The edits that set each entry's hash (entries by index in the list); none for an entry that
/// already has it.
pub fn edits(text: &str, hashes: &[(usize, String)]) -> Result<Vec<PinEdit>, PinError> {
    let tree = spans::read(text).map_err(PinError::Yaml)?;
    let list = tree.as_ref().and_then(|root| root.member("litellm_settings")?.member("callbacks"));
    let mut edits = Vec::new();
    for (position, hash) in hashes {
        let entry = list.and_then(|list| match &list.shape {
            NodeShape::Sequence(items) => {
                items.get(*position).map(|item| (item, list.is_flow(text)))
            }
            // A single entry needs no list; then there is room for one line only.
            _ => (*position == 0).then_some((list, true)),
        });
        let (entry, in_flow) = entry.ok_or(PinError::NoEntry(position + 1))?;
        edits.extend(edit(text, entry, in_flow, hash)?);
    }
    edits.sort_by_key(|edit| edit.start);
    if !agrees(text, &apply(text, &edits), hashes) {
        return Err(PinError::Unsafe);
    }
    Ok(edits)
}

/// Applies the edits, which are in order and do not overlap.
pub fn apply(text: &str, edits: &[PinEdit]) -> String {
    let mut edited = String::with_capacity(text.len() + 128 * edits.len());
    let mut at = 0;
    for edit in edits {
        edited.push_str(text.get(at..edit.start).unwrap_or_default());
        edited.push_str(&edit.text);
        at = edit.end;
    }
    edited.push_str(text.get(at..).unwrap_or_default());
    edited
}

fn edit(
    text: &str,
    entry: &Spanned,
    in_flow: bool,
    hash: &str,
) -> Result<Option<PinEdit>, PinError> {
    let refuse = |found| {
        let before = text.get(..entry.start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Err(PinError::Entry { line, found, hash: hash.to_owned() })
    };
    if entry.is_marked {
        return refuse("the entry has an anchor, an alias or a tag");
    }
    match &entry.shape {
        NodeShape::Scalar(_) => match entry.source(text) {
            Some(source) => Ok(Some(from_scalar(text, entry, source, in_flow, hash))),
            None => refuse("the entry spans several lines"),
        },
        NodeShape::Mapping(members) => {
            if members.iter().any(|(key, _)| key.text() == Some("<<")) {
                return refuse("the entry has a merge key");
            }
            if let Some((key, value)) = entry.pair("sha256") {
                return replaced(text, key, value, hash)
                    .map_or_else(|| refuse("its `sha256` is not plain text"), Ok);
            }
            let named = entry.pair("name").or_else(|| entry.pair("path"));
            match named.filter(|(_, value)| value.source(text).is_some() && !value.is_marked) {
                Some((key, value)) => Ok(Some(added(text, entry, key, value, hash))),
                None => refuse("its name spans several lines, or has an anchor or a tag"),
            }
        }
        NodeShape::Sequence(_) | NodeShape::Alias => {
            refuse("the entry is neither text nor a mapping")
        }
    }
}

/// Turns `routing` into a mapping, in the layout that its place allows.
fn from_scalar(text: &str, entry: &Spanned, source: &str, in_flow: bool, hash: &str) -> PinEdit {
    let hash = scalar(hash);
    if in_flow {
        let plain = !source.starts_with(['"', '\'']);
        let special = plain && source.contains([',', '[', ']', '{', '}', '#', ':']);
        let source = if special { Value::from(source).to_string() } else { source.to_owned() };
        let text = format!("{{name: {source}, sha256: {hash}}}");
        return PinEdit { start: entry.start, end: entry.end, text };
    }
    let (end, newline) = end_of_line(text, entry.end);
    let rest = text.get(entry.end..end).unwrap_or_default();
    let indent = " ".repeat(column(text, entry.start));
    let text = format!("name: {source}{rest}{newline}{indent}sha256: {hash}");
    PinEdit { start: entry.start, end, text }
}

/// A new value for an existing `sha256`; the inner `None` means that it is already correct.
fn replaced(text: &str, key: &Spanned, value: &Spanned, hash: &str) -> Option<Option<PinEdit>> {
    let NodeShape::Scalar(old) = &value.shape else { return None };
    if value.is_marked || old.contains("${") || old.starts_with("os.environ/") {
        return None;
    }
    if old == hash {
        return Some(None);
    }
    let new = scalar(hash);
    if old.is_empty() {
        let colon = key.end + text.get(key.end..)?.find(':')? + 1;
        return Some(Some(PinEdit { start: colon, end: colon, text: format!(" {new}") }));
    }
    value.source(text)?;
    Some(Some(PinEdit { start: value.start, end: value.end, text: new }))
}

/// Adds a `sha256` after the name of a mapping that has none.
fn added(text: &str, entry: &Spanned, key: &Spanned, value: &Spanned, hash: &str) -> PinEdit {
    let hash = scalar(hash);
    if entry.is_flow(text) {
        return PinEdit { start: value.end, end: value.end, text: format!(", sha256: {hash}") };
    }
    let (end, newline) = end_of_line(text, value.end);
    let indent = " ".repeat(column(text, key.start));
    PinEdit { start: end, end, text: format!("{newline}{indent}sha256: {hash}") }
}

/// Hex digits as YAML text; quoted, because without a letter other than `e` they would be a number.
fn scalar(hash: &str) -> String {
    if hash.contains(['a', 'b', 'c', 'd', 'f']) { hash.to_owned() } else { format!("\"{hash}\"") }
}

/// The end of the line of `at`, and the file's line ending.
fn end_of_line(text: &str, at: usize) -> (usize, &'static str) {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.find('\n').unwrap_or(rest.len());
    let line = rest.get(..length).unwrap_or_default();
    if line.ends_with('\r') { (at + length - 1, "\r\n") } else { (at + length, "\n") }
}

/// The number of characters before `at` in its line.
fn column(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// Whether the edited text differs from the original only by the hashes.
fn agrees(old: &str, new: &str, hashes: &[(usize, String)]) -> bool {
    let file: Arc<Path> = Arc::from(Path::new("pinned"));
    let read = |text| yaml::parse(&file, text).ok()?.root.as_ref().map(as_value);
    let (Some(mut old), Some(mut new)) = (read(old), read(new)) else { return false };
    let (Some(before), Some(after)) = (take_entries(&mut old), take_entries(&mut new)) else {
        return false;
    };
    if old != new || before.len() != after.len() {
        return false;
    }
    before.into_iter().zip(after).enumerate().all(|(position, (before, mut after))| {
        let pinned = hashes.iter().find(|(pinned, _)| *pinned == position);
        let Some((_, hash)) = pinned else { return before == after };
        let mut before = match before {
            Value::Object(members) => members,
            text => Map::from_iter([("name".to_owned(), text)]),
        };
        before.remove("sha256");
        let found = after.as_object_mut().and_then(|members| members.remove("sha256"));
        let is_hash = |found: &Value| found.as_str().and_then(|it| it.get(1..)) == Some(hash);
        found.as_ref().is_some_and(is_hash) && after == Value::Object(before)
    })
}

/// Takes the list of entries out of the tree and leaves `null` in its place.
fn take_entries(root: &mut Value) -> Option<Vec<Value>> {
    match root.get_mut("litellm_settings")?.get_mut("callbacks")?.take() {
        Value::Array(items) => Some(items),
        single => Some(vec![single]),
    }
}

/// Converts every scalar to its text, with a mark if it could be other than text.
fn as_value(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar(scalar) => {
            let typed = !matches!(scalar.typed(), yaml::Typed::Text(_));
            format!("{}{}", if typed { '?' } else { '=' }, scalar.text).into()
        }
        Kind::Sequence(items) => items.iter().map(as_value).collect(),
        Kind::Mapping(entries) => {
            let member = |entry: &yaml::Entry| (entry.key.clone(), as_value(&entry.value));
            Value::Object(entries.iter().map(member).collect())
        }
    }
}
