//! A histogram: counts of values by upper bound.

use super::AtomicF64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts for each bucket, and the sum of all values.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    /// One more than the bounds: the last bucket is for values above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

impl Histogram {
    /// `bounds` are finite and ascending.
    pub fn new(bounds: &[f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds: bounds.into(), counts, sum: AtomicF64::default() }
    }

    /// Counts a value; ignores NaN.
    pub fn record(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Relaxed);
            self.sum.add(value);
        }
    }

    /// Each upper bound with the count of its own bucket; the last bound is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().map(|count| count.load(Relaxed)))
    }

    /// Whether no value was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| count.load(Relaxed) == 0)
    }

    pub fn sum(&self) -> f64 {
        self.sum.get()
    }
}
