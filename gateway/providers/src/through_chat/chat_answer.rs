//! A chat's answer as it is read: whole, or a chunk of its stream, which have the same members.

use super::AnswerFault;
use crate::json_text::{Piece, Str, Text, elements, problem, set};
use callgate_json::slices;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(super) struct ChatAnswer<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    message: Option<Said<'a>>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<Str<'a>>,
}

/// What the model says: all of it, or a piece.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking_blocks: Option<Vec<Thought<'a>>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<ToolCall<'a>>>,
}

/// A thought of a model of Anthropic's, with what the next turn has to bring back.
#[derive(Debug, Deserialize)]
pub(super) struct Thought<'a> {
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'a> Function<'a> {
    /// The arguments, or a piece of them, unless they are empty. Some servers send the object
    /// itself in place of its text.
    pub(super) fn arguments(self) -> Option<Piece<'a>> {
        let value = self.arguments?;
        match value.get().starts_with('{') {
            true => Some(Piece::of(value.get().to_owned())),
            false => filled(value).map(Piece::Source),
        }
    }
}

/// The tokens of a chat, with the parts of which other APIs count.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct ChatUsage {
    pub(super) prompt_tokens: Option<u64>,
    pub(super) completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl ChatUsage {
    /// The part of the prompt that was read from a cache.
    pub(super) fn cached(&self) -> u64 {
        self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0)
    }

    /// The part of the prompt that was written to a cache.
    pub(super) fn written(&self) -> u64 {
        self.cache_creation_input_tokens.unwrap_or(0)
    }

    /// The part of the answer that was spent on thoughts.
    pub(super) fn reasoning(&self) -> u64 {
        self.completion_tokens_details.and_then(|details| details.reasoning_tokens).unwrap_or(0)
    }
}

impl<'a> ChatAnswer<'a> {
    /// Reads an answer that a dialect has judged.
    pub(super) fn read(json: &'a [u8]) -> Result<Self, AnswerFault> {
        serde_json::from_slice(json).map_err(|error| {
            AnswerFault::Malformed(format!("its completion cannot be read: {}", problem(&error)))
        })
    }

    /// The tokens, if they are counted in a form that can be read.
    pub(super) fn usage(&self) -> Option<ChatUsage> {
        serde_json::from_str(set(self.usage)?.get()).ok()
    }

    /// The first choice: other APIs have no more.
    pub(super) fn first(&self) -> Option<&Choice<'a>> {
        let choices = self.choices.iter().flatten();
        choices.into_iter().find(|choice| choice.index.unwrap_or(0) == 0)
    }
}

impl<'a> Choice<'a> {
    pub(super) fn said(&self) -> Option<&Said<'a>> {
        self.message.as_ref().or(self.delta.as_ref())
    }
}

impl<'a> Said<'a> {
    /// The texts of the answer, in order; some servers send parts.
    pub(super) fn texts(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let parts = set(self.content).and_then(elements).into_iter().flatten();
        let of_parts = parts.filter_map(|part| {
            let text = slices::member(part.as_bytes(), "text")?;
            serde_json::from_slice::<&RawValue>(text).ok().and_then(filled)
        });
        self.content.and_then(filled).into_iter().chain(of_parts)
    }

    /// Why the model does not answer.
    pub(super) fn refusal(&self) -> Option<Text<'a>> {
        self.refusal.and_then(filled)
    }

    /// Its thoughts, by either name that servers use.
    pub(super) fn thoughts(&self) -> Option<Text<'a>> {
        self.reasoning_content.and_then(filled).or_else(|| self.reasoning.and_then(filled))
    }
}

/// A text that is not empty.
pub(super) fn filled(value: &RawValue) -> Option<Text<'_>> {
    Text::of(value).filter(|text| !text.escaped().is_empty())
}
