//! Translates a stream: the events of `POST /v1/messages` in, OpenAI's chunks out.

use super::{
    content::push_raw,
    reply::Block,
    usage::{Counts, finish_reason},
};
use crate::{
    AnswerFault, ChunkSink, Echo, StreamRequest, StreamTranslator, Usage,
    error_text::{error_in, read_error},
    json_text::{Str, Text, problem, push_string},
    surrogate_pairs::SurrogatePairs,
};
use callgate_json::{
    Scanner,
    lines::{Leading, Lines, data},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most blocks of a message that are kept apart.
const MAX_BLOCKS: usize = 10_000;

#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    message: Option<Opening<'a>>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counts>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Opening<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    usage: Option<Counts>,
}

#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Str<'a>>,
}

/// What the deltas of a block become.
#[derive(Debug, Clone, Copy)]
enum Becomes {
    /// The tool call of this number.
    Call(u64),
    /// Text: the input of the tool whose input is the answer.
    Answer,
}

/// The translator of one stream.
pub(super) struct MessageStream {
    leading: Leading,
    lines: Lines,
    pairs: SurrogatePairs,
    chat: Chat,
    events: u64,
    /// Whether a line came that no stream of events has.
    has_other_lines: bool,
}

/// The chunks of one stream.
struct Chat {
    /// Every chunk up to and including `"delta":{`.
    head: Vec<u8>,
    echo: Echo,
    chunk: Vec<u8>,
    blocks: BTreeMap<u64, Becomes>,
    calls: u64,
    has_answer: bool,
    counts: Counts,
    include_usage: bool,
    has_content: bool,
    has_reason: bool,
    finished: bool,
}

impl MessageStream {
    pub(super) fn new(echo: &Echo, asked: StreamRequest) -> Self {
        Self {
            leading: Leading::default(),
            lines: Lines::of_events(),
            pairs: SurrogatePairs::default(),
            chat: Chat {
                head: Vec::new(),
                echo: echo.clone(),
                chunk: Vec::new(),
                blocks: BTreeMap::new(),
                calls: 0,
                has_answer: false,
                counts: Counts::default(),
                include_usage: asked.usage,
                has_content: false,
                has_reason: false,
                finished: false,
            },
            events: 0,
            has_other_lines: false,
        }
    }

    fn take(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let Self { lines, chat, pairs, events, has_other_lines, .. } = self;
        let taken = lines.push(bytes, |line| {
            // An error may come as a plain object.
            let json = match data(line) {
                Some(json) => json,
                None if line.starts_with(b"{") => line,
                None => {
                    let is_field = |name: &&str| line.starts_with(name.as_bytes());
                    let is_usual = [":", "event:", "id:", "retry:"].iter().any(is_field);
                    *has_other_lines |= !is_usual && !line.trim_ascii().is_empty();
                    return Ok(());
                }
            };
            if chat.finished || json.trim_ascii().is_empty() {
                return Ok(());
            }
            chat.event(json, &mut |chunk| {
                // Half of a surrogate pair appears only as an escape.
                let is_escaped = memchr::memmem::find(chunk, b"\\u").is_some();
                pairs.pass_parts(&[chunk], is_escaped, out);
            })?;
            *events += 1;
            Ok(())
        });
        if taken.is_err() || chat.finished {
            pairs.flush(out);
        }
        taken
    }
}

impl StreamTranslator for MessageStream {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let [looked_like_a_mark, rest] = self.leading.skip(bytes);
        self.take(looked_like_a_mark, out)?;
        self.take(rest, out)
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let mut rest = self.lines.take_rest();
        if rest.trim_ascii().is_empty() && self.events == 0 && !self.has_other_lines {
            return Err(AnswerFault::Other("an empty body"));
        }
        let is_cut = data(&rest).is_some_and(Scanner::is_cut) || Scanner::is_cut(&rest);
        rest.push(b'\n');
        let taken = self.take(&rest, out);
        self.pairs.flush(out);
        match taken {
            Err(AnswerFault::Malformed(_)) if is_cut => {
                return Err(AnswerFault::Incomplete("it ended within an event".to_owned()));
            }
            taken => taken?,
        }
        match self.events {
            _ if self.chat.finished => Ok(()),
            0 => Err(AnswerFault::Other("something other than a stream of events")),
            _ => Err(AnswerFault::Incomplete("it has no event `message_stop`".to_owned())),
        }
    }

    fn complete(&self) -> bool {
        self.chat.finished
    }

    fn events(&self) -> u64 {
        self.events
    }

    fn content(&self) -> bool {
        self.chat.has_content
    }

    fn usage(&self) -> Option<Usage> {
        self.chat.counts.usage()
    }

    fn backlog(&self) -> usize {
        self.lines.backlog()
    }
}

