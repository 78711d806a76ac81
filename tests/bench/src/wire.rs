//! HTTP/1.1 on a raw socket, only as much as measuring needs: heads and body framing. The load
//! generator and the fake upstream use it, so that the core they share does not spend its time in
//! an HTTP library. The relay under test does not use it.

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[cfg(test)]
mod tests;

const READ_SIZE: usize = 64 * 1024;
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

/// One connection and the bytes read from it but not yet consumed.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

/// The start line and framing of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub path: String,
    pub framing: Framing,
}

/// The status and framing of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub framing: Framing,
    /// The peer closes this connection after the body.
    pub close: bool,
}

/// How the end of a body is marked, and how much is still to come.
#[derive(Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked(ChunkState),
}

/// The position in the chunked coding.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum ChunkState {
    #[default]
    Size,
    Bytes(u64),
    BytesEnd,
    Trailer,
}

/// Why a connection could not be read or written.
#[derive(Debug, Error)]
pub enum WireError {
    #[error("socket failed")]
    Io(#[from] std::io::Error),
    #[error("connection closed by the peer in the middle of a message")]
    Closed,
    #[error("message is not HTTP/1.1")]
    Malformed(#[from] httparse::Error),
    #[error("head is longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    #[error("header `{0}` has a value that cannot be used for framing")]
    Framing(&'static str),
    #[error("chunk size is not a hexadecimal number")]
    ChunkSize,
}

impl Wire {
    /// Takes over a connected socket and turns Nagle's algorithm off.
    pub fn new(stream: TcpStream) -> Result<Self, WireError> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(READ_SIZE) })
    }

    /// Writes all of `bytes`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Reads the next request's head; `None` if the peer closed between requests.
    pub async fn read_request(&mut self) -> Result<Option<RequestHead>, WireError> {
        loop {
            if let Some(head) = parse_request(&mut self.buffer)? {
                return Ok(Some(head));
            }
            let between_requests = self.buffer.is_empty();
            match self.fill().await {
                Err(WireError::Closed) if between_requests => return Ok(None),
                filled => filled?,
            }
        }
    }

    /// Reads the next response's head.
    pub async fn read_response(&mut self) -> Result<ResponseHead, WireError> {
        loop {
            if let Some(head) = parse_response(&mut self.buffer)? {
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// Reads a body to its end; passes every piece to `sink` as it arrives.
    pub async fn read_body(
        &mut self,
        mut framing: Framing,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), WireError> {
        while !framing.decode(&mut self.buffer, &mut sink)? {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), WireError> {
        self.buffer.reserve(READ_SIZE);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(WireError::Closed),
            _ => Ok(()),
        }
    }
}

impl Framing {
    /// Consumes the body's bytes in `buffer`; returns true once the body is complete.
    fn decode(
        &mut self,
        buffer: &mut BytesMut,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<bool, WireError> {
        match self {
            Self::Length(left) => {
                take(left, buffer, sink);
                Ok(*left == 0)
            }
            Self::Chunked(state) => state.decode(buffer, sink),
        }
    }

    fn from_headers(headers: &[httparse::Header<'_>]) -> Result<Self, WireError> {
        let mut length = 0;
        for header in headers {
            if header.name.eq_ignore_ascii_case("transfer-encoding") {
                let chunked = header.value.eq_ignore_ascii_case(b"chunked");
                return chunked
                    .then_some(Self::Chunked(ChunkState::Size))
                    .ok_or(WireError::Framing("transfer-encoding"));
            }
            if header.name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(header.value)
                    .ok()
                    .and_then(|value| value.trim().parse().ok())
                    .ok_or(WireError::Framing("content-length"))?;
            }
        }
        Ok(Self::Length(length))
    }
}

impl ChunkState {
    fn decode(
        &mut self,
        buffer: &mut BytesMut,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<bool, WireError> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = take_line(buffer) else { return Ok(false) };
                    *self = match chunk_size(&line)? {
                        0 => Self::Trailer,
                        size => Self::Bytes(size),
                    };
                }
                Self::Bytes(left) => {
                    take(left, buffer, sink);
                    if *left > 0 {
                        return Ok(false);
                    }
                    *self = Self::BytesEnd;
                }
                Self::BytesEnd => {
                    if take_line(buffer).is_none() {
                        return Ok(false);
                    }
                    *self = Self::Size;
                }
                Self::Trailer => {
                    let Some(line) = take_line(buffer) else { return Ok(false) };
                    if line.iter().all(u8::is_ascii_whitespace) {
                        return Ok(true);
                    }
                }
            }
        }
    }
}

fn take(left: &mut u64, buffer: &mut BytesMut, sink: &mut impl FnMut(&[u8])) {
    let count = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
    if count > 0 {
        sink(&buffer[..count]);
        buffer.advance(count);
        *left -= count as u64;
    }
}

fn take_line(buffer: &mut BytesMut) -> Option<BytesMut> {
    memchr::memchr(b'\n', buffer).map(|end| buffer.split_to(end + 1))
}

fn chunk_size(line: &[u8]) -> Result<u64, WireError> {
    let text = std::str::from_utf8(line).map_err(|_| WireError::ChunkSize)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).map_err(|_| WireError::ChunkSize)
}

fn parse_request(buffer: &mut BytesMut) -> Result<Option<RequestHead>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(buffer)? else {
        return check_head_length(buffer).map(|()| None);
    };
    let framing = Framing::from_headers(request.headers)?;
    let path = request.path.unwrap_or_default().to_owned();
    buffer.advance(length);
    Ok(Some(RequestHead { path, framing }))
}

fn parse_response(buffer: &mut BytesMut) -> Result<Option<ResponseHead>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(buffer)? else {
        return check_head_length(buffer).map(|()| None);
    };
    let framing = Framing::from_headers(response.headers)?;
    let close = response.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("connection")
            && header.value.eq_ignore_ascii_case(b"close")
    });
    let status = response.code.unwrap_or_default();
    buffer.advance(length);
    Ok(Some(ResponseHead { status, framing, close }))
}

fn check_head_length(buffer: &BytesMut) -> Result<(), WireError> {
    if buffer.len() > MAX_HEAD { Err(WireError::HeadTooLong) } else { Ok(()) }
}
