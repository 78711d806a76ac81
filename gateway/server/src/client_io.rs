//! A client's socket for hyper, with three additions: an error object for bytes that are not a
//! request, clients that close their sending side early, and lingering, so that closing does not
//! discard the last response. The time a client may take to read is not bounded here but by the
//! system (`listen`).

use super::{connection::Connection, refusal_log};
use bytes::Bytes;
use callgate_failure::Failure;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, tcp::OwnedReadHalf},
    time::Instant,
};

/// How long bytes are still read from a client after its last response. Closing at once would reset
/// the connection before the client has read the response.
const LINGER: Duration = Duration::from_secs(1);

/// Heads of hyper's own answers are shorter than this.
const SHORT: usize = 160;

/// The socket, and what is known of the client's first bytes and of the response.
#[derive(Debug)]
pub(super) struct ClientIo {
    incoming: OwnedReadHalf,
    connection: Arc<Connection>,
    /// The protocol of the client's first bytes.
    spoken: Option<Spoken>,
    /// The client has said that it will send no more.
    finished: bool,
    /// The socket took everything that was written, so the next bytes begin with a head or a chunk.
    whole: bool,
    /// The response in place of hyper's, as far as it is not written yet.
    refusal: Option<Bytes>,
    /// The end of the time in which bytes are still read from the client.
    linger: Option<Instant>,
}

impl ClientIo {
    pub(super) fn new(incoming: OwnedReadHalf, connection: Arc<Connection>) -> Self {
        Self {
            incoming,
            connection,
            spoken: None,
            finished: false,
            whole: true,
            refusal: None,
            linger: None,
        }
    }

