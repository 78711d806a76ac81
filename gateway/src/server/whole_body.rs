//! The body of a JSON reply, read whole: bounded in size and, from the request on, in time.

use super::{
    alarm::Alarm,
    bulk::{Bulk, joined},
};
use crate::{
    json::Slices,
    upstream::{Answer, UpstreamError},
};
use bytes::{Bytes, BytesMut};
use std::{convert::Infallible, time::Instant};

/// Smaller pieces are put together: there may be one of every byte.
const PIECE: usize = 64 * 1024;

/// Why there is no whole body.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    TooLate,
    Broken(UpstreamError),
}

pub(super) async fn read(
    answer: &mut Answer,
    alarm: &Alarm,
    end: Option<Instant>,
    limit: usize,
) -> Result<Bytes, Unread> {
    if answer.announced().is_some_and(|length| length > limit as u64) {
        return Err(Unread::TooLarge);
    }
    let mut gathered = Gathered::default();
    while let Some(next) = alarm.until(end, answer.next()).await.ok_or(Unread::TooLate)? {
        let piece = next.map_err(Unread::Broken)?;
        if gathered.length + piece.len() > limit {
            return Err(Unread::TooLarge);
        }
        gathered.add(piece);
    }
    Ok(gathered.finish())
}

/// The pieces so far. A body of one piece is not copied.
#[derive(Debug, Default)]
struct Gathered {
    length: usize,
    only: Option<Bytes>,
    small: BytesMut,
    bulk: Bulk,
    parts: Slices,
}

impl Gathered {
    fn add(&mut self, piece: Bytes) {
        let first = self.length == 0;
        self.length += piece.len();
        if first {
            self.only = Some(piece);
            return;
        }
        if let Some(only) = self.only.take() {
            self.append(&only);
        }
        self.append(&piece);
    }

    fn append(&mut self, piece: &[u8]) {
        self.small.extend_from_slice(piece);
        if self.small.len() >= PIECE {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let parts = &mut self.parts;
        let add = |part| {
            parts.push(part);
            Ok::<(), Infallible>(())
        };
        let Ok(()) = self.bulk.add(self.small.split().freeze(), add);
    }

    fn finish(mut self) -> Bytes {
        if let Some(only) = self.only {
            return only;
        }
        self.pass_on();
        self.parts.extend(self.bulk.rest());
        self.parts.retain(|part| !part.is_empty());
        joined(self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_in_any_pieces() {
        for (length, piece) in [(0, 1), (10, 10), (10, 3), (200_000, 1), (3_000_000, 16_384)] {
            let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut gathered = Gathered::default();
            body.chunks(piece).for_each(|piece| gathered.add(Bytes::copy_from_slice(piece)));
            assert!(gathered.parts.len() <= length / PIECE + 1, "{length} in pieces of {piece}");
            assert!(gathered.finish() == body, "{length} in pieces of {piece}");
        }
    }

    #[test]
    fn one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"{}");
        let mut gathered = Gathered::default();
        gathered.add(piece.clone());
        assert_eq!(gathered.finish().as_ptr(), piece.as_ptr());
    }
}
