//! Counts scanned bytes in tests, which prove by numbers, not by time, that work is proportional.
//! Does nothing otherwise. Tests of other packages turn on the feature `fuzzing`.

#[cfg(any(test, feature = "fuzzing"))]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Adds so many scanned bytes, members or pieces.
#[inline(always)]
pub fn add(steps: usize) {
    #[cfg(any(test, feature = "fuzzing"))]
    STEPS.with(|count| count.set(count.get() + steps as u64));
    #[cfg(not(any(test, feature = "fuzzing")))]
    let _ = steps;
}

/// The steps of this thread so far.
#[cfg(any(test, feature = "fuzzing"))]
pub fn steps() -> u64 {
    STEPS.with(std::cell::Cell::get)
}
