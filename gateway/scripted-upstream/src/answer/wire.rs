//! Turns an [`Answer`] and its request into the steps on the connection: head, framing, splits,
//! writes. The dialects supply JSON texts; this file adds everything around them.

use super::{Answer, Cut, Framing, ScriptedContent, Writes};
use crate::{
    connection_step::ConnectionStep,
    gzip,
    journal::Received,
    ollama, openai,
    other_calls::{OtherCall, SOUND},
    prompt::{Prompt, WireFormat},
};
use bytes::Bytes;

/// A response before framing: its events, or the two halves of its body.
struct Content {
    status: u16,
    content_type: String,
    pieces: Vec<Vec<u8>>,
    stream: bool,
}

impl Answer {
    /// The steps that answer `request`, the upstream's `serial`th one.
    pub fn steps(&self, request: &Received, serial: usize) -> Vec<ConnectionStep> {
        let mut steps: Vec<ConnectionStep> =
            self.held.iter().cloned().map(ConnectionStep::Hold).collect();
        let dialect = WireFormat::of(request).unwrap_or(WireFormat::OpenAi);
        let prompt = Prompt::read(request, dialect, serial);
        match self.content(&prompt, request) {
            Ok(content) => {
                let head = self.head(&content, &prompt);
                let body = self.body(content);
                steps.extend(self.writes(head, body));
            }
            Err(bare) => steps.extend(bare),
        }
        steps
    }

    /// The content to send, or only steps if it is not an HTTP response.
    fn content(&self, prompt: &Prompt, request: &Received) -> Result<Content, Vec<ConnectionStep>> {
        let (status, content_type, body) = match &self.said {
            ScriptedContent::Raw(bytes) => {
                return Err(vec![ConnectionStep::Write(bytes.clone()), ConnectionStep::Close]);
            }
            ScriptedContent::Silence => return Err(vec![ConnectionStep::Silence]),
            ScriptedContent::Nothing { reset: true } => return Err(vec![ConnectionStep::Reset]),
            ScriptedContent::Nothing { reset: false } => return Err(vec![ConnectionStep::Close]),
            ScriptedContent::Completion(_)
                if prompt.stream
                    && let WireFormat::Other(call) = prompt.dialect =>
            {
                let pieces = call.events(request).into_iter().map(String::into_bytes).collect();
                let content_type = "text/event-stream".to_owned();
                return Ok(Content { status: 200, content_type, pieces, stream: true });
            }
            ScriptedContent::Completion(_)
                if prompt.dialect == WireFormat::Other(OtherCall::Speech) =>
            {
                (200, "audio/mpeg", SOUND.to_vec())
            }
            ScriptedContent::Completion(_) if let WireFormat::Other(call) = prompt.dialect => {
                (200, "application/json", call.reply(request).into_bytes())
            }
            ScriptedContent::Completion(completion) if prompt.stream => {
                let (content_type, events) = match prompt.dialect {
                    WireFormat::Ollama => {
                        ("application/x-ndjson", ollama::lines(completion, prompt))
                    }
                    _ => ("text/event-stream; charset=utf-8", openai::events(completion, prompt)),
                };
                let mut pieces: Vec<Vec<u8>> =
                    events.iter().map(|json| self.event(json, prompt.dialect)).collect();
                if self.gzip {
                    pieces = vec![gzip::stored(&pieces.concat())];
                }
                let content_type = content_type.to_owned();
                return Ok(Content { status: 200, content_type, pieces, stream: true });
            }
            ScriptedContent::Completion(completion) => {
                let body = match prompt.dialect {
                    WireFormat::Ollama => ollama::reply(completion, prompt),
                    _ => openai::reply(completion, prompt),
                };
                (200, "application/json", body.into_bytes())
            }
            ScriptedContent::Error { status, kind, code, message } => {
                let body = match prompt.dialect {
                    WireFormat::Ollama => ollama::error(message),
                    _ => openai::error(kind, code, message),
                };
                (*status, "application/json", body.into_bytes())
            }
            ScriptedContent::Fixed { status, content_type, body } => {
                (*status, content_type.as_str(), body.to_vec())
            }
        };
        let body = if self.gzip { gzip::stored(&body) } else { body };
        let (first, second) = body.split_at(body.len() / 2);
        let pieces = vec![first.to_vec(), second.to_vec()];
        Ok(Content { status, content_type: content_type.to_owned(), pieces, stream: false })
    }

    fn event(&self, json: &str, dialect: WireFormat) -> Vec<u8> {
        let line_end = if self.crlf { "\r\n" } else { "\n" };
        match dialect {
            WireFormat::Ollama => format!("{json}{line_end}").into_bytes(),
            _ if self.comments => format!(
                ": OPENROUTER PROCESSING{line_end}{line_end}data: {json}{line_end}{line_end}"
            )
            .into_bytes(),
            _ => format!("data: {json}{line_end}{line_end}").into_bytes(),
        }
    }

