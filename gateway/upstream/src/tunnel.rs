//! Asks a proxy by `CONNECT` to pass bytes on to a server (RFC 9110, section 9.3.6), and knows what
//! a proxy's refusal means.

use super::{
    Origin, USER_AGENT,
    error::{ProxyFault, UpstreamError},
    head::{Head, IncomingHead},
};
use bytes::BytesMut;
use callgate_config::ProxyServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The status by which a proxy wants credentials.
pub(super) const WANTS_CREDENTIALS: u16 = 407;

/// Opens a tunnel to `authority` (host and port) over a connection to the proxy. Nothing that the
/// proxy sends is taken for the server's.
pub(super) async fn open(
    stream: &mut TcpStream,
    proxy: &ProxyServer,
    authority: &str,
) -> Result<(), ProxyFault> {
    let request = [
        "CONNECT ",
        authority,
        " HTTP/1.1\r\nhost: ",
        authority,
        "\r\nuser-agent: ",
        USER_AGENT,
        "\r\n",
        proxy.authorization_line(),
        "\r\n",
    ];
    stream.write_all(request.concat().as_bytes()).await.map_err(ProxyFault::Broken)?;
    let (mut buffer, mut incoming) = (BytesMut::new(), IncomingHead::default());
    let head = loop {
        if let Some(head) = incoming.take(&mut buffer).map_err(ProxyFault::Broken)? {
            break head;
        }
        if stream.read_buf(&mut buffer).await.map_err(ProxyFault::Broken)? == 0 {
            return Err(ProxyFault::Closed);
        }
    };
    judge(&head, proxy)?;
    // A server speaks only after the client in TLS, so these are the proxy's own.
    if buffer.is_empty() { Ok(()) } else { Err(ProxyFault::NoTunnel) }
}

/// The error for a request that its proxy did not pass on for want of credentials.
pub(super) fn wants_credentials(origin: &Origin) -> UpstreamError {
    let proxy = origin.proxy();
    let fault = proxy.map_or(ProxyFault::NoCredentials, |it| ProxyFault::credentials(it));
    let proxy = proxy.map_or_else(String::new, |it| it.address().to_owned());
    UpstreamError::Proxy { proxy, fault }
}

/// Whether the proxy opened the tunnel.
fn judge(head: &Head, proxy: &ProxyServer) -> Result<(), ProxyFault> {
    match head.status {
        200..300 => Ok(()),
        WANTS_CREDENTIALS => Err(ProxyFault::credentials(proxy)),
        status => Err(ProxyFault::Refused(status)),
    }
}
