//! The body of a request that comes piece by piece, such as a form with files.

use bytes::Bytes;
use std::io;

/// The body of a request.
pub trait RequestPieces {
    /// The next piece, never empty; `None` at the end.
    fn next_piece(&mut self) -> impl Future<Output = Option<io::Result<Bytes>>> + Send;
}
