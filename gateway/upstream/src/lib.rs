//! The network side of a call: the only package that opens connections to upstreams.
//!
//! Each worker thread has its own pool, so a call takes no lock and wakes no other thread.
//! `providers` builds the requests; responses are passed on as they arrive.

#![forbid(unsafe_code)]

mod connect;
mod connector;
mod descriptors;
mod dial;
mod error;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod head;
mod http1;
mod origin;
mod pool;
mod request_pieces;
mod stream;
mod tls;
mod token;
mod tunnel;
mod turn;

use bytes::{Bytes, BytesMut};
use callgate_coding::{CodingError, Decoder};
use callgate_config::Reuse;
use callgate_json::Slices;
pub use connect::open_for;
pub use connector::Connector;
pub use descriptors::lacks_descriptors;
pub use error::{CONNECT_TIMEOUT, ConnectPhase, ProxyFault, UpstreamError};
use framing::Framing;
pub use head::Headers;
pub use origin::Origin;
pub use request_pieces::RequestPieces;
use std::{io, time::Duration};
pub use stream::Io;
pub use tls::{
    CertificateFault, ClientCertificate, NoTls, SystemCertificates, Tls, TlsFault, TlsOptions,
    Trust, authorities,
};
pub use token::{EntraClient, TokenError, TokenSource};
use tokio::task::coop::consume_budget;
use tunnel::WANTS_CREDENTIALS;
pub use turn::note_wait;

/// The gateway's `User-Agent`.
pub const USER_AGENT: &str = concat!("callgate/", env!("CARGO_PKG_VERSION"));

/// A line with this name, if there is one, has to come first.
pub const HOST: &str = "host";

/// Below this size, head and body are written as one piece.
const ONE_PIECE: usize = 8 * 1024;

/// The header lines of a request, without those that every request to an upstream has.
#[derive(Debug)]
pub struct HeaderLines(BytesMut);

impl HeaderLines {
    /// No lines yet, but room for the usual ones.
    #[expect(clippy::new_without_default, reason = "a default should not allocate")]
    pub fn new() -> Self {
        Self(BytesMut::with_capacity(1024))
    }

    /// The lines as they are sent. Requests can share them.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }

    /// Adds a line. A value with a control character is left out, because it could end the line and
    /// begin another one.
    pub fn add(&mut self, name: &str, value: &[&[u8]]) {
        // Free of branches, so that the compiler can check many bytes together.
        let bad = |byte: &u8| ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f);
        if value.iter().any(|part| part.iter().fold(false, |found, byte| found | bad(byte))) {
            return;
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        value.iter().for_each(|part| self.0.extend_from_slice(part));
        self.0.extend_from_slice(b"\r\n");
    }
}

/// An upstream's response: its head, and a body that is still arriving. The connection returns to
/// the pool by itself once the body has been read.
#[derive(Debug)]
pub struct UpstreamResponse {
    pub status: u16,
    pub headers: Headers,
    framing: Framing,
    /// The decoder of a compressed response, or why it cannot be decoded.
    decoder: Option<Result<Box<Decoder>, CodingError>>,
    keep: bool,
    /// How long the upstream keeps the connection open, if it says so.
    keep_time: Option<Duration>,
    reuse: Reuse,
    /// `None` once the body has been read.
    lease: Option<pool::Lease>,
}

/// Posts `body` to `url` and waits for the head of the response; the caller sets a time limit.
///
/// A call is never sent twice once the upstream may have read a byte of it: it may have begun to
/// work, and a second call would be billed, too. If the connection was certainly closed before
/// anything was written, another one is used.
pub async fn post(
    url: &str,
    lines: Bytes,
    body: Slices,
    (connector, reuse): (&Connector, Reuse),
) -> Result<UpstreamResponse, UpstreamError> {
    let origin =
        pool::origin(connector, url).ok_or_else(|| UpstreamError::BadUrl(url.to_owned()))?;
    // Built first, so that nothing happens between the check of an idle connection and the first
    // write.
    let mut pieces = request(&origin, &lines, body);
    drop(lines);
    loop {
        let mut lease = match pool::take(&origin) {
            Some(lease) => lease,
            None => {
                // Boxed, because it is large and rare, and every call's future would have room for
                // it.
                let connection = Box::pin(connected(&origin, connector.tls())).await?;
                pool::Lease::new(&origin, connection)
            }
        };
        let broke = match lease.connection().exchange(&mut pieces).await {
            Ok(head) if head.status == WANTS_CREDENTIALS && origin.asks_proxy() => {
                return Err(tunnel::wants_credentials(&origin));
            }
            Ok(head) => return Ok(UpstreamResponse::new(head, lease, reuse)),
            Err(broke) => broke,
        };
        if !lease.is_reused() {
            return Err(connect::told_by(&origin, broke.error));
        }
        if !broke.unsent {
            return Err(match broke.silent {
                true => UpstreamError::ClosedIdle(broke.error),
                false => broke.error.into(),
            });
        }
    }
}

