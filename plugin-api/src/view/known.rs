//! Numbers that may be unknown.

/// Reads a count or duration; `u64::MAX` means that it is not known.
pub(super) fn known(number: u64) -> Option<u64> {
    (number != u64::MAX).then_some(number)
}
