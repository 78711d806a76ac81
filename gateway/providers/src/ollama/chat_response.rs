//! One `/api/chat` object of Ollama's, which is a whole reply or one line of a stream, and its
//! parts in OpenAI's format.
//!
//! Shared by `reply` and `stream`, which wrap these parts differently.

use super::{
    error::read_error_member,
    json::{Piece, Text, kind, problem, push_string, set},
    logprobs,
};
use crate::{ErrorText, Usage, error_text::read_error};
use serde::Deserialize;
use serde_json::value::RawValue;

/// One object of `/api/chat`. Members without a counterpart at OpenAI are ignored: durations, the
/// date, the name and host of a remote model.
#[derive(Debug, Deserialize)]
pub(super) struct ChatResponse<'a> {
    #[serde(borrow)]
    pub(super) message: Option<ResponseMessage<'a>>,
    #[serde(default)]
    pub(super) done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    eval_count: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// How much longer a small response may become by its translation.
const GROWTH: usize = 2 << 20;

/// The longest translation of a response of this length. Both are in memory at the same time, so a
/// large response must not become a multiple of itself.
pub(super) fn longest(length: usize) -> usize {
    length + GROWTH.max(length / 16)
}

fn within(out: &[u8], longest: usize) -> Result<(), String> {
    if out.len() <= longest {
        return Ok(());
    }
    Err(format!("in OpenAI's terms it would be much longer than it came: over {longest} bytes"))
}

/// The most characters of an unknown reason that are shown.
const SHOWN: usize = 40;

/// Why an object is not part of a response.
#[derive(Debug)]
pub(super) enum ResponseError {
    /// Ollama, or a proxy in front of it, reports an error.
    Error(ErrorText),
    Malformed(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct ResponseMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl<'a> ChatResponse<'a> {
    /// Reads one object. If it is neither a part of a response nor its end, it may be an error in
    /// another shape than Ollama's, from a proxy in front of it.
    pub(super) fn read(source: &'a [u8]) -> Result<Self, ResponseError> {
        let text = std::str::from_utf8(source).map_err(|error| error.to_string());
        let parsed = text
            .and_then(|text| serde_json::from_str::<Self>(text).map_err(|error| problem(&error)));
        match parsed {
            Ok(Self { error: Some(error), .. }) if !matches!(error.get(), "\"\"" | "{}") => {
                Err(ResponseError::Error(read_error_member(error)))
            }
            Ok(answer) if answer.message.is_some() || answer.done == Some(true) => Ok(answer),
            other => Err(match (read_error(source), other) {
                (Some(said), _) => ResponseError::Error(said),
                (None, Err(reason)) => ResponseError::Malformed(reason),
                (None, Ok(_)) => {
                    ResponseError::Malformed("it has neither `message` nor `error`".to_owned())
                }
            }),
        }
    }

    /// The token counts; `None` if Ollama sent neither. A single missing count is zero, because
    /// Ollama omits zeros.
    pub(super) fn usage(&self) -> Option<Usage> {
        let count = |value: Option<&RawValue>| value.and_then(|count| count.get().parse().ok());
        let (prompt, completion) = (count(self.prompt_eval_count), count(self.eval_count));
        if prompt.is_none() && completion.is_none() {
            return None;
        }
        let (prompt, completion): (u64, u64) =
            (prompt.unwrap_or_default(), completion.unwrap_or_default());
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            total_tokens: prompt.saturating_add(completion),
        })
    }

    /// Appends the tokens' probabilities as elements of OpenAI's `content`, after those already
    /// there.
    pub(super) fn write_logprobs(&self, out: &mut Vec<u8>, longest: usize) -> Result<(), String> {
        match set(self.logprobs) {
            Some(tokens) => logprobs::write(out, tokens, |out| within(out, longest)),
            None => Ok(()),
        }
    }