    fn framing(&self, stream: bool) -> Framing {
        match self.framing {
            Framing::Usual if stream => Framing::Chunked,
            other => other,
        }
    }

    fn head(&self, content: &Content, prompt: &Prompt) -> Bytes {
        let (status, content_type) = (content.status, &content.content_type);
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
        match self.framing(content.stream) {
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::UntilClose => head.push_str("Connection: close\r\n"),
            Framing::Usual => {
                let length: usize = content.pieces.iter().map(Vec::len).sum();
                head.push_str(&format!("Content-Length: {length}\r\n"));
            }
        }
        if self.gzip {
            head.push_str("Content-Encoding: gzip\r\n");
        }
        if prompt.dialect != WireFormat::Ollama {
            head.push_str(&openai::headers(prompt));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Bytes::from(head)
    }

    /// The body as unframed writes, with the breaks between them. If no step breaks it off, it is
    /// sent completely.
    fn body(&self, content: Content) -> Vec<ConnectionStep> {
        let last = content.pieces.len();
        let mut steps = Vec::new();
        for (index, piece) in content.pieces.into_iter().map(Some).chain([None]).enumerate() {
            for (_, cut) in self.cuts.iter().filter(|(after, _)| (*after).min(last) == index) {
                match cut {
                    Cut::Insert(bytes) => steps.push(ConnectionStep::Write(bytes.clone())),
                    Cut::Hold(gate) => steps.push(ConnectionStep::Hold(gate.clone())),
                    Cut::End => return self.framed(steps, content.stream),
                    Cut::Close => return self.broken(steps, content.stream, ConnectionStep::Close),
                    Cut::Reset => return self.broken(steps, content.stream, ConnectionStep::Reset),
                    Cut::Silence => {
                        return self.broken(steps, content.stream, ConnectionStep::Silence);
                    }
                }
            }
            steps.extend(piece.map(|bytes| ConnectionStep::Write(Bytes::from(bytes))));
        }
        self.framed(steps, content.stream)
    }

    /// Adds the framing of a body that ends properly.
    fn framed(&self, steps: Vec<ConnectionStep>, stream: bool) -> Vec<ConnectionStep> {
        let framing = self.framing(stream);
        let mut steps = self.chunks(steps, framing);
        match framing {
            Framing::Chunked => {
                // The end is in one write with the last event: a client that leaves at `[DONE]`
                // must not count as one that left early.
                let end = b"0\r\n\r\n";
                match steps.last_mut() {
                    Some(ConnectionStep::Write(bytes)) => {
                        *bytes = Bytes::from([&bytes[..], end].concat());
                    }
                    _ => steps.push(ConnectionStep::Write(Bytes::from_static(end))),
                }
            }
            Framing::UntilClose => steps.push(ConnectionStep::Close),
            Framing::Usual => {}
        }
        steps
    }

    fn broken(
        &self,
        steps: Vec<ConnectionStep>,
        stream: bool,
        breach: ConnectionStep,
    ) -> Vec<ConnectionStep> {
        let mut steps = self.chunks(steps, self.framing(stream));
        steps.push(breach);
        steps
    }

    fn chunks(&self, steps: Vec<ConnectionStep>, framing: Framing) -> Vec<ConnectionStep> {
        let mut sized = Vec::new();
        for step in steps {
            match step {
                ConnectionStep::Write(bytes) if bytes.is_empty() => {}
                ConnectionStep::Write(bytes) => match (self.writes, sized.last_mut()) {
                    (Writes::Of(size), _) => sized.extend(split(&bytes, size)),
                    (Writes::Joined, Some(ConnectionStep::Write(before))) => {
                        *before = Bytes::from([&before[..], &bytes[..]].concat());
                    }
                    _ => sized.push(ConnectionStep::Write(bytes)),
                },
                other => sized.push(other),
            }
        }
        if framing == Framing::Chunked {
            for step in &mut sized {
                if let ConnectionStep::Write(bytes) = step {
                    let size = format!("{:x}\r\n", bytes.len());
                    *bytes = Bytes::from([size.as_bytes(), &bytes[..], b"\r\n"].concat());
                }
            }
        }
        sized
    }

    fn writes(&self, head: Bytes, mut body: Vec<ConnectionStep>) -> Vec<ConnectionStep> {
        let mut steps = match (self.writes, body.first_mut()) {
            (Writes::Of(size), _) => split(&head, size).collect(),
            (Writes::Joined, Some(ConnectionStep::Write(first))) => {
                *first = Bytes::from([&head[..], &first[..]].concat());
                Vec::new()
            }
            _ => vec![ConnectionStep::Write(head)],
        };
        steps.append(&mut body);
        steps
    }
}

fn split(bytes: &Bytes, size: usize) -> impl Iterator<Item = ConnectionStep> {
    let starts = (0..bytes.len()).step_by(size);
    starts.map(move |at| ConnectionStep::Write(bytes.slice(at..bytes.len().min(at + size))))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Scripted",
    }
}
