//! Where text stands in a reply and in a chunk of one, and putting it back changed.

use crate::{
    held::{Channel, Held, MOST_CHOICES},
    room::Room,
    rule::Rule,
    scan::repeats_a_name,
    shape::{self, FIELDS},
    text::{self, Kind, under},
    withheld,
    words::NOT_WRITTEN,
};
use plugin_api::HookError;
use serde_json::{Map, Value};

mod arguments;

/// A complete reply under the rules; `None` when it may stay as it is.
pub(crate) fn whole(rules: &[Rule], json: &str) -> Result<Option<String>, HookError> {
    under(rules, json, Kind::Reply, &mut Room::of(json.len())).map_err(of_reply)
}

/// A chunk under the rules, with `held` of the chunks before it; `None` when it may stay as it is.
pub(crate) fn chunk(
    rules: &[Rule],
    held: &mut Held,
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut chunk = read(json)?;
    // What was read of a repeated name is what goes out.
    let mut changed = repeats_a_name(json);
    if let Some(chunk) = chunk.as_object_mut() {
        changed |= others_under(rules, chunk, &["choices"])?;
    }
    for choice in choices(&mut chunk)? {
        changed |= remove_repeats(choice);
        if let Some(other) = ["message", "text"].into_iter().find(|name| has(choice, name)) {
            return Err(unexpected(&format!("a chunk without `{other}` in its choice")));
        }
        let index = match choice.get("index") {
            None => Some(0),
            Some(index) => index.as_u64().filter(|index| *index < MOST_CHOICES),
        };
        let index = index.and_then(|index| u8::try_from(index).ok());
        let number = index.ok_or_else(|| unexpected("a choice numbered from 0 to 127"))?;
        let last = has(choice, "finish_reason");
        changed |= others_under(rules, choice, &["delta"])?;
        changed |= delta_under(rules, held, number, choice, last)?;
    }
    Ok(changed.then(|| chunk.to_string()))
}

/// Passes what a chunk adds to a choice through the rules. With the choice's last chunk goes
/// everything that was kept back, also where the chunk itself adds nothing.
fn delta_under(
    rules: &[Rule],
    held: &mut Held,
    choice_number: u8,
    choice: &mut Map<String, Value>,
    last: bool,
) -> Result<bool, HookError> {
    let mut changed = false;
    let mut pieces = Vec::new();
    let delta = object(choice, "delta")?;
    let has_delta = delta.is_some();
    let mut nothing = Map::new();
    let delta = delta.unwrap_or(&mut nothing);
    changed |= remove_repeats(delta);
    changed |=
        others_under(rules, delta, &[&FIELDS[..], &["tool_calls", "function_call"]].concat())?;
    let rest = arguments::under_rules(rules, held, (choice_number, last), delta)?;
    changed |= rest.changed;
    for (field, name) in (0_u8..).zip(FIELDS) {
        let piece = match delta.get(name) {
            None | Some(Value::Null) => "",
            Some(Value::String(piece)) => piece,
            Some(_) => return Err(unexpected(&format!("`{name}` of a chunk to be text"))),
        };
        if piece.is_empty() && !last {
            continue;
        }
        let channel = Channel { choice: choice_number, field };
        let text = held.next(rules, channel, piece, last)?;
        if text != piece {
            pieces.push((name, Value::String(text)));
        }
    }
    pieces.extend(rest.added.map(|calls| ("tool_calls", calls)));
    if pieces.is_empty() {
        return Ok(changed);
    }
    if !has_delta {
        choice.insert("delta".to_owned(), Value::Object(Map::new()));
    }
    if let Some(delta) = object(choice, "delta")? {
        for (name, text) in pieces {
            delta.insert(name.to_owned(), text);
        }
    }
    Ok(true)
}

/// What no rule of a stream goes over from chunk to chunk, each text by itself. Whether it changed.
fn others_under(
    rules: &[Rule],
    of: &mut Map<String, Value>,
    known: &[&str],
) -> Result<bool, HookError> {
    let mut changed = false;
    for (name, value) in of.iter_mut() {
        let is_known = NOT_WRITTEN.contains(&name.as_str()) || known.contains(&name.as_str());
        if is_known || matches!(value, Value::Null | Value::Bool(_)) {
            continue;
        }
        let json = value.to_string();
        let room = &mut Room::of(json.len());
        if let Some(masked) = under(rules, &json, Kind::Delta, room).map_err(of_reply)? {
            *value = read(&masked)?;
            changed = true;
        }
    }
    Ok(changed)
}

fn of_reply(held: text::Held) -> HookError {
    match held {
        text::Held::Denied(denial) => denial.into(),
        text::Held::Unreadable | text::Held::NotMaskable(_) => {
            unexpected("choices whose texts are text or lists of parts")
        }
        text::Held::TooLarge => withheld("it is too large once its matches are masked"),
    }
}

fn read(json: &str) -> Result<Value, HookError> {
    serde_json::from_str(json).map_err(|_| unexpected("JSON"))
}

/// The choices of a reply or chunk; one without them, as those with usage alone, has none.
fn choices(reply: &mut Value) -> Result<Vec<&mut Map<String, Value>>, HookError> {
    match reply.get_mut("choices") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(choices)) => choices
            .iter_mut()
            .map(|choice| choice.as_object_mut().ok_or_else(|| unexpected("choices to be objects")))
            .collect(),
        Some(_) => Err(unexpected("`choices` to be a list")),
    }
}

/// A member that is an object, or is not there.
fn object<'a>(
    of: &'a mut Map<String, Value>,
    name: &str,
) -> Result<Option<&'a mut Map<String, Value>>, HookError> {
    match of.get_mut(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(unexpected(&format!("`{name}` to be an object"))),
    }
}

fn has(of: &Map<String, Value>, name: &str) -> bool {
    of.get(name).is_some_and(|value| !value.is_null())
}

fn remove_repeats(of: &mut Map<String, Value>) -> bool {
    let mut removed = false;
    for (name, value) in of.iter_mut() {
        if shape::repeats(name) && !value.is_null() {
            *value = Value::Null;
            removed = true;
        }
    }
    removed
}

pub(crate) fn unexpected(expected: &str) -> HookError {
    withheld(&format!("expected {expected}, found something else, which cannot be judged"))
}
