//! Counts what is passed over in a body, in tests: that work is proportional is proved by numbers,
//! not by time. Elsewhere it is nothing. Tests of other packages turn on the feature `fuzzing`.

#[cfg(any(test, feature = "fuzzing"))]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// So many bytes, members or pieces were passed.
#[inline(always)]
pub fn add(steps: usize) {
    #[cfg(any(test, feature = "fuzzing"))]
    STEPS.with(|count| count.set(count.get() + steps as u64));
    #[cfg(not(any(test, feature = "fuzzing")))]
    let _ = steps;
}

/// All steps of this thread so far.
#[cfg(any(test, feature = "fuzzing"))]
pub fn steps() -> u64 {
    STEPS.with(std::cell::Cell::get)
}
