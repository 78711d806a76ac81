//! One HTTP/1.1 connection to an upstream: sends a request, reads its response, then takes the next
//! one.
//!
//! Written only for this path (POST with a known length), because a call here is one task on one
//! thread: nothing is handed to a connection task, and all bytes of one read are decoded together.
//! Everything an upstream sends is bounded and never trusted.

use super::{
    error::UpstreamError,
    framing::{BodyStep, Framing},
    head::{Head, IncomingHead, MAX_HEAD, invalid},
    request_pieces::RequestPieces,
    stream::Io,
    turn,
};
use bytes::{Bytes, BytesMut};
use rustix::net::{RecvFlags, recv};
use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, Interest, ReadBuf},
    time::Instant,
};

/// The size of one read: a small reply, or many chunks of a stream.
const READ: usize = 16 * 1024;

/// If less room than this is left, new memory is allocated for a read. A reply in small pieces
/// shares one buffer; otherwise each piece would keep a whole read's memory.
const LEAST_ROOM: usize = 4 * 1024;

/// The most slices of one write.
const SLICES: usize = 32;

thread_local! {
    /// The buffer of an idle connection, for the next read of this thread: usually it is large
    /// enough, and a response needs no allocation.
    static SPARE: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// An open connection.
#[derive(Debug)]
pub(super) struct UpstreamConnection {
    io: Io,
    /// Bytes that were read and not yet taken.
    buffer: BytesMut,
}

/// An exchange that failed before the head of a response arrived.
#[derive(Debug)]
pub(super) struct ExchangeFault {
    pub(super) error: io::Error,
    /// Nothing of the request was written, so the upstream cannot have begun to work on it.
    pub(super) unsent: bool,
    /// No byte of a response came.
    pub(super) silent: bool,
}

impl UpstreamConnection {
    pub(super) fn new(io: Io) -> Self {
        Self { io, buffer: BytesMut::new() }
    }

    /// Whether an idle connection can take another request: between responses an upstream sends
    /// nothing unless it closes. The runtime learns of a close when it waits for events; if it has
    /// not waited just now, the socket itself is asked.
    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        let socket = match &mut self.io {
            Io::Plain(socket) => socket,
            Io::Tls(stream) => {
                // TLS may have read the close already, and it reads session tickets off the socket.
                let mut byte = [0];
                let mut context = Context::from_waker(Waker::noop());
                let mut room = ReadBuf::new(&mut byte);
                if Pin::new(&mut **stream).poll_read(&mut context, &mut room).is_ready() {
                    return false;
                }
                stream.get_mut().0
            }
        };
        let peek = || {
            let peeked = recv(&*socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            peeked.map_err(io::Error::from)
        };
        let peeked = match turn::is_fresh(now) {
            // Asks the socket only if something may have arrived, which the last read of an answer
            // can leave open.
            true => socket.try_io(Interest::READABLE, peek),
            false => peek(),
        };
        let silent = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
        self.buffer.is_empty() && peeked.is_err_and(|error| silent.contains(&error.kind()))
    }

    /// Returns the last response's buffer while the connection is in the pool.
    pub(super) fn release_buffer(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // Bytes after the response belong to nothing.
        buffer.clear();
        if buffer.capacity() > MAX_HEAD {
            return;
        }
        // The thread is ending and needs no buffer.
        let _ = SPARE.try_with(|spare| spare.set(buffer));
    }

    /// Sends a request and reads the head of its response. `pieces` is unchanged if none of them
    /// was sent.
    pub(super) async fn exchange(&mut self, pieces: &mut [Bytes]) -> Result<Head, ExchangeFault> {
        let (mut incoming, mut written) = (IncomingHead::default(), false);
        let sent = self.send(pieces, &mut incoming, &mut written).await;
        let head = match sent {
            // The connection now holds a part of a request.
            Ok(Some(early)) => return Ok(Head { keep: false, ..early }),
            Ok(None) => self.head(&mut incoming).await,
            // An upstream may respond and close before it has read everything: its response counts.
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

    /// As [`UpstreamConnection::exchange`], with a body that comes piece by piece.
    pub(super) async fn exchange_pieces(
        &mut self,
        head: Bytes,
        body: &mut impl RequestPieces,
    ) -> Result<Head, UpstreamError> {
        let (mut incoming, mut written) = (IncomingHead::default(), false);
        let mut next = Some(Ok(head));
        while let Some(piece) = next {
            match self.send(&mut [piece?], &mut incoming, &mut written).await {
                // The connection now holds a part of a request.
                Ok(Some(early)) => return Ok(Head { keep: false, ..early }),
                Ok(None) => next = body.next_piece().await,
                Err(error) => {
                    let answer = self.head(&mut incoming).await;
                    return answer
                        .map(|head| Head { keep: false, ..head })
                        .map_err(|_| error.into());
                }
            }
        }
        Ok(self.head(&mut incoming).await?)
    }

    /// Writes all pieces; stops early if the head of a response arrives first.
    async fn send(
        &mut self,
        mut pieces: &mut [Bytes],
        incoming: &mut IncomingHead,
        written: &mut bool,
    ) -> io::Result<Option<Head>> {
        poll_fn(|context| {
            while !pieces.is_empty() {
                match self.poll_write(context, pieces) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(count)) => {
                        *written = true;
                        pieces = unwritten(std::mem::take(&mut pieces), count);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        ready!(self.poll_fill(context))?;
                        // After an interim response, the upstream waits for the rest of the
                        // request.
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
        pieces: &[Bytes],
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

    /// Reads the head of a response.
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

    /// Reads the bytes that have arrived; returns 0 at the end.
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

    /// As [`UpstreamConnection::body`], from bytes already read: `None` if there are no more.
    pub(super) fn buffered(&mut self, framing: &mut Framing) -> Option<Option<io::Result<Bytes>>> {
        match framing.step(&mut self.buffer) {
            BodyStep::Data(data) => Some(Some(Ok(data))),
            BodyStep::End => Some(None),
            BodyStep::Invalid(what) => Some(Some(Err(invalid(what)))),
            BodyStep::More => None,
        }
    }
}

/// The pieces that are left after `written` bytes. Frees those that were written.
fn unwritten(pieces: &mut [Bytes], mut written: usize) -> &mut [Bytes] {
    let mut done = 0;
    for piece in pieces.iter_mut() {
        if written < piece.len() {
            let _ = piece.split_to(written);
            break;
        }
        written -= piece.len();
        *piece = Bytes::new();
        done += 1;
    }
    &mut pieces[done..]
}
