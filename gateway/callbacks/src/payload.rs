//! Chunks, replies and failures as hooks see them.

use bytes::Bytes;
use callgate_call::{set_header, valid_header};
use callgate_failure::Failure;
use callgate_json::{Scanner, json_text, slices};
use callgate_providers::Usage;
use http::{HeaderName, HeaderValue};
use plugin_api::{
    EditError, FailureKind,
    abi::serve::{ChunkAccess, Edited, FailureAccess, ReplyAccess},
    limits,
};
use std::{borrow::Cow, cell::OnceCell, ops::Range, time::Duration};

mod streamed_text;

pub use streamed_text::StreamedText;
pub(super) use streamed_text::within;
use streamed_text::{end_of_first_choice, plain_text};

/// A streamed chunk on its way through the chain.
#[derive(Clone, Debug)]
pub struct ChunkPayload {
    pub index: u64,
    pub json: String,
    pub dropped: bool,
    text: OnceCell<Box<str>>,
}

/// The token counts and durations of a call that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallStats {
    pub usage: Option<Usage>,
    /// The time since the call was accepted.
    pub elapsed: Duration,
    /// The time that the upstream's response took, head and body.
    pub upstream: Option<Duration>,
    pub first_token: Option<Duration>,
}

/// A complete reply on its way through the chain.
#[derive(Debug)]
pub struct EndPayload<'a> {
    pub status: u16,
    /// `None` after a stream.
    pub json: Option<Bytes>,
    /// Headers that hooks set on a JSON reply.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub figures: CallStats,
    pub from_callback: bool,
    /// The completion that a stream came to; `None` for a JSON reply, which is one itself.
    pub completion: Option<Bytes>,
    /// The text of a stream.
    pub streamed: Cow<'a, StreamedText>,
    read: ReadReply,
}

/// The parts of a JSON reply that hooks have asked for.
#[derive(Clone, Debug, Default)]
struct ReadReply {
    /// The place of its text, if that needs no decoding.
    plain: OnceCell<Option<Range<usize>>>,
    text: OnceCell<String>,
    finish_reason: OnceCell<Option<String>>,
}

/// A reply before a hook that may fail.
#[derive(Debug)]
pub(crate) struct EndPayloadSnapshot {
    json: Option<Bytes>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A failure on its way through the chain.
#[derive(Debug)]
pub struct ErrorPayload<'a> {
    pub failure: Failure,
    pub sent: bool,
    pub streamed: Cow<'a, str>,
    pub figures: CallStats,
}

impl ChunkPayload {
    pub fn new(index: u64, json: String) -> Self {
        Self { index, json, dropped: false, text: OnceCell::new() }
    }
}

impl ChunkAccess for ChunkPayload {
    fn index(&self) -> u64 {
        self.index
    }

    fn json(&self) -> &str {
        &self.json
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut streamed = StreamedText::default();
            streamed.add(self.json.as_bytes());
            streamed.text.into()
        })
    }

    fn set_json(&mut self, json: &str) -> Edited {
        object(json.as_bytes())?;
        json.clone_into(&mut self.json);
        self.text = OnceCell::new();
        Ok(())
    }

    fn set_text(&mut self, text: &str) -> Edited {
        if text.len() > limits::ANSWER {
            return Err(EditError::TooLarge);
        }
        let json = with_content(&self.json, text).ok_or(EditError::WrongKind)?;
        self.json = json;
        self.text = OnceCell::new();
        Ok(())
    }

    fn drop_chunk(&mut self) -> Edited {
        self.dropped = true;
        Ok(())
    }
}

impl CallStats {
    /// Prompt, completion and total tokens.
    fn tokens(&self) -> [Option<u64>; 3] {
        let usage = self.usage;
        [
            usage.map(|usage| usage.prompt_tokens),
            usage.map(|usage| usage.completion_tokens),
            usage.map(|usage| usage.total_tokens),
        ]
    }

    /// Total time, time in the upstream, and time to the first token, in ns.
    fn durations(&self) -> [Option<u64>; 3] {
        [Some(self.elapsed), self.upstream, self.first_token]
            .map(|duration| duration.and_then(|it| u64::try_from(it.as_nanos()).ok()))
    }
}

impl<'a> EndPayload<'a> {
    pub fn new(status: u16, json: Option<Bytes>, streamed: &'a StreamedText) -> Self {
        Self {
            status,
            json,
            headers: Vec::new(),
            figures: CallStats::default(),
            from_callback: false,
            completion: None,
            streamed: Cow::Borrowed(streamed),
            read: ReadReply::default(),
        }
    }

    /// A cheap copy of what a hook may change.
    pub(crate) fn snapshot(&self) -> EndPayloadSnapshot {
        EndPayloadSnapshot { json: self.json.clone(), headers: self.headers.clone() }
    }

    /// Rolls a hook's changes back.
    pub(crate) fn restore(&mut self, snapshot: EndPayloadSnapshot) {
        self.json = snapshot.json;
        self.headers = snapshot.headers;
        self.read = ReadReply::default();
    }

    /// An owned copy, for a hook that can time out.
    pub fn to_owned(&self) -> EndPayload<'static> {
        EndPayload {
            status: self.status,
            json: self.json.clone(),
            headers: self.headers.clone(),
            figures: self.figures,
            from_callback: self.from_callback,
            completion: self.completion.clone(),
            streamed: Cow::Owned(self.streamed.clone().into_owned()),
            read: self.read.clone(),
        }
    }
}

