//! Combines the chunks of a stream into a completion. It works on their bytes, because a tree would
//! take many times the memory.

use super::{AnswerFault, ChunkSink, Echo, openai, text_pattern::TextPattern};
use callgate_json::{json_text, slices};
use std::{borrow::Cow, collections::BTreeMap, ops::Range};

/// The most values in all chunks of a response that are kept apart, and the most members of an
/// object.
const MAX_NODES: usize = 64 * 1024;
const MAX_MEMBERS: usize = 1024;

/// The members that the completion takes from the first chunk that has them.
const HEAD: [&str; 4] = ["id", "created", "system_fingerprint", "service_tier"];

/// A completion that grows with each chunk.
#[derive(Debug)]
pub struct CompletionBuilder {
    /// `id`, `created` and similar members, from the first chunk that has them.
    head: Vec<(&'static str, Vec<u8>)>,
    usage: Option<Vec<u8>>,
    choices: BTreeMap<u64, Node>,
    used: Used,
    max_bytes: usize,
    /// Set after a chunk that added only text to one choice: most chunks of a stream differ from it
    /// in that text alone.
    growing: Option<GrowingText>,
}

/// The content of a choice while chunks add to it and to nothing else.
#[derive(Debug)]
struct GrowingText {
    /// The last chunk that was scanned.
    pattern: TextPattern,
    /// The index of the choice.
    index: u64,
    /// The content so far. The choice has an empty text in its place.
    content: Vec<u8>,
}

/// The size of what is kept: values, and bytes of texts.
#[derive(Debug, Default)]
struct Used {
    nodes: usize,
    bytes: usize,
}

/// A value that grows with each chunk. Texts keep their escapes.
#[derive(Debug)]
enum Node {
    Text(Vec<u8>),
    Object(Vec<(Vec<u8>, Node)>),
    /// Elements with their own `index`, such as tool calls.
    List(BTreeMap<u64, Node>),
    /// Any other value: the last one, or for lists all elements.
    Other(Vec<u8>),
}

impl Default for CompletionBuilder {
    fn default() -> Self {
        Self::within(usize::MAX)
    }
}

impl ChunkSink for CompletionBuilder {
    fn chunk(&mut self, json: &[&[u8]]) {
        if self.used.bytes > self.max_bytes {
            return;
        }
        let json = match json {
            [only] => Cow::Borrowed(*only),
            parts => Cow::Owned(parts.concat()),
        };
        if self.add_text(&json).is_none() {
            self.add(&json);
        }
    }
}

impl CompletionBuilder {
    /// Adds a chunk that differs from an earlier one in its text alone. `None` if it differs in
    /// more.
    fn add_text(&mut self, json: &[u8]) -> Option<()> {
        let growing = self.growing.as_mut()?;
        let text = growing.pattern.text(json)?;
        self.used.bytes += text.len() + 2;
        growing.content.extend_from_slice(text);
        Some(())
    }

    /// The content of a choice, if it is a text.
    fn content(&mut self, index: u64) -> Option<&mut Vec<u8>> {
        match self.choices.get_mut(&index)?.get_mut(b"delta")?.get_mut(b"content")? {
            Node::Text(content) => Some(content),
            _ => None,
        }
    }

    /// Takes the content of a choice out, because `json` may be the first of many chunks that add
    /// only to it. `text` is what it adds.
    fn grow(&mut self, json: &[u8], text: &[u8], index: u64) -> Option<GrowingText> {
        /// Most answers are longer.
        const ROOM: usize = 1024;
        let pattern = TextPattern::of(json, range_within(json, text)?, None)?;
        let mut content = std::mem::take(self.content(index)?);
        // Not for each of many choices, whose room would exceed their texts by far.
        content.reserve(if self.choices.len() == 1 { ROOM } else { 0 });
        Some(GrowingText { pattern, index, content })
    }

    /// Puts the content back where it was.
    fn settle(&mut self) {
        if let Some(GrowingText { index, content, .. }) = self.growing.take()
            && let Some(place) = self.content(index)
        {
            *place = content;
        }
    }

