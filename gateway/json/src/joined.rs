//! Joins pieces.

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use smallvec::SmallVec;

/// The length from which the whole has its own pages, which go back to the system with it.
const SMALL: usize = 1024 * 1024;

/// Bytes in pieces; usually one.
pub type Slices = SmallVec<[Bytes; 1]>;

/// The pieces as one.
pub fn joined(mut pieces: Slices) -> Bytes {
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
    fn pieces_are_joined_in_order_and_one_is_not_copied() {
        for (length, piece) in [(10, 3), (SMALL, 1000), (SMALL + 1, 70_000), (10_000_000, 16_384)] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let parts: Slices = body.chunks(piece).map(Bytes::copy_from_slice).collect();
            assert!(joined(parts) == body, "{length} in pieces of {piece}");
        }
        let piece = Bytes::from_static(b"{}");
        assert_eq!(joined([piece.clone()].into()).as_ptr(), piece.as_ptr());
    }
}
