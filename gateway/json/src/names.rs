//! Finds names that JSON parsers read differently: repeated ones, and those in another case than
//! the API's.
//!
//! Of a repeated name some parsers take the first value, most the last. Go's `encoding/json`
//! ignores case, and takes the last of both spellings. If a callback checks a prompt under one name
//! and the upstream reads it under the other, the prompt was not checked at all. So such bodies are
//! refused before anybody reads them.
//!
//! Case matters where the API defines the names. Below `parameters`, `schema`, `metadata` and the
//! like the names are the client's, and only an exact repetition is ambiguous. So they are in an
//! object `input`, the arguments of a tool's call; where `input` is what is asked, it is none.

use super::{
    passed,
    walk::{name_end, string_end},
};
use std::{borrow::Cow, collections::HashSet, ops::Range};

/// The most members of one object, because each costs extra memory during the check.
const MAX_NAMES: usize = 4096;

/// The same below [`FREE`] names.
const MAX_FREE_NAMES: usize = 65_536;

/// Members whose value has names chosen by the client.
const FREE: &[&str] = &[
    "parameters",
    "schema",
    "input_schema",
    "properties",
    "arguments",
    "metadata",
    "litellm_metadata",
    "logit_bias",
    "chat_template_kwargs",
    "format",
    "guided_json",
    "headers",
    "json",
    "response_schema",
];

/// The member names of the chat APIs, as far as an upstream may accept them in another case.
pub const KNOWN: &[&str] = &[
    "annotations",
    "arguments",
    "audio",
    "best_of",
    "cache_control",
    "chat_template",
    "chat_template_kwargs",
    "content",
    "data",
    "description",
    "detail",
    "documents",
    "echo",
    "effort",
    "extra_body",
    "file",
    "file_data",
    "file_id",
    "filename",
    "format",
    "frequency_penalty",
    "function",
    "function_call",
    "functions",
    "grammar",
    "guided_choice",
    "guided_json",
    "guided_regex",
    "id",
    "image_url",
    "images",
    "include_reasoning",
    "include_usage",
    "index",
    "input",
    "input_audio",
    "instructions",
    "json_schema",
    "keep_alive",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "message",
    "messages",
    "metadata",
    "min_p",
    "modalities",
    "model",
    "n",
    "name",
    "num_ctx",
    "num_predict",
    "options",
    "parallel_tool_calls",
    "parameters",
    "prediction",
    "presence_penalty",
    "prompt",
    "prompt_cache_key",
    "properties",
    "raw",
    "reasoning",
    "reasoning_content",
    "reasoning_effort",
    "refusal",
    "repeat_penalty",
    "response_format",
    "role",
    "safety_identifier",
    "schema",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "strict",
    "suffix",
    "system",
    "temperature",
    "template",
    "text",
    "think",
    "thinking",
    "tool_call_id",
    "tool_calls",
    "tool_choice",
    "tool_name",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "type",
    "url",
    "user",
    "verbosity",
    "video_url",
    "web_search_options",
];

/// The most names of all open objects together, because many large objects may be nested.
const MAX_OPEN_NAMES: usize = 4 * MAX_FREE_NAMES;

/// A name that two parsers may read differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ambiguity {
    /// Its path: `messages[0].content[1].text`.
    pub path: String,
    pub kind: AmbiguityKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguityKind {
    Repeated,
    Case,
    TooMany,
}

impl std::error::Error for Ambiguity {}

impl std::fmt::Display for Ambiguity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match self.kind {
            AmbiguityKind::Repeated => {
                write!(out, "'{path}' is given more than once; send it once")
            }
            AmbiguityKind::Case => write!(
                out,
                "'{path}' is a name of the API in another case; write it in lower case, once"
            ),
            AmbiguityKind::TooMany => {
                write!(out, "'{path}' has more members than one object may have")
            }
        }
    }
}

