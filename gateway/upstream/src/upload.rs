//! Sends a request whose body comes piece by piece: a form with files. It always takes a new
//! connection, because its body cannot be sent twice.

use super::{
    Connector, Reuse, UpstreamError, UpstreamResponse, WANTS_CREDENTIALS, connected, pool,
    request_head, tunnel,
};
use bytes::Bytes;
use std::io;

/// The body of a request.
pub trait RequestPieces {
    /// The next piece, never empty; `None` at the end.
    fn next_piece(&mut self) -> impl Future<Output = Option<io::Result<Bytes>>> + Send;
}

/// As [`post`](super::post), with a body of `length` bytes.
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
    match lease.connection().exchange_pieces(head.into(), body).await? {
        head if head.status == WANTS_CREDENTIALS && origin.asks_proxy() => {
            Err(tunnel::wants_credentials(&origin))
        }
        head => Ok(UpstreamResponse::new(head, lease, reuse)),
    }
}
