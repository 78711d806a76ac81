//! The text of `GET /metrics`, and the types of its values.
//!
//! Recording takes one or two atomic operations and no lock. `server::call_metrics` counts calls,
//! `host::metrics` has the plugins' metrics, `server::metrics` is the endpoint.

mod exposition;
mod histogram;
pub mod process;

pub use exposition::Exposition;
pub use histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The upper bounds of buckets in seconds.
pub const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The same for whole calls, because a model may think for minutes.
pub const CALL_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// A float to which many threads add.
#[derive(Debug, Default)]
pub struct AtomicF64(AtomicU64);

impl AtomicF64 {
    pub fn add(&self, value: f64) {
        let more = |bits: u64| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.0.fetch_update(Relaxed, Relaxed, more);
    }

    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}
