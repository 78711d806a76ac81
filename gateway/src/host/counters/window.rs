//! An exact sliding window: every admission is remembered until it is older than the span.

use std::collections::VecDeque;
use std::time::Duration;

use plugin_api::Admission;

/// One window. Times come from one clock and never go back.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Oldest first, by time and by ticket alike.
    places: VecDeque<Place>,
    last_ticket: u64,
    /// Admissions are kept this long: the longest span anybody asked for, so that two callers with
    /// different spans both count exactly.
    longest: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    taken_at: u64,
    ticket: u64,
}

impl Window {
    /// One place among `limit` in any `span` (both in ns). A place taken at `t` is free again at
    /// exactly `t + span`.
    pub(super) fn admit(&mut self, now: u64, limit: u64, span: u64) -> Admission {
        self.longest = self.longest.max(span);
        let gone = |place: &Place, span: u64| now - place.taken_at.min(now) >= span;
        while self.places.front().is_some_and(|place| gone(place, self.longest)) {
            self.places.pop_front();
        }
        let first = if span == self.longest {
            0
        } else {
            self.places.partition_point(|place| gone(place, span))
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let taken = self.places.len() - first;
        if taken < limit {
            self.last_ticket += 1;
            self.places.push_back(Place { taken_at: now, ticket: self.last_ticket });
            return Admission::Admitted(self.last_ticket);
        }
        // With a limit that was lowered, several places have to become free before the next call.
        let Some(blocking) = self.places.get(first + taken - limit) else {
            return Admission::Full(Duration::MAX);
        };
        Admission::Full(Duration::from_nanos(blocking.taken_at.saturating_add(span) - now))
    }

    /// Gives a place back; a ticket that is not (or no longer) in the window is ignored.
    pub(super) fn release(&mut self, ticket: u64) {
        if let Ok(index) = self.places.binary_search_by_key(&ticket, |place| place.ticket) {
            self.places.remove(index);
        }
    }
}
