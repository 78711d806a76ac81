//! Implements the gateway's [`Dialect`] with the translations of this folder.

use super::{
    ChatStream, Ollama, ReplyError, StreamError, chat_reply, chat_request, chat_url,
    embeddings::{embed_reply, embed_request},
    error::TranslateError,
    unfit, upstream_error, url,
};
use crate::{
    AnswerFault, CallKind, ChatAddress, ChunkSink, Destination, Dialect, Echo, ErrorText, Outgoing,
    StreamRequest, StreamTranslator, Translated, Usage, number_of_choices, other_calls,
    surrogate_pairs::SurrogatePairs,
};
use bytes::Bytes;
use callgate_failure::Failure;
use callgate_json::{
    Body, Edits, Scanner, joined,
    lines::{Leading, Lines},
};
use serde_json::{Map, Value};

impl Dialect for Ollama {
    fn chat_url(&self, at: &ChatAddress<'_>) -> String {
        chat_url(at.base)
    }

    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        let choices = number_of_choices(body.member("n"));
        let body = without_parts(body, to);
        let translated =
            chat_request(&body, to.model, to.params, to.rules).map_err(|error| refused(&error))?;
        Ok(Outgoing { body: [translated.into()].into(), choices, base64: false, headers: &[] })
    }

    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String {
        url(kind, at.base)
    }

    fn request_of(
        &self,
        kind: CallKind,
        body: &Body,
        to: &Destination<'_>,
    ) -> Result<Outgoing, Failure> {
        if kind != CallKind::Embeddings {
            return other_calls::request(kind, body, to);
        }
        let body = without_parts(body, to);
        let made = embed_request(&body, to.model, to.params, to.rules);
        let made = made.map_err(|error| refused(&error))?;
        Ok(Outgoing {
            body: [made.body.into()].into(),
            choices: 1,
            base64: made.base64,
            headers: &[],
        })
    }

    fn reply_of(
        &self,
        kind: CallKind,
        body: Body,
        echo: &Echo,
        base64: bool,
    ) -> Result<Translated, AnswerFault> {
        if kind != CallKind::Embeddings {
            return other_calls::reply(kind, body, echo);
        }
        let (list, usage) = embed_reply(body.original(), echo, base64)?;
        Ok(Translated { body: [list.into()].into(), usage: Some(usage) })
    }

    fn unfit<'p>(&self, params: &'p Map<String, Value>) -> Vec<&'p str> {
        unfit(params)
    }

    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault> {
        let reply = chat_reply(body.original(), echo)?;
        Ok(Translated { body: [reply.body.into()].into(), usage: reply.usage })
    }

    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
        Box::new(Translating {
            leading: Leading::default(),
            lines: Lines::default(),
            chat: ChatStream::new(echo, asked.usage),
            pairs: SurrogatePairs::default(),
            events: 0,
        })
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorText {
        upstream_error(status, body)
    }

    fn unreachable_hint(&self) -> &'static str {
        "is `ollama serve` running there?"
    }
}

/// The body without the parts of parameters that are never sent.
fn without_parts(body: &Body, to: &Destination<'_>) -> Bytes {
    if to.rules.cut.is_empty() {
        return body.rendered();
    }
    let mut edits = Edits::of(body);
    to.rules.cut(&mut edits);
    joined(edits.render())
}

fn refused(error: &TranslateError) -> Failure {
    let failure = Failure::invalid(error.message());
    match error.param() {
        Some(param) => failure.param(param),
        None => failure,
    }
}

/// Translates NDJSON lines into chunks.
struct Translating {
    leading: Leading,
    lines: Lines,
    chat: ChatStream,
    pairs: SurrogatePairs,
    /// The number of lines that were part of the response.
    events: u64,
}

impl Translating {
    fn take(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let Self { lines, chat, pairs, events, .. } = self;
        let taken = lines.push(bytes, |line| {
            if line.trim_ascii().is_empty() || chat.finished() {
                return Ok(());
            }
            chat.line(line, &mut |parts| {
                // Half of a surrogate pair appears only as an escape.
                let is_escaped = |part: &&[u8]| memchr::memmem::find(part, b"\\u").is_some();
                pairs.pass_parts(parts, parts.iter().any(is_escaped), out);
            })?;
            *events += 1;
            Ok(())
        });
        if taken.is_err() {
            pairs.flush(out);
        }
        taken
    }
}

