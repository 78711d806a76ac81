//! Answers with 503 from the acceptor's own thread when no worker can take a connection. Otherwise
//! the connection would wait unread.

use super::{client::ClientAddress, worker::AcceptedConnection};
use crate::occupancy::OpenConnection;
use callgate_failure::Failure;
use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// The most connections that are answered at once; further ones are closed.
const MOST: usize = 64;

/// The time a client has to send its request and read the response.
const TIME: Duration = Duration::from_secs(2);

/// The number of request bytes that are read, so that the client can receive the response.
const ENOUGH: usize = 64 * 1024;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A connection that is being answered.
struct Turn {
    _open: OpenConnection,
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Relaxed);
    }
}

/// Answers a connection that no worker can take.
pub(super) fn refuse(accepted: AcceptedConnection) {
    let turn = Turn { _open: accepted.open };
    if UNDER_WAY.fetch_add(1, Relaxed) >= MOST {
        return;
    }
    let Ok(stream) = TcpStream::from_std(accepted.stream) else { return };
    tokio::spawn(async move {
        let _ = timeout(TIME, answer(stream)).await;
        drop(turn);
    });
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() && head.len() < ENOUGH {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let failure = Failure::workers_stuck();
    let body = failure.to_json();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: 5\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let client = ClientAddress::new(stream.peer_addr().ok());
    super::refusal_log::log_refusal(client.peer(), 503, &failure.message);
    stream.write_all(&[head.as_bytes(), &body].concat()).await?;
    stream.shutdown().await?;
    // Closing a socket with unread bytes resets the connection before the client reads the
    // response.
    let (mut rest, mut read) = (vec![0; 4096], 0);
    while read < ENOUGH {
        match stream.read(&mut rest).await? {
            0 => break,
            length => read += length,
        }
    }
    Ok(())
}
