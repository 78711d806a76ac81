//! How often values fell below each of some bounds.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::AtomicF64;

/// Counts by bucket, and the sum of all values.
#[derive(Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    /// One more than bounds: the last counts what is above them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicF64,
}

impl Histogram {
    /// `bounds` are finite and ascending.
    pub fn new(bounds: &[f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds: bounds.into(), counts, sum: AtomicF64::default() }
    }

    /// Counts a value in; what is no number is ignored.
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

    /// Each upper bound with how many fell into its bucket alone; the last is infinite.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().map(|count| count.load(Relaxed)))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| count.load(Relaxed) == 0)
    }

    pub fn sum(&self) -> f64 {
        self.sum.get()
    }
}