impl StreamTranslator for Translating {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let [looked_like_a_mark, rest] = self.leading.skip(bytes);
        self.take(looked_like_a_mark, out)?;
        self.take(rest, out)
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let mut rest = self.lines.take_rest();
        if rest.trim_ascii().is_empty() && self.events == 0 {
            return Err(AnswerFault::Other("an empty body"));
        }
        let is_cut = self.events == 0 && rest.starts_with(b"{") && Scanner::is_cut(&rest);
        rest.push(b'\n');
        let taken = self.take(&rest, out);
        self.pairs.flush(out);
        match taken {
            Err(AnswerFault::Malformed(_)) if self.events > 0 || is_cut => {
                return Err(AnswerFault::Incomplete("it ended within a line".to_owned()));
            }
            taken => taken?,
        }
        if self.chat.finished() {
            return Ok(());
        }
        Err(AnswerFault::Incomplete("no line of it says `done`".to_owned()))
    }

    fn complete(&self) -> bool {
        self.chat.finished()
    }

    fn events(&self) -> u64 {
        self.events
    }

    fn content(&self) -> bool {
        self.chat.begun()
    }

    fn usage(&self) -> Option<Usage> {
        self.chat.usage()
    }

    fn backlog(&self) -> usize {
        self.lines.backlog()
    }
}

impl From<ReplyError> for AnswerFault {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::Upstream(said) => Self::Upstream(said),
            error @ ReplyError::Malformed { .. } => Self::Malformed(error.to_string()),
            error @ (ReplyError::Incomplete | ReplyError::Unended { .. }) => {
                Self::Incomplete(error.to_string())
            }
        }
    }
}

impl From<StreamError> for AnswerFault {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Upstream(said) => Self::Upstream(said),
            error @ StreamError::Malformed { .. } => Self::Malformed(error.to_string()),
            error @ StreamError::Unended { .. } => Self::Incomplete(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Collected(Vec<String>);

    impl ChunkSink for Collected {
        fn chunk(&mut self, json: &[&[u8]]) {
            self.0.push(String::from_utf8(json.concat()).expect("utf-8"));
        }
    }

    fn run(input: &[u8], size: usize) -> (Vec<String>, Option<AnswerFault>) {
        let echo = Echo { id: "i".into(), created: 1, model: "m".into() };
        let mut stream = Ollama.stream(&echo, StreamRequest { usage: false, choices: 1 });
        let mut out = Collected::default();
        for chunk in input.chunks(size) {
            if let Err(fault) = stream.push(chunk, &mut out) {
                return (out.0, Some(fault));
            }
            if stream.complete() {
                return (out.0, None);
            }
        }
        let fault = stream.close(&mut out).err();
        (out.0, fault)
    }

    #[test]
    fn a_stream_is_judged_alike_at_any_cut() {
        let said = r#"{"message":{"content":"a"},"done":false}"#;
        let done = r#"{"message":{"content":""},"done":true,"done_reason":"stop"}"#;
        for (stream, expected) in [
            (format!("{said}\n{done}\n"), None),
            (format!("{said}\r\n\r\n{done}"), None),
            (format!("\u{feff} \n{said}\n{done}"), None),
            (format!("{said}\n"), Some("Incomplete")),
            (format!("{said}\n{}", &done[..30]), Some("Incomplete")),
            (format!("{said}\n{{\"error\":\"words\"}}"), Some("words")),
            ("{\"error\":{\"message\":\"words\"}}".to_owned(), Some("words")),
            ("{\"detail\":\"words\"}\n".to_owned(), Some("words")),
            ("{\"message\":\"words\",\"code\":5}\n".to_owned(), Some("words")),
            ("{\"done\":true}\n".to_owned(), Some("Malformed")),
            (format!("{said}\n{{\"done\":true}}\n"), Some("Incomplete(\"it is done and has no")),
            (done.replace("stop", "load"), Some("Incomplete")),
            (said[..30].to_owned(), Some("Incomplete")),
            ("{\"x\":1}".to_owned(), Some("Malformed")),
            ("<html>".to_owned(), Some("Malformed")),
            ("\r\n ".to_owned(), Some("an empty body")),
            (String::new(), Some("an empty body")),
        ] {
            let whole = run(stream.as_bytes(), stream.len().max(1));
            for size in 1..stream.len() {
                assert_eq!(run(stream.as_bytes(), size), whole, "{stream} by {size}");
            }
            let fault = whole.1.map(|fault| format!("{fault:?}"));
            match expected {
                None => assert_eq!((fault, whole.0.len()), (None, 2), "{stream}"),
                Some(text) => {
                    assert!(
                        fault.as_ref().is_some_and(|it| it.contains(text)),
                        "{stream}: {fault:?}"
                    );
                }
            }
        }
    }
}
