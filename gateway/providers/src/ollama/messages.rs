//! Translates OpenAI chat messages for Ollama: text as one string, images beside it, arguments as
//! objects.
//!
//! A message is read as slices of the request and written directly into the new body. Text is
//! decoded only if it has to be examined (images, a leading `<think>` block, arguments). Called by
//! `request`.

use super::{
    content::Content,
    error::TranslateError,
    json::{
        Piece, Str, Text, elements, kind, kind_of, problem, push_list, push_string, set, string,
    },
    think_tags,
};
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
};

/// One message of the request; each field is the source text of its value, of any kind.
#[derive(Debug, Default)]
pub(super) struct Message<'a> {
    role: Option<&'a RawValue>,
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    reasoning: [Option<&'a RawValue>; REASONING.len()],
    images: Option<&'a RawValue>,
    audio: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    tool_call_id: Option<&'a RawValue>,
    tool_name: Option<&'a RawValue>,
}

/// The names that servers use for an assistant's reasoning; the first one that is set counts.
const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "thinking"];

/// The tool names of earlier calls, by call id: Ollama needs the tool's name with a result,
/// OpenAI's clients send only the id. Results follow their calls, so the oldest of many calls are
/// dropped.
#[derive(Debug, Default)]
pub(super) struct Called<'a> {
    hasher: RandomState,
    tools: HashMap<u64, Text<'a>>,
}

impl<'a> Called<'a> {
    /// The most calls that are kept, far more than one turn has.
    const MOST: usize = 512;

    fn note(&mut self, id: Text<'_>, tool: Text<'a>) {
        if self.tools.len() >= Self::MOST {
            self.tools.clear();
        }
        self.tools.insert(self.key(id), tool);
    }

    fn tool(&self, id: Text<'_>) -> Option<Text<'a>> {
        if self.tools.is_empty() {
            return None;
        }
        self.tools.get(&self.key(id)).copied()
    }

    fn key(&self, id: Text<'_>) -> u64 {
        let decoded = id.decode();
        self.hasher.hash_one(decoded.as_deref().unwrap_or(id.escaped()))
    }
}

/// Appends message number `at` in Ollama's format; leaves a partial message if it fails.
pub(super) fn write_message<'a>(
    out: &mut Vec<u8>,
    at: usize,
    message: &Message<'a>,
    called: &mut Called<'a>,
) -> Result<(), TranslateError> {
    let role = role(message, at)?;
    if set(message.audio).is_some() {
        return Err(TranslateError::ContentPart { param: format!("messages[{at}].audio") });
    }
    let mut content = Content::of(message.content, at)?;
    content.add_images(message.images, at)?;
    if content.texts.is_empty() {
        content.texts.extend(string(message.refusal, || format!("messages[{at}].refusal"))?);
    }
    out.extend_from_slice(b"{\"role\":");
    match &*role {
        "developer" => push_string(out, "system"),
        "function" => push_string(out, "tool"),
        role => push_string(out, role),
    }
    write_text(out, message, &role, &content, at)?;
    out.extend_from_slice(b",\"images\":[");
    push_list(out, &content.images, |out, image| push_string(out, image));
    out.push(b']');
    write_tool_calls(out, message, at, called)?;
    if matches!(&*role, "tool" | "function") {
        write_result(out, message, at, called)?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends the members that assign a result to its tool call: the id and the tool's name. The
/// result of a legacy function call has only the name.
fn write_result(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: usize,
    called: &Called<'_>,
) -> Result<(), TranslateError> {
    let id = string(message.tool_call_id, || format!("messages[{at}].tool_call_id"))?;
    if let Some(id) = id {
        out.extend_from_slice(b",\"tool_call_id\":");
        Piece::Source(id).write(out);
    }
    let own = string(message.tool_name, || format!("messages[{at}].tool_name"))?;
    let own = match own {
        None => string(message.name, || format!("messages[{at}].name"))?,
        own => own,
    };
    let named = own.filter(|name| !name.escaped().is_empty());
    if let Some(name) = named.or_else(|| id.and_then(|id| called.tool(id))) {
        out.extend_from_slice(b",\"tool_name\":");
        Piece::Source(name).write(out);
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

fn role<'a>(message: &Message<'a>, at: usize) -> Result<Cow<'a, str>, TranslateError> {
    let param = || format!("messages[{at}].role");
    let role = string(message.role, param)?;
    let role = role.ok_or_else(|| TranslateError::Missing { param: param() })?;
    role.decode().map_err(|error| TranslateError::NotJson { reason: problem(&error) })
}

/// Appends `content` and, for assistants, `thinking`, from its own field or from a leading block of
/// the text.
fn write_text(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    role: &str,
    content: &Content<'_>,
    at: usize,
) -> Result<(), TranslateError> {
    if role == "assistant" {
        let mut reasoning = None;
        for (name, value) in REASONING.iter().zip(message.reasoning) {
            let text = string(value, || format!("messages[{at}].{name}"))?;
            reasoning = reasoning.or(text.filter(|text| !text.escaped().is_empty()));
        }
        if let Some(reasoning) = reasoning {
            out.extend_from_slice(b",\"thinking\":");
            Piece::Source(reasoning).write(out);
        } else if content.texts.first().is_some_and(|text| text.may_open_with_tag()) {
            let split = think_tags::split(&content.decode(at)?);
            if !split.reasoning.is_empty() {
                out.extend_from_slice(b",\"thinking\":");
                push_string(out, &split.reasoning);
            }
            out.extend_from_slice(b",\"content\":");
            push_string(out, &split.content);
            return Ok(());
        }
    }
    out.extend_from_slice(b",\"content\":\"");
    for text in &content.texts {
        out.extend_from_slice(text.escaped().as_bytes());
    }
    out.push(b'"');
    Ok(())
}

/// Appends `tool_calls`, from the message's own or from a legacy `function_call`; nothing if there
/// are none.
fn write_tool_calls<'a>(
    out: &mut Vec<u8>,
    message: &Message<'a>,
    at: usize,
    called: &mut Called<'a>,
) -> Result<(), TranslateError> {
    let Some(list) = set(message.tool_calls) else {
        return write_legacy_call(out, message, at);
    };
    let wrong = |param, expected, found| TranslateError::WrongType { param, expected, found };
    let calls = elements(list).ok_or_else(|| {
        wrong(format!("messages[{at}].tool_calls"), "an array of tool calls", kind(list))
    })?;
    let mut any = false;
    for (index, call) in calls.enumerate() {
        any = true;
        let place = format!("messages[{at}].tool_calls[{index}]");
        let Ok(ToolCall { id, function }) = serde_json::from_str(call) else {
            return Err(wrong(place, "an object with a `function` object", kind_of(call)));
        };
        let path = format!("{place}.function");
        let function = function.ok_or_else(|| TranslateError::Missing { param: path.clone() })?;
        let id = string(id, || format!("{place}.id"))?;
        let id = id.filter(|id| !id.escaped().is_empty());
        out.extend_from_slice(if index == 0 { b",\"tool_calls\":[{" } else { b",{" });
        if let Some(id) = id {
            out.extend_from_slice(b"\"id\":");
            Piece::Source(id).write(out);
            out.push(b',');
        }
        let tool = write_function(out, &function, index, &path)?;
        if let Some(id) = id {
            called.note(id, tool);
        }
    }
    if any {
        out.push(b']');
    }
    Ok(())
}

fn write_legacy_call(
    out: &mut Vec<u8>,
    message: &Message<'_>,
    at: usize,
) -> Result<(), TranslateError> {
    let Some(call) = set(message.function_call) else { return Ok(()) };
    let path = format!("messages[{at}].function_call");
    let Ok(function) = serde_json::from_str::<Function<'_>>(call.get()) else {
        let expected = "an object with `name` and `arguments`";
        return Err(TranslateError::WrongType { param: path, expected, found: kind(call) });
    };
    out.extend_from_slice(b",\"tool_calls\":[{");
    write_function(out, &function, 0, &path)?;
    out.push(b']');
    Ok(())
}

