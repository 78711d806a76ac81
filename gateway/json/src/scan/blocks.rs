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
    pub(super) quote: u64,
    pub(super) backslash: u64,
    /// Allowed after a backslash: the usual escapes, not all.
    pub(super) usual: u64,
    /// Below 0x20.
    pub(super) control: u64,
}

/// A processor's way to examine a block. Its code has to be inlined into [`Work::run`], because
/// wide instructions are allowed only there.
pub(super) trait Blocks: Copy {
    /// `None` if there is no special byte, as in most text.
    fn find(self, block: &[u8; 64]) -> Option<Found>;
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

impl Blocks for Narrow {
    #[inline(always)]
    fn find(self, block: &[u8; 64]) -> Option<Found> {
        let (quarters, _) = block.as_chunks::<16>();
        let mut found = Found { quote: 0, backslash: 0, usual: 0, control: 0 };
        for (index, quarter) in quarters.iter().enumerate() {
            let bytes = u8x16::new(*quarter);
            let is = |byte: u8| bytes.simd_eq(u8x16::splat(byte));
            let (quote, backslash) = (is(b'"'), is(b'\\'));
            let usual = quote | backslash | is(b'n') | is(b't');
            let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
            let bits = |mask: u8x16| u64::from(mask.to_bitmask() as u16) << (16 * index);
            found.quote |= bits(quote);
            found.backslash |= bits(backslash);
            found.usual |= bits(usual);
            found.control |= bits(control);
        }
        (found.quote | found.backslash | found.control != 0).then_some(found)
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Wide(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
impl Blocks for Wide {
    #[inline(always)]
    fn find(self, block: &[u8; 64]) -> Option<Found> {
        let pulp::x86::V3 { avx2, .. } = self.0;
        let [first, second]: [__m256i; 2] = pulp::cast(*block);
        let (low, high) = (self.half(first), self.half(second));
        let any = avx2._mm256_or_si256(low.any, high.any);
        if avx2._mm256_movemask_epi8(any) == 0 {
            return None;
        }
        Some(Found {
            quote: self.bits(low.quote, high.quote),
            backslash: self.bits(low.backslash, high.backslash),
            usual: self.bits(self.usual(first, &low), self.usual(second, &high)),
            control: self.bits(low.control, high.control),
        })
    }
}

#[cfg(target_arch = "x86_64")]
impl Wide {
    #[inline(always)]
    fn is(self, bytes: __m256i, byte: u8) -> __m256i {
        self.0.avx2._mm256_cmpeq_epi8(bytes, self.0.avx._mm256_set1_epi8(byte as i8))
    }

    #[inline(always)]
    fn bits(self, low: __m256i, high: __m256i) -> u64 {
        let low = self.0.avx2._mm256_movemask_epi8(low) as u32;
        let high = self.0.avx2._mm256_movemask_epi8(high) as u32;
        u64::from(low) | u64::from(high) << 32
    }

    #[inline(always)]
    fn half(self, bytes: __m256i) -> Half {
        let pulp::x86::V3 { avx, avx2, .. } = self.0;
        let (quote, backslash) = (self.is(bytes, b'"'), self.is(bytes, b'\\'));
        let control =
            avx2._mm256_cmpeq_epi8(avx2._mm256_min_epu8(bytes, avx._mm256_set1_epi8(0x1f)), bytes);
        let any = avx2._mm256_or_si256(avx2._mm256_or_si256(quote, backslash), control);
        Half { quote, backslash, control, any }
    }

    /// Marks the bytes that are usual after a backslash.
    #[inline(always)]
    fn usual(self, bytes: __m256i, half: &Half) -> __m256i {
        let avx2 = self.0.avx2;
        let letters = avx2._mm256_or_si256(self.is(bytes, b'n'), self.is(bytes, b't'));
        avx2._mm256_or_si256(avx2._mm256_or_si256(half.quote, half.backslash), letters)
    }
}

#[cfg(target_arch = "x86_64")]
struct Half {
    quote: __m256i,
    backslash: __m256i,
    control: __m256i,
    /// Bytes of any of the three kinds.
    any: __m256i,
}
