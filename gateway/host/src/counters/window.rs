//! An exact sliding window: every admission is kept until it is older than the span.

use plugin_api::Admission;
use std::{collections::VecDeque, time::Duration};

/// The least capacity that is kept.
const LEAST_ROOM: usize = 64;

/// One window. All times come from one monotonic clock.
#[derive(Debug)]
pub(super) struct Window {
    /// The oldest first, by time and by ticket.
    places: VecDeque<Admitted>,
    last_ticket: u64,
    /// Admissions are kept for the longest span anybody used, so that two callers with different
    /// spans both count exactly.
    longest: u64,
}

/// 16 bytes, as the documents say.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    taken_at: u64,
    ticket: u64,
}

impl Window {
    /// Tickets start at the current time: an empty window may be dropped and created again, and a
    /// ticket of the old one must not match an admission of the new one.
    pub(super) fn new(now: u64) -> Self {
        Self { places: VecDeque::new(), last_ticket: now, longest: 0 }
    }

    /// Whether it can be dropped without a loss.
    pub(super) fn is_empty(&self, now: u64) -> bool {
        self.places.back().is_none_or(|place| now - place.taken_at.min(now) >= self.longest)
    }

    /// Takes one of `limit` places in any `span` (in ns). A place taken at `t` is free again at
    /// exactly `t + span`.
    pub(super) fn admit(&mut self, now: u64, limit: u64, span: u64) -> Admission {
        self.longest = self.longest.max(span);
        let gone = |place: &Admitted, span: u64| now - place.taken_at.min(now) >= span;
        while self.places.front().is_some_and(|place| gone(place, self.longest)) {
            self.places.pop_front();
        }
        self.shrink();
        let first = if span == self.longest {
            0
        } else {
            self.places.partition_point(|place| gone(place, span))
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let taken = self.places.len() - first;
        if taken < limit {
            self.last_ticket += 1;
            self.places.push_back(Admitted { taken_at: now, ticket: self.last_ticket });
            return Admission::Admitted(self.last_ticket);
        }
        // After the limit was lowered, several places have to become free before the next
        // admission.
        let Some(blocking) = self.places.get(first + taken - limit) else {
            return Admission::Full(Duration::MAX);
        };
        Admission::Full(Duration::from_nanos(blocking.taken_at.saturating_add(span) - now))
    }

    /// Halves the capacity once three quarters of it are free, so that each dropped admission pays
    /// for at most one copy.
    fn shrink(&mut self) {
        let (room, taken) = (self.places.capacity(), self.places.len());
        if room > LEAST_ROOM && taken < room / 4 {
            self.places.shrink_to((room / 2).max(LEAST_ROOM));
        }
    }

    /// Returns a place; a ticket that is no longer in the window is ignored.
    pub(super) fn release(&mut self, ticket: u64) {
        if let Ok(index) = self.places.binary_search_by_key(&ticket, |place| place.ticket) {
            self.places.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_has_emptied_gives_its_room_back() {
        let mut window = Window::new(0);
        for _ in 0..100_000 {
            assert!(matches!(window.admit(0, u64::MAX, 10), Admission::Admitted(_)));
        }
        assert!(window.places.capacity() >= 100_000);
        for now in 10..30 {
            window.admit(now, u64::MAX, 10);
        }
        assert!(window.places.capacity() <= 2 * LEAST_ROOM, "{}", window.places.capacity());
        assert_eq!(size_of::<Admitted>(), 16);
    }

    #[test]
    fn a_ticket_of_a_forgotten_window_means_no_place_of_the_next() {
        let mut before = Window::new(5);
        let Admission::Admitted(old) = before.admit(5, 1, 10) else { panic!("refused") };
        assert!(!before.is_empty(14) && before.is_empty(15));
        let mut after = Window::new(15);
        assert!(matches!(after.admit(15, 1, 10), Admission::Admitted(_)));
        after.release(old);
        assert!(matches!(after.admit(15, 1, 10), Admission::Full(_)));
    }
}
