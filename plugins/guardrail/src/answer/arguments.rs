//! What a model calls tools with, as it streams: texts of their own, kept back like the others.

use super::{object, others_under, unexpected};
use crate::{
    held::{Channel, Held},
    rule::Rule,
    shape::FIELDS,
};
use plugin_api::HookError;
use serde_json::{Map, Value, json};

/// The channel of the one call that `function_call` knows; those of tool calls are below it.
const FUNCTION_CALL: u8 = u8::MAX;

/// The channel of the first tool call.
const FIRST: u8 = {
    assert!(FIELDS.len() < 16, "there is room for tool calls");
    16
};

/// What became of the tool calls of a delta.
pub(super) struct Calls {
    pub(super) changed: bool,
    /// The delta's `tool_calls`, with what was kept back of calls.
    pub(super) added: Option<Value>,
}

/// Passes what a delta adds to calls through the rules; `last`: with all that was kept back.
pub(super) fn under_rules(
    rules: &[Rule],
    held: &mut Held,
    (choice, last): (u8, bool),
    delta: &mut Map<String, Value>,
) -> Result<Calls, HookError> {
    let mut changed = false;
    let mut open = if last { held.fields(choice) } else { Vec::new() };
    open.retain(|field| *field >= FIRST);
    if let Some(call) = object(delta, "function_call")? {
        let channel = Channel { choice, field: FUNCTION_CALL };
        open.retain(|field| *field != FUNCTION_CALL);
        changed |= one(rules, held, (channel, last), call)?;
    } else if last && open.contains(&FUNCTION_CALL) {
        open.retain(|field| *field != FUNCTION_CALL);
        let channel = Channel { choice, field: FUNCTION_CALL };
        let text = held.next(rules, channel, "", true)?;
        delta.insert("function_call".to_owned(), json!({"arguments": text}));
        changed = true;
    }
    let calls = match delta.get_mut("tool_calls") {
        None | Some(Value::Null) => &mut Vec::new(),
        Some(Value::Array(calls)) => calls,
        Some(_) => return Err(unexpected("`tool_calls` to be a list")),
    };
    for (position, call) in calls.iter_mut().enumerate() {
        let call = call.as_object_mut().ok_or_else(|| unexpected("a tool call to be an object"))?;
        let index = match call.get("index") {
            None | Some(Value::Null) => u64::try_from(position).ok(),
            Some(index) => index.as_u64(),
        };
        let field = index.and_then(|index| u8::try_from(index + u64::from(FIRST)).ok());
        let field = field.filter(|field| *field < FUNCTION_CALL);
        let field = field.ok_or_else(|| unexpected("a tool call numbered from 0 to 238"))?;
        changed |= others_under(rules, call, &["function"])?;
        let Some(function) = object(call, "function")? else { continue };
        // What was kept goes out with the last piece of this call in the chunk.
        changed |= one(rules, held, (Channel { choice, field }, false), function)?;
    }
    let mut added = Vec::new();
    for field in if last { held.fields(choice) } else { Vec::new() } {
        if !(FIRST..FUNCTION_CALL).contains(&field) {
            continue;
        }
        let text = held.next(rules, Channel { choice, field }, "", true)?;
        if !text.is_empty() {
            added.push(json!({"index": field - FIRST, "function": {"arguments": text}}));
        }
    }
    let added = (!added.is_empty()).then(|| Value::Array([std::mem::take(calls), added].concat()));
    Ok(Calls { changed, added })
}

fn one(
    rules: &[Rule],
    held: &mut Held,
    (channel, last): (Channel, bool),
    function: &mut Map<String, Value>,
) -> Result<bool, HookError> {
    let mut changed = others_under(rules, function, &["arguments"])?;
    let piece = match function.get_mut("arguments") {
        None | Some(Value::Null) if !last => return Ok(changed),
        None | Some(Value::Null) => &mut String::new(),
        Some(Value::String(piece)) => piece,
        Some(_) => return Err(unexpected("the arguments of a call to be text")),
    };
    let text = held.next(rules, channel, piece, last)?;
    if text != *piece {
        function.insert("arguments".to_owned(), Value::String(text));
        changed = true;
    }
    Ok(changed)
}
