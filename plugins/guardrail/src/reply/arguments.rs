//! The streamed arguments of tool calls. Each is a text of its own, held back like the others.

use super::others::others_under;
use crate::{
    object::{Object, json_text, list_under},
    rule::Rule,
    shape::FIELDS,
    stream_buffer::{Channel, StreamBuffer},
    withheld::unexpected,
};
use plugin_api::HookError;

/// The channel of `function_call`. Those of tool calls have lower numbers.
const FUNCTION_CALL: u8 = u8::MAX;

/// The channel of the first tool call.
const FIRST: u8 = {
    assert!(FIELDS.len() < 16, "fields and tool calls need different channels");
    16
};

/// Applies the rules to the arguments that a delta adds. If `last`, all text that was held back
/// goes out too.
pub(super) fn under_rules(
    rules: &[Rule],
    held: &mut StreamBuffer,
    (choice, last): (u8, bool),
    delta: &mut Object<'_>,
) -> Result<(), HookError> {
    let kept = last && held.fields(choice).contains(&FUNCTION_CALL);
    let call = delta.get("function_call").or(kept.then_some("{}"));
    if let Some(call) = call {
        let mut call = Object::read(call, "`function_call`")?;
        one(rules, held, (Channel { choice, field: FUNCTION_CALL }, last), &mut call)?;
        call.changed().into_iter().for_each(|call| delta.set("function_call", call));
    }
    let calls = delta.get("tool_calls");
    let mut new = match calls {
        None => None,
        Some(calls) => list_under(calls, "`tool_calls`", |position, call| {
            tool_call(rules, held, (choice, position), call)
        })?,
    };
    for field in if last { held.fields(choice) } else { Vec::new() } {
        if !(FIRST..FUNCTION_CALL).contains(&field) {
            continue;
        }
        let text = held.next(rules, Channel { choice, field }, "", true)?;
        if !text.is_empty() {
            let (index, text) = (field - FIRST, json_text(&text));
            let list = new.get_or_insert_with(|| calls.unwrap_or("[]").to_owned());
            append(list, &format!(r#"{{"index":{index},"function":{{"arguments":{text}}}}}"#));
        }
    }
    new.into_iter().for_each(|calls| delta.set("tool_calls", calls));
    Ok(())
}

/// Appends an element to a list.
fn append(list: &mut String, element: &str) {
    list.pop();
    let is_empty = list.trim_end() == "[";
    list.push_str(if is_empty { "" } else { "," });
    list.push_str(element);
    list.push(']');
}

fn tool_call(
    rules: &[Rule],
    held: &mut StreamBuffer,
    (choice, position): (u8, usize),
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut call = Object::read(json, "a tool call")?;
    let index = match call.get("index") {
        None => Some(position),
        Some(index) => index.parse().ok(),
    };
    let field = index.and_then(|index| u8::try_from(index.checked_add(usize::from(FIRST))?).ok());
    let field = field.filter(|field| *field < FUNCTION_CALL);
    let field = field.ok_or_else(|| unexpected("a tool call numbered from 0 to 238"))?;
    others_under(rules, &mut call, &["function"])?;
    if let Some(function) = call.get("function") {
        let mut function = Object::read(function, "`function`")?;
        // Held text goes out with the last piece of this call in the chunk.
        one(rules, held, (Channel { choice, field }, false), &mut function)?;
        function.changed().into_iter().for_each(|function| call.set("function", function));
    }
    Ok(call.changed())
}

fn one(
    rules: &[Rule],
    held: &mut StreamBuffer,
    (channel, last): (Channel, bool),
    function: &mut Object<'_>,
) -> Result<(), HookError> {
    others_under(rules, function, &["arguments"])?;
    if function.get("arguments").is_none() && !last {
        return Ok(());
    }
    let piece = function.text("arguments", "the arguments of a call")?;
    let text = held.next(rules, channel, &piece, last)?;
    if text != piece {
        function.set("arguments", json_text(&text));
    }
    Ok(())
}