impl ReplyAccess for EndPayload<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn json(&self) -> Option<&str> {
        std::str::from_utf8(self.json.as_ref()?).ok()
    }

    fn set_json(&mut self, json: &str) -> Edited {
        let body = self.json.as_mut().ok_or(EditError::TooLate)?;
        object(json.as_bytes())?;
        *body = Bytes::copy_from_slice(json.as_bytes());
        self.read = ReadReply::default();
        Ok(())
    }

    fn text(&self) -> &str {
        let Some(json) = &self.json else { return &self.streamed.text };
        if let Some(place) = self.read.plain.get_or_init(|| plain_text(json)) {
            return callgate_json::text(&json[place.clone()]);
        }
        self.read.text.get_or_init(|| {
            let mut said = StreamedText::default();
            said.add(json);
            said.text
        })
    }

    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        if self.json.is_none() {
            return Err(EditError::TooLate);
        }
        set_header(&mut self.headers, name, value)
    }

    fn finish_reason(&self) -> Option<&str> {
        let Some(json) = &self.json else { return self.streamed.finish_reason.as_deref() };
        // Does not read the text, which may be long.
        self.read.finish_reason.get_or_init(|| end_of_first_choice(json)).as_deref()
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

    fn completion(&self) -> Option<&str> {
        std::str::from_utf8(self.json.as_ref().or(self.completion.as_ref())?).ok()
    }
}

impl ErrorPayload<'_> {
    /// An owned copy, for a hook that can time out.
    pub fn to_owned(&self) -> ErrorPayload<'static> {
        ErrorPayload {
            failure: self.failure.clone(),
            sent: self.sent,
            streamed: Cow::Owned(self.streamed.clone().into_owned()),
            figures: self.figures,
        }
    }
}

impl ErrorPayload<'_> {
    fn editable(&self) -> Edited {
        if self.sent { Err(EditError::TooLate) } else { Ok(()) }
    }

    /// A new `type` or `code`.
    fn word(&self, text: &str) -> Result<Cow<'static, str>, EditError> {
        self.editable()?;
        if text.len() > limits::CODE {
            return Err(EditError::TooLarge);
        }
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl FailureAccess for ErrorPayload<'_> {
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
        self.editable()?;
        if !(400..600).contains(&status) {
            return Err(EditError::NotAllowed);
        }
        self.failure.status = status;
        Ok(())
    }

    fn set_message(&mut self, message: &str) -> Edited {
        self.editable()?;
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

    fn error_type(&self) -> &str {
        &self.failure.error_type
    }

    fn set_type(&mut self, error_type: &str) -> Edited {
        self.failure.error_type = self.word(error_type)?;
        Ok(())
    }

    fn set_code(&mut self, code: &str) -> Edited {
        self.failure.code = Some(self.word(code)?);
        Ok(())
    }

    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        self.editable()?;
        let (name, _) = valid_header(name, value)?;
        let headers = &mut self.failure.headers;
        let others = headers.iter().filter(|(known, _)| name != **known);
        let used: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        if used + name.as_str().len() + value.len() > limits::HEADERS {
            return Err(EditError::TooLarge);
        }
        headers.retain(|(known, _)| name != **known);
        headers.push((name.as_str().to_owned(), value.to_owned()));
        Ok(())
    }
}

/// Whether a callback's reply is a completion that can be sent.
pub fn is_completion(json: &str) -> bool {
    let json = json.trim_ascii().as_bytes();
    let choices = object(json).ok().and_then(|()| slices::member(json, "choices"));
    let first = choices.and_then(|choices| slices::elements(choices).next());
    first.and_then(|first| slices::member(first, "message")).is_some_and(is_object)
}

fn is_object(json: &[u8]) -> bool {
    json.first() == Some(&b'{')
}

/// A chunk with another text in its first choice.
fn with_content(chunk: &str, text: &str) -> Option<String> {
    let choices = slices::member(chunk.as_bytes(), "choices")?;
    let choice = slices::elements(choices).next()?;
    let delta = slices::member(choice, "delta").filter(|delta| is_object(delta))?;
    let delta = with_member(delta, "content", &json_text(text));
    let choice_now = with_member(choice, "delta", &delta);
    let start = choice.as_ptr() as usize - choices.as_ptr() as usize;
    let (before, after) = (&choices[..start], &choices[start + choice.len()..]);
    let choices = [before, &choice_now, after].concat();
    String::from_utf8(with_member(chunk.as_bytes(), "choices", &choices)).ok()
}

/// An object with a new value for a member, which then occurs once.
fn with_member(object: &[u8], wanted: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + value.len() + 16);
    out.push(b'{');
    let mut push = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(if out.len() == 1 { b"\"" } else { b",\"" });
        for part in [name, b"\":", value] {
            out.extend_from_slice(part);
        }
    };
    let mut is_there = false;
    for (name, own) in slices::members(object) {
        if !name.is(wanted) {
            push(name.json(), own);
        } else if !std::mem::replace(&mut is_there, true) {
            push(name.json(), value);
        }
    }
    if !is_there {
        push(wanted.as_bytes(), value);
    }
    out.push(b'}');
    out
}

/// Checks that the text is a JSON object within the size limit. It builds no tree, which would take
/// many times the memory.
fn object(json: &[u8]) -> Result<(), EditError> {
    if json.len() > limits::ANSWER {
        return Err(EditError::TooLarge);
    }
    let is_json = Scanner::scan(json).is_ok();
    if is_json && is_object(json.trim_ascii()) { Ok(()) } else { Err(EditError::NotJson) }
}

#[cfg(test)]
mod tests;
