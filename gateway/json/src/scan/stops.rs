//! Finds the bytes where the text of a string stops, for a whole chunk.

use super::blocks::{Blocks, Found};

/// Finds the stops block by block, without a branch for each escape. Outside of strings there are
/// no escapes, so it need not know where strings are.
pub(super) struct Stops<'a, B> {
    blocks: B,
    length: usize,
    whole: &'a [[u8; 64]],
    /// The end of the chunk, after its last whole block.
    rest: &'a [u8],
    /// The end of the last examined block; 0 before the first.
    end: usize,
    /// The ends of strings, the second bytes of unusual escapes, and control characters.
    stops: u64,
    /// The backslashes of escapes, and their second bytes.
    escapes: u64,
    seconds: u64,
}

impl<'a, B: Blocks> Stops<'a, B> {
    /// `escaped` says that the first byte is the second one of an escape.
    #[inline(always)]
    pub(super) fn new(blocks: B, chunk: &'a [u8], escaped: bool) -> Self {
        let escapes = u64::from(escaped) << 63;
        let (whole, rest) = chunk.as_chunks();
        Self { blocks, length: chunk.len(), whole, rest, end: 0, stops: 0, escapes, seconds: 0 }
    }

    /// The first stop from `from`, or with `every_escape` the first escape of any kind. Only moves
    /// forward.
    #[inline(always)]
    pub(super) fn next(&mut self, mut from: usize, every_escape: bool) -> usize {
        let mask = if every_escape { u64::MAX } else { 0 };
        while self.end <= from {
            self.block();
        }
        // Blocks begin at multiples of their length.
        let mut left = (self.stops | self.escapes & mask) >> (from & 63);
        while left == 0 {
            from = self.end;
            self.block();
            left = self.stops | self.escapes & mask;
        }
        let stop = from + left.trailing_zeros() as usize;
        // An escape is examined from its backslash.
        let back = (self.seconds >> (stop & 63)) as usize & 1;
        (stop - back).min(self.length)
    }

    /// Examines the next block.
    #[inline(always)]
    fn block(&mut self) {
        let block = self.whole.get(self.end / 64);
        self.end += 64;
        match block {
            Some(block) => self.look(block),
            None => self.look(&padded(self.rest)),
        }
    }

    #[inline(always)]
    fn look(&mut self, block: &[u8; 64]) {
        let first = self.escapes >> 63;
        let Found { ends, backslashes } = match self.blocks.find(block) {
            Some(found) => found,
            // Its first byte may be the second one of an escape.
            None => Found { ends: 0, backslashes: 0 },
        };
        if backslashes | first == 0 {
            (self.escapes, self.seconds, self.stops) = (0, 0, ends);
            return;
        }
        (self.escapes, self.seconds) = escapes(backslashes, first);
        // A control character is never a usual escape, so it stays a stop.
        let unusual = self.seconds & !self.blocks.usual(block);
        self.stops = (ends & !self.seconds) | unusual;
    }
}

/// The last block of a chunk. Bytes beyond the end count as control characters, so the scan stops
/// there.
#[cold]
fn padded(rest: &[u8]) -> [u8; 64] {
    let mut last = [0; 64];
    last[..rest.len()].copy_from_slice(rest);
    last
}

/// Which backslashes begin an escape, and which bytes are the second of one; `first` is 1 if the
/// first byte is. In a run of backslashes every other one is itself escaped.
#[inline(always)]
fn escapes(backslash: u64, first: u64) -> (u64, u64) {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let candidates = backslash & !first;
    let seconds = ((candidates << 1) | ODD).wrapping_sub(candidates) ^ ODD;
    let escaped = seconds ^ (backslash | first);
    (seconds & backslash, escaped)
}
