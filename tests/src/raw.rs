//! A bare socket, for requests that no HTTP client would send, and for seeing the exact response.

use crate::{MASTER_KEY, within};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One connection.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await;
        Self(stream.expect("the gateway accepts connections"))
    }

    /// The local address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a connected socket")
    }

    /// Writes `bytes`. If the gateway has already closed, that is not a failure: the response shows
    /// it.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = within("a write", self.0.write_all(bytes.as_ref())).await;
    }

    /// Writes as much of `bytes` as fits at once; returns whether that was all.
    pub async fn send_some(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() {
            within("room for a write", self.0.writable()).await.expect("a socket");
            match self.0.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) => return false,
            }
        }
        true
    }

    /// Aborts the connection (RST).
    pub fn reset(self) {
        self.0.set_zero_linger().expect("a socket option");
    }

    /// Closes the sending side (FIN), and goes on reading.
    pub async fn finish(&mut self) {
        let _ = self.0.shutdown().await;
    }

    /// Everything up to the end of the connection, by a FIN or a reset.
    pub async fn read_to_end(&mut self) -> String {
        let mut all = Vec::new();
        let _ = within("the end of the connection", self.0.read_to_end(&mut all)).await;
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Everything up to and including `end`, or to the end of the connection.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        while !all.ends_with(end.as_bytes()) {
            match within("more bytes", self.0.read(&mut piece)).await {
                Ok(length) if length > 0 => all.extend_from_slice(&piece[..length]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

/// A chat request with the master key, as text; `headers` are complete lines with their CRLF.
#[must_use]
pub fn chat_request(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n\
         Authorization: Bearer {MASTER_KEY}\r\n{headers}\r\n{body}"
    )
}

/// The status of a response; 0 if it is not one.
#[must_use]
pub fn status(response: &str) -> u16 {
    let code = response.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_default()
}
