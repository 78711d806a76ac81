//! Chunks, replies and failures as hooks see them.

use crate::{call::set_header, failure::Failure, json::slices, provider::Usage};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use plugin_api::{
    EditError, FailureKind,
    abi::serve::{ChunkAccess, Edited, FailureAccess, ReplyAccess},
    limits,
};
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, cell::OnceCell, time::Duration};

/// A streamed chunk on its way through the chain.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) index: u64,
    pub(crate) json: String,
    pub(crate) dropped: bool,
    text: OnceCell<Box<str>>,
}

/// What was measured of a call until its end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) usage: Option<Usage>,
    /// Since the call was accepted.
    pub(crate) elapsed: Duration,
    /// How long the upstream took to begin its answer.
    pub(crate) upstream: Option<Duration>,
    pub(crate) first_token: Option<Duration>,
}

/// A complete answer on its way through the chain.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    /// `None` after a stream.
    pub(crate) json: Option<Bytes>,
    /// Headers that hooks set, for a JSON reply.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) figures: Figures,
    pub(crate) from_callback: bool,
    /// What was streamed.
    pub(crate) streamed: Cow<'a, Streamed>,
    read: OnceCell<Streamed>,
}

/// A reply before a hook that may break.
#[derive(Debug)]
pub(crate) struct ReplySnapshot {
    json: Option<Bytes>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The text of an answer and why it ended: collected from a stream when a hook will want it, read
/// from a JSON reply when one asks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Streamed {
    pub(crate) text: String,
    pub(crate) finish_reason: Option<String>,
    /// Bytes of text beyond what is kept.
    pub(crate) left_out: usize,
}

/// A failure on its way through the chain.
#[derive(Debug)]
pub(crate) struct Failing<'a> {
    pub(crate) failure: Failure,
    pub(crate) sent: bool,
    pub(crate) streamed: Cow<'a, str>,
    pub(crate) figures: Figures,
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow, default, alias = "message")]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

impl Streamed {
    /// Adds what a chunk (or a whole reply) says of the first choice.
    pub(crate) fn add(&mut self, json: &[u8]) {
        self.add_within(json, usize::MAX);
    }

    /// The same, with at most so many bytes of text in all: what is beyond is left out.
    pub(crate) fn add_within(&mut self, json: &[u8], limit: usize) {
        let Ok(outline) = serde_json::from_slice::<Outline<'_>>(json) else {
            return self.add_unusual(json, limit);
        };
        for choice in outline.choices.iter().filter(|choice| choice.index == 0) {
            if let Some(text) = choice.delta.as_ref().and_then(|delta| delta.content.as_deref()) {
                self.add_text(text, limit);
            }
            if let Some(reason) = &choice.finish_reason {
                self.finish_reason = Some(reason.to_string());
            }
        }
    }

    /// What the outline does not fit: repeated names, of which the last counts, and members of
    /// other kinds. One member that cannot be read takes nothing from the others.
    fn add_unusual(&mut self, json: &[u8], limit: usize) {
        let choices = slices::member(json, "choices").unwrap_or_default();
        for choice in slices::elements(choices) {
            if slices::member(choice, "index").is_some_and(|index| index != b"0") {
                continue;
            }
            let said =
                slices::member(choice, "delta").or_else(|| slices::member(choice, "message"));
            let content = said.and_then(|said| slices::member(said, "content"));
            if let Some(text) = content.and_then(read_text) {
                self.add_text(&text, limit);
            }
            if let Some(reason) = slices::member(choice, "finish_reason").and_then(read_text) {
                self.finish_reason = Some(reason);
            }
        }
    }

    fn add_text(&mut self, text: &str, limit: usize) {
        let kept = match self.left_out {
            0 => within(text, limit - self.text.len().min(limit)),
            // What follows a gap would seem to stand beside what is before it.
            _ => "",
        };
        self.text.push_str(kept);
        self.left_out += text.len() - kept.len();
    }
}

/// A text, or the texts of a list of parts.
fn read_text(json: &[u8]) -> Option<String> {
    if json.first() == Some(&b'[') {
        let parts =
            slices::elements(json).filter_map(|part| read_text(slices::member(part, "text")?));
        return Some(parts.collect());
    }
    serde_json::from_slice(json).ok()
}

