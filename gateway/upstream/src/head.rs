//! The head of a response: parsed by `httparse`, bounded, and checked for how long the connection
//! may be kept.

use super::framing::Framing;
use bytes::{Bytes, BytesMut};
use std::{io, mem::MaybeUninit, ops::Range, time::Duration};

/// The longest head that is accepted.
pub(super) const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// The most interim responses (100, 103) before the final one.
const MAX_INTERIM: u8 = 16;

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) framing: Framing,
    /// Whether the connection may be reused after the body.
    pub(super) keep: bool,
    /// How long the upstream then keeps it open, if it says so.
    pub(super) keep_time: Option<Duration>,
}

/// The headers of a response, as they arrived.
#[derive(Debug)]
pub struct Headers {
    bytes: Bytes,
    fields: Vec<Field>,
}

/// The ranges of a name and its value.
type Field = (Range<usize>, Range<usize>);

impl Headers {
    /// The first value of a header, in any case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let wanted = |field: &&Field| self.is(field, name);
        self.fields.iter().find(wanted).map(|field| &self.bytes[field.1.clone()])
    }

    /// All values of a header, in any case.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = move |field: &&Field| self.is(field, name);
        self.fields.iter().filter(wanted).map(|field| &self.bytes[field.1.clone()])
    }

    /// All headers, in their order. The values share the head's memory.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Bytes)> {
        let shared =
            |(name, value): &Field| (&self.bytes[name.clone()], self.bytes.slice(value.clone()));
        self.fields.iter().map(shared)
    }

    fn is(&self, field: &Field, name: &str) -> bool {
        self.bytes[field.0.clone()].eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The progress of a head that is still arriving.
#[derive(Debug, Default)]
pub(super) struct IncomingHead {
    /// No blank line ends before this position.
    searched: usize,
    /// The length when it was last parsed.
    parsed: usize,
    interim: u8,
}

impl IncomingHead {
    /// Takes the final head off the front of `buffer`, after interim ones; `None` while it is
    /// incomplete.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Head>> {
        while self.is_due(buffer)? {
            let Some(head) = parse(buffer)? else { break };
            (self.searched, self.parsed) = (0, 0);
            match head.status {
                101 => return Err(invalid("it switched protocols (101) without being asked")),
                100..=199 if self.interim == MAX_INTERIM => {
                    return Err(invalid("it sent more than 16 interim answers"));
                }
                100..=199 => self.interim += 1,
                _ => return Ok(Some(head)),
            }
        }
        if buffer.len() > MAX_HEAD {
            return Err(invalid("the head of its answer is longer than 64 KiB"));
        }
        Ok(None)
    }

    /// Whether to parse now: at the first bytes and whenever their number has doubled, so that
    /// bytes that are not HTTP are noticed early, and after a blank line. Parsing at every read
    /// would make a head that arrives byte by byte cost quadratic time.
    fn is_due(&mut self, buffer: &[u8]) -> io::Result<bool> {
        let Some(first) = buffer.first() else { return Ok(false) };
        if *first != b'H' {
            return Err(not_http(""));
        }
        let due = if self.parsed == 0 || buffer.len() >= 2 * self.parsed {
            true
        } else {
            let from = self.searched.saturating_sub(2);
            self.searched = buffer.len();
            has_blank_line(&buffer[from..])
        };
        if due {
            self.parsed = buffer.len();
        }
        Ok(due)
    }

    /// Whether any response, even an interim one, has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.interim > 0 || self.parsed > 0
    }
}

fn has_blank_line(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes)
        .any(|at| matches!(bytes.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}

fn parse(buffer: &mut BytesMut) -> io::Result<Option<Head>> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, buffer, &mut fields)
        .map_err(|error| not_http(&format!(": {error}")))?;
    let httparse::Status::Complete(len) = parsed else { return Ok(None) };
    if len > MAX_HEAD {
        return Err(invalid("the head of its answer is longer than 64 KiB"));
    }
    let start = buffer.as_ptr() as usize;
    let range = |bytes: &[u8]| {
        let from = bytes.as_ptr() as usize - start;
        from..from + bytes.len()
    };
    let fields = response
        .headers
        .iter()
        .map(|field| (range(field.name.as_bytes()), range(field.value)))
        .collect();
    let status = response.code.unwrap_or_default();
    if status < 100 {
        return Err(invalid("its answer has a status below 100"));
    }
    let old = response.version == Some(0);
    let headers = Headers { bytes: buffer.split_to(len).freeze(), fields };
    let framing =
        Framing::of(status, headers.all("transfer-encoding"), headers.all("content-length"))
            .map_err(invalid)?;
    // With both headers, request smuggling is possible, so the connection is not reused.
    let ambiguous = framing.is_chunked() && headers.get("content-length").is_some();
    let closes = headers.all("connection").any(|value| has_token(value, b"close"));
    let keep = !old && !closes && !ambiguous && framing != Framing::UntilClose;
    let keep_time = headers.get("keep-alive").and_then(keep_time);
    Ok(Some(Head { status, headers, framing, keep, keep_time }))
}

fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(token))
}

/// The `timeout` of a `Keep-Alive` header.
fn keep_time(value: &[u8]) -> Option<Duration> {
    let parameter = |part: &[u8]| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        let (name, seconds) = (part[..at].trim_ascii(), part[at + 1..].trim_ascii());
        let seconds = std::str::from_utf8(seconds).ok()?.trim_matches('"');
        name.eq_ignore_ascii_case(b"timeout").then(|| seconds.parse().ok())?
    };
    value.split(|byte| *byte == b',').find_map(parameter).map(Duration::from_secs)
}

/// A valid HTTP/1.1 response that the gateway does not accept.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UnsupportedAnswer(pub(super) String);

pub(super) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, UnsupportedAnswer(what.to_owned()))
}

/// The error for bytes that are not HTTP/1.1.
fn not_http(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("its answer is not HTTP/1.1{what}"))
}

#[cfg(test)]
mod tests;