impl Chat {
    fn event(&mut self, json: &[u8], emit: &mut dyn FnMut(&[u8])) -> Result<(), AnswerFault> {
        let event: Event<'_> = serde_json::from_slice(json).map_err(|error| {
            read_error(json).map_or_else(
                || {
                    AnswerFault::Malformed(format!(
                        "an event of Anthropic's stream cannot be read: {}",
                        problem(&error)
                    ))
                },
                AnswerFault::Upstream,
            )
        })?;
        match &*event.kind.0 {
            "message_start" => {
                let message = event.message.as_ref();
                self.counts.update(message.and_then(|it| it.usage).unwrap_or_default());
                self.begin(message.and_then(|it| Text::of(it.id?)), emit);
            }
            "error" => {
                let said = event.error.and_then(error_in).or_else(|| read_error(json));
                return Err(said.map_or_else(
                    || AnswerFault::Malformed("an `error` event without an error".to_owned()),
                    AnswerFault::Upstream,
                ));
            }
            // A `ping` may come first.
            "ping" => {}
            _ if self.head.is_empty() => {
                let text = "its first event is not `message_start`".to_owned();
                return Err(AnswerFault::Malformed(text));
            }
            "content_block_start" => self.start_block(&event, emit)?,
            "content_block_delta" => self.add(&event, emit),
            "message_delta" => {
                self.counts.update(event.usage.unwrap_or_default());
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    self.finish(&reason.0, emit);
                }
            }
            "message_stop" => {
                if !self.has_reason {
                    let text = "it has no `stop_reason`".to_owned();
                    return Err(AnswerFault::Incomplete(text));
                }
                self.end(emit);
            }
            // `content_block_stop`, and events of later versions.
            _ => {}
        }
        Ok(())
    }

    /// Emits the first chunk, with the role.
    fn begin(&mut self, id: Option<Text<'_>>, emit: &mut dyn FnMut(&[u8])) {
        if !self.head.is_empty() {
            return;
        }
        let head = &mut self.head;
        head.extend_from_slice(b"{\"id\":\"");
        match id {
            Some(id) => head.extend_from_slice(id.escaped().as_bytes()),
            None => head.extend_from_slice(self.echo.id.as_bytes()),
        }
        let middle = format!(
            "\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":",
            self.echo.created
        );
        head.extend_from_slice(middle.as_bytes());
        push_string(head, &self.echo.model);
        head.extend_from_slice(b",\"choices\":[");
        self.delta(emit, |chunk| {
            chunk.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
        });
    }

    fn start_block(
        &mut self,
        event: &Event<'_>,
        emit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), AnswerFault> {
        let Some(block) = &event.content_block else { return Ok(()) };
        let index = event.index.unwrap_or_default();
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(AnswerFault::Malformed("a message of too many blocks".to_owned()));
        }
        match &*block.kind.0 {
            "tool_use" if block.is_answer() => {
                self.has_answer = true;
                self.blocks.insert(index, Becomes::Answer);
            }
            "tool_use" => {
                let number = self.calls;
                self.calls += 1;
                self.blocks.insert(index, Becomes::Call(number));
                self.delta(emit, |chunk| {
                    chunk.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    chunk.extend_from_slice(number.to_string().as_bytes());
                    let id = block.id.map_or("null", RawValue::get);
                    push_raw(chunk, "id", id.as_bytes());
                    chunk.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                    chunk.extend_from_slice(block.name.map_or("null", RawValue::get).as_bytes());
                    chunk.extend_from_slice(b",\"arguments\":\"\"}}]");
                });
            }
            "redacted_thinking" => {
                let data = block.data.map_or("null", RawValue::get);
                self.delta(emit, |chunk| {
                    chunk
                        .extend_from_slice(b"\"thinking_blocks\":[{\"type\":\"redacted_thinking\"");
                    push_raw(chunk, "data", data.as_bytes());
                    chunk.extend_from_slice(b"}]");
                });
            }
            // Their first words may come with the start.
            "text" => self.text("content", block.text, emit),
            "thinking" => self.thought(block.thinking, block.signature, emit),
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, event: &Event<'_>, emit: &mut dyn FnMut(&[u8])) {
        let Some(delta) = &event.delta else { return };
        self.text("content", delta.text, emit);
        self.thought(delta.thinking, delta.signature, emit);
        let Some(json) = delta.partial_json.and_then(filled) else { return };
        match self.blocks.get(&event.index.unwrap_or_default()) {
            Some(Becomes::Answer) => self.text("content", delta.partial_json, emit),
            Some(Becomes::Call(number)) => {
                let number = number.to_string();
                self.delta(emit, |chunk| {
                    chunk.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    chunk.extend_from_slice(number.as_bytes());
                    chunk.extend_from_slice(b",\"function\":{\"arguments\":");
                    chunk.extend_from_slice(json.as_bytes());
                    chunk.extend_from_slice(b"}}]");
                });
            }
            // The input of a tool that Anthropic runs itself.
            None => {}
        }
    }

    /// Emits a text as it came, still escaped.
    fn text(&mut self, name: &str, text: Option<&RawValue>, emit: &mut dyn FnMut(&[u8])) {
        let Some(text) = text.and_then(filled) else { return };
        self.delta(emit, |chunk| {
            chunk.push(b'"');
            chunk.extend_from_slice(name.as_bytes());
            chunk.extend_from_slice(b"\":");
            chunk.extend_from_slice(text.as_bytes());
        });
    }

    /// Emits a piece of a thought: as a text, and as a piece of the block that the next turn has to
    /// bring back.
    fn thought(
        &mut self,
        thought: Option<&RawValue>,
        signature: Option<&RawValue>,
        emit: &mut dyn FnMut(&[u8]),
    ) {
        let (thought, signature) = (thought.and_then(filled), signature.and_then(filled));
        if thought.is_none() && signature.is_none() {
            return;
        }
        self.delta(emit, |chunk| {
            if let Some(thought) = thought {
                chunk.extend_from_slice(b"\"reasoning_content\":");
                chunk.extend_from_slice(thought.as_bytes());
                chunk.push(b',');
            }
            chunk.extend_from_slice(b"\"thinking_blocks\":[{\"type\":\"thinking\"");
            push_raw(chunk, "thinking", thought.unwrap_or("\"\"").as_bytes());
            push_raw(chunk, "signature", signature.unwrap_or("null").as_bytes());
            chunk.extend_from_slice(b"}]");
        });
    }

    /// Emits the chunk with the finish reason, once.
    fn finish(&mut self, stop_reason: &str, emit: &mut dyn FnMut(&[u8])) {
        if std::mem::replace(&mut self.has_reason, true) {
            return;
        }
        let reason = match finish_reason(stop_reason) {
            "tool_calls" if self.has_answer && self.calls == 0 => "stop",
            reason => reason,
        };
        self.open();
        let end = format!("}},\"finish_reason\":\"{reason}\"}}");
        self.chunk.extend_from_slice(end.as_bytes());
        self.close(emit);
    }

    /// Ends the stream, with the usage chunk if the client asked for it.
    fn end(&mut self, emit: &mut dyn FnMut(&[u8])) {
        self.finished = true;
        if self.include_usage && self.counts.usage().is_some() {
            self.chunk.clone_from(&self.head);
            self.chunk.extend_from_slice(b"],");
            self.counts.write(&mut self.chunk);
            self.chunk.push(b'}');
            emit(&self.chunk);
        }
    }

    /// Emits a chunk whose delta has the members that `write` writes.
    fn delta(&mut self, emit: &mut dyn FnMut(&[u8]), write: impl FnOnce(&mut Vec<u8>)) {
        // Only the role comes before the first content.
        self.has_content = !self.chunk.is_empty();
        self.open();
        write(&mut self.chunk);
        self.chunk.extend_from_slice(b"},\"finish_reason\":null}");
        self.close(emit);
    }

    fn open(&mut self) {
        self.chunk.clone_from(&self.head);
        self.chunk.extend_from_slice(b"{\"index\":0,\"delta\":{");
    }

    /// Ends a chunk after its choice. If a usage chunk follows at the end, earlier chunks have a
    /// null `usage`.
    fn close(&mut self, emit: &mut dyn FnMut(&[u8])) {
        let end: &[u8] = if self.include_usage { b"],\"usage\":null}" } else { b"]}" };
        self.chunk.extend_from_slice(end);
        emit(&self.chunk);
    }
}

/// The JSON of a text that is not empty.
fn filled(value: &RawValue) -> Option<&str> {
    Text::of(value).filter(|text| !text.escaped().is_empty()).map(|_| value.get())
}

#[cfg(test)]
mod tests;
