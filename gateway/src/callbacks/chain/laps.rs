//! The time sync hooks take. The clock is read once at each boundary between two hooks, not twice
//! per hook: a read costs as much as a whole hook.

use std::time::{Duration, Instant};

/// More than a sync hook may take: every call on its thread waits for it.
pub(super) const SLOW: Duration = Duration::from_millis(1);

/// The laps of one walk along the chain. What the walk itself does between two hooks counts for the
/// later one.
#[derive(Debug, Default)]
pub(super) struct Laps(Option<Instant>);

impl Laps {
    /// Before a sync hook.
    pub(super) fn begin(&mut self) {
        if self.0.is_none() {
            self.0 = Some(Instant::now());
        }
    }

    /// After a sync hook: what it took.
    pub(super) fn end(&mut self) -> Duration {
        let now = Instant::now();
        self.0.replace(now).map_or(Duration::ZERO, |begun| now.duration_since(begun))
    }

    /// Something was waited for: the next lap begins when its hook does.
    pub(super) fn pause(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_follow_one_another_until_a_pause() {
        let mut laps = Laps::default();
        laps.begin();
        let first = laps.0;
        laps.begin();
        assert_eq!(laps.0, first, "the first lap has begun already");
        let _ = laps.end();
        let second = laps.0;
        assert!(second >= first);
        laps.begin();
        assert_eq!(laps.0, second, "the end of one lap begins the next");
        laps.pause();
        assert_eq!(laps.0, None);
        assert_eq!(laps.end(), Duration::ZERO, "what never began took no time");
    }
}
