//! Work and memory in proportion to an input, counted in allocations.

use allocation_counter::{AllocationInfo, measure};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The cost that any input may have.
const FREE: u64 = 256 * 1024;

/// Runs `work`, which may hold `each` bytes at once for each byte of the input, and may make a
/// proportional number of allocations.
#[track_caller]
pub(super) fn in_proportion<T>(length: usize, each: u64, work: impl FnOnce() -> T) -> T {
    let mut done = None;
    let AllocationInfo { bytes_max, count_total, .. } =
        measure(|| done = Some(catch_unwind(AssertUnwindSafe(work))));
    let length = length as u64;
    assert!(bytes_max <= FREE + each * length, "{bytes_max} bytes for an input of {length}");
    assert!(count_total <= FREE + each * length, "{count_total} allocations, input of {length}");
    match done {
        Some(Ok(done)) => done,
        Some(Err(panic)) => resume_unwind(panic),
        None => unreachable!("`measure` runs what it is given"),
    }
}
