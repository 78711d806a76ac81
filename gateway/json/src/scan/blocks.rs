//! Finds the special bytes among 64, with the widest instructions of this processor.
//!
//! The instruction set is detected at run time. `pulp` calls it with a proof that it is available,
//! so that nothing here is unsafe; `wide` is for other processors.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256i;
use wide::u8x16;

/// One bit for each byte of a block, the first byte lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Quotes, and bytes below 0x20.
    pub(super) ends: u64,
    pub(super) backslashes: u64,
}

/// A processor's way to examine a block. Its code has to be inlined into [`Work::run`], because
/// wide instructions are allowed only there.
pub(super) trait Blocks: Copy {
    /// `None` if there is no special byte, as in most text.
    fn find(self, block: &[u8; 64]) -> Option<Found>;

    /// The bytes that are allowed after a backslash: the usual escapes, not all.
    fn usual(self, block: &[u8; 64]) -> u64;
}

/// The work on blocks.
pub(super) trait Work {
    type Output;
    fn run(self, blocks: impl Blocks) -> Self::Output;
}

/// Runs `work` with the widest instructions this processor has.
#[inline(always)]
pub(super) fn with_best<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(v3) = pulp::x86::V3::try_new() {
        return pulp::Simd::vectorize(v3, Vectorized(work, v3));
    }
    work.run(Narrow)
}

#[cfg(target_arch = "x86_64")]
struct Vectorized<W>(W, pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
impl<W: Work> pulp::WithSimd for Vectorized<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> W::Output {
        self.0.run(Wide(self.1))
    }
}

#[derive(Clone, Copy)]
pub(super) struct Narrow;

impl Narrow {
    /// The bytes that `is` marks, quarter by quarter.
    #[inline(always)]
    fn bits(block: &[u8; 64], is: impl Fn(u8x16) -> u8x16) -> u64 {
        let (quarters, _) = block.as_chunks::<16>();
        quarters.iter().enumerate().fold(0, |bits, (index, quarter)| {
            let found = is(u8x16::new(*quarter)).to_bitmask() as u16;
            bits | u64::from(found) << (16 * index)
        })
    }
}

impl Blocks for Narrow {
    #[inline(always)]
    fn find(self, block: &[u8; 64]) -> Option<Found> {
        let ends = Self::bits(block, |bytes| {
            let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
            control | bytes.simd_eq(u8x16::splat(b'"'))
        });
        let backslashes = Self::bits(block, |bytes| bytes.simd_eq(u8x16::splat(b'\\')));
        (ends | backslashes != 0).then_some(Found { ends, backslashes })
    }

    #[inline(always)]
    fn usual(self, block: &[u8; 64]) -> u64 {
        Self::bits(block, |bytes| {
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            USUAL.iter().fold(u8x16::splat(0), |found, byte| found | is(*byte))
        })
    }
}

/// The usual escapes. No two share their last four bits.
const USUAL: [u8; 6] = *b"nt\"\\/f";

/// The usual escape with these last four bits, or a byte that has others.
#[cfg(target_arch = "x86_64")]
const USUAL_BY_LAST_BITS: [u8; 32] = {
    let mut table = [0; 32];
    (table[0], table[16]) = (1, 1);
    let mut index = 0;
    while index < USUAL.len() {
        let last_bits = (USUAL[index] & 0xf) as usize;
        assert!(table[last_bits] == 0);
        (table[last_bits], table[last_bits + 16]) = (USUAL[index], USUAL[index]);
        index += 1;
    }
    table
};

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Wide(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
impl Blocks for Wide {
    #[inline(always)]
    fn find(self, block: &[u8; 64]) -> Option<Found> {
        let avx2 = self.0.avx2;
        let [low, high]: [__m256i; 2] = pulp::cast(*block);
        let (low_ends, high_ends) = (self.ends(low), self.ends(high));
        let (low_slashes, high_slashes) = (self.is(low, b'\\'), self.is(high, b'\\'));
        let ends = avx2._mm256_or_si256(low_ends, high_ends);
        let slashes = avx2._mm256_or_si256(low_slashes, high_slashes);
        if avx2._mm256_movemask_epi8(avx2._mm256_or_si256(ends, slashes)) == 0 {
            return None;
        }
        let ends = self.bits(low_ends, high_ends);
        Some(Found { ends, backslashes: self.bits(low_slashes, high_slashes) })
    }

    #[inline(always)]
    fn usual(self, block: &[u8; 64]) -> u64 {
        let avx2 = self.0.avx2;
        let table: __m256i = pulp::cast(USUAL_BY_LAST_BITS);
        let [low, high]: [__m256i; 2] = pulp::cast(*block);
        // For a byte above 0x7f the table has 0.
        let is = |bytes| avx2._mm256_cmpeq_epi8(avx2._mm256_shuffle_epi8(table, bytes), bytes);
        self.bits(is(low), is(high))
    }
}

#[cfg(target_arch = "x86_64")]
impl Wide {
    #[inline(always)]
    fn is(self, bytes: __m256i, byte: u8) -> __m256i {
        self.0.avx2._mm256_cmpeq_epi8(bytes, self.0.avx._mm256_set1_epi8(byte as i8))
    }

    /// Marks quotes, and bytes below 0x20.
    #[inline(always)]
    fn ends(self, bytes: __m256i) -> __m256i {
        let pulp::x86::V3 { avx, avx2, .. } = self.0;
        let least = avx2._mm256_min_epu8(bytes, avx._mm256_set1_epi8(0x1f));
        avx2._mm256_or_si256(self.is(bytes, b'"'), avx2._mm256_cmpeq_epi8(least, bytes))
    }

    #[inline(always)]
    fn bits(self, low: __m256i, high: __m256i) -> u64 {
        let low = self.0.avx2._mm256_movemask_epi8(low) as u32;
        let high = self.0.avx2._mm256_movemask_epi8(high) as u32;
        u64::from(low) | u64::from(high) << 32
    }
}
