//! Where text stands in a prompt, and putting it back changed.

use crate::{
    answer::{FIELDS, content_under},
    rule::Rule,
};
use plugin_api::{HookError, LlmCall, Rejection};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    /// What a client sends back of an answer.
    #[serde(borrow, default)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
}

impl Outline<'_> {
    fn is_plain(&self) -> bool {
        let others = [self.reasoning_content, self.reasoning, self.refusal, self.thinking];
        others.iter().flatten().all(|value| value.get() == "null")
    }
}

/// Applies the rules to every message. Images, tool calls and unknown members stay as they are.
pub(crate) fn apply(rules: &[Rule], call: &mut LlmCall<'_>) -> Result<(), HookError> {
    for index in 0..call.message_count() {
        let json = call.message_json(index).unwrap_or_default();
        let outline: Outline<'_> = serde_json::from_str(json).map_err(|_| unreadable(index))?;
        match outline.content.map(RawValue::get) {
            None | Some("null") if outline.is_plain() => {}
            Some(text) if text.starts_with('"') && outline.is_plain() => {
                text_message(rules, call, index)?;
            }
            _ => whole_message(rules, call, index)?,
        }
    }
    Ok(())
}

/// A message whose content is text: read without being parsed again, and seldom changed.
fn text_message(rules: &[Rule], call: &mut LlmCall<'_>, index: usize) -> Result<(), HookError> {
    let mut changed: Option<String> = None;
    for rule in rules {
        let text = changed.as_deref().or(call.message_text(index)).unwrap_or_default();
        changed = rule.whole(text)?.or(changed);
    }
    if let Some(text) = changed {
        call.set_message_text(index, &text)?;
    }
    Ok(())
}

fn whole_message(rules: &[Rule], call: &mut LlmCall<'_>, index: usize) -> Result<(), HookError> {
    let json = call.message_json(index).unwrap_or_default();
    let mut message: Value = serde_json::from_str(json).map_err(|_| unreadable(index))?;
    let mut changed = false;
    for name in FIELDS {
        let Some(content) = message.get_mut(name) else { continue };
        changed |= content_under(rules, name, content).map_err(|error| match error {
            HookError::Internal(_) => unreadable(index),
            denial => denial,
        })?;
    }
    if changed {
        call.set_message_json(index, &message.to_string())?;
    }
    Ok(())
}

/// What cannot be judged does not pass. It is the client's mistake, not this callback's.
fn unreadable(index: usize) -> HookError {
    let message = format!(
        "messages[{index}]: expected an object whose `content` is text or a list of parts, each \
         named once, found something else"
    );
    Rejection::new(400, message).code("guardrail").into()
}
