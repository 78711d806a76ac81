//! JSON objects as the bytes that arrived: scanned once, edited by splices, forwarded unparsed.
//!
//! The room under requests (`call`), replies and frames (`provider`). It knows no dialect.

mod body;
mod scan;

pub(crate) use body::{Arriving, Body, BodyError};
pub(crate) use scan::{Member, ScanError, Scanner};

use bytes::Bytes;

/// `text` as a JSON string.
pub(crate) fn json_text(text: &str) -> Bytes {
    serde_json::to_vec(text).unwrap_or_default().into()
}
