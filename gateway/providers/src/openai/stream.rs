//! A stream in the client's own dialect: every frame passes unchanged, except for the model name.
//! JSON in place of a stream goes to `completion_as_stream`; `choices` decides whether a response
//! is complete.

use super::{
    super::{Usage, error_text::read_error},
    choices::{AnswerEnd, Choices},
    completion_as_stream,
    error_instead::error_instead,
    usage,
};
use crate::{
    AnswerFault, ChunkSink, Echo, ErrorText, StreamRequest, StreamTranslator,
    surrogate_pairs::SurrogatePairs, text_pattern::TextPattern,
};
use bytes::Bytes;
use callgate_json::{
    Member, MemberList, Scanner, json_text,
    lines::{Leading, Lines, MAX_LINE, TooLong, data},
    slices,
};
use std::ops::Range;

/// After so many chunks in a row that do not match the pattern, matching stops: some upstreams
/// number their chunks, or pad them.
const MOST_UNLIKE: u8 = 8;

/// Passes a stream through.
#[derive(Debug)]
pub(super) struct Passing {
    kind: Kind,
    leading: Leading,
    lines: Lines,
    frames: Frames,
}

/// The kind of response, judged by its first byte.
#[derive(Debug)]
enum Kind {
    Unknown,
    Events,
    /// The JSON so far.
    Json(Vec<u8>),
}

#[derive(Debug)]
struct Frames {
    echo: Echo,
    asked: StreamRequest,
    /// The requested model name as JSON.
    model: Bytes,
    /// The number of events with content; pings do not count.
    events: u64,
    /// An event, even a ping, has come, so this is a stream.
    framed: bool,
    /// An event whose JSON continues in the next `data` line.
    open: Vec<u8>,
    /// The event's type says that it is an error.
    is_error: bool,
    choices: Choices,
    usage: Option<Usage>,
    done: bool,
    pairs: SurrogatePairs,
    /// The last scanned event contains halves of surrogate pairs.
    halved: bool,
    /// The last scanned chunk, if it only added text.
    pattern: Option<TextPattern>,
    /// The number of chunks in a row that did not match the pattern.
    unlike: u8,
    #[cfg(test)]
    scanned: usize,
}

impl Passing {
    pub(super) fn new(echo: &Echo, asked: StreamRequest) -> Self {
        let frames = Frames {
            echo: echo.clone(),
            asked,
            model: json_text(&echo.model),
            events: 0,
            framed: false,
            open: Vec::new(),
            is_error: false,
            choices: Choices::default(),
            usage: None,
            done: false,
            pairs: SurrogatePairs::default(),
            halved: false,
            pattern: None,
            unlike: 0,
            #[cfg(test)]
            scanned: 0,
        };
        let (kind, leading) = (Kind::Unknown, Leading::default());
        Self { kind, leading, lines: Lines::of_events(), frames }
    }

    fn take(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if let Kind::Unknown = self.kind {
            match bytes.first() {
                None => return Ok(()),
                Some(b'{' | b'[') => self.kind = Kind::Json(Vec::new()),
                Some(_) => self.kind = Kind::Events,
            }
        }
        if let Kind::Json(json) = &mut self.kind {
            if json.len() + bytes.len() > MAX_LINE {
                return Err(TooLong.into());
            }
            json.extend_from_slice(bytes);
            return Ok(());
        }
        let taken = self.lines.push(bytes, |line| self.frames.line(line, out));
        if taken.is_err() {
            self.frames.pairs.flush(out);
        }
        taken
    }
}

