//! Limits how much longer masks make a request.

use crate::withheld::Withheld;

/// How many bytes longer a small request may become.
const GROWTH: usize = 4 << 20;

/// How many bytes longer a request may still become. Original and masked text are in memory
/// together, so a large request must not grow to a multiple of itself.
#[derive(Debug)]
pub(crate) struct GrowthLimit(usize);

impl GrowthLimit {
    /// Returns the limit for a request of this length.
    pub(crate) fn of(length: usize) -> Self {
        Self(GROWTH.max(length / 8))
    }

    /// Returns how long a text of this length may become.
    pub(crate) fn after(&self, length: usize) -> usize {
        length.saturating_add(self.0)
    }

    /// Counts that a text became longer or shorter.
    pub(crate) fn take(&mut self, before: usize, after: usize) -> Result<(), Withheld> {
        let left = self.after(before).checked_sub(after);
        self.0 = left.ok_or(Withheld::TooLarge)?;
        Ok(())
    }
}

/// Returns the capacity for a text of this length that may become a little longer. Moving a text to
/// a larger buffer costs more than some memory that is never used.
pub(crate) fn with_spare(length: usize) -> usize {
    length + length / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_request_grows_by_an_eighth_and_what_became_shorter_counts() {
        let large = 64 << 20;
        let mut room = GrowthLimit::of(large);
        assert_eq!(room.after(0), large / 8);
        room.take(1000, 0).unwrap();
        room.take(0, 1000 + large / 8).unwrap();
        assert!(room.take(0, 1).is_err());
        assert_eq!(GrowthLimit::of(10).after(5), GROWTH + 5);
    }
}
