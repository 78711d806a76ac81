//! Where text stands in a reply and in a chunk of one, and putting it back changed.

use crate::{
    held::{Channel, Held, MOST_CHOICES},
    rule::{Denial, Rule},
    withheld,
};
use plugin_api::{HookError, limits};
use serde_json::{Map, Value};

/// The members of a message that are text for people.
const FIELDS: [&str; 5] = ["content", "reasoning_content", "reasoning", "refusal", "thinking"];

/// Members of a choice or its message that repeat the text in another form.
const REPEATS: [&str; 2] = ["logprobs", "reasoning_details"];

/// A complete reply under the rules; `None` when it may stay as it is.
pub(crate) fn whole(rules: &[Rule], json: &str) -> Result<Option<String>, HookError> {
    let mut reply = read(json)?;
    let mut changed = false;
    for choice in choices(&mut reply)? {
        changed |= remove_repeats(choice);
        let Some(message) = object(choice, "message")? else { continue };
        changed |= remove_repeats(message);
        for field in FIELDS {
            if let Some(content) = message.get_mut(field) {
                changed |= content_under(rules, field, content)?;
            }
        }
    }
    Ok(changed.then(|| reply.to_string()))
}

/// A chunk under the rules, with `held` of the chunks before it; `None` when it may stay as it is.
pub(crate) fn chunk(
    rules: &[Rule],
    held: &mut Held,
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut chunk = read(json)?;
    let mut changed = false;
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
            pieces.push((name, text));
        }
    }
    if pieces.is_empty() {
        return Ok(changed);
    }
    if !has_delta {
        choice.insert("delta".to_owned(), Value::Object(Map::new()));
    }
    if let Some(delta) = object(choice, "delta")? {
        for (name, text) in pieces {
            delta.insert(name.to_owned(), Value::String(text));
        }
    }
    Ok(true)
}

/// A whole content under the rules: text, or parts of which some have text. Whether it changed.
fn content_under(rules: &[Rule], name: &str, content: &mut Value) -> Result<bool, HookError> {
    match content {
        Value::Null => Ok(false),
        Value::String(text) => Ok(text_under(rules, text)?),
        Value::Array(parts) => {
            let mut changed = false;
            for part in parts {
                match part {
                    Value::String(text) => changed |= text_under(rules, text)?,
                    Value::Object(part) => {
                        for name in ["text", "refusal"] {
                            match part.get_mut(name) {
                                None | Some(Value::Null) => {}
                                Some(Value::String(text)) => changed |= text_under(rules, text)?,
                                Some(_) => {
                                    return Err(unexpected(&format!(
                                        "`{name}` of a part to be text"
                                    )));
                                }
                            }
                        }
                    }
                    _ => return Err(unexpected(&format!("a part of `{name}` to be an object"))),
                }
            }
            Ok(changed)
        }
        _ => Err(unexpected(&format!("`{name}` to be text or a list of parts"))),
    }
}

fn text_under(rules: &[Rule], text: &mut String) -> Result<bool, Denial> {
    let mut changed = false;
    for rule in rules {
        if let Some(masked) = rule.whole(text, limits::ANSWER)? {
            *text = masked;
            changed = true;
        }
    }
    Ok(changed)
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
    for name in REPEATS {
        if let Some(value) = of.get_mut(name).filter(|value| !value.is_null()) {
            *value = Value::Null;
            removed = true;
        }
    }
    removed
}

fn unexpected(expected: &str) -> HookError {
    withheld(&format!("expected {expected}, found something else, which cannot be judged"))
}
