//! The line of a call.

use crate::time::rfc_3339;
use plugin_api::{CallView, Clock, LlmFailure, LlmReply};
use serde::Serialize;
use serde_json::{
    Serializer,
    ser::{CharEscape, CompactFormatter, Formatter},
};
use std::{io, time::Duration};

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) enum Ending<'a, 'b> {
    Reply(&'a LlmReply<'b>),
    Failure(&'a LlmFailure<'b>),
}

/// A line. Unknown numbers are left out.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    time: String,
    call_id: &'a str,
    key_id: &'a str,
    requested_model: &'a str,
    model: &'a str,
    provider: Option<&'a str>,
    upstream_model: Option<&'a str>,
    stream: bool,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<f64>,
    messages: usize,
    prompt_chars: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<Vec<Content<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    content_left_out: bool,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    role: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    pub(crate) fn of(
        call: &'a CallView<'_>,
        ending: Ending<'a, '_>,
        clock: Clock,
        content: bool,
    ) -> Self {
        let said = || call.messages().map(|(role, text)| Content { role, text });
        let mut line = Self {
            time: rfc_3339(clock.unix_ms()),
            call_id: call.id(),
            key_id: call.key_id(),
            requested_model: call.requested_model(),
            model: call.model(),
            provider: call.provider(),
            upstream_model: call.upstream_model(),
            stream: call.stream(),
            status: 0,
            error_code: None,
            callback: None,
            finish_reason: None,
            prompt_tokens: None,
            completion_tokens: None,
            total_tokens: None,
            duration_ms: None,
            upstream_ms: None,
            first_token_ms: None,
            messages: call.message_count(),
            prompt_chars: call.messages().map(|(_, text)| text.chars().count()).sum(),
            prompt: content.then(|| said().collect()),
            reply: None,
            content_left_out: false,
        };
        match ending {
            Ending::Reply(reply) => line.add_reply(reply, content),
            Ending::Failure(failure) => line.add_failure(failure, content),
        }
        line
    }

    fn add_reply(&mut self, reply: &'a LlmReply<'_>, content: bool) {
        self.status = reply.status();
        self.finish_reason = reply.finish_reason();
        self.prompt_tokens = reply.prompt_tokens();
        self.completion_tokens = reply.completion_tokens();
        self.total_tokens = reply.total_tokens();
        self.duration_ms = Some(ms(reply.duration()));
        self.upstream_ms = reply.upstream_duration().map(ms);
        self.first_token_ms = reply.time_to_first_token().map(ms);
        self.reply = content.then(|| reply.text());
    }

    fn add_failure(&mut self, failure: &'a LlmFailure<'_>, content: bool) {
        self.status = failure.status();
        self.error_code = Some(failure.code());
        self.callback = failure.callback();
        self.duration_ms = Some(ms(failure.duration()));
        self.reply = Some(failure.text()).filter(|text| content && !text.is_empty());
    }

    /// As `bytes`, but without the content if it makes the line longer than `most`, so that the
    /// rest of the line is not lost.
    pub(crate) fn fitting(mut self, most: usize) -> Option<Vec<u8>> {
        let bytes = self.bytes(most);
        if bytes.is_some() || self.prompt.is_none() && self.reply.is_none() {
            return bytes;
        }
        (self.prompt, self.reply, self.content_left_out) = (None, None, true);
        self.bytes(most)
    }

    /// Returns the line as JSON with a line end, or `None` if it is longer than `most`. Control
    /// characters are escaped, so no text can end a line or control a terminal.
    fn bytes(&self, most: usize) -> Option<Vec<u8>> {
        let mut bytes = Within { bytes: Vec::with_capacity(512), most };
        let mut serializer = Serializer::with_formatter(&mut bytes, Visible(CompactFormatter));
        // Serializing fails only if the line is too long.
        self.serialize(&mut serializer).ok()?;
        let mut bytes = bytes.bytes;
        bytes.push(b'\n');
        Some(bytes)
    }
}

/// A buffer that fails as soon as it holds more than `most` bytes. Escaping can multiply the length
/// of a text, so the limit applies while the line is written.
struct Within {
    bytes: Vec<u8>,
    most: usize,
}

impl io::Write for Within {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Rounds to microseconds, which read better than sixteen digits.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Also escapes control characters beyond ASCII, and line separators.
struct Visible(CompactFormatter);

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let hidden = |it: char| it.is_control() || matches!(it, '\u{2028}' | '\u{2029}');
        let mut rest = fragment;
        while let Some((shown, found)) = rest.find(hidden).map(|at| rest.split_at(at)) {
            writer.write_all(shown.as_bytes())?;
            let mut characters = found.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }
}