impl Chunk {
    pub(crate) fn new(index: u64, json: String) -> Self {
        Self { index, json, dropped: false, text: OnceCell::new() }
    }
}

impl ChunkAccess for Chunk {
    fn index(&self) -> u64 {
        self.index
    }

    fn json(&self) -> &str {
        &self.json
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut streamed = Streamed::default();
            streamed.add(self.json.as_bytes());
            streamed.text.into()
        })
    }

    fn set_json(&mut self, json: &str) -> Edited {
        object(json)?;
        json.clone_into(&mut self.json);
        self.text = OnceCell::new();
        Ok(())
    }

    fn set_text(&mut self, text: &str) -> Edited {
        if text.len() > limits::ANSWER {
            return Err(EditError::TooLarge);
        }
        let mut value = object(&self.json)?;
        let delta = value
            .get_mut("choices")
            .and_then(|choices| choices.get_mut(0))
            .and_then(|choice| choice.get_mut("delta"))
            .and_then(Value::as_object_mut)
            .ok_or(EditError::WrongKind)?;
        delta.insert("content".to_owned(), Value::String(text.to_owned()));
        self.json = value.to_string();
        self.text = OnceCell::new();
        Ok(())
    }

    fn drop_chunk(&mut self) -> Edited {
        self.dropped = true;
        Ok(())
    }
}

impl Figures {
    /// Prompt, completion, total.
    fn tokens(&self) -> [Option<u64>; 3] {
        let usage = self.usage;
        [
            usage.map(|usage| usage.prompt_tokens),
            usage.map(|usage| usage.completion_tokens),
            usage.map(|usage| usage.total_tokens),
        ]
    }

    /// In all, in the upstream, to the first token; in ns.
    fn durations(&self) -> [Option<u64>; 3] {
        [Some(self.elapsed), self.upstream, self.first_token]
            .map(|duration| duration.and_then(|it| u64::try_from(it.as_nanos()).ok()))
    }
}

impl<'a> Reply<'a> {
    pub(crate) fn new(status: u16, json: Option<Bytes>, streamed: &'a Streamed) -> Self {
        Self {
            status,
            json,
            headers: Vec::new(),
            figures: Figures::default(),
            from_callback: false,
            streamed: Cow::Borrowed(streamed),
            read: OnceCell::new(),
        }
    }

    /// What a hook may change; cheap.
    pub(crate) fn snapshot(&self) -> ReplySnapshot {
        ReplySnapshot { json: self.json.clone(), headers: self.headers.clone() }
    }

    /// Takes a hook's changes back.
    pub(crate) fn restore(&mut self, snapshot: ReplySnapshot) {
        self.json = snapshot.json;
        self.headers = snapshot.headers;
        self.read = OnceCell::new();
    }

    /// The same for a hook that may be left behind.
    pub(crate) fn to_owned(&self) -> Reply<'static> {
        Reply {
            status: self.status,
            json: self.json.clone(),
            headers: self.headers.clone(),
            figures: self.figures,
            from_callback: self.from_callback,
            streamed: Cow::Owned(self.streamed.clone().into_owned()),
            read: self.read.clone(),
        }
    }

    fn said(&self) -> &Streamed {
        let Some(json) = &self.json else { return &self.streamed };
        self.read.get_or_init(|| {
            let mut said = Streamed::default();
            said.add(json);
            said
        })
    }
}

impl ReplyAccess for Reply<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn json(&self) -> Option<&str> {
        std::str::from_utf8(self.json.as_ref()?).ok()
    }

    fn set_json(&mut self, json: &str) -> Edited {
        let body = self.json.as_mut().ok_or(EditError::TooLate)?;
        object(json)?;
        *body = Bytes::copy_from_slice(json.as_bytes());
        self.read = OnceCell::new();
        Ok(())
    }

    fn text(&self) -> &str {
        &self.said().text
    }

    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        if self.json.is_none() {
            return Err(EditError::TooLate);
        }
        set_header(&mut self.headers, name, value)
    }

    fn finish_reason(&self) -> Option<&str> {
        self.said().finish_reason.as_deref()
    }

    fn usage(&self) -> [Option<u64>; 3] {
        self.figures.tokens()
    }

    fn durations(&self) -> [Option<u64>; 3] {
        self.figures.durations()
    }

    fn from_callback(&self) -> bool {
        self.from_callback
    }
}

