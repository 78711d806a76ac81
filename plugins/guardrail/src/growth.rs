//! How long a request may become by what is put into it.

use crate::text::Withheld;

/// How much longer a small request may become.
const GROWTH: usize = 4 << 20;

/// How much longer a request may still become. Beside what is masked stands what it is made of, so
/// a large request must not grow to a multiple of itself.
#[derive(Debug)]
pub(crate) struct GrowthLimit(usize);

impl GrowthLimit {
    /// For a request of this length.
    pub(crate) fn of(length: usize) -> Self {
        Self(GROWTH.max(length / 8))
    }

    /// How long a text of this length may become.
    pub(crate) fn after(&self, length: usize) -> usize {
        length.saturating_add(self.0)
    }

    /// Counts that something became longer, or shorter.
    pub(crate) fn take(&mut self, before: usize, after: usize) -> Result<(), Withheld> {
        let left = self.after(before).checked_sub(after);
        self.0 = left.ok_or(Withheld::TooLarge)?;
        Ok(())
    }
}

/// Room for a text of this length that may become a little longer: memory that is taken twice while
/// it is moved costs more than some that is never touched.
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
