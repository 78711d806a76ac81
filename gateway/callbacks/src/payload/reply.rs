//! A complete reply as hooks see it.

use super::{
    object::{is_object, object},
    streamed_text::{StreamedText, end_of_first_choice, plain_text},
};
use bytes::Bytes;
use callgate_call::set_header;
use callgate_json::slices;
use callgate_providers::{CallKind, Usage};
use http::{HeaderName, HeaderValue};
use plugin_api::{
    EditError,
    abi::serve::{Edited, ReplyAccess},
};
use std::{borrow::Cow, cell::OnceCell, ops::Range, time::Duration};

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

impl CallStats {
    /// Prompt, completion and total tokens.
    pub(super) fn tokens(&self) -> [Option<u64>; 3] {
        let usage = self.usage;
        [
            usage.map(|usage| usage.prompt_tokens),
            usage.map(|usage| usage.completion_tokens),
            usage.map(|usage| usage.total_tokens),
        ]
    }

    /// Total time, time in the upstream, and time to the first token, in ns.
    pub(super) fn durations(&self) -> [Option<u64>; 3] {
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

/// Whether a callback's reply can be sent as the answer to a call of this kind.
pub fn is_answer(kind: CallKind, json: &str) -> bool {
    if kind == CallKind::Chat {
        return is_completion(json);
    }
    let json = json.trim_ascii().as_bytes();
    let has = |name: &&str| slices::member(json, name).is_some_and(|value| value != b"null");
    object(json).is_ok() && kind.answers().iter().any(has)
}

/// Whether a callback's reply is a completion that can be sent.
pub fn is_completion(json: &str) -> bool {
    let json = json.trim_ascii().as_bytes();
    let choices = object(json).ok().and_then(|()| slices::member(json, "choices"));
    let first = choices.and_then(|choices| slices::elements(choices).next());
    first.and_then(|first| slices::member(first, "message")).is_some_and(is_object)
}
