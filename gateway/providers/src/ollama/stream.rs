//! Translates a stream: NDJSON lines of `/api/chat` in, OpenAI `chat.completion.chunk` objects out.
//!
//! The whole stream has one id and one running tool-call index; only the first chunk has the role.
//! The caller splits the lines, frames the chunks, and decides what an end before
//! [`ChatStream::finished`] means.

use super::{
    chat_response::{
        CallIds, ChatResponse, ResponseError, ResponseMessage, ToolCall, longest, push_usage,
    },
    error::StreamError,
    json::{Piece, Text, push_string},
    logprobs,
    think_tags::Splitter,
};
use crate::{Echo, Usage};

/// Takes a chunk in parts.
pub(super) type Emit<'e> = dyn FnMut(&[&[u8]]) + 'e;

/// A longer text is not copied into its chunk, and no larger buffer is kept for the next one.
const LONG: usize = 16 * 1024;

/// The translator of one stream.
#[derive(Debug)]
pub(crate) struct ChatStream {
    /// Every chunk up to and including `"choices":[`.
    head: Vec<u8>,
    /// The chunk being written; kept to reuse its memory.
    chunk: Vec<u8>,
    /// Token probabilities that no chunk has carried yet, because their text may be part of a tag.
    logprobs: Vec<u8>,
    ids: CallIds,
    splitter: Splitter,
    /// The longest chunk that the current line may become.
    longest: usize,
    tool_calls: usize,
    role_sent: bool,
    any_message: bool,
    include_usage: bool,
    finished: bool,
    usage: Option<Usage>,
}

impl ChatStream {
    /// A stream that repeats `echo` in every chunk and, with `include_usage`, ends with a usage
    /// chunk (unless Ollama sends no counts).
    pub(crate) fn new(echo: &Echo, include_usage: bool) -> Self {
        let mut head = b"{\"id\":".to_vec();
        push_string(&mut head, &echo.id);
        head.extend_from_slice(
            format!(
                ",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":",
                echo.created
            )
            .as_bytes(),
        );
        push_string(&mut head, &echo.model);
        head.extend_from_slice(b",\"choices\":[");
        Self {
            head,
            chunk: Vec::new(),
            logprobs: Vec::new(),
            ids: CallIds::new(&echo.id),
            splitter: Splitter::default(),
            longest: 0,
            tool_calls: 0,
            role_sent: false,
            any_message: false,
            include_usage,
            finished: false,
            usage: None,
        }
    }

    /// Takes one line, with or without its line end, and emits its chunks: none, one or a few.
    /// Blank lines and lines after the final one are ignored.
    ///
    /// # Errors
    /// If the line reports an error or is not part of a chat reply. The stream is then over,
    /// unfinished.
    pub(crate) fn line(&mut self, line: &[u8], emit: &mut Emit<'_>) -> Result<(), StreamError> {
        if self.finished || line.trim_ascii().is_empty() {
            return Ok(());
        }
        let answer = ChatResponse::read(line).map_err(|fault| match fault {
            ResponseError::Error(said) => StreamError::Upstream(said),
            ResponseError::Malformed(reason) => malformed(reason),
        })?;
        self.longest = longest(line.len());
        answer.write_logprobs(&mut self.logprobs, self.longest).map_err(malformed)?;
        match &answer.message {
            Some(message) => self.message(message, emit).map_err(malformed)?,
            None if self.any_message => {}
            None => return Err(malformed("it is `done` before any `message`".to_owned())),
        }
        self.any_message = true;
        if answer.done == Some(true) {
            let reason = answer.finish_reason(self.tool_calls > 0);
            let reason = reason.map_err(|reason| StreamError::Unended { reason })?;
            self.finish(&answer, reason, emit);
        }
        Ok(())
    }

    /// Whether the final line has come: an end of the connection before it means a truncated reply.
    pub(crate) fn finished(&self) -> bool {
        self.finished
    }

    /// Whether some of the response was emitted.
    pub(crate) fn begun(&self) -> bool {
        self.role_sent
    }

    /// The token counts, known at the end; `None` if Ollama sent none.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn message(
        &mut self,
        message: &ResponseMessage<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<(), String> {
        let thinking = message.thinking()?;
        if thinking.is_some() {
            // Ollama separates the reasoning itself, so tags in the content are content.
            self.release(emit);
        }
        let reasoning = thinking.map(Piece::Source);
        match message.content()? {
            Some(content) if !self.splitter.passes() && !self.passes_now(content) => {
                let split = self.splitter.push(content.decode_lossy());
                let reasoning = Piece::of(split.reasoning);
                let content = Piece::of(split.content);
                self.delta(Some(&reasoning), Some(&content), message.tool_calls(), emit)
            }
            content => {
                let content = content.map(Piece::Source);
                self.delta(reasoning.as_ref(), content.as_ref(), message.tool_calls(), emit)
            }
        }
    }

    /// Whether a long text needs no decoding, because no tag can begin in it.
    fn passes_now(&mut self, content: Text<'_>) -> bool {
        !content.may_open_with_tag()
            && self.splitter.passes_without_tag(content.is_lead(), content.escaped().len())
    }