impl StreamTranslator for Passing {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let [looked_like_a_mark, rest] = self.leading.skip(bytes);
        self.take(looked_like_a_mark, out)?;
        self.take(rest, out)
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let frames = &mut self.frames;
        match std::mem::replace(&mut self.kind, Kind::Events) {
            Kind::Unknown => return Err(AnswerFault::Other("an empty body")),
            Kind::Json(json) => {
                frames.usage =
                    completion_as_stream::pass(&json, &frames.echo, frames.asked.usage, out)?;
                frames.events += 1;
                frames.done = true;
                return Ok(());
            }
            Kind::Events => {}
        }
        // An incomplete event at the end is cut off, not malformed.
        let rest = self.lines.take_rest();
        let first = if frames.open.is_empty() { data(&rest) } else { Some(&frames.open[..]) };
        let begun = first.is_some_and(|json| json.trim_ascii_start().first() == Some(&b'{'));
        let line = frames.line(&rest, out).and_then(|()| frames.line(b"", out));
        frames.pairs.flush(out);
        match line {
            Err(AnswerFault::Malformed(_)) if begun || frames.events > 0 => {
                return Err(AnswerFault::Incomplete("it ended within an event".to_owned()));
            }
            line => line?,
        }
        if frames.events == 0 && !frames.framed {
            return Err(AnswerFault::Other("a body that is neither events nor JSON"));
        }
        if !frames.done {
            let end = AnswerEnd::Closed { asked: frames.asked.choices };
            frames.choices.whole(end).map_err(AnswerFault::Incomplete)?;
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        self.frames.done
    }

    fn events(&self) -> u64 {
        self.frames.events
    }

    fn content(&self) -> bool {
        self.frames.choices.content()
    }

    fn usage(&self) -> Option<Usage> {
        self.frames.usage
    }

    fn backlog(&self) -> usize {
        match &self.kind {
            Kind::Json(json) => json.len(),
            Kind::Unknown | Kind::Events => self.lines.backlog() + self.frames.open.len(),
        }
    }
}

impl Frames {
    fn line(&mut self, line: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if self.done {
            return Ok(());
        }
        let Some(payload) = data(line) else { return self.other_line(line, out) };
        if self.open.is_empty() {
            return self.event(payload, out);
        }
        if self.open.len() + payload.len() >= MAX_LINE {
            return Err(malformed("an event of more than 32 MiB"));
        }
        self.open.push(b'\n');
        self.open.extend_from_slice(payload);
        Ok(())
    }

