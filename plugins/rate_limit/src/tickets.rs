//! A call's note about the places it took, in its local note. Each place takes 12 bytes, so that
//! the gateway allocates nothing for up to two.

use crate::windows_by_key::WindowIndex;
use smallvec::SmallVec;

/// How many places a note holds without an allocation in this plugin.
const INLINE: usize = 8;

const SIZE: usize = 12;

/// A place in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) ticket: u64,
    /// Index in the list of limits.
    pub(crate) limit: u16,
    pub(crate) window: WindowIndex,
}

/// A note that is being written.
#[derive(Debug, Default)]
pub(crate) struct TicketNote(SmallVec<[u8; SIZE * INLINE]>);

impl TicketNote {
    pub(crate) fn push(&mut self, place: Ticket) {
        self.0.extend_from_slice(&place.ticket.to_le_bytes());
        self.0.extend_from_slice(&place.limit.to_le_bytes());
        self.0.extend_from_slice(&place.window.to_le_bytes());
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the places in a note. An incomplete record is left out.
pub(crate) fn tickets(note: &[u8]) -> impl Iterator<Item = Ticket> {
    note.as_chunks::<SIZE>().0.iter().map(|&[t0, t1, t2, t3, t4, t5, t6, t7, l0, l1, w0, w1]| {
        Ticket {
            ticket: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            limit: u16::from_le_bytes([l0, l1]),
            window: u16::from_le_bytes([w0, w1]),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_in_order_inline_and_beyond() {
        for count in [0, 1, 2, 7, 8, 9, 40] {
            let place = |n: u16| Ticket { ticket: u64::MAX - u64::from(n), limit: n, window: !n };
            let mut note = TicketNote::default();
            (0..count).for_each(|n| note.push(place(n)));
            assert_eq!(note.bytes().len(), usize::from(count) * SIZE);
            assert!(tickets(note.bytes()).eq((0..count).map(place)), "{count}");
        }
        assert_eq!(tickets(&[1; SIZE * 2 - 1]).count(), 1);
    }
}
