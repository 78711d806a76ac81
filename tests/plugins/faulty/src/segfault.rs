//! A segmentation fault, to test the gateway's report.

#![expect(unsafe_code, reason = "safe code has none to offer")]

/// Writes to an unmapped address.
pub(crate) fn segfault() {
    // SAFETY: unsound on purpose: no process maps its first page, and the fault is wanted.
    unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) }
}
