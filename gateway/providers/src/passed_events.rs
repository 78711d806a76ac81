//! Streams of other kinds of calls than chat: every event passes with its name, and is only looked
//! at for its end, an error, and the tokens.

use super::{
    AnswerFault, CallKind, ChunkSink, Echo, ErrorText, StreamRequest, StreamTranslator, Usage,
    error_text::read_error, other_calls,
};
use bytes::Bytes;
use callgate_json::{
    Scanner, json_text,
    lines::{Leading, Lines, MAX_LINE, TooLong, data},
    slices,
};

/// Creates a translator for one stream of a kind that is no chat.
#[must_use]
pub fn stream(kind: CallKind, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
    let events = Events {
        kind,
        asked,
        model: json_text(&echo.model),
        name: Vec::new(),
        payload: Vec::new(),
        seen: 0,
        has_content: false,
        has_finished: false,
        usage: None,
        is_done: false,
    };
    let (leading, lines) = (Leading::default(), Lines::of_events());
    Box::new(Passed { leading, lines, has_begun: false, json: None, events })
}

struct Passed {
    leading: Leading,
    lines: Lines,
    has_begun: bool,
    /// The body so far, if it is JSON in place of a stream.
    json: Option<Vec<u8>>,
    events: Events,
}

struct Events {
    kind: CallKind,
    asked: StreamRequest,
    /// The requested model name as JSON.
    model: Bytes,
    /// The name of the event that arrives, and its data so far.
    name: Vec<u8>,
    payload: Vec<u8>,
    /// The number of events so far, without pings.
    seen: u64,
    has_content: bool,
    /// Every choice that a completion began has come to its end.
    has_finished: bool,
    usage: Option<Usage>,
    is_done: bool,
}

impl StreamTranslator for Passed {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        for bytes in self.leading.skip(bytes) {
            if !self.has_begun && !bytes.is_empty() {
                self.has_begun = true;
                self.json = bytes.starts_with(b"{").then(Vec::new);
            }
            if let Some(json) = &mut self.json {
                if json.len() + bytes.len() > MAX_LINE {
                    return Err(TooLong.into());
                }
                json.extend_from_slice(bytes);
                continue;
            }
            self.lines.push(bytes, |line| self.events.line(line, out))?;
        }
        Ok(())
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if let Some(json) = &self.json {
            let other = AnswerFault::Other("JSON in place of a stream");
            return Err(read_error(json).map_or(other, AnswerFault::Upstream));
        }
        let rest = self.lines.take_rest();
        let is_cut = !rest.is_empty() || !self.events.payload.is_empty();
        let ended = self.events.line(&rest, out).and_then(|()| self.events.line(b"", out));
        if self.events.is_done {
            return Ok(());
        }
        match ended {
            Err(AnswerFault::Malformed(_)) if is_cut => {
                return Err(AnswerFault::Incomplete("it ended within an event".to_owned()));
            }
            ended => ended?,
        }
        if self.events.seen == 0 {
            return Err(AnswerFault::Other("a body without events"));
        }
        if self.events.has_finished {
            return Ok(());
        }
        Err(AnswerFault::Incomplete(format!("it has no {}", self.events.last_event())))
    }

    fn complete(&self) -> bool {
        self.events.is_done
    }

    fn events(&self) -> u64 {
        self.events.seen
    }

    fn content(&self) -> bool {
        self.events.has_content
    }

    fn usage(&self) -> Option<Usage> {
        self.events.usage
    }

    fn backlog(&self) -> usize {
        let json = self.json.as_ref().map_or(0, Vec::len);
        json + self.lines.backlog() + self.events.payload.len()
    }
}

