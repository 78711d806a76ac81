//! The end of a process in which a plugin hangs.

#![expect(unsafe_code, reason = "ends the process without the C library's own end")]

/// Ends the process without running destructors. An ordinary exit takes the dynamic linker's lock,
/// which a plugin that hangs while it is loaded holds for ever.
pub fn exit_at_once(status: u8) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}
