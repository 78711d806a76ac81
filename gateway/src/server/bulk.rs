//! Memory for large bodies that goes back to the system when they are done. Thousands of pieces
//! from the allocator would leave it holding what they took; here they are put together in pages
//! of their own. A small body passes as it comes.

use crate::json::Slices;
use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;

/// Up to here a body passes as it comes.
const SMALL: usize = 1024 * 1024;

/// Pages taken at once.
const SEGMENT: usize = 4 * 1024 * 1024;

/// Puts together the pieces of one body.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    seen: usize,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    pages: MmapMut,
    filled: usize,
}

impl Bulk {
    /// Takes the next piece, and gives each part of the body that is ready to `ready`, in order.
    pub(super) fn add<E>(
        &mut self,
        piece: Bytes,
        mut ready: impl FnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E> {
        self.seen += piece.len();
        if self.seen <= SMALL {
            return ready(piece);
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            // Without pages the allocator has to do.
            let Some(segment) = self.segment.take().or_else(Segment::new) else {
                return ready(Bytes::copy_from_slice(rest));
            };
            let (segment, left) = segment.fill(rest);
            rest = left;
            if segment.filled < segment.pages.len() {
                self.segment = Some(segment);
            } else {
                ready(segment.finish())?;
            }
        }
        Ok(())
    }

    /// What is still kept, at the end of the body.
    pub(super) fn rest(self) -> Option<Bytes> {
        self.segment.map(Segment::finish)
    }
}

impl Segment {
    fn new() -> Option<Self> {
        MmapMut::map_anon(SEGMENT).ok().map(|pages| Self { pages, filled: 0 })
    }

    fn fill(mut self, bytes: &[u8]) -> (Self, &[u8]) {
        let room = &mut self.pages[self.filled..];
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        self.filled += now.len();
        (self, later)
    }

    fn finish(self) -> Bytes {
        Bytes::from_owner(self.pages).slice(..self.filled)
    }
}

/// The pieces as one.
pub(super) fn joined(mut pieces: Slices) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let length = pieces.iter().map(Bytes::len).sum();
    if length > SMALL
        && let Ok(mut pages) = MmapMut::map_anon(length)
    {
        let mut at = 0;
        for piece in &pieces {
            pages[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
        return Bytes::from_owner(pages);
    }
    let mut whole = BytesMut::with_capacity(length);
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_whatever_its_size_and_pieces() {
        for (length, piece) in [(10, 3), (SMALL, 1000), (SMALL + 1, 70_000), (10_000_000, 16_384)] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut bulk = Bulk::default();
            let mut parts = Slices::new();
            for piece in body.chunks(piece) {
                let add = |part| {
                    parts.push(part);
                    Ok::<(), ()>(())
                };
                bulk.add(Bytes::copy_from_slice(piece), add).unwrap();
            }
            parts.extend(bulk.rest());
            assert!(joined(parts) == body, "{length} in pieces of {piece}");
        }
    }
}
