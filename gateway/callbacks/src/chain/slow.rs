//! Decides which slow hooks draw a warning. The machine may take a thread away for a millisecond in
//! the middle of any hook, so one hook that took slightly too long says nothing about its callback.

use std::sync::{Mutex, PoisonError};

/// A sync hook that takes longer than this, in ns, is slow: every call on its thread waits for it.
pub(super) const SLOW: u64 = 1_000_000;

/// A hook that takes as long as this, in ns, draws a warning the first time.
const VERY_SLOW: u64 = 10_000_000;

/// The span, in ns, in which the third slow hook draws a warning.
const SPAN: u64 = 60_000_000_000;

/// The times of a callback's last two slow hooks, the older first.
#[derive(Debug, Default)]
pub(super) struct SlowHooks(Mutex<[Option<u64>; 2]>);

impl SlowHooks {
    /// Notes a slow hook that ended at `now` and took `took`, both in ns. Returns whether it draws
    /// a warning.
    pub(super) fn note(&self, now: u64, took: u64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [older, newer] = *last;
        *last = [newer, Some(now)];
        took >= VERY_SLOW || older.is_some_and(|older| now.saturating_sub(older) <= SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_slow_hook_in_a_minute_draws_a_warning() {
        let hooks = SlowHooks::default();
        let at = |second: u64| hooks.note(second * 1_000_000_000, SLOW + 1);
        assert_eq!([at(0), at(10), at(60), at(61)], [false, false, true, true]);
        assert_eq!([at(200), at(201), at(261)], [false, false, false]);
        assert!(!at(400), "one a while is the machine's");
    }

    #[test]
    fn a_very_slow_hook_draws_one_at_once() {
        assert!(SlowHooks::default().note(0, VERY_SLOW));
    }
}
