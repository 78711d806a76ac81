//! Every text of a piece of JSON under the rules, in one pass and without a tree: what no rule
//! changes stays byte for byte, numbers and unknown members too.

use crate::{
    room::{Room, with_spare},
    rule::{Denial, Rule},
};
use plugin_api::HookError;
use serde_json::value::RawValue;
use std::{borrow::Cow, ops::Range};

/// Members that hold pictures, sound or files, and where their data is in them.
const MEDIA: [&str; 6] = ["image_url", "video_url", "input_audio", "audio", "file", "image"];
const MEDIA_DATA: [&str; 5] = ["url", "data", "file_data", "image_url", "video_url"];

/// Values that are words of the API: no rule is asked about these.
const WORDS: [&str; 24] = [
    "system",
    "developer",
    "user",
    "assistant",
    "tool",
    "function",
    "text",
    "image_url",
    "input_text",
    "input_audio",
    "file",
    "refusal",
    "string",
    "object",
    "array",
    "number",
    "integer",
    "boolean",
    "null",
    "auto",
    "none",
    "required",
    "json_object",
    "json_schema",
];

/// Names that are words of the API.
const NAMES: [&str; 30] = [
    "role",
    "content",
    "type",
    "text",
    "image_url",
    "url",
    "detail",
    "name",
    "tool_calls",
    "id",
    "function",
    "arguments",
    "tool_call_id",
    "description",
    "parameters",
    "properties",
    "required",
    "items",
    "enum",
    "strict",
    "schema",
    "json_schema",
    "refusal",
    "reasoning_content",
    "reasoning",
    "thinking",
    "cache_control",
    "input_audio",
    "data",
    "format",
];

/// How deep text may be JSON that holds text that is JSON.
const DEEPEST: usize = 4;

/// The longest of these: at each depth its text is held once more.
const LONGEST_NESTED: usize = 8 << 20;

/// Longer names are no words of the API.
const LONGEST_WORD: usize = 32;

/// Why a text does not pass.
#[derive(Debug)]
pub(crate) enum Held {
    /// A rule denies it.
    Denied(Denial),
    /// It cannot be read.
    Unreadable,
    /// It is too long, or becomes too long with what the rules put into it.
    TooLarge,
}

impl From<Denial> for Held {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl Held {
    /// The client's refusal; `place` is what was being looked at.
    pub(crate) fn refusal(self, place: &str) -> HookError {
        match self {
            Self::Denied(denial) => denial.into(),
            Self::Unreadable => crate::prompt::unreadable(place),
            Self::TooLarge => crate::prompt::too_large(place),
        }
    }
}

/// A piece of JSON with every text in it masked; `None` when it may stay as it is. `numbers`: a
/// number of some digits may be what a rule looks for, as in a tool's arguments.
pub(crate) fn under(
    rules: &[Rule],
    json: &str,
    numbers: bool,
    room: &mut Room,
) -> Result<Option<String>, Held> {
    Pass { rules, json, numbers, nested: 0, room, done: None }.run()
}

/// A pass over one piece of JSON.
struct Pass<'a> {
    rules: &'a [Rule],
    json: &'a str,
    numbers: bool,
    nested: usize,
    room: &'a mut Room,
    /// What comes out so far, and up to where of the source; `None` while nothing is changed.
    done: Option<(Vec<u8>, usize)>,
}

/// An object or array that is open.
struct Open<'a> {
    object: bool,
    /// Within a picture, sound or file.
    media: bool,
    /// The name of the current member, when it may be a word of the API.
    name: Cow<'a, str>,
}

