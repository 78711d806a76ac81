//! Translates answers: a chat's completion or chunk in, a text completion out.

use super::{AnswerFault, ChatEvents, logprobs::ChatLogprobs};
use crate::{
    ChunkSink,
    json_text::{Text, problem, set},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The members of a chat's answer that a text completion has, too. Those that are the same are
/// copied.
#[derive(Debug, Deserialize)]
struct ChatCompletion<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    system_fingerprint: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<ChatChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ChatChoice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<ChatText<'a>>,
    #[serde(borrow)]
    delta: Option<ChatText<'a>>,
    #[serde(borrow)]
    logprobs: Option<ChatLogprobs<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ChatText<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
}

/// The text completion that a completion stands for.
pub(in super::super) fn reply(completion: &[u8]) -> Result<Vec<u8>, AnswerFault> {
    let answer = read(completion)?;
    let mut out = Vec::with_capacity(completion.len() + 64);
    write(&answer, &mut BTreeMap::new(), &mut out);
    Ok(out)
}

/// A stream of text completions.
#[derive(Debug, Default)]
pub(in super::super) struct CompletionChunks {
    /// The characters said so far, by choice.
    said: BTreeMap<u64, usize>,
    json: Vec<u8>,
}

impl ChatEvents for CompletionChunks {
    fn chunk(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        self.json.clear();
        write(&read(json)?, &mut self.said, &mut self.json);
        out.chunk(&[&self.json]);
        Ok(())
    }

    fn end(&mut self, _: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        Ok(())
    }
}

impl ChatChoice<'_> {
    fn text(&self) -> Option<Text<'_>> {
        let said = self.message.as_ref().or(self.delta.as_ref())?;
        let text = |value: Option<_>| set(value).and_then(Text::of);
        text(said.content).or_else(|| text(said.refusal))
    }
}

fn read(json: &[u8]) -> Result<ChatCompletion<'_>, AnswerFault> {
    serde_json::from_slice(json).map_err(|error| {
        AnswerFault::Malformed(format!("its completion cannot be read: {}", problem(&error)))
    })
}

fn write(answer: &ChatCompletion<'_>, said: &mut BTreeMap<u64, usize>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"object\":\"text_completion\"");
    let ChatCompletion { id, created, model, system_fingerprint, choices, usage } = answer;
    let head = [
        ("id", id),
        ("created", created),
        ("model", model),
        ("system_fingerprint", system_fingerprint),
    ];
    head.into_iter().for_each(|(name, value)| push(out, name, *value));
    out.extend_from_slice(b",\"choices\":[");
    for (at, choice) in choices.iter().flatten().enumerate() {
        let index = choice.index.unwrap_or(at as u64);
        let start = if at == 0 { "" } else { "," };
        out.extend_from_slice(format!("{start}{{\"index\":{index},\"text\":\"").as_bytes());
        let text = choice.text().map_or("", Text::escaped);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\",\"logprobs\":");
        let logprobs = choice.logprobs.as_ref();
        let logprobs = logprobs.and_then(|it| it.of_completion(said.entry(index).or_default()));
        // Texts and numbers that were read can be written.
        out.extend_from_slice(&serde_json::to_vec(&logprobs).unwrap_or_default());
        let reason = choice.finish_reason.map_or("null", RawValue::get);
        out.extend_from_slice(format!(",\"finish_reason\":{reason}}}").as_bytes());
    }
    out.push(b']');
    push(out, "usage", *usage);
    out.push(b'}');
}

/// Appends `,"name":value`, unless there is none.
fn push(out: &mut Vec<u8>, name: &str, value: Option<&RawValue>) {
    let Some(value) = set(value) else { return };
    out.extend_from_slice(format!(",\"{name}\":").as_bytes());
    out.extend_from_slice(value.get().as_bytes());
}
