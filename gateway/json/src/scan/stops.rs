//! Where the text of a string stops, for a whole chunk.

use super::blocks::Blocks;

/// Where text stops, found block by block in the whole chunk and without a branch for each escape.
/// Outside of strings there is nothing to be escaped, so what is in a string need not be known.
pub(super) struct Stops<'a, B> {
    blocks: B,
    chunk: &'a [u8],
    /// The end of the block that was looked at last; 0 before the first.
    end: usize,
    /// The end of a string, the second byte of an escape that is none of the usual ones, a control
    /// character.
    stops: u64,
    /// The backslashes of escapes, and their second bytes.
    escapes: u64,
    seconds: u64,
}

impl<'a, B: Blocks> Stops<'a, B> {
    /// `escaped`: the first byte is the second of an escape.
    #[inline(always)]
    pub(super) fn new(blocks: B, chunk: &'a [u8], escaped: bool) -> Self {
        let escapes = u64::from(escaped) << 63;
        Self { blocks, chunk, end: 0, stops: 0, escapes, seconds: 0 }
    }

    /// The first stop from `from`, or the first escape of any kind. Goes forwards only.
    #[inline(always)]
    pub(super) fn next(&mut self, mut from: usize, every_escape: bool) -> usize {
        loop {
            if from < self.end {
                let skip = (from + 64 - self.end) & 63;
                let stops = self.stops | if every_escape { self.escapes } else { 0 };
                let left = stops >> skip;
                if left != 0 {
                    let stop = from + left.trailing_zeros() as usize;
                    // An escape is looked at from its backslash on.
                    let back = (self.seconds >> (stop & 63)) as usize & 1;
                    return (stop - back).min(self.chunk.len());
                }
                from = self.end;
            }
            self.block();
        }
    }

    /// Looks at the next block.
    #[inline(always)]
    fn block(&mut self) {
        let rest = self.chunk.get(self.end..).unwrap_or_default();
        let mut last = [0; 64];
        let block = match rest.first_chunk::<64>() {
            Some(block) => block,
            None => {
                // What follows the end reads as control characters.
                last[..rest.len()].copy_from_slice(rest);
                &last
            }
        };
        self.end += 64;
        let first = self.escapes >> 63;
        let Some(found) = self.blocks.find(block) else {
            // Its first byte may still be the second of an escape.
            let unusual = !matches!(block[0], b'n' | b't');
            (self.escapes, self.seconds, self.stops) = (0, first, first & u64::from(unusual));
            return;
        };
        (self.escapes, self.seconds) = escapes(found.backslash, first);
        let unusual = self.seconds & !found.usual;
        self.stops = (found.quote & !self.seconds) | found.control | unusual;
    }
}

/// Which backslashes begin an escape, and which bytes come second in one; `first` is 1 when the
/// first byte does. Every other of a run of backslashes is itself escaped.
#[inline(always)]
fn escapes(backslash: u64, first: u64) -> (u64, u64) {
    const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;
    let candidates = backslash & !first;
    let seconds = ((candidates << 1) | ODD).wrapping_sub(candidates) ^ ODD;
    let escaped = seconds ^ (backslash | first);
    (seconds & backslash, escaped)
}
