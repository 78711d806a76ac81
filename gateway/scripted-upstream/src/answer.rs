//! One scripted answer: its content (a completion, an error, raw bytes, nothing), where it breaks,
//! and how it is split into writes. A builder; `answer/wire.rs` turns it into steps.

mod probe;
mod wire;

use super::gate::Gate;
use bytes::Bytes;

/// What the upstream does with one request. The default is a normal completion in the dialect of
/// the request: JSON or a stream as requested, with a tool call if tools were offered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    said: ScriptedContent,
    headers: Vec<(String, String)>,
    held: Vec<Gate>,
    cuts: Vec<(usize, Cut)>,
    writes: Writes,
    framing: Framing,
    comments: bool,
    crlf: bool,
    gzip: bool,
}

#[derive(Debug, Clone)]
enum ScriptedContent {
    Completion(Completion),
    Error { status: u16, kind: String, code: String, message: String },
    Fixed { status: u16, content_type: String, body: Bytes },
    Raw(Bytes),
    Silence,
    Nothing { reset: bool },
}

/// The parts of a completion, in no dialect. `None` means: as the request suggests.
#[derive(Debug, Clone, Default)]
pub(super) struct Completion {
    pub(super) thinking: Option<String>,
    pub(super) text: Option<Vec<String>>,
    pub(super) tool_calls: Vec<ToolCall>,
    pub(super) finish_reason: Option<String>,
    pub(super) without_usage: bool,
}

/// A tool call of the scripted model.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// Omitted from the reply when `None`, as Ollama does.
    pub id: Option<String>,
    /// The function's name.
    pub name: String,
    /// The arguments as JSON text; Ollama's dialect sends them as an object.
    pub arguments: String,
}

#[derive(Debug, Clone)]
enum Cut {
    Insert(Bytes),
    Hold(Gate),
    End,
    Close,
    Reset,
    Silence,
}

#[derive(Debug, Clone, Copy, Default)]
enum Writes {
    #[default]
    ByEvent,
    Of(usize),
    Joined,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Framing {
    /// Chunked for streams, a content length otherwise.
    #[default]
    Usual,
    Chunked,
    UntilClose,
}

impl Default for ScriptedContent {
    fn default() -> Self {
        Self::Completion(Completion::default())
    }
}

/// The content.
impl Answer {
    /// A completion with this text, streamed in one piece per element.
    #[must_use]
    pub fn text<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        let text = pieces.into_iter().map(str::to_owned).collect();
        Self::completion(Completion { text: Some(text), ..Completion::default() })
    }

    /// A completion of `length` bytes of text, in pieces of at most 16 KiB.
    #[must_use]
    pub fn huge(length: usize) -> Self {
        let piece = "lorem ipsum dolor ".repeat(911);
        let whole = length / piece.len();
        let last = &piece[..length % piece.len()];
        Self::text(std::iter::repeat_n(piece.as_str(), whole).chain([last]))
    }

    /// A completion that calls tools.
    #[must_use]
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        let tool_calls = calls.into_iter().collect();
        Self::completion(Completion { tool_calls, ..Completion::default() })
    }

    /// An error in the dialect's own shape.
    #[must_use]
    pub fn error(status: u16, kind: &str, code: &str, message: &str) -> Self {
        let [kind, code, message] = [kind, code, message].map(str::to_owned);
        Self { said: ScriptedContent::Error { status, kind, code, message }, ..Self::default() }
    }

    /// Exactly this status, content type and body.
    #[must_use]
    pub fn fixed(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = content_type.to_owned();
        Self {
            said: ScriptedContent::Fixed { status, content_type, body: body.into() },
            ..Self::default()
        }
    }

    /// Exactly these bytes in place of an HTTP response, then a close.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { said: ScriptedContent::Raw(bytes.into()), ..Self::default() }
    }

    /// No byte at all until the client leaves.
    #[must_use]
    pub fn silence() -> Self {
        Self { said: ScriptedContent::Silence, ..Self::default() }
    }

    /// The connection is aborted (RST) before any byte.
    #[must_use]
    pub fn reset() -> Self {
        Self { said: ScriptedContent::Nothing { reset: true }, ..Self::default() }
    }

    /// The connection is closed (FIN) before any byte.
    #[must_use]
    pub fn close() -> Self {
        Self { said: ScriptedContent::Nothing { reset: false }, ..Self::default() }
    }

    fn completion(completion: Completion) -> Self {
        Self { said: ScriptedContent::Completion(completion), ..Self::default() }
    }
}