/// As [`post`], with a body of `length` bytes that comes piece by piece. It always takes a
/// new connection, because such a body cannot be sent twice.
pub async fn upload(
    url: &str,
    lines: Bytes,
    (length, body): (u64, &mut impl RequestPieces),
    (connector, reuse): (&Connector, Reuse),
) -> Result<UpstreamResponse, UpstreamError> {
    let origin =
        pool::origin(connector, url).ok_or_else(|| UpstreamError::BadUrl(url.to_owned()))?;
    let head = request_head(&origin, &lines, length, 0);
    let connection = connected(&origin, connector.tls()).await?;
    let mut lease = pool::Lease::new(&origin, connection);
    let answered = lease.connection().exchange_pieces(head.into(), body).await;
    let answered = answered.map_err(|error| match error {
        UpstreamError::Broken(error) => connect::told_by(&origin, error),
        error => error,
    });
    match answered? {
        head if head.status == WANTS_CREDENTIALS && origin.asks_proxy() => {
            Err(tunnel::wants_credentials(&origin))
        }
        head => Ok(UpstreamResponse::new(head, lease, reuse)),
    }
}

/// Opens a new connection. If no descriptor is free, idle connections are closed first.
async fn connected(origin: &Origin, tls: &Tls) -> Result<http1::UpstreamConnection, UpstreamError> {
    match connect::connect(origin, tls).await {
        Err(error) if error.lacks_descriptors() && pool::shed() => {
            connect::connect(origin, tls).await
        }
        connected => connected,
    }
}

/// The bytes of a request.
fn request(origin: &Origin, lines: &[u8], body: Slices) -> Slices {
    let length: usize = body.iter().map(Bytes::len).sum();
    let room = if length < ONE_PIECE { length } else { 0 };
    let mut head = request_head(origin, lines, length as u64, room);
    if length < ONE_PIECE {
        body.iter().for_each(|piece| head.extend_from_slice(piece));
        return Slices::from_buf([head.into()]);
    }
    let mut pieces = Slices::with_capacity(body.len() + 1);
    pieces.push(head.into());
    pieces.extend(body);
    pieces
}

/// The head of a request with a body of `length` bytes, and room for `more` bytes after it.
#[inline]
fn request_head(origin: &Origin, lines: &[u8], length: u64, more: usize) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    // The config's own `Host`, if there is one, is the first line.
    let (name, host, end): (&[u8], &[u8], &[u8]) = if lines.starts_with(b"host: ") {
        (b"", b"", b"")
    } else {
        (b"host: ", origin.host().as_bytes(), b"\r\n")
    };
    let parts: [&[u8]; 10] = [
        origin.request_line().as_bytes(),
        name,
        host,
        end,
        origin.proxy_line().as_bytes(),
        b"content-length: ",
        digits.format(length).as_bytes(),
        b"\r\n",
        lines,
        b"\r\n",
    ];
    let room: usize = parts.iter().map(|part| part.len()).sum();
    let mut head = Vec::with_capacity(room + more);
    parts.iter().for_each(|part| head.extend_from_slice(part));
    head
}

impl UpstreamResponse {
    fn new(head: head::Head, lease: pool::Lease, reuse: Reuse) -> Self {
        let head::Head { status, headers, framing, keep, keep_time } = head;
        // The request asks for no compression, but some upstreams compress anyway.
        let decoder = Decoder::of(headers.all("content-encoding")).transpose();
        let decoder = decoder.map(|it| it.map(Box::new));
        Self { status, headers, framing, decoder, keep, keep_time, reuse, lease: Some(lease) }
    }

    /// The length of the body, if the head announces it.
    pub fn announced(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// The next piece of the body; `None` at its end.
    pub async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        if self.decoder.is_some() {
            // Boxed, because it is rare and every call's future would have room for it.
            return Box::pin(self.next_decoded()).await.transpose();
        }
        self.next_arriving().await
    }

    /// The next piece as it arrives, still compressed.
    async fn next_arriving(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        let lease = self.lease.as_mut()?;
        let piece = lease.connection().body(&mut self.framing).await;
        self.note_end(piece)
    }

    async fn next_decoded(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            let decoder = decoder.as_mut().map_err(|error| error.clone())?;
            if let Some(piece) = decoder.next_piece()? {
                // A few compressed bytes may expand to very many without a wait, so other tasks get
                // a turn here.
                consume_budget().await;
                return Ok(Some(piece));
            }
            let arrived = self.next_arriving().await.transpose()?;
            let Some(Ok(decoder)) = &mut self.decoder else { return Ok(None) };
            match arrived {
                Some(bytes) => decoder.feed(bytes),
                None => return Ok(decoder.finish().map(|()| None)?),
            }
        }
    }

    /// As [`UpstreamResponse::next`], from bytes already read: `None` if there are no more. A
    /// compressed body is never ready.
    pub fn ready(&mut self) -> Option<Option<Result<Bytes, UpstreamError>>> {
        if self.decoder.is_some() {
            return None;
        }
        let Some(lease) = self.lease.as_mut() else { return Some(None) };
        let piece = lease.connection().buffered(&mut self.framing)?;
        Some(self.note_end(piece))
    }

    fn note_end(
        &mut self,
        piece: Option<io::Result<Bytes>>,
    ) -> Option<Result<Bytes, UpstreamError>> {
        if piece.is_none()
            && let Some(lease) = self.lease.take()
            && self.keep
        {
            lease.give_back(&self.reuse, self.keep_time);
        }
        piece.map(|piece| piece.map_err(UpstreamError::from))
    }
}

#[cfg(test)]
mod tests;
