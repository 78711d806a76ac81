//! Translates a whole answer: a `chat.completion` in, a response out.

use super::{
    AnswerFault, ChatAnswer, Echo, Function, Said, ToolCall, filled,
    output::{ItemKind, OutputItem, ResponseHead, ResponseStatus},
};
use crate::json_text::{Piece, Text, push_string};
use bytes::Bytes;

/// The response that a completion stands for.
pub(in super::super) fn reply(
    completion: &[u8],
    echo: &Echo,
    echoed: &Bytes,
) -> Result<Vec<u8>, AnswerFault> {
    let answer = ChatAnswer::read(completion)?;
    let Some(choice) = answer.first() else {
        return Err(AnswerFault::Malformed("its completion has no choice".to_owned()));
    };
    let status = ResponseStatus::of(choice.finish_reason.as_ref().map(|reason| &*reason.0));
    let mut output = Vec::with_capacity(completion.len());
    for item in choice.said().map(|said| items(said, echo)).transpose()?.unwrap_or_default() {
        if !output.is_empty() {
            output.push(b',');
        }
        item.write(&mut output, status);
    }
    let mut out = Vec::with_capacity(output.len() + echoed.len() + 512);
    head(&answer, echo, echoed).write(&mut out, status, &output, answer.usage().as_ref());
    Ok(out)
}

pub(super) fn head(answer: &ChatAnswer<'_>, echo: &Echo, echoed: &Bytes) -> ResponseHead {
    let json = |value: Option<&'_ serde_json::value::RawValue>| {
        value.filter(|value| filled(value).is_some()).map(|value| value.get().to_owned())
    };
    let (id, model) = (json(answer.id), json(answer.model));
    ResponseHead::new(id.as_deref(), model.as_deref(), echo, echoed)
}

fn items(said: &Said<'_>, echo: &Echo) -> Result<Vec<OutputItem>, AnswerFault> {
    let mut items = Vec::new();
    let mut add = |kind, texts: &mut dyn Iterator<Item = Text<'_>>| {
        let mut item = OutputItem::new(kind, echo, items.len());
        texts.for_each(|text| item.text.extend_from_slice(text.escaped().as_bytes()));
        items.push(item);
    };
    if let Some(thoughts) = said.thoughts() {
        add(ItemKind::Thoughts, &mut [thoughts].into_iter());
    }
    let mut texts = said.texts().peekable();
    if texts.peek().is_some() {
        add(ItemKind::Text, &mut texts);
    }
    if let Some(refusal) = said.refusal() {
        add(ItemKind::Refusal, &mut [refusal].into_iter());
    }
    for (at, call) in said.tool_calls.iter().flatten().enumerate() {
        let arguments = call.function.and_then(Function::arguments);
        add(call_kind(call, at, echo)?, &mut arguments.iter().map(Piece::text));
    }
    Ok(items)
}

/// The kind of a call's item; `at` is its place among the calls.
pub(super) fn call_kind(
    call: &ToolCall<'_>,
    at: usize,
    echo: &Echo,
) -> Result<ItemKind, AnswerFault> {
    let name = call.function.and_then(|function| function.name).and_then(filled);
    let name =
        name.ok_or_else(|| AnswerFault::Malformed("a tool's call without a name".to_owned()))?;
    let text = |piece: Piece<'_>| String::from_utf8_lossy(piece.json()).into_owned();
    let call_id = call.id.and_then(filled).map(|id| text(Piece::Source(id)));
    let made = || {
        let mut json = Vec::new();
        push_string(&mut json, &format!("call_{}_{at}", echo.id));
        String::from_utf8_lossy(&json).into_owned()
    };
    Ok(ItemKind::Call {
        number: call.index.unwrap_or(at as u64),
        call_id: call_id.unwrap_or_else(made),
        name: text(Piece::Source(name)),
    })
}
