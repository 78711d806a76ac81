//! Translates messages: OpenAI's list in, Anthropic's `system` and turns out.
//!
//! Anthropic's turns alternate, and the results of tools stand in the user's turn: successive
//! messages of one side become one turn. A message is read as slices of the request and written at
//! once; a text is decoded only where it has to be examined.

use super::{
    content::{ContentBlocks, end, push_member, push_raw, write_content},
    error::RequestError,
    read::{decoded, member, object, required, text},
};
use crate::json_text::{JsonMembers, Piece, Text, elements, kind, kind_of};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The two lists that the messages become, each without its brackets.
#[derive(Debug)]
pub(super) struct Turns {
    pub(super) system: Vec<u8>,
    /// Comes after what was there before.
    pub(super) messages: Vec<u8>,
    /// Whose turn is open.
    side: Option<Side>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

impl Turns {
    /// Translates the value of `messages`, and appends the turns to `out`.
    pub(super) fn of(list: &RawValue, out: Vec<u8>) -> Result<Self, RequestError> {
        let mut turns = Self { system: Vec::new(), messages: out, side: None };
        let messages = elements(list).ok_or_else(|| RequestError::WrongType {
            param: "messages".to_owned(),
            expected: "an array of messages",
            found: kind(list),
        })?;
        for (at, message) in messages.enumerate() {
            turns.add(message, at)?;
        }
        turns.close();
        Ok(turns)
    }

    fn add(&mut self, json: &str, at: usize) -> Result<(), RequestError> {
        let path = format!("messages[{at}]");
        let message = object(json, || path.clone(), "a message object")?;
        let role = required(&message, "role", || format!("{path}.role"))?;
        let mark = member(&message, "cache_control");
        let content = member(&message, "content");
        let content_path = format!("{path}.content");
        match role.escaped() {
            "system" | "developer" => {
                let mut blocks = ContentBlocks { out: &mut self.system };
                write_content(&mut blocks, content, mark, &content_path)
            }
            "user" => self
                .within(Side::User, |blocks| write_content(blocks, content, mark, &content_path)),
            "assistant" => {
                self.within(Side::Assistant, |blocks| write_assistant(blocks, &message, &path))
            }
            "tool" | "function" => {
                self.within(Side::User, |blocks| write_result(blocks, &message, &path))
            }
            _ => Err(RequestError::NotTaken {
                param: format!("{path}.role"),
                remedy: "send `system`, `developer`, `user`, `assistant` or `tool`",
            }),
        }
    }