    /// Handles a line without data: the end of an event, an unused field, or text that is not SSE.
    fn other_line(&mut self, line: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if line.is_empty() {
            let open = std::mem::take(&mut self.open);
            if !open.is_empty() {
                self.last_part(&open, out)?;
            }
            self.is_error = false;
            return Ok(());
        }
        let (field, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        if field == b"event" {
            let value = value.strip_prefix(b":").unwrap_or_default();
            self.is_error = value.trim_ascii() == b"error";
        }
        // llama.cpp uses `error` as the name of the field.
        if field == b"error"
            && let Some(error) = value.strip_prefix(b":").and_then(read_error)
        {
            return Err(AnswerFault::Upstream(error));
        }
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        // Before the first event it is not clear that this is a stream.
        if self.events == 0 || field.iter().all(named) {
            return Ok(());
        }
        // A server that fails in the middle may send its error without a frame.
        Err(match read_error(line) {
            Some(error) => AnswerFault::Upstream(error),
            None => malformed("a line that is not a field of an event"),
        })
    }

    /// Handles the first `data` line of an event, which usually is the whole event.
    fn event(&mut self, payload: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let payload = payload.trim_ascii();
        if payload == b"[DONE]" {
            self.events += 1;
            self.pairs.flush(out);
            self.choices.whole(AnswerEnd::Marked).map_err(AnswerFault::Incomplete)?;
            self.done = true;
            return Ok(());
        }
        if self.pass_like_before(payload, out) {
            return Ok(());
        }
        match self.scan(payload) {
            Some(members) => self.chunk(payload, &members, out),
            None => {
                self.open = payload.to_vec();
                Ok(())
            }
        }
    }

    /// Passes a chunk on if it matches the pattern; returns whether it did.
    fn pass_like_before(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> bool {
        let Some(pattern) = self.pattern.as_ref().filter(|_| !self.is_error) else { return false };
        if !pattern.is_like(json) {
            self.unlike = self.unlike.saturating_add(1);
            return false;
        }
        self.unlike = 0;
        self.events += 1;
        let model = pattern.model(json);
        self.pass(json, model, false, out);
        true
    }

    /// Passes a chunk on with the model name that the client asked for.
    fn pass(
        &mut self,
        json: &[u8],
        model: Option<Range<usize>>,
        halved: bool,
        out: &mut dyn ChunkSink,
    ) {
        match model {
            Some(model) => {
                let (before, after) = (&json[..model.start], &json[model.end..]);
                self.pairs.pass_parts(&[before, &self.model, after], halved, out);
            }
            None => self.pairs.pass_parts(&[json], halved, out),
        }
    }

    /// Handles the last line of an event of several lines, and scans the whole once.
    fn last_part(&mut self, event: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        match self.scan(event) {
            Some(members) => self.chunk(event, &members, out),
            None if self.is_error => {
                let message = String::from_utf8_lossy(event).trim().to_owned();
                Err(AnswerFault::Upstream(ErrorText { message, ..ErrorText::default() }))
            }
            None => Err(malformed("an event that is not JSON")),
        }
    }

    fn scan(&mut self, json: &[u8]) -> Option<MemberList> {
        #[cfg(test)]
        {
            self.scanned += json.len();
        }
        let mut scanner = Scanner::of_upstream();
        scanner.feed(json).ok()?;
        self.halved = scanner.met_halves();
        scanner.finish().ok()
    }

    fn chunk(
        &mut self,
        json: &[u8],
        members: &[Member],
        out: &mut dyn ChunkSink,
    ) -> Result<(), AnswerFault> {
        self.pattern = None;
        if json.first() != Some(&b'{') {
            return Err(malformed("an event that is no JSON object"));
        }
        self.framed = true;
        let told = ChunkMembers::find(json, members);
        if self.is_error || told.error.is_some_and(|error| !slices::is_blank(error)) {
            return Err(error_instead(json, "an error without a message"));
        }
        let choices_at = told.choices.filter(|place| json[place.clone()] != *b"null");
        let choices = choices_at.clone().map(|place| &json[place]);
        let mut foreign = choices.is_none();
        match choices {
            Some(choices) => foreign |= self.choices.see(choices)?,
            None => {
                if let Some(error) = read_error(json) {
                    return Err(AnswerFault::Upstream(error));
                }
            }
        }
        let counted = told.usage.and_then(usage);
        // A ping: it is not a chunk, and extends no wait.
        if choices.is_none() && counted.is_none() {
            return Ok(());
        }
        self.events += 1;
        if let Some(counted) = counted {
            self.usage = Some(counted);
            let only_usage = choices.is_none_or(slices::is_blank);
            if only_usage && !self.asked.usage {
                return Ok(());
            }
        }
        if foreign {
            let chunk = completion_as_stream::chunk(json, members, &self.model);
            self.pairs.pass_parts(&[&chunk], self.halved, out);
            return Ok(());
        }
        if counted.is_none() && !self.halved && self.unlike < MOST_UNLIKE {
            self.pattern = choices_at.and_then(|place| {
                let text = self.choices.added_text()?;
                let text = place.start + text.start..place.start + text.end;
                TextPattern::of(json, text, told.model.clone())
            });
        }
        self.pass(json, told.model, self.halved, out);
        Ok(())
    }
}

/// The members of a chunk that are used here; if a name is repeated, the last one counts.
#[derive(Debug, Default)]
struct ChunkMembers<'a> {
    error: Option<&'a [u8]>,
    choices: Option<Range<usize>>,
    usage: Option<&'a [u8]>,
    model: Option<Range<usize>>,
}

impl<'a> ChunkMembers<'a> {
    fn find(json: &'a [u8], members: &[Member]) -> Self {
        let mut told = Self::default();
        for member in members {
            let name = &json[member.name.clone()];
            let name = if member.escaped { slices::Name::new(name).text() } else { name.into() };
            let value = &json[member.value.clone()];
            match &*name {
                b"error" => told.error = Some(value),
                b"choices" => told.choices = Some(member.value.clone()),
                b"usage" => told.usage = Some(value),
                b"model" => told.model = Some(member.value.clone()),
                _ => {}
            }
        }
        told
    }
}

fn malformed(what: &str) -> AnswerFault {
    AnswerFault::Malformed(what.to_owned())
}

impl From<TooLong> for AnswerFault {
    fn from(error: TooLong) -> Self {
        Self::Malformed(error.to_string())
    }
}

#[cfg(test)]
mod tests;