/// Details of a completion; no effect on other answers.
impl Answer {
    /// Reasoning before the text: `reasoning` at Groq and OpenAI-compatible servers, `thinking` at
    /// Ollama.
    #[must_use]
    pub fn thinking(self, thinking: &str) -> Self {
        self.with_completion(|completion| completion.thinking = Some(thinking.to_owned()))
    }

    /// The finish reason, in place of `stop` or `tool_calls`.
    #[must_use]
    pub fn finish_reason(self, reason: &str) -> Self {
        self.with_completion(|completion| completion.finish_reason = Some(reason.to_owned()))
    }

    /// No usage anywhere, even when asked for.
    #[must_use]
    pub fn without_usage(self) -> Self {
        self.with_completion(|completion| completion.without_usage = true)
    }

    fn with_completion(mut self, change: impl FnOnce(&mut Completion)) -> Self {
        if let ScriptedContent::Completion(completion) = &mut self.said {
            change(completion);
        }
        self
    }
}

/// Where it stops or breaks. `events` counts complete events of a stream (`data: [DONE]` is the
/// last one); a body that is not a stream counts as two, its halves. A position beyond the end is
/// the end.
impl Answer {
    /// Waits at `gate` before the first byte.
    #[must_use]
    pub fn held(mut self, gate: &Gate) -> Self {
        self.held.push(gate.clone());
        self
    }

    /// Waits at `gate` after `events`.
    #[must_use]
    pub fn held_after(self, events: usize, gate: &Gate) -> Self {
        self.cut(events, Cut::Hold(gate.clone()))
    }

    /// Waits at `gate` before each of the first `events`, so that a test can pace a stream.
    #[must_use]
    pub fn held_before_each(self, events: usize, gate: &Gate) -> Self {
        (0..events).fold(self, |answer, event| answer.held_after(event, gate))
    }

    /// Sends `bytes` unchanged after `events`, as a separate event.
    #[must_use]
    pub fn inserting(self, events: usize, bytes: impl Into<Bytes>) -> Self {
        self.cut(events, Cut::Insert(bytes.into()))
    }

    /// Ends the body properly after `events`, even if parts are missing.
    #[must_use]
    pub fn ending_after(self, events: usize) -> Self {
        self.cut(events, Cut::End)
    }

    /// Closes the connection (FIN) after `events`, in the middle of the body.
    #[must_use]
    pub fn closing_after(self, events: usize) -> Self {
        self.cut(events, Cut::Close)
    }

    /// Aborts the connection (RST) after `events`.
    #[must_use]
    pub fn resetting_after(self, events: usize) -> Self {
        self.cut(events, Cut::Reset)
    }

    /// Sends nothing more after `events`, until the client leaves.
    #[must_use]
    pub fn stalling_after(self, events: usize) -> Self {
        self.cut(events, Cut::Silence)
    }

    fn cut(mut self, events: usize, cut: Cut) -> Self {
        self.cuts.push((events, cut));
        self
    }
}

/// The form on the wire.
impl Answer {
    /// Adds a response header, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Splits head and body into writes (and chunks) of `size` bytes, across events.
    #[must_use]
    pub fn in_writes_of(mut self, size: usize) -> Self {
        self.writes = Writes::Of(size.max(1));
        self
    }

    /// Joins everything between two waits into one write and the events in it into one chunk.
    #[must_use]
    pub fn in_one_write(mut self) -> Self {
        self.writes = Writes::Joined;
        self
    }

    /// Uses chunked framing even for a body that is not a stream.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// Announces no length: the body ends with the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.framing = Framing::UntilClose;
        self
    }

    /// Puts an SSE comment before every event.
    #[must_use]
    pub fn with_comments(mut self) -> Self {
        self.comments = true;
        self
    }

    /// Ends SSE and NDJSON lines with CRLF.
    #[must_use]
    pub fn with_crlf(mut self) -> Self {
        self.crlf = true;
        self
    }

    /// Compresses the body although the request did not ask for it; a stream becomes one event.
    #[must_use]
    pub fn gzipped(mut self) -> Self {
        self.gzip = true;
        self
    }
}