    fn add(&mut self, json: &[u8]) {
        self.settle();
        let (mut usage, mut choices) = (None, &[][..]);
        for (name, value) in slices::members(json) {
            let head = HEAD.into_iter().find(|known| name.is(known));
            if let Some(head) = head.filter(|it| !self.head.iter().any(|(known, _)| known == it)) {
                self.head.push((head, value.to_vec()));
            } else if name.is("usage") {
                usage = Some(value);
            } else if name.is("choices") {
                choices = value;
            }
        }
        let usage = usage.filter(|usage| !slices::is_blank(usage));
        if let Some(usage) = usage {
            self.usage = Some(usage.to_vec());
        }
        let mut only = None;
        for (position, choice) in slices::elements(choices).enumerate() {
            let index = index(choice).unwrap_or(position as u64);
            only = (position == 0 && usage.is_none()).then_some((choice, index));
            let node = self.choices.entry(index).or_insert_with(|| Node::Object(Vec::new()));
            node.add(b"", choice, &mut self.used);
        }
        self.growing = only.and_then(|(choice, index)| self.grow(json, only_text(choice)?, index));
    }
}

/// The text between the quotes of a choice's content, if the choice adds nothing else when it comes
/// again.
fn only_text(choice: &[u8]) -> Option<&[u8]> {
    let mut delta = None;
    for (name, value) in slices::members(choice) {
        match name.json() {
            b"delta" if delta.is_none() => delta = Some(value),
            b"index" => {}
            _ if value == b"null" => {}
            _ => return None,
        }
    }
    let mut text = None;
    for (name, value) in slices::members(delta?) {
        match name.json() {
            b"content" if text.is_none() => {
                text = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
            }
            // It comes whole, so a second one adds nothing.
            b"role" => {}
            _ if value == b"null" => {}
            _ => return None,
        }
    }
    text
}

/// Where `part`, a slice of `whole`, is in it.
fn range_within(whole: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let range = start..start + part.len();
    (range.end <= whole.len()).then_some(range)
}

fn index(json: &[u8]) -> Option<u64> {
    std::str::from_utf8(slices::member(json, "index")?).ok()?.parse().ok()
}

impl Node {
    fn of(json: &[u8], used: &mut Used) -> Self {
        used.nodes += 1;
        let mut node = match json.first() {
            Some(b'"') => Self::Text(Vec::new()),
            Some(b'{') => Self::Object(Vec::new()),
            Some(b'[') if slices::elements(json).next().is_some_and(|it| index(it).is_some()) => {
                Self::List(BTreeMap::new())
            }
            _ => Self::Other(Vec::new()),
        };
        node.add(b"", json, used);
        node
    }

    fn add(&mut self, name: &[u8], json: &[u8], used: &mut Used) {
        if used.nodes > MAX_NODES && !matches!(json.first(), Some(b'"')) {
            return;
        }
        match (self, json.first()) {
            (Self::Text(text), Some(b'"')) => {
                // Names and ids come whole, and may be repeated.
                if text.is_empty()
                    || !matches!(name, b"id" | b"type" | b"role" | b"name" | b"finish_reason")
                {
                    used.bytes += json.len();
                    text.extend_from_slice(&json[1..json.len() - 1]);
                }
            }
            (Self::Object(members), Some(b'{')) => {
                for (name, value) in slices::members(json) {
                    let name = name.json();
                    match members.iter().position(|(known, _)| known == name) {
                        Some(at) => members[at].1.add(name, value, used),
                        None if members.len() < MAX_MEMBERS => {
                            members.push((name.to_vec(), Self::of(value, used)));
                        }
                        None => used.nodes = MAX_NODES + 1,
                    }
                }
            }
            (Self::List(list), Some(b'[')) => {
                for (position, element) in slices::elements(json).enumerate() {
                    let index = index(element).unwrap_or(position as u64);
                    match list.get_mut(&index) {
                        Some(node) => node.add(b"", element, used),
                        None => drop(list.insert(index, Self::of(element, used))),
                    }
                }
            }
            (Self::Other(list), Some(b'[')) if list.first() == Some(&b'[') => {
                let more = &json[1..json.len() - 1];
                used.bytes += more.len();
                if !more.trim_ascii().is_empty() {
                    list.pop();
                    list.extend_from_slice(if list.len() > 1 { b"," } else { b"" });
                    list.extend_from_slice(more);
                    list.push(b']');
                }
            }
            // Null adds nothing.
            (Self::Other(value), _) if value.is_empty() => value.extend_from_slice(json),
            (_, Some(b'n')) => {}
            (this, _) => *this = Self::fresh(json, used),
        }
    }

