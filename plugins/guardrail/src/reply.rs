//! Finds the texts of a reply or a chunk and puts them back masked.

use crate::{
    growth::GrowthLimit,
    object::{Object, json_text, list_under},
    rule::Rule,
    shape::{self, FIELDS},
    stream_buffer::{Channel, MOST_CHOICES, StreamBuffer},
    text::{Kind, under},
    withheld::{Withheld, unexpected},
};
use plugin_api::HookError;

mod arguments;
mod others;

use others::others_under;

/// Applies the rules to a complete reply. Returns `None` if nothing changed.
pub(crate) fn whole(rules: &[Rule], json: &str) -> Result<Option<String>, HookError> {
    under(rules, json, Kind::Reply, &mut GrowthLimit::of(json.len())).map_err(Withheld::of_reply)
}

/// Applies the rules to a chunk. `held` is the text held back from earlier chunks. Returns `None`
/// if nothing changed.
pub(crate) fn chunk(
    rules: &[Rule],
    held: &mut StreamBuffer,
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut chunk = Object::read(json, "a chunk")?;
    others_under(rules, &mut chunk, &["choices"])?;
    // Chunks that carry only usage have no choices.
    if let Some(choices) = chunk.get("choices") {
        let choices =
            list_under(choices, "`choices`", |_, choice| choice_under(rules, held, choice))?;
        choices.into_iter().for_each(|choices| chunk.set("choices", choices));
    }
    Ok(chunk.changed())
}

fn choice_under(
    rules: &[Rule],
    held: &mut StreamBuffer,
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut choice = Object::read(json, "a choice")?;
    remove_repeats(&mut choice);
    if let Some(other) = ["message", "text"].into_iter().find(|name| choice.get(name).is_some()) {
        return Err(unexpected(&format!("a chunk without `{other}` in its choice")));
    }
    let number = match choice.get("index") {
        None => Some(0),
        Some(index) => index.parse().ok().filter(|index| *index < MOST_CHOICES),
    };
    let number = number.ok_or_else(|| unexpected("a choice numbered from 0 to 127"))?;
    let last = choice.get("finish_reason").is_some();
    others_under(rules, &mut choice, &["delta"])?;
    let delta = choice.get("delta").unwrap_or("{}");
    let delta = delta_under(rules, held, (number, last), delta)?;
    delta.into_iter().for_each(|delta| choice.set("delta", delta));
    Ok(choice.changed())
}

/// Applies the rules to the texts that a chunk adds to a choice. The choice's last chunk also
/// carries all text that was held back, even if the chunk itself adds nothing.
fn delta_under(
    rules: &[Rule],
    held: &mut StreamBuffer,
    (choice, last): (u8, bool),
    json: &str,
) -> Result<Option<String>, HookError> {
    let mut delta = Object::read(json, "`delta`")?;
    remove_repeats(&mut delta);
    let known = [&FIELDS[..], &["tool_calls", "function_call"]].concat();
    others_under(rules, &mut delta, &known)?;
    for (field, name) in (0_u8..).zip(FIELDS) {
        let piece = delta.text(name, &format!("`{name}` of a chunk"))?;
        if piece.is_empty() && !last {
            continue;
        }
        let text = held.next(rules, Channel { choice, field }, &piece, last)?;
        if text != piece {
            delta.set(name, json_text(&text));
        }
    }
    arguments::under_rules(rules, held, (choice, last), &mut delta)?;
    Ok(delta.changed())
}

fn remove_repeats(of: &mut Object<'_>) {
    for name in shape::REPEATS {
        if of.get(name).is_some() {
            of.set(name, "null".to_owned());
        }
    }
}