/// Appends the rest of a call after its `{`; returns the function's name.
fn write_function<'a>(
    out: &mut Vec<u8>,
    function: &Function<'a>,
    index: usize,
    path: &str,
) -> Result<Text<'a>, TranslateError> {
    let param = || format!("{path}.name");
    let name = string(function.name, param)?;
    let name = name.ok_or_else(|| TranslateError::Missing { param: param() })?;
    out.extend_from_slice(b"\"function\":{\"index\":");
    out.extend_from_slice(index.to_string().as_bytes());
    out.extend_from_slice(b",\"name\":");
    Piece::Source(name).write(out);
    out.extend_from_slice(b",\"arguments\":");
    out.extend_from_slice(arguments(function.arguments, path)?.as_bytes());
    out.extend_from_slice(b"}}");
    Ok(name)
}

/// The arguments as the text of a JSON object. OpenAI sends that text inside a string; absent,
/// `null` and empty all mean a call without arguments.
fn arguments<'a>(value: Option<&'a RawValue>, path: &str) -> Result<Cow<'a, str>, TranslateError> {
    let refused =
        |reason| TranslateError::ToolArguments { param: format!("{path}.arguments"), reason };
    let Some(value) = set(value) else { return Ok(Cow::Borrowed("{}")) };
    let Some(text) = Text::of(value) else {
        return match value.get().starts_with('{') {
            true => Ok(Cow::Borrowed(value.get())),
            false => Err(refused(format!("found {}", kind(value)))),
        };
    };
    let text = text.decode().map_err(|error| refused(problem(&error)))?;
    if text.trim().is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    let object: &RawValue =
        serde_json::from_str(&text).map_err(|error| refused(problem(&error)))?;
    match kind(object) {
        "an object" => Ok(text),
        "null" => Ok(Cow::Borrowed("{}")),
        other => Err(refused(format!("found {other}"))),
    }
}

// Written by hand, because a derived implementation rejects repeated keys, of which the last one
// must count.
impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = Message::default();
        while let Some(Str(key)) = map.next_key()? {
            let field = match &*key {
                "role" => &mut message.role,
                "content" => &mut message.content,
                "refusal" => &mut message.refusal,
                "reasoning_content" => &mut message.reasoning[0],
                "reasoning" => &mut message.reasoning[1],
                "thinking" => &mut message.reasoning[2],
                "images" => &mut message.images,
                "audio" => &mut message.audio,
                "name" => &mut message.name,
                "tool_calls" => &mut message.tool_calls,
                "function_call" => &mut message.function_call,
                "tool_call_id" => &mut message.tool_call_id,
                "tool_name" => &mut message.tool_name,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(message)
    }
}