/// A value that is open.
#[derive(Debug, Clone, Copy)]
struct OpenValue {
    object: bool,
    /// Its names are chosen by the client.
    free: bool,
    /// The index of its first name in `Check::names`.
    from: usize,
    /// The number of elements before the current one.
    index: usize,
}

/// The range of a name, between the quotes.
#[derive(Debug, Clone, Copy)]
struct Name {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Checks all names of a scanned value at `path`. If it is an array, `element` gets the range of
/// each element.
pub fn check(
    text: &str,
    path: &str,
    mut element: impl FnMut(Range<usize>),
) -> Result<(), Ambiguity> {
    let bytes = text.as_bytes();
    passed::add(bytes.len());
    let mut check = Check { text, path, open: Vec::new(), names: Vec::new() };
    let (mut at, mut in_key, mut begun) = (0, false, None);
    while let Some(byte) = bytes.get(at) {
        // The first byte of an element of the outermost array.
        if begun.is_none()
            && let [outermost] = &check.open[..]
            && !outermost.object
            && !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']')
        {
            begun = Some(at);
        }
        match byte {
            b'"' if in_key => {
                let Some((end, escaped)) = name_end(bytes, at + 1) else { return Ok(()) };
                check.name(Name { start: at + 1, end, escaped })?;
                in_key = false;
                at = end;
            }
            b'"' => match string_end(bytes, at + 1) {
                Some(end) => at = end,
                None => return Ok(()),
            },
            b'{' | b'[' => {
                check.enter(*byte == b'{');
                in_key = *byte == b'{';
            }
            b'}' | b']' => {
                if check.open.len() == 1
                    && let Some(begun) = begun.take()
                {
                    element(trimmed(bytes, begun..at));
                }
                check.leave()?;
                in_key = false;
            }
            b',' => {
                if check.open.len() == 1
                    && let Some(begun) = begun.take()
                {
                    element(trimmed(bytes, begun..at));
                }
                if let Some(open) = check.open.last_mut() {
                    in_key = open.object;
                    open.index += 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

fn trimmed(bytes: &[u8], place: Range<usize>) -> Range<usize> {
    place.start..place.start + bytes[place].trim_ascii_end().len()
}

/// A check in progress.
struct Check<'a> {
    text: &'a str,
    path: &'a str,
    open: Vec<OpenValue>,
    /// The names so far of all open objects.
    names: Vec<Name>,
}

impl Check<'_> {
    fn enter(&mut self, object: bool) {
        let free = match self.open.last() {
            None => false,
            Some(open) => {
                open.free
                    || (open.object
                        && self.names.last().is_some_and(|name| {
                            let name = self.text_of(*name);
                            FREE.contains(&&*name) || object && name == "input"
                        }))
            }
        };
        self.open.push(OpenValue { object, free, from: self.names.len(), index: 0 });
    }

    fn name(&mut self, name: Name) -> Result<(), Ambiguity> {
        self.names.push(name);
        let Some(open) = self.open.last() else { return Ok(()) };
        let bound = if open.free { MAX_FREE_NAMES } else { MAX_NAMES };
        if self.names.len() - open.from > bound || self.names.len() > MAX_OPEN_NAMES {
            self.names.pop();
            return Err(self.ambiguity(AmbiguityKind::TooMany, self.open.len() - 1, None));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Ambiguity> {
        let Some(open) = self.open.last().copied().filter(|open| open.object) else {
            self.open.pop();
            return Ok(());
        };
        let names = self.names.get(open.from..).unwrap_or_default();
        if !self.are_plain_and_different(names, open.free) {
            self.judge(names, open.free)?;
        }
        self.names.truncate(open.from);
        self.open.pop();
        Ok(())
    }

    /// Whether they are the usual few names and all different; checked without a set.
    fn are_plain_and_different(&self, names: &[Name], free: bool) -> bool {
        const HANDFUL: usize = 12;
        let bytes = self.text.as_bytes();
        let of = |name: &Name| &bytes[name.start..name.end];
        names.len() <= HANDFUL
            && names.iter().enumerate().all(|(at, name)| {
                !name.escaped
                    && (free || is_lower(of(name)))
                    && names[..at].iter().all(|other| of(other) != of(name))
            })
    }

    fn judge(&self, names: &[Name], free: bool) -> Result<(), Ambiguity> {
        let mut seen = HashSet::with_capacity(names.len());
        for name in names {
            let text = self.text_of(*name);
            let folded = if free { None } else { folded(&text) };
            if folded.as_deref().is_some_and(|folded| KNOWN.contains(&folded)) {
                return Err(self.ambiguity(AmbiguityKind::Case, self.open.len(), Some(*name)));
            }
            if !seen.insert(folded.map_or(text, Cow::Owned)) {
                return Err(self.ambiguity(AmbiguityKind::Repeated, self.open.len(), Some(*name)));
            }
        }
        Ok(())
    }

    fn text_of(&self, name: Name) -> Cow<'_, str> {
        let member =
            super::Member { name: name.start..name.end, escaped: name.escaped, value: 0..0 };
        super::walk::name_of(self.text, &member)
    }

    /// Describes the problem of the member `last` of the innermost object, or of the value that is
    /// open at `depth`.
    fn ambiguity(&self, kind: AmbiguityKind, depth: usize, last: Option<Name>) -> Ambiguity {
        let mut path = self.path.to_owned();
        let mut end = self.names.len();
        let mut steps: Vec<String> = Vec::new();
        for (level, open) in self.open.iter().enumerate().rev() {
            let innermost = level + 1 == self.open.len();
            if level < depth {
                if !open.object {
                    steps.push(format!("[{}]", open.index));
                } else if let Some(last) = last.filter(|_| innermost) {
                    steps.push(shown(&self.text_of(last)));
                } else if !innermost && let Some(name) = self.names[..end].last() {
                    steps.push(shown(&self.text_of(*name)));
                }
            }
            end = open.from;
        }
        for step in steps.iter().rev() {
            if !step.starts_with('[') && !path.is_empty() {
                path.push('.');
            }
            path.push_str(step);
        }
        Ambiguity { path, kind }
    }
}

/// A name as a message shows it: shortened, and without look-alike characters.
fn shown(name: &str) -> String {
    const LONGEST: usize = 64;
    let cut = name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end]);
    cut.escape_default().collect()
}

fn is_lower(name: &[u8]) -> bool {
    name.iter().fold(true, |lower, byte| lower & !byte.is_ascii_uppercase() & byte.is_ascii())
}

/// The name as a parser that ignores case reads it, if that differs. Besides ASCII, these are all
/// characters that fold to an ASCII letter in Go, Java or .NET.
fn folded(name: &str) -> Option<String> {
    if is_lower(name.as_bytes()) {
        return None;
    }
    let fold = |char: char| match char {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        '\u{130}' | '\u{131}' => 'i',
        _ => char.to_ascii_lowercase(),
    };
    Some(name.chars().map(fold).collect::<String>()).filter(|folded| folded != name)
}

/// Checks the case of names in an API's object; repeated names are not checked here.
pub fn check_case<'a>(names: impl Iterator<Item = Cow<'a, [u8]>> + Clone) -> Result<(), Ambiguity> {
    if names.clone().all(|name| is_lower(&name)) {
        return Ok(());
    }
    let mut seen = HashSet::new();
    for name in names {
        let name = String::from_utf8_lossy(&name).into_owned();
        let ambiguity = |kind| Ambiguity { path: shown(&name), kind };
        let folded = folded(&name);
        if folded.as_deref().is_some_and(|folded| KNOWN.contains(&folded)) {
            return Err(ambiguity(AmbiguityKind::Case));
        }
        if !seen.insert(folded.unwrap_or_else(|| name.clone())) {
            return Err(ambiguity(AmbiguityKind::Repeated));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
