//! A histogram of times, with four buckets for each doubling, so that a percentile is off by less
//! than an eighth. `stats` does the counting.

/// Up to 2^41 ns, which is 36 minutes; longer times go into the last bucket.
pub(super) const BUCKETS: usize = 4 * 40;

/// Below this, every number has a bucket of its own.
const EXACT: u64 = 8;

/// The bucket of a time in ns.
pub(super) fn bucket_of(ns: u64) -> usize {
    if ns < EXACT {
        return usize::try_from(ns).unwrap_or_default();
    }
    let octave = ns.ilog2();
    let quarter = (ns >> (octave - 2)) & 3;
    let bucket = octave as usize * 4 - 4 + usize::try_from(quarter).unwrap_or_default();
    bucket.min(BUCKETS - 1)
}

/// The middle of a bucket, in ns.
fn middle_of(bucket: usize) -> f64 {
    if bucket < 8 {
        return bucket as f64;
    }
    let (octave, quarter) = ((bucket + 4) / 4, bucket % 4);
    let width = (octave as f64 - 2.0).exp2();
    width * (4.0 + quarter as f64 + 0.5)
}

/// The time in ns that a `share` (0 to 1) of all counted runs did not exceed; `None` if nothing was
/// counted.
pub(super) fn percentile(counts: &[u64; BUCKETS], share: f64) -> Option<f64> {
    let total: u64 = counts.iter().sum();
    let wanted = (share * total as f64).ceil().max(1.0);
    let mut seen = 0_u64;
    let found = counts.iter().position(|count| {
        seen += count;
        seen as f64 >= wanted
    })?;
    Some(middle_of(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_their_middle() {
        let mut before = 0;
        for power in 0..48_u32 {
            for step in 0..16_u64 {
                let ns = (1_u64 << power) + ((step << power) >> 4);
                let bucket = bucket_of(ns);
                assert!(bucket == before || bucket == before + 1 || ns < EXACT, "{ns}: {bucket}");
                before = bucket;
                if ns < 1 << 40 {
                    let off = (middle_of(bucket) - ns as f64).abs() / ns as f64;
                    assert!(off <= 0.126, "{ns} is told as {}", middle_of(bucket));
                }
            }
        }
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn percentiles_are_of_what_was_counted() {
        let mut counts = [0; BUCKETS];
        assert_eq!(percentile(&counts, 0.5), None);
        for (ns, times) in [(100, 98), (10_000, 1), (1_000_000, 1)] {
            counts[bucket_of(ns)] += times;
        }
        for (share, expected) in [(0.0, 100.0), (0.5, 100.0), (0.99, 1e4), (1.0, 1e6)] {
            let found = percentile(&counts, share).unwrap();
            assert!((found - expected).abs() / expected < 0.126, "{share}: {found}");
        }
    }
}
