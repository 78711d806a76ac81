//! A segmentation fault, for the tests of what the gateway says of one.

#![expect(unsafe_code, reason = "safe code has none to offer")]

/// Writes where nothing is mapped.
pub(crate) fn segfault() {
    // SAFETY: none: no process maps its first page. The fault is what was asked for.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) }
}
