//! Sets how the allocator treats large allocations.
//!
//! By default it adapts: after a large allocation is freed, it keeps memory for the next ones. A
//! gateway that once handled a large body would hold several times its size for good, and growing a
//! text would copy it. With fixed thresholds each large allocation has its own pages, which grow
//! without a copy and return to the system at once. Small allocations stay with their thread's
//! arena, so after work on a large body the free memory is given back explicitly.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "calls the C library's allocator"))]

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

/// The shortest time between two searches for free memory, in milliseconds.
#[cfg(target_env = "gnu")]
const PAUSE: u64 = 100;

/// Gives free memory back to the system, unless that was done a moment ago.
#[cfg(target_env = "gnu")]
pub fn give_back() {
    use std::{
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        time::Instant,
    };
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX);
    let due = NEXT.load(Relaxed);
    let claimed = || NEXT.compare_exchange(due, now.saturating_add(PAUSE), Relaxed, Relaxed);
    if now >= due && claimed().is_ok() {
        // SAFETY: takes only a number and touches only free memory.
        unsafe { libc::malloc_trim(0) };
    }
}

/// Other C libraries have no such function.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}

/// Other C libraries have no such thresholds.
#[cfg(not(target_env = "gnu"))]
pub fn bound() {}
