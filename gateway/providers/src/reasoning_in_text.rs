//! Puts a model's reasoning into the text of its answer, between `<think>` and `</think>`, for
//! clients that know no other place for it. Any dialect's answers pass here once they are in
//! OpenAI's format.

use crate::{AnswerFault, ChunkSink, StreamTranslator, Usage, cuts::spliced};
use bytes::Bytes;
use callgate_json::{text, walk};
use memchr::memmem;
use std::{fmt, ops::Range};

/// The names under which providers send reasoning.
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

/// The completion with its reasoning in the text; the same bytes if there is none.
#[must_use]
pub fn in_completion(completion: Bytes) -> Bytes {
    if memmem::find(&completion, b"reasoning").is_none() {
        return completion;
    }
    let merge = Merge { part: "message", open: &mut Vec::new(), whole: true };
    match merge.changed(text(&completion)) {
        Some(changed) => changed.into(),
        None => completion,
    }
}

/// A stream with its reasoning in the text.
pub struct ReasoningInText {
    inner: Box<dyn StreamTranslator>,
    /// The choices whose reasoning has begun and not ended.
    open: Vec<u64>,
}

impl ReasoningInText {
    #[must_use]
    pub fn new(inner: Box<dyn StreamTranslator>) -> Self {
        Self { inner, open: Vec::new() }
    }
}

impl fmt::Debug for ReasoningInText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReasoningInText").field("open", &self.open).finish_non_exhaustive()
    }
}

impl StreamTranslator for ReasoningInText {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        self.inner.push(bytes, &mut Merging { open: &mut self.open, out })
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        self.inner.close(&mut Merging { open: &mut self.open, out })
    }

    fn complete(&self) -> bool {
        self.inner.complete()
    }

    fn events(&self) -> u64 {
        self.inner.events()
    }

    fn content(&self) -> bool {
        self.inner.content()
    }

    fn usage(&self) -> Option<Usage> {
        self.inner.usage()
    }

    fn backlog(&self) -> usize {
        self.inner.backlog()
    }
}

struct Merging<'a> {
    open: &'a mut Vec<u64>,
    out: &'a mut dyn ChunkSink,
}

impl ChunkSink for Merging<'_> {
    fn chunk(&mut self, json: &[&[u8]]) {
        // Parts are divided between values, never within a name.
        let reasons = |part: &&[u8]| memmem::find(part, b"reasoning").is_some();
        if self.open.is_empty() && !json.iter().any(reasons) {
            return self.out.chunk(json);
        }
        let whole = json.concat();
        match (Merge { part: "delta", open: self.open, whole: false }).changed(text(&whole)) {
            Some(changed) => self.out.chunk(&[&changed]),
            None => self.out.chunk(json),
        }
    }
}

struct Merge<'o> {
    /// The member of a choice that has the text.
    part: &'static str,
    open: &'o mut Vec<u64>,
    /// Nothing comes after it.
    whole: bool,
}

impl Merge<'_> {
    /// The object with the text of each choice changed; `None` if nothing changes.
    fn changed(mut self, json: &str) -> Option<Vec<u8>> {
        let choices = walk::member(json, "choices")?.value;
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        for (at, choice) in walk::elements(json.get(choices.clone())?)?.enumerate() {
            let start = choices.start + choice.value.start;
            let Some(choice) = json.get(start..choices.start + choice.value.end) else { continue };
            let index = walk::value(choice, "index").and_then(|index| index.parse().ok());
            let index = index.unwrap_or(at as u64);
            let ends = walk::value(choice, "finish_reason").is_some_and(|it| it != "null");
            let Some(part) = walk::member(choice, self.part) else { continue };
            let merged = choice.get(part.value.clone());
            if let Some(merged) = merged.and_then(|part| self.merged(part, index, ends)) {
                changes.push((start + part.value.start..start + part.value.end, merged));
            }
        }
        (!changes.is_empty()).then(|| spliced(json, &changes))
    }

    /// A delta or message with its reasoning in `content`; `None` if it stays as it is.
    fn merged(&mut self, part: &str, choice: u64, ends: bool) -> Option<String> {
        let given = |name: &str| inside(walk::value(part, name)?).filter(|text| !text.is_empty());
        let reasoning = REASONING.iter().find_map(|name| given(name));
        let content = given("content").unwrap_or_default();
        let calls = ["tool_calls", "function_call"];
        let calls = calls.iter().any(|it| walk::value(part, it).is_some_and(|it| it != "null"));
        let was_open = self.open.contains(&choice);
        let closes = (self.whole || ends || calls || !content.is_empty())
            && (was_open || reasoning.is_some());
        let opens = reasoning.is_some() && !was_open;
        let has_member = REASONING.iter().any(|name| walk::member(part, name).is_some());
        if !has_member && !closes {
            return None;
        }
        if closes {
            self.open.retain(|open| *open != choice);
        } else if opens {
            self.open.push(choice);
        }
        let text = (reasoning.is_some() || closes).then(|| {
            let before = if opens { "<think>" } else { "" };
            let after = if closes { "</think>" } else { "" };
            ["\"", before, reasoning.unwrap_or_default(), after, content, "\""].concat()
        });
        Some(rebuilt(part, text.as_deref()))
    }
}