    /// Emits one chunk with everything there is; none if there is nothing.
    fn delta(
        &mut self,
        reasoning: Option<&Piece<'_>>,
        content: Option<&Piece<'_>>,
        tool_calls: &[ToolCall<'_>],
        emit: &mut Emit<'_>,
    ) -> Result<(), String> {
        let reasoning = reasoning.filter(|text| !text.is_empty());
        let content = content.filter(|text| !text.is_empty());
        if reasoning.is_none() && content.is_none() && tool_calls.is_empty() {
            return Ok(());
        }
        self.open();
        let mut long = Vec::new();
        for (name, text) in [("\"reasoning_content\":", reasoning), ("\"content\":", content)] {
            let Some(json) = text.map(Piece::json) else { continue };
            self.key(name);
            if json.len() > LONG {
                long.push((self.chunk.len(), json));
            } else {
                self.chunk.extend_from_slice(json);
            }
        }
        for (at, call) in tool_calls.iter().enumerate() {
            if at == 0 {
                self.key("\"tool_calls\":[");
            } else {
                self.chunk.push(b',');
            }
            let limits = (&self.ids, self.longest);
            call.write(&mut self.chunk, self.tool_calls, limits, true)?;
            self.tool_calls += 1;
        }
        if !tool_calls.is_empty() {
            self.chunk.push(b']');
        }
        let logprobs = std::mem::take(&mut self.logprobs);
        self.close_delta(&logprobs, &mut long);
        self.chunk.extend_from_slice(b"\"finish_reason\":null}");
        self.close_choices();
        self.emit(&long, emit);
        Ok(())
    }

    /// Emits the text that the splitter holds back, and stops the splitter.
    fn release(&mut self, emit: &mut Emit<'_>) {
        let held = self.splitter.finish();
        if !held.is_empty() {
            let (reasoning, content) = (Piece::of(held.reasoning), Piece::of(held.content));
            // Only tool calls can fail, and there are none here.
            let _ = self.delta(Some(&reasoning), Some(&content), &[], emit);
        }
    }

    fn finish(&mut self, answer: &ChatResponse<'_>, reason: &str, emit: &mut Emit<'_>) {
        self.release(emit);
        self.open();
        let (logprobs, mut long) = (std::mem::take(&mut self.logprobs), Vec::new());
        self.close_delta(&logprobs, &mut long);
        self.chunk.extend_from_slice(b"\"finish_reason\":\"");
        self.chunk.extend_from_slice(reason.as_bytes());
        self.chunk.extend_from_slice(b"\"}");
        self.close_choices();
        self.emit(&long, emit);
        self.finished = true;
        self.usage = answer.usage();
        if let Some(usage) = self.usage.filter(|_| self.include_usage) {
            self.chunk.clone_from(&self.head);
            self.chunk.extend_from_slice(b"],");
            push_usage(&mut self.chunk, usage);
            self.chunk.push(b'}');
            self.emit(&[], emit);
        }
    }

    /// Emits the chunk with each of the `long` texts in its place.
    fn emit(&mut self, long: &[(usize, &[u8])], emit: &mut Emit<'_>) {
        if long.is_empty() {
            emit(&[&self.chunk]);
        } else {
            let mut parts = Vec::with_capacity(2 * long.len() + 1);
            let mut from = 0;
            for (at, text) in long {
                parts.extend([&self.chunk[from..*at], text]);
                from = *at;
            }
            parts.push(&self.chunk[from..]);
            emit(&parts);
        }
        self.chunk.clear();
        self.chunk.shrink_to(LONG);
    }

    /// Ends a chunk's `delta`, and adds the token probabilities.
    fn close_delta<'l>(&mut self, logprobs: &'l [u8], long: &mut Vec<(usize, &'l [u8])>) {
        self.chunk.extend_from_slice(b"},");
        if !logprobs.is_empty() {
            self.chunk.extend_from_slice(b"\"logprobs\":");
            self.chunk.extend_from_slice(logprobs::OPEN);
            long.push((self.chunk.len(), logprobs));
            self.chunk.extend_from_slice(logprobs::CLOSE);
            self.chunk.push(b',');
        }
    }

    /// Ends a chunk after its choice. If a usage chunk follows at the end, earlier chunks have a
    /// null `usage`.
    fn close_choices(&mut self) {
        let end: &[u8] = if self.include_usage { b"],\"usage\":null}" } else { b"]}" };
        self.chunk.extend_from_slice(end);
    }

    /// Begins a chunk inside its `delta` object.
    fn open(&mut self) {
        self.chunk.clear();
        self.chunk.extend_from_slice(&self.head);
        self.chunk.extend_from_slice(b"{\"index\":0,\"delta\":{");
        if !self.role_sent {
            self.role_sent = true;
            self.chunk.extend_from_slice(b"\"role\":\"assistant\"");
        }
    }

    /// Appends the next member's name, with a comma unless it is the first of its object.
    fn key(&mut self, name: &str) {
        if self.chunk.last() != Some(&b'{') {
            self.chunk.push(b',');
        }
        self.chunk.extend_from_slice(name.as_bytes());
    }
}

fn malformed(reason: String) -> StreamError {
    StreamError::Malformed { reason }
}

#[cfg(test)]
mod tests;