    /// OpenAI's finish reason. Ollama has two reasons for a complete response. All others (`load`,
    /// `unload`, or none if its model was lost) mean that the response is missing or partial;
    /// OpenAI has no reason for these, so they are errors.
    pub(super) fn finish_reason(&self, called_tools: bool) -> Result<&'static str, String> {
        match self.done_reason.map(RawValue::get) {
            Some(r#""length""#) => Ok("length"),
            Some(r#""stop""#) if called_tools => Ok("tool_calls"),
            Some(r#""stop""#) => Ok("stop"),
            None | Some("null" | "\"\"") => Err("it is done and has no `done_reason`".to_owned()),
            Some(other) => {
                let shown = &other[..other.floor_char_boundary(SHOWN)];
                Err(format!("its `done_reason` is {shown}, which is not the end of an answer"))
            }
        }
    }
}

impl<'a> ResponseMessage<'a> {
    pub(super) fn content(&self) -> Result<Option<Text<'a>>, String> {
        text("content", self.content)
    }

    pub(super) fn thinking(&self) -> Result<Option<Text<'a>>, String> {
        text("thinking", self.thinking)
    }

    pub(super) fn tool_calls(&self) -> &[ToolCall<'a>] {
        self.tool_calls.as_deref().unwrap_or_default()
    }
}

impl ToolCall<'_> {
    /// Appends the call as OpenAI's object; `in_stream` adds the `index` that chunks carry.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        index: usize,
        (ids, longest): (&CallIds, usize),
        in_stream: bool,
    ) -> Result<(), String> {
        let name = text("tool_calls[].function.name", Some(self.function.name))?
            .ok_or("a tool call has no name")?;
        out.push(b'{');
        if in_stream {
            out.extend_from_slice(format!("\"index\":{index},").as_bytes());
        }
        out.extend_from_slice(b"\"id\":");
        match self.id.and_then(Text::of).filter(|id| !id.escaped().is_empty()) {
            Some(id) => Piece::Source(id).write(out),
            None => push_string(out, &ids.id(index)),
        }
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        Piece::Source(name).write(out);
        out.extend_from_slice(b",\"arguments\":");
        match set(self.function.arguments) {
            None => push_string(out, "{}"),
            Some(value) => match Text::of(value) {
                Some(text) if text.escaped().is_empty() => push_string(out, "{}"),
                Some(text) => Piece::Source(text).write(out),
                None => push_string(out, value.get()),
            },
        }
        out.extend_from_slice(b"}}");
        within(out, longest)
    }
}

/// Ids for tool calls that have none: the same reply always yields the same ids.
#[derive(Debug)]
pub(super) struct CallIds {
    base: String,
}

impl CallIds {
    /// The length of the part of the reply's id that is repeated. OpenAI accepts ids of at most 40
    /// characters.
    const BASE: usize = 24;

    pub(super) fn new(reply_id: &str) -> Self {
        let id = reply_id.strip_prefix("chatcmpl-").unwrap_or(reply_id);
        let base = id.chars().filter(char::is_ascii_alphanumeric).take(Self::BASE).collect();
        Self { base }
    }

    fn id(&self, index: usize) -> String {
        format!("call_{}_{index}", self.base)
    }
}

/// Appends `"usage":{…}`.
pub(super) fn push_usage(out: &mut Vec<u8>, usage: Usage) {
    let Usage { prompt_tokens, completion_tokens, total_tokens } = usage;
    let text = format!(
        "\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"completion_tokens\":{completion_tokens},\
         \"total_tokens\":{total_tokens}}}"
    );
    out.extend_from_slice(text.as_bytes());
}

/// A string member of the message; absent, null and empty all count as absent.
fn text<'a>(name: &str, value: Option<&'a RawValue>) -> Result<Option<Text<'a>>, String> {
    let Some(value) = set(value) else { return Ok(None) };
    match Text::of(value) {
        Some(text) => Ok(Some(text).filter(|text| !text.escaped().is_empty())),
        None => Err(format!("`message.{name}` must be a string, found {}", kind(value))),
    }
}