/// The object without its reasoning, and with this `content` if there is one.
fn rebuilt(object: &str, content: Option<&str>) -> String {
    let mut members = Vec::new();
    let mut replaced = false;
    for member in walk::members(object).into_iter().flatten() {
        let name = walk::name_of(object, &member);
        if REASONING.contains(&&*name) {
            continue;
        }
        let written = object.get(member.name.start - 1..member.value.end).unwrap_or_default();
        match content.filter(|_| name == "content") {
            Some(text) if !replaced => {
                members.push(format!("\"content\":{text}"));
                replaced = true;
            }
            Some(_) => {}
            None => members.push(written.to_owned()),
        }
    }
    if let Some(text) = content.filter(|_| !replaced) {
        members.push(format!("\"content\":{text}"));
    }
    format!("{{{}}}", members.join(","))
}

/// A JSON string without its quotes, its escapes as they are; `None` for another value.
fn inside(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl ChunkSink for Collected {
        fn chunk(&mut self, json: &[&[u8]]) {
            self.0.push(String::from_utf8(json.concat()).unwrap());
        }
    }

    /// The delta of each chunk of one choice, by what came: delta and finish reason.
    #[track_caller]
    fn check(chunks: &[(&str, &str)], expected: &[&str]) {
        let (mut open, mut out) = (Vec::new(), Collected::default());
        for (delta, finish) in chunks {
            let chunk = format!(
                r#"{{"id":"c","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
            );
            let parts = chunk.split_at(5);
            Merging { open: &mut open, out: &mut out }
                .chunk(&[parts.0.as_bytes(), parts.1.as_bytes()]);
        }
        let delta = |chunk: &String| {
            let value: serde_json::Value = serde_json::from_str(chunk).unwrap();
            value["choices"][0]["delta"].to_string()
        };
        assert_eq!(out.0.iter().map(delta).collect::<Vec<_>>(), expected);
        assert!(open.is_empty());
    }

    #[test]
    fn reasoning_stands_between_tags_before_the_text() {
        check(
            &[
                (r#"{"role":"assistant","content":"","reasoning_content":null}"#, "null"),
                (r#"{"reasoning_content":"a \"b"}"#, "null"),
                (r#"{"reasoning_content":"c","content":null}"#, "null"),
                (r#"{"content":"Hi"}"#, "null"),
                (r#"{"content":" you"}"#, "null"),
                ("{}", r#""stop""#),
            ],
            &[
                r#"{"role":"assistant","content":""}"#,
                r#"{"content":"<think>a \"b"}"#,
                r#"{"content":"c"}"#,
                r#"{"content":"</think>Hi"}"#,
                r#"{"content":" you"}"#,
                "{}",
            ],
        );
    }

    #[test]
    fn reasoning_ends_with_a_call_with_the_answer_or_in_one_chunk() {
        check(
            &[(r#"{"reasoning":"a"}"#, "null"), (r#"{"tool_calls":[{"index":0}]}"#, "null")],
            &[r#"{"content":"<think>a"}"#, r#"{"tool_calls":[{"index":0}],"content":"</think>"}"#],
        );
        check(
            &[(r#"{"reasoning":"a"}"#, "null"), ("{}", r#""length""#)],
            &[r#"{"content":"<think>a"}"#, r#"{"content":"</think>"}"#],
        );
        check(
            &[
                (r#"{"reasoning_content":"a","content":"b"}"#, "null"),
                (r#"{"content":"c"}"#, "null"),
            ],
            &[r#"{"content":"<think>a</think>b"}"#, r#"{"content":"c"}"#],
        );
    }

    #[test]
    fn choices_are_apart_and_other_chunks_pass() {
        let (mut open, mut out) = (Vec::new(), Collected::default());
        let mut sink = Merging { open: &mut open, out: &mut out };
        let two = br#"{"choices":[{"index":0,"delta":{"reasoning":"a"}},{"index":1,"delta":{"content":"b"}}]}"#;
        let usage = br#"{"choices":[], "usage":{"reasoning_tokens":1}}"#;
        sink.chunk(&[two]);
        sink.chunk(&[usage]);
        let expected = r#"{"choices":[{"index":0,"delta":{"content":"<think>a"}},{"index":1,"delta":{"content":"b"}}]}"#;
        assert_eq!(out.0, [expected, r#"{"choices":[], "usage":{"reasoning_tokens":1}}"#]);
    }

    #[test]
    fn a_completion_has_it_in_its_message() {
        for (message, expected) in [
            (
                r#"{"role":"assistant","content":"Hi","reasoning_content":"a"}"#,
                r#"{"role":"assistant","content":"<think>a</think>Hi"}"#,
            ),
            (
                r#"{"reasoning":"a","content":null,"tool_calls":[]}"#,
                r#"{"content":"<think>a</think>","tool_calls":[]}"#,
            ),
            (r#"{"content":"Hi","reasoning":null}"#, r#"{"content":"Hi"}"#),
            (r#"{"content":"reasoning"}"#, r#"{"content":"reasoning"}"#),
        ] {
            let whole = |message: &str| format!(r#"{{"choices":[{{"message":{message}}}]}}"#);
            let merged = in_completion(whole(message).into());
            assert_eq!(std::str::from_utf8(&merged), Ok(&*whole(expected)));
        }
        for odd in ["reasoning", "{\"reasoning\"", "[]", "{\"choices\":\"reasoning\"}"] {
            assert_eq!(in_completion(odd.into()), odd);
        }
    }
}
