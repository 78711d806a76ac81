//! How halves of surrogate pairs are treated.

pub(super) const ALONE: &str = "expected the second half of a surrogate pair";

/// How lone surrogates are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halves {
    Refused,
    /// Allowed: upstreams split an emoji between two chunks, or cut it at a token limit.
    Taken,
    Met,
}
