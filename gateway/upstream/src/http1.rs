//! One HTTP/1.1 connection to an upstream: a request out, an answer in, then the next.
//!
//! Written for this path alone (POST with a known length), because a call here is one task on one
//! thread: no hand-over to a connection task, and what arrived in one read is decoded in one go.
//! Everything an upstream sends is bounded and never trusted.

use super::{
    framing::{BodyStep, Framing},
    head::{Head, IncomingHead, MAX_HEAD, invalid},
};
use bytes::{Bytes, BytesMut};
use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};
use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// Room for one read: a small reply, or many chunks of a stream.
const READ: usize = 16 * 1024;

/// With less room than this left, new memory is taken for a read. A reply that comes in small
/// pieces shares it, where each piece would keep a whole read's room otherwise.
const LEAST_ROOM: usize = 4 * 1024;

/// Slices given to one write.
const SLICES: usize = 32;

thread_local! {
    /// What a connection that rests has left of its memory, for the next one that reads: mostly it
    /// is enough, and nothing is allocated for an answer.
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// See the module.
#[derive(Debug)]
pub(super) struct UpstreamConnection {
    io: Io,
    /// What was read and not yet taken.
    buffer: BytesMut,
}

#[derive(Debug)]
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// An exchange that broke before the head of an answer was there.
#[derive(Debug)]
pub(super) struct ExchangeFault {
    pub(super) error: io::Error,
    /// Nothing of the request was written: the upstream cannot have begun to work on it.
    pub(super) unsent: bool,
    /// Not one byte of an answer came.
    pub(super) silent: bool,
}

impl UpstreamConnection {
    pub(super) fn new(io: Io) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    /// Whether an idle connection can take another request: an upstream has nothing to say
    /// between answers but that it closes. The socket itself is asked, for the runtime knows of a
    /// close only after it has waited for events again.
    pub(super) fn is_open(&mut self) -> bool {
        let socket = match &mut self.io {
            Io::Plain(socket) => socket,
            Io::Tls(stream) => {
                // TLS may have read the close already, and takes session tickets off the socket.
                let mut byte = [0];
                let mut context = Context::from_waker(Waker::noop());
                let mut room = ReadBuf::new(&mut byte);
                if Pin::new(&mut **stream).poll_read(&mut context, &mut room).is_ready() {
                    return false;
                }
                stream.get_mut().0
            }
        };
        let peeked = recv(&*socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
        self.buffer.is_empty() && matches!(peeked, Err(Errno::AGAIN | Errno::INTR))
    }

    /// Gives back the memory of the last answer; for the time in the pool.
    pub(super) fn release_buffer(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // What an upstream said beyond its answer is nobody's.
        buffer.clear();
        if buffer.capacity() > MAX_HEAD {
            return;
        }
        // A thread that ends has no use for it any more.
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }

    /// Sends a request and reads the head of its answer. `pieces` is untouched when nothing of them
    /// was sent.
    pub(super) async fn exchange(
        &mut self,
        pieces: &mut VecDeque<Bytes>,
    ) -> Result<Head, ExchangeFault> {
        let (mut incoming, mut written) = (IncomingHead::default(), false);
        let sent = self.send(pieces, &mut incoming, &mut written).await;
        let head = match sent {
            // The connection holds a part of a request now.
            Ok(Some(early)) => return Ok(Head { keep: false, ..early }),
            Ok(None) => self.head(&mut incoming).await,
            // An upstream may answer, and close, before it has read everything: its answer counts.
            Err(error) => match self.head(&mut incoming).await {
                Ok(head) => Ok(Head { keep: false, ..head }),
                Err(_) => Err(error),
            },
        };
        head.map_err(|error| ExchangeFault {
            error,
            // TLS may have sent a part before it failed.
            unsent: !written && matches!(self.io, Io::Plain(_)),
            silent: self.buffer.is_empty() && !incoming.has_begun(),
        })
    }

    /// Writes all pieces; the head of an answer that comes before they are written ends it.
    async fn send(
        &mut self,
        pieces: &mut VecDeque<Bytes>,
        incoming: &mut IncomingHead,
        written: &mut bool,
    ) -> io::Result<Option<Head>> {
        poll_fn(|context| {
            while !pieces.is_empty() {
                match self.poll_write(context, pieces) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        *written = true;
                        advance(pieces, count);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        ready!(self.poll_fill(context))?;
                        // An interim answer is none yet: the upstream waits for the rest.
                        if let Some(head) = incoming.take(&mut self.buffer)? {
                            return Poll::Ready(Ok(Some(head)));
                        }
                    }
                }
            }
            Pin::new(&mut self.io).poll_flush(context).map_ok(|()| None)
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

    /// Reads the head of an answer.
    async fn head(&mut self, incoming: &mut IncomingHead) -> io::Result<Head> {
        loop {
            if let Some(head) = incoming.take(&mut self.buffer)? {
                return Ok(head);
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

    /// Reads what has arrived; 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.take();
        }
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            self.buffer.reserve(READ);
        }
        self.io.read_buf(&mut self.buffer).await
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn body(&mut self, framing: &mut Framing) -> Option<io::Result<Bytes>> {
        loop {
            match framing.step(&mut self.buffer) {
                BodyStep::Data(data) => return Some(Ok(data)),
                BodyStep::End => return None,
                BodyStep::Invalid(what) => return Some(Err(invalid(what))),
                BodyStep::More => {}
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

    /// As [`UpstreamConnection::body`], for what has been read already: `None` when that is used
    /// up.
    pub(super) fn buffered(&mut self, framing: &mut Framing) -> Option<Option<io::Result<Bytes>>> {
        match framing.step(&mut self.buffer) {
            BodyStep::Data(data) => Some(Some(Ok(data))),
            BodyStep::End => Some(None),
            BodyStep::Invalid(what) => Some(Some(Err(invalid(what)))),
            BodyStep::More => None,
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
