//! How the allocator treats large pieces of memory.
//!
//! By itself it learns from each large piece that is freed to keep the next ones: a gateway that
//! once had a large body in hand would hold a multiple of it for good, and moving a growing text
//! would copy it. With fixed bounds each large piece has pages of its own, which move without a
//! copy and go back to the system at once.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "sets two numbers of the C library"))]

/// From this size on.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Asked once, before there are other threads.
#[cfg(target_env = "gnu")]
pub fn bound() {
    // SAFETY: takes numbers alone. What it refuses stays as it was, which costs memory, not safety.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Other C libraries have no such bounds.
#[cfg(not(target_env = "gnu"))]
pub fn bound() {}
