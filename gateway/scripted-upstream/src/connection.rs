//! One client connection of a scripted upstream: reads requests, performs an answer's steps, and
//! notices if the client leaves meanwhile. It knows only the HTTP/1.1 framing of requests.

use super::{connection_step::ConnectionStep, journal::Received};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::ReadHalf},
};

const HEAD_LIMIT: usize = 256 * 1024;
const BODY_LIMIT: usize = 256 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct ScriptedConnection {
    stream: TcpStream,
    unread: BytesMut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerOutcome {
    KeepAlive,
    Closed,
    ClientLeft,
}

impl ScriptedConnection {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Otherwise the kernel would join writes that a script wants separate.
        let _ = stream.set_nodelay(true);
        Self { stream, unread: BytesMut::new() }
    }

    /// The next request, or `None` if the client is gone or does not speak HTTP.
    pub(super) async fn request(&mut self) -> Option<Received> {
        let head_length = self.read_to_blank_line().await?;
        let head = self.unread.split_to(head_length);
        let mut request = parse_head(&head)?;
        if request.header("expect").is_some() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        let chunked = request.header("transfer-encoding").is_some_and(|v| v.contains("chunked"));
        request.body = if chunked {
            self.read_chunks().await?
        } else {
            let length = request.header("content-length").map_or(Some(0), |v| v.parse().ok())?;
            self.read_exactly(length).await?
        };
        Some(request)
    }

    pub(super) async fn perform(&mut self, steps: Vec<ConnectionStep>) -> AnswerOutcome {
        for step in steps {
            let went_on = match step {
                ConnectionStep::Write(bytes) => self.write(&bytes).await,
                ConnectionStep::Hold(gate) => self.unless_client_leaves(gate.pass()).await,
                ConnectionStep::Silence => self.unless_client_leaves(std::future::pending()).await,
                ConnectionStep::Close => return AnswerOutcome::Closed,
                ConnectionStep::Reset => {
                    let _ = self.stream.set_zero_linger();
                    return AnswerOutcome::Closed;
                }
            };
            if !went_on {
                return AnswerOutcome::ClientLeft;
            }
        }
        AnswerOutcome::KeepAlive
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        let (mut reader, mut writer) = self.stream.split();
        tokio::select! {
            biased;
            written = writer.write_all(bytes) => written.is_ok(),
            () = end_of_input(&mut reader, &mut self.unread) => false,
        }
    }

    async fn unless_client_leaves(&mut self, waiting: impl Future<Output = ()>) -> bool {
        let (mut reader, _) = self.stream.split();
        tokio::select! {
            biased;
            () = end_of_input(&mut reader, &mut self.unread) => false,
            () = waiting => true,
        }
    }

    async fn read_to_blank_line(&mut self) -> Option<usize> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                return Some(at + 4);
            }
            if self.unread.len() > HEAD_LIMIT {
                return None;
            }
            self.read_more().await?;
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Option<Bytes> {
        if length > BODY_LIMIT {
            return None;
        }
        while self.unread.len() < length {
            self.read_more().await?;
        }
        Some(self.unread.split_to(length).freeze())
    }

    async fn read_chunks(&mut self) -> Option<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let length = usize::from_str_radix(digits, 16).ok()?;
            if body.len() + length > BODY_LIMIT {
                return None;
            }
            if length == 0 {
                while !self.read_line().await?.is_empty() {}
                return Some(body.freeze());
            }
            body.extend_from_slice(&self.read_exactly(length).await?);
            self.read_exactly(2).await?;
        }
    }

    async fn read_line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let line = self.unread.split_to(at);
                self.unread.advance(2);
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            if self.unread.len() > HEAD_LIMIT {
                return None;
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await;
        (!ends_input(&read)).then_some(())
    }
}

/// Returns once the client has closed its side. A client that only stops sending (half-close)
/// counts as gone, too: HTTP clients do not do that while they wait for a response.
async fn end_of_input(reader: &mut ReadHalf<'_>, unread: &mut BytesMut) {
    loop {
        let read = reader.read_buf(unread).await;
        if ends_input(&read) || unread.len() > HEAD_LIMIT + BODY_LIMIT {
            return;
        }
    }
}

fn ends_input(read: &io::Result<usize>) -> bool {
    !matches!(read, Ok(length) if *length > 0)
}

fn parse_head(head: &[u8]) -> Option<Received> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut start = lines.next()?.split(' ');
    let (method, path) = (start.next()?.to_owned(), start.next()?.to_owned());
    start.next()?.starts_with("HTTP/1.").then_some(())?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Some(Received { connection: 0, method, path, headers, body: Bytes::new() })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
