//! Sets how the allocator treats large allocations.
//!
//! By default it adapts: after a large allocation is freed, it keeps memory for the next ones. A
//! gateway that once handled a large body would hold several times its size for good, and growing a
//! text would copy it. With fixed thresholds each large allocation has its own pages, which grow
//! without a copy and return to the system at once.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "sets two numbers of the C library"))]

/// The size from which an allocation is large.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;

/// Call it once, before other threads exist.
#[cfg(target_env = "gnu")]
pub fn bound() {
    // SAFETY: takes only numbers. If it refuses them, the default stays, which costs only memory.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Other C libraries have no such thresholds.
#[cfg(not(target_env = "gnu"))]
pub fn bound() {}
