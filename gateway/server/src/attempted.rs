//! How an attempt to answer a call succeeded.

use super::{raw_reply::RawReply, relay::Relay};
use bytes::Bytes;
use http::HeaderMap;

/// How an attempt succeeded.
pub(super) enum Attempted {
    /// A JSON reply, with the headers that come from its deployment; the end hooks come next.
    Json(Bytes, HeaderMap),
    /// An answer of another kind.
    Raw(Box<RawReply>),
    /// A stream that has begun. The call ends when the stream does.
    Stream(Box<Relay>, HeaderMap),
}