    /// Replaces a value of another type.
    fn fresh(json: &[u8], used: &mut Used) -> Self {
        match json.first() {
            Some(b'"' | b'{' | b'[') => Self::of(json, used),
            _ => Self::Other(json.to_vec()),
        }
    }

    /// The approximate length of its JSON.
    fn length(&self) -> usize {
        2 + match self {
            Self::Text(text) | Self::Other(text) => text.len(),
            Self::Object(members) => {
                members.iter().map(|(name, node)| name.len() + 4 + node.length()).sum()
            }
            Self::List(list) => list.values().map(|node| 1 + node.length()).sum(),
        }
    }

    /// Frees each text after writing it.
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                for part in [b"\"", &text[..], b"\""] {
                    out.extend_from_slice(part);
                }
            }
            Self::Object(members) => {
                out.push(b'{');
                members.into_iter().for_each(|(name, node)| push(out, &name, node));
                out.push(b'}');
            }
            Self::List(list) => {
                out.push(b'[');
                for (at, element) in list.into_values().enumerate() {
                    out.extend_from_slice(if at == 0 { b"" } else { b"," });
                    element.write_without_index(out);
                }
                out.push(b']');
            }
            Self::Other(value) => out.extend_from_slice(&value),
        }
    }

    /// Only chunks number their tool calls, so the index is left out.
    fn write_without_index(self, out: &mut Vec<u8>) {
        let Self::Object(members) = self else { return self.write(out) };
        out.push(b'{');
        let others = members.into_iter().filter(|(name, _)| name != b"index");
        others.for_each(|(name, node)| push(out, &name, node));
        out.push(b'}');
    }

    fn get_mut(&mut self, wanted: &[u8]) -> Option<&mut Self> {
        let Self::Object(members) = self else { return None };
        members.iter_mut().find(|(name, _)| name == wanted).map(|(_, node)| node)
    }

    /// Takes a member out.
    fn take(&mut self, wanted: &[u8]) -> Option<Self> {
        let Self::Object(members) = self else { return None };
        let at = members.iter().position(|(name, _)| name == wanted)?;
        Some(members.remove(at).1)
    }
}

/// Appends a member, with a comma unless it is the first.
fn push(out: &mut Vec<u8>, name: &[u8], node: Node) {
    out.extend_from_slice(if out.last() == Some(&b'{') { b"\"" } else { b",\"" });
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
    node.write(out);
}

impl CompletionBuilder {
    /// An empty completion, for texts of at most so many bytes. Beyond them there is none.
    #[must_use]
    pub fn within(max_bytes: usize) -> Self {
        Self {
            head: Vec::new(),
            usage: None,
            choices: BTreeMap::new(),
            used: Used::default(),
            max_bytes,
            growing: None,
        }
    }

    /// Checks that the chunks so far make a completion.
    ///
    /// # Errors
    /// When they have no choices, or too many members or bytes.
    pub fn judge(&self) -> Result<(), AnswerFault> {
        if self.used.nodes > MAX_NODES {
            return Err(AnswerFault::Malformed("a stream of too many members".to_owned()));
        }
        if self.used.bytes > self.max_bytes {
            return Err(AnswerFault::Malformed("a stream of too many bytes".to_owned()));
        }
        if self.choices.is_empty() {
            return Err(AnswerFault::Other(openai::NO_COMPLETION));
        }
        Ok(())
    }