impl<'a> Pass<'a> {
    fn run(mut self) -> Result<Option<String>, Held> {
        let json = self.json;
        let bytes = json.as_bytes();
        let mut open: Vec<Open<'a>> = Vec::new();
        let (mut at, mut in_name) = (0, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(bytes, at + 1).ok_or(Held::Unreadable)?;
                    let place = at..end;
                    at = end;
                    match open.last_mut() {
                        Some(innermost) if in_name => {
                            in_name = false;
                            let name = decoded(&json[place.clone()])?;
                            let is_short = name.len() <= LONGEST_WORD;
                            innermost.name = if is_short { name.clone() } else { "".into() };
                            if !NAMES.contains(&&*name) {
                                self.string(place, name)?;
                            }
                        }
                        innermost => self.value(place, innermost.as_deref())?,
                    }
                    continue;
                }
                b'{' | b'[' => {
                    let object = *byte == b'{';
                    let media =
                        open.last().is_some_and(|it| it.media || MEDIA.contains(&&*it.name));
                    // An array's elements are called what the array is called.
                    let name = open.last().filter(|_| !object).map(|it| it.name.clone());
                    open.push(Open { object, media, name: name.unwrap_or_default() });
                    in_name = object;
                }
                b'}' | b']' => {
                    open.pop();
                    in_name = false;
                }
                b',' => in_name = open.last().is_some_and(|it| it.object),
                b'-' | b'0'..=b'9' if !in_name => {
                    let digits = bytes[at..].iter().position(|byte| !is_of_number(*byte));
                    let end = digits.map_or(bytes.len(), |digits| at + digits);
                    self.number(at..end)?;
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        if !open.is_empty() {
            return Err(Held::Unreadable);
        }
        let Some((mut done, from)) = self.done else { return Ok(None) };
        done.extend_from_slice(&bytes[from..]);
        String::from_utf8(done).map(Some).map_err(|_| Held::Unreadable)
    }

    fn value(&mut self, place: Range<usize>, within: Option<&Open<'_>>) -> Result<(), Held> {
        let name = within.map_or("", |within| &*within.name);
        if WORDS.contains(&&self.json[place.start + 1..place.end - 1])
            || (MEDIA.contains(&name) || within.is_some_and(|it| it.media))
                && MEDIA_DATA.contains(&name)
        {
            return Ok(());
        }
        if name == "arguments" && place.len() > LONGEST_NESTED {
            return Err(Held::TooLarge);
        }
        let text = decoded(&self.json[place.clone()])?;
        if name == "arguments"
            && self.nested < DEEPEST
            && serde_json::from_str::<&RawValue>(&text).is_ok()
        {
            let (rules, nested) = (self.rules, self.nested + 1);
            let room = &mut *self.room;
            let pass = Pass { rules, json: &text, numbers: true, nested, room, done: None };
            return match pass.run()? {
                Some(masked) => self.put(place, &masked),
                None => Ok(()),
            };
        }
        self.string(place, text)
    }

    /// A string of the source, which reads as `text`.
    fn string(&mut self, place: Range<usize>, text: Cow<'_, str>) -> Result<(), Held> {
        match masked(self.rules, text, self.room)? {
            Some(masked) => self.put(place, &masked),
            None => Ok(()),
        }
    }

    /// A number is masked by a text.
    fn number(&mut self, place: Range<usize>) -> Result<(), Held> {
        const FEWEST: usize = 4;
        if !self.numbers || place.len() < FEWEST {
            return Ok(());
        }
        let number = &self.json[place.clone()];
        self.string(place, number.into())
    }

    /// Puts a text in the place of a value.
    fn put(&mut self, place: Range<usize>, text: &str) -> Result<(), Held> {
        let (done, from) =
            self.done.get_or_insert_with(|| (Vec::with_capacity(with_spare(self.json.len())), 0));
        done.extend_from_slice(&self.json.as_bytes()[*from..place.start]);
        let start = done.len();
        serde_json::to_writer(&mut *done, text).map_err(|_| Held::Unreadable)?;
        *from = place.end;
        self.room.take(place.len(), done.len() - start)
    }
}

/// A text after all rules; `None` when none changes it. Of each step only the latest is held.
fn masked(rules: &[Rule], mut text: Cow<'_, str>, room: &Room) -> Result<Option<String>, Held> {
    let mut changed = false;
    for rule in rules {
        if let Some(masked) = rule.whole(&text, room.after(text.len()))? {
            text = masked.into();
            changed = true;
        }
    }
    Ok(changed.then(|| text.into_owned()))
}

/// A member's name, and where its value stands.
pub(crate) type Member<'a> = (Cow<'a, str>, Range<usize>);

/// The members of an object.
pub(crate) fn members(json: &str) -> Result<Vec<Member<'_>>, Held> {
    let bytes = json.as_bytes();
    let mut members = Vec::new();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(Held::Unreadable);
    }
    loop {
        at = skip_space(bytes, at + 1);
        match bytes.get(at) {
            Some(b'}') if members.is_empty() => return Ok(members),
            Some(b'"') => {}
            _ => return Err(Held::Unreadable),
        }
        let end = string_end(bytes, at + 1).ok_or(Held::Unreadable)?;
        let name = decoded(&json[at..end])?;
        at = skip_space(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return Err(Held::Unreadable);
        }
        at = skip_space(bytes, at + 1);
        let end = value_end(bytes, at).ok_or(Held::Unreadable)?;
        members.push((name, at..end));
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b'}') => return Ok(members),
            Some(b',') => {}
            _ => return Err(Held::Unreadable),
        }
    }
}

fn decoded(json: &str) -> Result<Cow<'_, str>, Held> {
    if json.as_bytes().contains(&b'\\') {
        return serde_json::from_str(json).map(Cow::Owned).map_err(|_| Held::Unreadable);
    }
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.map(Cow::Borrowed).ok_or(Held::Unreadable)
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    text.len() - rest.trim_ascii_start().len()
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Behind the closing quote of a string whose inside begins at `at`.
fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => {
                at = string_end(text, at + 1)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return (depth == 1).then_some(at + 1),
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(text.get(at), Some(b'}' | b']')) {
            return Some(at);
        }
    }
}