impl Failing<'_> {
    /// The same for a hook that may be left behind.
    pub(crate) fn to_owned(&self) -> Failing<'static> {
        Failing {
            failure: self.failure.clone(),
            sent: self.sent,
            streamed: Cow::Owned(self.streamed.clone().into_owned()),
            figures: self.figures,
        }
    }
}

impl FailureAccess for Failing<'_> {
    fn kind(&self) -> FailureKind {
        self.failure.kind
    }

    fn status(&self) -> u16 {
        self.failure.status
    }

    fn code(&self) -> &str {
        self.failure.code_text()
    }

    fn message(&self) -> &str {
        &self.failure.message
    }

    fn set_status(&mut self, status: u16) -> Edited {
        if self.sent {
            return Err(EditError::TooLate);
        }
        if !(400..600).contains(&status) {
            return Err(EditError::NotAllowed);
        }
        self.failure.status = status;
        Ok(())
    }

    fn set_message(&mut self, message: &str) -> Edited {
        if self.sent {
            return Err(EditError::TooLate);
        }
        within(message, limits::MESSAGE).clone_into(&mut self.failure.message);
        Ok(())
    }

    fn sent(&self) -> bool {
        self.sent
    }

    fn text(&self) -> &str {
        &self.streamed
    }

    fn usage(&self) -> [Option<u64>; 3] {
        self.figures.tokens()
    }

    fn durations(&self) -> [Option<u64>; 3] {
        self.figures.durations()
    }

    fn callback(&self) -> Option<&str> {
        self.failure.callback.as_deref()
    }
}

/// A callback's own answer, if it can be sent as one.
pub(crate) fn completion(json: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(json).ok()?;
    value["choices"][0]["message"].is_object().then_some(value)
}

/// At most so many bytes of a text, whole characters.
pub(super) fn within(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn object(json: &str) -> Result<Value, EditError> {
    if json.len() > limits::ANSWER {
        return Err(EditError::TooLarge);
    }
    serde_json::from_str::<Value>(json).ok().filter(Value::is_object).ok_or(EditError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_end_of_what_is_unusual_are_read_too() {
        for (json, text, reason) in [
            (
                r#"{"choices":[{"delta":{"content":"x","content":"a"},"finish_reason":"stop"}]}"#,
                "a",
                Some("stop"),
            ),
            (r#"{"choices":[{"delta":{"content":"x"},"delta":{"content":"a"}}]}"#, "a", None),
            (r#"{"choices":5,"choices":[{"index":0,"delta":{"content":"a"}}]}"#, "a", None),
            (
                r#"{"choices":[{"delta":{"content":"a"},"message":{"content":"ba"},"finish_reason":"stop"}]}"#,
                "a",
                Some("stop"),
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":"b"}]},"finish_reason":"stop"}]}"#,
                "ab",
                Some("stop"),
            ),
            (
                r#"{"choices":[{"delta":{"content":5},"finish_reason":"stop"},{"index":1,"delta":{"content":"z"}}]}"#,
                "",
                Some("stop"),
            ),
            (r#"{"choices":[{"delta":{"content":"a"},"finish_reason":5}]}"#, "a", None),
        ] {
            let mut streamed = Streamed::default();
            streamed.add(json.as_bytes());
            assert_eq!(
                (&*streamed.text, streamed.finish_reason.as_deref()),
                (text, reason),
                "{json}"
            );
        }
    }

    #[test]
    fn text_behind_a_gap_is_left_out_and_counted() {
        let mut streamed = Streamed::default();
        for text in ["abc", "\u{e9}\u{e9}", "d"] {
            let json = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}");
            streamed.add_within(json.as_bytes(), 6);
        }
        assert_eq!((&*streamed.text, streamed.left_out), ("abc\u{e9}", 3));
    }
}