    /// Writes as soon as the socket has room.
    fn poll_socket(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let socket = self.connection.socket.as_ref();
        loop {
            let room = socket.poll_write_ready(context);
            self.connection.note_write(&room);
            ready!(room)?;
            match write(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Replaces hyper's own response to bytes that are not a request, which has an empty body, by
    /// an error object. Hyper is told that its own response was written.
    fn poll_refuse(
        &mut self,
        context: &mut Context<'_>,
        instead: usize,
    ) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.refusal.clone().filter(|rest| !rest.is_empty()) {
            match ready!(self.poll_socket(context, |socket| socket.try_write(&rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.refusal = Some(rest.slice(written..)),
            }
        }
        Poll::Ready(Ok(instead))
    }

    fn refuse(&mut self, failure: &Failure) {
        refusal_log::log_refusal(self.connection.client.peer(), failure.status, &failure.message);
        self.refusal = Some(rendered(failure));
        self.linger = Instant::now().checked_add(LINGER);
    }

    /// Hyper recognises the beginning of HTTP/2 and closes such a connection without a response. So
    /// it is given no bytes, and the error object is written, whatever hyper writes then.
    fn poll_refuse_http2(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refusal.is_none() {
            self.refuse(&refusal(400, Spoken::Http2));
        }
        self.poll_refuse(context, 0).map_ok(|_| ())
    }

    /// Whether the bytes to write are to be replaced.
    fn refuses(&mut self, bytes: &[u8]) -> bool {
        if self.refusal.is_none()
            && self.whole
            && let Some(status) = automatic(bytes)
        {
            self.refuse(&refusal(status, self.spoken.unwrap_or_default()));
        }
        self.refusal.is_some()
    }

    /// Reads and drops bytes, so that closing does not reset the connection.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut block = [0; 4096];
        loop {
            let mut room = ReadBuf::new(&mut block);
            match Pin::new(&mut self.incoming).poll_read(context, &mut room) {
                Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                    self.linger.get_or_insert_with(|| Instant::now() + LINGER);
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    self.connection.note_read(&Poll::Pending);
                    return match self.linger {
                        Some(end) => self.connection.timer.poll(end, context).map(Ok),
                        None => Poll::Ready(Ok(())),
                    };
                }
            }
        }
    }
}

/// The protocol that a client speaks, judged by its first bytes; used only to say why they are not
/// a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Http1,
    Http2,
    Tls,
}

impl Spoken {
    fn of(first: &[u8]) -> Self {
        match first {
            // A handshake record of any version. No method begins with a control character.
            [0x16, ..] => Self::Tls,
            _ if first.starts_with(b"PRI * HTTP/2") => Self::Http2,
            _ => Self::Http1,
        }
    }
}

/// The status of a response by hyper itself: a client error without a body and a content type.
fn automatic(bytes: &[u8]) -> Option<u16> {
    let short = bytes.len() <= SHORT && bytes.starts_with(b"HTTP/1.");
    if !short || bytes.get(8..10) != Some(b" 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let empty = memchr::memmem::find(bytes, b"\r\ncontent-length: 0\r\n").is_some();
    let typed = memchr::memmem::find(bytes, b"content-type").is_some();
    let status = std::str::from_utf8(bytes.get(9..12)?).ok()?.parse().ok()?;
    (empty && !typed).then_some(status)
}

fn refusal(status: u16, spoken: Spoken) -> Failure {
    match spoken {
        Spoken::Tls => Failure::tls_instead_of_http(status),
        Spoken::Http2 => Failure::http2(status),
        Spoken::Http1 => Failure::malformed_http(status),
    }
}

/// The whole response, after which the connection closes.
fn rendered(failure: &Failure) -> Bytes {
    let reason = match failure.status {
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        _ => "Bad Request",
    };
    let body = failure.to_json();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        failure.status,
        body.len()
    );
    [head.as_bytes(), &body].concat().into()
}

impl AsyncRead for ClientIo {
    /// Reports the end of the client's bytes one turn late, so that a response that needs no
    /// waiting reaches a client that has closed its sending side. A client that left looks the
    /// same, so a call that has to wait is cancelled.
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.forgets() {
            return Poll::Ready(Ok(()));
        }
        let before = room.filled().len();
        let polled = Pin::new(&mut self.incoming).poll_read(context, room);
        let polled = polled.map_ok(|()| room.filled().len() - before);
        self.connection.note_read(&polled);
        if self.spoken.is_none() && matches!(polled, Poll::Ready(Ok(length)) if length > 0) {
            let spoken = Spoken::of(&room.filled()[before..]);
            self.spoken = Some(spoken);
            if spoken == Spoken::Http2 {
                room.set_filled(before);
                ready!(self.poll_refuse_http2(context))?;
                return Poll::Ready(Ok(()));
            }
        }
        if ready!(polled)? == 0 && !self.finished {
            self.finished = true;
            self.connection.note_read(&Poll::Pending);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.refuses(bytes) {
            return self.poll_refuse(context, bytes.len());
        }
        let written = self.poll_socket(context, |socket| socket.try_write(bytes));
        self.whole = matches!(written, Poll::Ready(Ok(written)) if written == bytes.len());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Some(first) = slices.first()
            && first.len() == length
            && self.refuses(first)
        {
            return self.poll_refuse(context, length);
        }
        let written = self.poll_socket(context, |socket| socket.try_write_vectored(slices));
        self.whole = matches!(written, Poll::Ready(Ok(written)) if written == length);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.connection.socket.as_ref();
        match rustix::net::shutdown(socket, rustix::net::Shutdown::Write) {
            Ok(()) | Err(rustix::io::Errno::NOTCONN) => self.poll_linger(context),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_shows_in_the_first_bytes() {
        for (first, expected) in [
            (&b"\x16\x03\x01\x00\xf1"[..], Spoken::Tls),
            (b"\x16", Spoken::Tls),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Spoken::Http2),
            (b"POST / HTTP/1.1\r\n", Spoken::Http1),
            (b"PRI", Spoken::Http1),
            (b"", Spoken::Http1),
        ] {
            assert_eq!(Spoken::of(first), expected, "{first:?}");
        }
        assert!(refusal(400, Spoken::Tls).message.contains("HTTPS"));
        assert!(refusal(400, Spoken::Http2).message.contains("HTTP/2"));
        assert!(refusal(400, Spoken::Http1).message.contains("well-formed"));
    }

    #[test]
    fn only_an_answer_without_body_and_type_is_hypers_own() {
        let date = "date: Wed, 25 Nov 2026 12:00:00 GMT\r\n\r\n";
        for (head, expected) in [
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n", Some(400)),
            ("HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n", Some(431)),
            ("HTTP/1.0 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n", Some(400)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-type: x/y\r\ncontent-length: 0\r\n", None),
            ("data: HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n", None),
        ] {
            assert_eq!(automatic(format!("{head}{date}").as_bytes()), expected, "{head}");
        }
    }
}