impl Events {
    /// What ends such a stream.
    fn last_event(&self) -> &'static str {
        match self.kind {
            CallKind::Responses => "`response.completed`",
            CallKind::Messages => "`message_stop`",
            _ => "`[DONE]` and no `finish_reason`",
        }
    }

    fn line(&mut self, line: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if self.is_done {
            return Ok(());
        }
        if line.is_empty() {
            let (name, payload) =
                (std::mem::take(&mut self.name), std::mem::take(&mut self.payload));
            if payload.is_empty() {
                return Ok(());
            }
            return self.event(&name, &payload, out);
        }
        if let Some(more) = data(line) {
            if self.payload.len() + more.len() >= MAX_LINE {
                return Err(TooLong.into());
            }
            if !self.payload.is_empty() {
                self.payload.push(b'\n');
            }
            self.payload.extend_from_slice(more);
        } else if let Some(name) = line.strip_prefix(b"event:") {
            self.name = name.strip_prefix(b" ").unwrap_or(name).to_vec();
        } else if self.seen == 0 && !line.starts_with(b":") && !line.contains(&b':') {
            return Err(match read_error(line) {
                Some(error) => AnswerFault::Upstream(error),
                None => AnswerFault::Other("a body that is neither events nor JSON"),
            });
        }
        Ok(())
    }

    fn event(
        &mut self,
        name: &[u8],
        payload: &[u8],
        out: &mut dyn ChunkSink,
    ) -> Result<(), AnswerFault> {
        let payload = payload.trim_ascii();
        if payload == b"[DONE]" {
            self.is_done = self.kind == CallKind::Completions || self.has_finished;
            return Ok(());
        }
        let is_object = payload.first() == Some(&b'{') && Scanner::scan(payload).is_ok();
        if name == b"error" {
            let words = || ErrorText::saying(String::from_utf8_lossy(payload));
            return Err(AnswerFault::Upstream(read_error(payload).unwrap_or_else(words)));
        }
        if !is_object {
            return Err(AnswerFault::Malformed("an event that is no JSON object".to_owned()));
        }
        let kind = slices::member(payload, "type").unwrap_or_default();
        if kind == br#""error""#
            || slices::member(payload, "error").is_some_and(|error| !slices::is_blank(error))
        {
            let words = || ErrorText::saying("an error without a message");
            return Err(AnswerFault::Upstream(read_error(payload).unwrap_or_else(words)));
        }
        if kind == br#""ping""# {
            out.event(name, &[payload]);
            return Ok(());
        }
        self.seen += 1;
        if kind == br#""response.failed""# && self.kind == CallKind::Responses {
            out.event(name, &[payload]);
            let response = slices::member(payload, "response").unwrap_or_default();
            let words = || ErrorText::saying("a response that failed without a message");
            return Err(AnswerFault::Upstream(read_error(response).unwrap_or_else(words)));
        }
        match self.kind {
            CallKind::Responses => self.of_response(kind, payload),
            CallKind::Messages => self.of_message(kind, payload),
            _ => return self.of_completion(payload, out),
        }
        out.event(name, &[payload]);
        Ok(())
    }

    fn of_response(&mut self, kind: &[u8], payload: &[u8]) {
        match kind {
            br#""response.completed""# | br#""response.incomplete""# => {
                let response = slices::member(payload, "response").unwrap_or_default();
                self.usage = slices::member(response, "usage").and_then(other_calls::usage);
                (self.has_finished, self.is_done) = (true, true);
            }
            _ => self.has_content |= kind.ends_with(b".delta\""),
        }
    }

    fn of_message(&mut self, kind: &[u8], payload: &[u8]) {
        let of = |outer: &[u8]| slices::member(outer, "usage").and_then(other_calls::counts);
        match kind {
            br#""message_start""# => {
                self.usage = slices::member(payload, "message").and_then(of).map(Usage::from);
            }
            br#""message_delta""# => {
                // The counts are those of the whole message so far; the prompt may be left out.
                let now = of(payload);
                let before = self.usage.unwrap_or_default();
                if let Some(now) = now {
                    let prompt_tokens = now.prompt_tokens.unwrap_or(before.prompt_tokens);
                    let completion_tokens =
                        now.completion_tokens.unwrap_or(before.completion_tokens);
                    let total_tokens = prompt_tokens.saturating_add(completion_tokens);
                    self.usage = Some(Usage { prompt_tokens, completion_tokens, total_tokens });
                }
            }
            br#""message_stop""# => (self.has_finished, self.is_done) = (true, true),
            _ => self.has_content |= kind == br#""content_block_delta""#,
        }
    }

    /// Passes a completion's chunk with the model name that the client asked for.
    fn of_completion(
        &mut self,
        payload: &[u8],
        out: &mut dyn ChunkSink,
    ) -> Result<(), AnswerFault> {
        let choices = slices::member(payload, "choices").filter(|choices| *choices != b"null");
        let counted = slices::member(payload, "usage").and_then(other_calls::usage);
        if choices.is_none() && counted.is_none() {
            let other = AnswerFault::Malformed("an event without `choices`".to_owned());
            return Err(read_error(payload).map_or(other, AnswerFault::Upstream));
        }
        self.usage = counted.or(self.usage);
        let choices = choices.unwrap_or_default();
        if slices::is_blank(choices) && counted.is_some() && !self.asked.usage {
            return Ok(());
        }
        for choice in slices::elements(choices) {
            self.has_content |= slices::member(choice, "text").is_some_and(|text| text != b"\"\"");
            let reason = slices::member(choice, "finish_reason");
            self.has_finished = reason.is_some_and(|reason| reason != b"null");
        }
        match slices::member(payload, "model") {
            Some(model) => {
                let start = model.as_ptr() as usize - payload.as_ptr() as usize;
                out.event(b"", &[&payload[..start], &self.model, &payload[start + model.len()..]]);
            }
            None => out.event(b"", &[payload]),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