    /// Writes the completion.
    pub fn completion(mut self, echo: &Echo) -> Vec<u8> {
        /// The space for the other members of the completion, and of each choice.
        const REST: usize = 1024;
        self.settle();
        let length = self.choices.values().map(|choice| REST + choice.length()).sum::<usize>();
        let mut out = Vec::with_capacity(REST + length);
        out.extend_from_slice(b"{\"object\":\"chat.completion\",\"model\":");
        out.extend_from_slice(&json_text(&echo.model));
        let made =
            [("id", json_text(&echo.id).to_vec()), ("created", echo.created.to_string().into())];
        let lacks = |name: &str| !self.head.iter().any(|(known, _)| *known == name);
        let made: Vec<_> = made.into_iter().filter(|(name, _)| lacks(name)).collect();
        for (name, value) in self.head.into_iter().chain(made) {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            out.extend_from_slice(&value);
        }
        out.extend_from_slice(b",\"choices\":[");
        for (at, (index, choice)) in self.choices.into_iter().enumerate() {
            let start = if at == 0 { "" } else { "," };
            out.extend_from_slice(format!("{start}{{\"index\":{index},\"message\":").as_bytes());
            write_choice(choice, &mut out);
        }
        out.push(b']');
        if let Some(usage) = &self.usage {
            out.extend_from_slice(b",\"usage\":");
            out.extend_from_slice(usage);
        }
        out.push(b'}');
        out
    }
}

/// Writes a choice from the value of `message` to its end.
fn write_choice(mut choice: Node, out: &mut Vec<u8>) {
    message(choice.take(b"delta"), out);
    let reason = choice.take(b"finish_reason").unwrap_or_else(|| Node::Other(b"null".to_vec()));
    if let Node::Object(members) = choice {
        let others = members.into_iter().filter(|(name, _)| name != b"index");
        others.for_each(|(name, node)| push(out, &name, node));
    }
    push(out, b"finish_reason", reason);
    out.push(b'}');
}

/// A delta as a message, with the members that every message has.
fn message(delta: Option<Node>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut lacking = vec![(&b"role"[..], &b"\"assistant\""[..]), (b"content", b"null")];
    if let Some(Node::Object(members)) = delta {
        for (name, node) in members {
            lacking.retain(|(wanted, _)| *wanted != name);
            push(out, &name, node);
        }
    }
    for (name, value) in lacking {
        push(out, name, Node::Other(value.to_vec()));
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The choices of a stream of these choices, each in a chunk of its own.
    fn choices(chunks: &[Value]) -> Value {
        let mut builder = CompletionBuilder::default();
        for choice in chunks {
            builder.chunk(&[json!({"id": "c", "choices": [choice]}).to_string().as_bytes()]);
        }
        let echo = Echo { id: "own".into(), model: "m".into(), created: 1 };
        let completion: Value = serde_json::from_slice(&builder.completion(&echo)).unwrap();
        assert_eq!(completion["id"], "c");
        completion["choices"].clone()
    }

    #[test]
    fn chunks_that_add_only_text_are_added_like_all_others() {
        let text = |index: u64, text: &str| json!({"index": index, "delta": {"content": text}});
        let thought = json!({"index": 0, "delta": {"content": "c", "reasoning_content": "t"}});
        let scored = json!({"index": 1, "delta": {"content": "z"}, "logprobs": {"content": [1]}});
        let found = choices(&[
            json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null}),
            text(0, "a"),
            text(0, "b\n\"é"),
            text(1, "x"),
            text(1, "y"),
            text(0, ""),
            thought.clone(),
            thought,
            text(0, "d"),
            scored.clone(),
            scored,
            text(1, "!"),
            json!({"index": 1, "delta": {}, "finish_reason": "stop"}),
        ]);
        assert_eq!(found[0]["message"]["content"], "ab\n\"éccd");
        assert_eq!(found[0]["message"]["reasoning_content"], "tt");
        assert_eq!(found[0]["message"]["role"], "assistant");
        assert_eq!(found[1]["message"]["content"], "xyzz!");
        assert_eq!(found[1]["logprobs"]["content"], json!([1, 1]));
        assert_eq!(found[1]["finish_reason"], "stop");
    }

    #[test]
    fn text_counts_against_the_bound_however_it_comes() {
        let mut builder = CompletionBuilder::within(1000);
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "0123456789"}}]});
        for _ in 0..90 {
            builder.chunk(&[chunk.to_string().as_bytes()]);
        }
        assert!(builder.judge().is_err());
    }
}
