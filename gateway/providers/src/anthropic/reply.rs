//! Translates a whole reply: one message in, one OpenAI `chat.completion` out.

use super::{
    content::{push_member, push_raw},
    tools::ANSWER,
    usage::{Counts, finish_reason},
};
use crate::{
    AnswerFault, Echo, Usage,
    error_text::read_error,
    json_text::{Piece, Str, Text, problem, push_list, push_string},
};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Str<'a>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
    usage: Option<Counts>,
}

/// A content block; of another kind than `text`, `thinking` and `tool_use`, only its type counts.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Str<'a>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

impl Block<'_> {
    /// Whether it is the call of the tool whose input is the answer.
    pub(super) fn is_answer(&self) -> bool {
        let name = self.name.and_then(Text::of);
        self.kind.0 == "tool_use" && name.is_some_and(|name| name.escaped() == ANSWER)
    }
}

/// Translates the body of a 200.
pub(super) fn completion(
    body: &[u8],
    echo: &Echo,
) -> Result<(Vec<u8>, Option<Usage>), AnswerFault> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| {
        AnswerFault::Malformed(format!("Anthropic's reply is not a message: {}", problem(&error)))
    })?;
    let missing = |what: &str| {
        AnswerFault::Malformed(format!("Anthropic's reply is not a message: it has no {what}"))
    };
    if message.kind.as_ref().is_some_and(|kind| kind.0 == "error") || message.content.is_none() {
        let said = read_error(body).map(AnswerFault::Upstream);
        return Err(said.unwrap_or_else(|| missing("`content`")));
    }
    let blocks = message.content.unwrap_or_default();
    let Some(stop_reason) = message.stop_reason else {
        return Err(AnswerFault::Incomplete("it has no `stop_reason`".to_owned()));
    };
    let counts = message.usage.unwrap_or_default();
    let mut out = Vec::with_capacity(body.len() + 512);
    out.extend_from_slice(b"{\"id\":");
    match message.id.and_then(Text::of) {
        Some(id) => Piece::Source(id).write(&mut out),
        None => push_string(&mut out, &echo.id),
    }
    let created =
        format!(",\"object\":\"chat.completion\",\"created\":{},\"model\":", echo.created);
    out.extend_from_slice(created.as_bytes());
    push_string(&mut out, &echo.model);
    out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"");
    write_message(&mut out, &blocks);
    let is_answer = blocks.iter().any(Block::is_answer);
    let calls = blocks.iter().any(|block| block.kind.0 == "tool_use" && !block.is_answer());
    let reason = match finish_reason(&stop_reason.0) {
        "tool_calls" if is_answer && !calls => "stop",
        reason => reason,
    };
    let end = format!("}},\"logprobs\":null,\"finish_reason\":\"{reason}\"}}]");
    out.extend_from_slice(end.as_bytes());
    if counts.usage().is_some() {
        out.push(b',');
        counts.write(&mut out);
    }
    out.push(b'}');
    Ok((out, counts.usage()))
}

fn write_message(out: &mut Vec<u8>, blocks: &[Block<'_>]) {
    let texts = |kind: &'static str, of: for<'b, 'a> fn(&'b Block<'a>) -> Option<&'a RawValue>| {
        blocks
            .iter()
            .filter(move |block| block.kind.0 == kind)
            .filter_map(move |block| Text::of(of(block)?))
    };
    let answers = blocks.iter().filter(|block| block.is_answer());
    let answers: Vec<_> = answers.filter_map(|block| block.input).collect();
    let calls: Vec<_> =
        blocks.iter().filter(|block| block.kind.0 == "tool_use" && !block.is_answer()).collect();
    let has_text = texts("text", |block| block.text).next().is_some() || !answers.is_empty();
    if has_text || calls.is_empty() {
        out.extend_from_slice(b",\"content\":\"");
        texts("text", |block| block.text)
            .for_each(|text| out.extend_from_slice(text.escaped().as_bytes()));
        for answer in answers {
            // The JSON of the input as a text.
            let mut text = Vec::new();
            push_string(&mut text, answer.get());
            out.extend_from_slice(&text[1..text.len() - 1]);
        }
        out.push(b'"');
    } else {
        out.extend_from_slice(b",\"content\":null");
    }
    write_thoughts(out, blocks);
    if !calls.is_empty() {
        out.extend_from_slice(b",\"tool_calls\":[");
        push_list(out, calls, |out, call| write_call(out, call));
        out.push(b']');
    }
    out.extend_from_slice(b",\"refusal\":null");
}

/// Appends the thoughts as one text, and as the blocks that the next turn has to bring back.
fn write_thoughts(out: &mut Vec<u8>, blocks: &[Block<'_>]) {
    let is_thought = |block: &&Block<'_>| block.kind.0.ends_with("thinking");
    let thoughts: Vec<_> = blocks.iter().filter(is_thought).collect();
    if thoughts.is_empty() {
        return;
    }
    let texts = thoughts.iter().filter_map(|block| Text::of(block.thinking?));
    out.extend_from_slice(b",\"reasoning_content\":\"");
    texts.for_each(|text| out.extend_from_slice(text.escaped().as_bytes()));
    out.extend_from_slice(b"\",\"thinking_blocks\":[");
    push_list(out, thoughts, |out, block| {
        out.extend_from_slice(b"{\"type\":");
        push_string(out, &block.kind.0);
        for (name, value) in
            [("thinking", block.thinking), ("signature", block.signature), ("data", block.data)]
        {
            if let Some(value) = value {
                push_raw(out, name, value.get().as_bytes());
            }
        }
        out.push(b'}');
    });
    out.push(b']');
}

fn write_call(out: &mut Vec<u8>, call: &Block<'_>) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(call.id.map_or("null", RawValue::get).as_bytes());
    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    out.extend_from_slice(call.name.map_or("null", RawValue::get).as_bytes());
    let mut arguments = Vec::new();
    push_string(&mut arguments, call.input.map_or("{}", RawValue::get));
    push_member(out, "arguments", &Piece::Made(arguments));
    out.extend_from_slice(b"}}");
}
