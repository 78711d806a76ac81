//! Finds the bytes where the text of a string stops, for a whole chunk.

use super::blocks::Blocks;

/// Finds the stops block by block, without a branch for each escape. Outside of strings there are
/// no escapes, so it need not know where strings are.
pub(super) struct Stops<'a, B> {
    blocks: B,
    chunk: &'a [u8],
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
        Self { blocks, chunk, end: 0, stops: 0, escapes, seconds: 0 }
    }

    /// The first stop from `from`, or with `every_escape` the first escape of any kind. Only moves
    /// forward.
    #[inline(always)]
    pub(super) fn next(&mut self, mut from: usize, every_escape: bool) -> usize {
        loop {
            if from < self.end {
                let skip = (from + 64 - self.end) & 63;
                let stops = self.stops | if every_escape { self.escapes } else { 0 };
                let left = stops >> skip;
                if left != 0 {
                    let stop = from + left.trailing_zeros() as usize;
                    // An escape is examined from its backslash.
                    let back = (self.seconds >> (stop & 63)) as usize & 1;
                    return (stop - back).min(self.chunk.len());
                }
                from = self.end;
            }
            self.block();
        }
    }

    /// Examines the next block.
    #[inline(always)]
    fn block(&mut self) {
        let rest = self.chunk.get(self.end..).unwrap_or_default();
        let mut last = [0; 64];
        let block = match rest.first_chunk::<64>() {
            Some(block) => block,
            None => {
                // Bytes beyond the end count as control characters.
                last[..rest.len()].copy_from_slice(rest);
                &last
            }
        };
        self.end += 64;
        let first = self.escapes >> 63;
        let Some(found) = self.blocks.find(block) else {
            // Its first byte may be the second one of an escape.
            let unusual = !matches!(block[0], b'n' | b't');
            (self.escapes, self.seconds, self.stops) = (0, first, first & u64::from(unusual));
            return;
        };
        (self.escapes, self.seconds) = escapes(found.backslash, first);
        let unusual = self.seconds & !found.usual;
        self.stops = (found.quote & !self.seconds) | found.control | unusual;
    }
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
