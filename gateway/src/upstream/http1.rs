//! One HTTP/1.1 connection to an upstream: a request out, an answer in, then the next.
//!
//! Written for this path alone (POST with a known length), because a call here is one task on one
//! thread: no hand-over to a connection task, and what arrived in one read is decoded in one go.
//! Heads are parsed by `httparse`. Everything an upstream sends is bounded and never trusted.

use super::framing::{Framing, Step};
use bytes::{Bytes, BytesMut};
use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A head longer than this is no answer.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// Room for one read: a small reply, or many chunks of a stream.
const READ: usize = 16 * 1024;

/// Slices given to one write.
const SLICES: usize = 32;

thread_local! {
    /// What a connection that rests has left of its memory, for the next one that reads: mostly it
    /// is enough, and nothing is allocated for an answer.
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    /// What was read and not yet taken.
    buffer: BytesMut,
}

#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) framing: Framing,
    /// Whether the connection may be used again after the body.
    pub(super) keep: bool,
}

/// The headers of an answer, as they came.
#[derive(Debug)]
pub(crate) struct Headers {
    bytes: Bytes,
    fields: Vec<Field>,
}

/// Where a name and its value stand.
type Field = (Range<usize>, Range<usize>);

impl Headers {
    /// The first value of a name, in any case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let wanted = |field: &&Field| self.is(field, name);
        self.fields.iter().find(wanted).map(|field| &self.bytes[field.1.clone()])
    }

    fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let wanted = move |field: &&Field| self.is(field, name);
        self.fields.iter().filter(wanted).map(|field| &self.bytes[field.1.clone()])
    }

    fn is(&self, field: &Field, name: &str) -> bool {
        self.bytes[field.0.clone()].eq_ignore_ascii_case(name.as_bytes())
    }
}

impl Connection {
    pub(super) fn new(io: Io) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    /// Whether an idle connection can take another request: an upstream has nothing to say
    /// between answers but that it closes.
    pub(super) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        let mut room = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        self.buffer.is_empty()
            && Pin::new(&mut self.io).poll_read(&mut context, &mut room).is_pending()
    }

    /// Gives back the memory of the last answer; for the time in the pool.
    pub(super) fn rest(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // What an upstream said beyond its answer is nobody's.
        buffer.clear();
        if buffer.capacity() > MAX_HEAD {
            return;
        }
        // A thread that ends has no use for it any more.
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }

    /// Sends a request and reads the head of its answer.
    pub(super) async fn exchange(&mut self, mut pieces: VecDeque<Bytes>) -> io::Result<Head> {
        // An upstream may answer, and close, before it has read everything: its answer counts.
        let sent = self.send(&mut pieces).await;
        match (self.head().await, sent) {
            (Ok(head), sent) => Ok(Head { keep: head.keep && matches!(sent, Ok(true)), ..head }),
            (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(error),
        }
    }

    /// Writes all pieces; stops early, saying so, when an answer begins before they are written.
    async fn send(&mut self, pieces: &mut VecDeque<Bytes>) -> io::Result<bool> {
        poll_fn(|context| {
            while !pieces.is_empty() {
                match self.poll_write(context, pieces) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => advance(pieces, written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        ready!(self.poll_fill(context))?;
                        return Poll::Ready(Ok(false));
                    }
                }
            }
            Pin::new(&mut self.io).poll_flush(context).map_ok(|()| true)
        })
        .await
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        pieces: &VecDeque<Bytes>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(&mut self.io).poll_write_vectored(context, &slices[..count])
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut block = [0; 4096];
        let mut room = ReadBuf::new(&mut block);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut room))?;
        if room.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.buffer.extend_from_slice(room.filled());
        Poll::Ready(Ok(()))
    }

    /// Reads the head of an answer, past interim ones.
    async fn head(&mut self) -> io::Result<Head> {
        loop {
            if !self.buffer.is_empty()
                && let Some(head) = self.parse()?
            {
                match head.status {
                    101 => return Err(invalid("it switched protocols without being asked")),
                    100..=199 => continue,
                    _ => return Ok(head),
                }
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("the head of its answer is longer than 64 KiB"));
            }
            if self.read().await? == 0 {
                let text = if self.buffer.is_empty() {
                    "it closed without an answer"
                } else {
                    "it closed within the head of its answer"
                };
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
        }
    }

    fn parse(&mut self) -> io::Result<Option<Head>> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, &self.buffer, &mut fields)
            .map_err(|error| invalid(&format!("its answer is not HTTP/1.1: {error}")))?;
        let httparse::Status::Complete(len) = parsed else { return Ok(None) };
        let start = self.buffer.as_ptr() as usize;
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
        let old = response.version == Some(0);
        let headers = Headers { bytes: self.buffer.split_to(len).freeze(), fields };
        let framing =
            Framing::of(status, headers.all("transfer-encoding"), headers.all("content-length"))
                .map_err(invalid)?;
        let closes = headers
            .all("connection")
            .any(|value| value.to_ascii_lowercase().windows(5).any(|word| word == b"close"));
        let keep = !old && !closes && framing != Framing::UntilClose;
        Ok(Some(Head { status, headers, framing, keep }))
    }

    /// Reads what has arrived; 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.take();
        }
        self.buffer.reserve(READ);
        self.io.read_buf(&mut self.buffer).await
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn body(&mut self, framing: &mut Framing) -> Option<io::Result<Bytes>> {
        loop {
            match framing.step(&mut self.buffer) {
                Step::Data(data) => return Some(Ok(data)),
                Step::End => return None,
                Step::Invalid(what) => return Some(Err(invalid(what))),
                Step::More => {}
            }
            match self.read().await {
                Err(error) => return Some(Err(error)),
                Ok(0) if framing.ends_by_close() => return None,
                Ok(0) => {
                    let text = "it closed within its answer";
                    return Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
                }
                Ok(_) => {}
            }
        }
    }

    /// As [`Connection::body`], for what has been read already: `None` when that is used up.
    pub(super) fn buffered(&mut self, framing: &mut Framing) -> Option<Option<io::Result<Bytes>>> {
        match framing.step(&mut self.buffer) {
            Step::Data(data) => Some(Some(Ok(data))),
            Step::End => Some(None),
            Step::Invalid(what) => Some(Some(Err(invalid(what)))),
            Step::More => None,
        }
    }
}

fn advance(pieces: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(piece) = pieces.front_mut() {
        if written < piece.len() {
            let _ = piece.split_to(written);
            return;
        }
        written -= piece.len();
        pieces.pop_front();
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, room),
            Self::Tls(io) => Pin::new(io).poll_read(context, room),
        }
    }
}

impl Io {
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // A socket has nothing to flush.
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }
}