    /// Writes blocks into a turn of this side: the open one, or a new one. A message without any
    /// block opens none.
    fn within(
        &mut self,
        side: Side,
        write: impl FnOnce(&mut ContentBlocks<'_>) -> Result<(), RequestError>,
    ) -> Result<(), RequestError> {
        if self.side == Some(side) {
            return write(&mut ContentBlocks { out: &mut self.messages });
        }
        let before = self.messages.len();
        let open = match side {
            Side::User => &b"{\"role\":\"user\",\"content\":["[..],
            Side::Assistant => b"{\"role\":\"assistant\",\"content\":[",
        };
        let end = match self.side {
            Some(_) => &b"]},"[..],
            None => b"",
        };
        self.messages.extend_from_slice(end);
        self.messages.extend_from_slice(open);
        let start = self.messages.len();
        write(&mut ContentBlocks { out: &mut self.messages })?;
        if self.messages.len() == start {
            self.messages.truncate(before);
        } else {
            self.side = Some(side);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.side.take().is_some() {
            self.messages.extend_from_slice(b"]}");
        }
    }
}

fn write_assistant(
    blocks: &mut ContentBlocks<'_>,
    message: &JsonMembers<'_>,
    path: &str,
) -> Result<(), RequestError> {
    // The thoughts come first, as they came.
    if let Some(thoughts) = member(message, "thinking_blocks") {
        write_thoughts(blocks, thoughts, &format!("{path}.thinking_blocks"))?;
    }
    let mark = member(message, "cache_control");
    let content = member(message, "content").or_else(|| member(message, "refusal"));
    write_content(blocks, content, mark, &format!("{path}.content"))?;
    if let Some(calls) = member(message, "tool_calls") {
        return write_calls(blocks, calls, &format!("{path}.tool_calls"));
    }
    let Some(call) = member(message, "function_call") else { return Ok(()) };
    let path = format!("{path}.function_call");
    let function = object(call.get(), || path.clone(), "an object with `name` and `arguments`")?;
    let name = required(&function, "name", || format!("{path}.name"))?;
    write_call(blocks, name, &function, None, &path)
}

/// Blocks with signatures pass unchanged. Anthropic refuses others, so they are left out.
fn write_thoughts(
    blocks: &mut ContentBlocks<'_>,
    thoughts: &RawValue,
    path: &str,
) -> Result<(), RequestError> {
    let thoughts = elements(thoughts).ok_or_else(|| RequestError::WrongType {
        param: path.to_owned(),
        expected: "an array of thinking blocks",
        found: kind(thoughts),
    })?;
    for (at, json) in thoughts.enumerate() {
        let block = object(json, || format!("{path}[{at}]"), "a thinking block")?;
        let is_signed = ["signature", "data"].iter().any(|name| {
            member(&block, name).and_then(Text::of).is_some_and(|it| !it.escaped().is_empty())
        });
        if is_signed {
            blocks.copy(json);
        }
    }
    Ok(())
}

fn write_calls(
    blocks: &mut ContentBlocks<'_>,
    calls: &RawValue,
    path: &str,
) -> Result<(), RequestError> {
    let calls = elements(calls).ok_or_else(|| RequestError::WrongType {
        param: path.to_owned(),
        expected: "an array of tool calls",
        found: kind(calls),
    })?;
    for (at, json) in calls.enumerate() {
        let path = format!("{path}[{at}]");
        let call = object(json, || path.clone(), "an object with a `function` object")?;
        let id = required(&call, "id", || format!("{path}.id"))?;
        let inner = format!("{path}.function");
        let function = member(&call, "function")
            .ok_or_else(|| RequestError::Missing { param: inner.clone() })?;
        let function = object(function.get(), || inner.clone(), "an object with a `name`")?;
        write_call(blocks, id, &function, member(&call, "cache_control"), &inner)?;
    }
    Ok(())
}

/// Appends a call; the id of a legacy one is its name.
fn write_call(
    blocks: &mut ContentBlocks<'_>,
    id: Text<'_>,
    function: &JsonMembers<'_>,
    mark: Option<&RawValue>,
    path: &str,
) -> Result<(), RequestError> {
    let name = required(function, "name", || format!("{path}.name"))?;
    let input = arguments(member(function, "arguments"), path)?;
    let out = blocks.begin("tool_use");
    push_member(out, "id", &call_id(id)?);
    push_member(out, "name", &Piece::Source(name));
    push_raw(out, "input", input.as_bytes());
    end(out, mark);
    Ok(())
}

/// Appends a tool's result.
fn write_result(
    blocks: &mut ContentBlocks<'_>,
    message: &JsonMembers<'_>,
    path: &str,
) -> Result<(), RequestError> {
    let id = match text(message, "tool_call_id", || format!("{path}.tool_call_id"))? {
        Some(id) => id,
        // The result of a legacy function call has only the function's name.
        None => text(message, "name", || format!("{path}.name"))?
            .ok_or_else(|| RequestError::Missing { param: format!("{path}.tool_call_id") })?,
    };
    let id = call_id(id)?;
    let out = blocks.begin("tool_result");
    push_member(out, "tool_use_id", &id);
    out.extend_from_slice(b",\"content\":[");
    let content = member(message, "content");
    write_content(&mut ContentBlocks { out }, content, None, &format!("{path}.content"))?;
    out.push(b']');
    if member(message, "is_error").is_some_and(|it| it.get() == "true") {
        out.extend_from_slice(b",\"is_error\":true");
    }
    end(out, member(message, "cache_control"));
    Ok(())
}

/// The id of a call in the letters that Anthropic takes: other providers' ids may have others.
fn call_id(id: Text<'_>) -> Result<Piece<'_>, RequestError> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.escaped().is_empty() && id.escaped().as_bytes().iter().all(is_plain) {
        return Ok(Piece::Source(id));
    }
    let text = decoded(id, || "tool_call_id".to_owned())?;
    let plain = |c: char| if c.is_ascii() && is_plain(&(c as u8)) { c } else { '_' };
    let text: String = text.chars().map(plain).collect();
    Ok(Piece::of(if text.is_empty() { "_".to_owned() } else { text }))
}

/// The arguments as the text of a JSON object. OpenAI sends that text inside a string; absent,
/// `null` and empty all mean a call without arguments.
fn arguments<'a>(value: Option<&'a RawValue>, path: &str) -> Result<Cow<'a, str>, RequestError> {
    const EMPTY: Cow<'static, str> = Cow::Borrowed("{}");
    let path = || format!("{path}.arguments");
    let wrong = |found| RequestError::WrongType {
        param: path(),
        expected: "the text of a JSON object",
        found,
    };
    let Some(value) = value else { return Ok(EMPTY) };
    let Some(text) = Text::of(value) else {
        let is_object = value.get().starts_with('{');
        return is_object.then_some(Cow::Borrowed(value.get())).ok_or_else(|| wrong(kind(value)));
    };
    let text = decoded(text, path)?;
    match text.trim() {
        "" | "null" => Ok(EMPTY),
        trimmed => {
            let object: &RawValue = serde_json::from_str(trimmed).map_err(|error| {
                RequestError::NotJson { param: path(), reason: error.to_string() }
            })?;
            match kind_of(object.get()) {
                "an object" => Ok(text),
                other => Err(wrong(other)),
            }
        }
    }
}
