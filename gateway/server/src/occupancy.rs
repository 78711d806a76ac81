//! The connections and workers of a gateway as they are now: for `GET /metrics`, readiness, and the
//! bound on connections.

use callgate_telemetry::metrics::Exposition;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Counts connections and workers.
#[derive(Debug, Default)]
pub(crate) struct Occupancy {
    connections: AtomicUsize,
    workers: AtomicUsize,
    stuck: AtomicUsize,
}

/// A connection that is open for as long as this lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Occupancy>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl Occupancy {
    /// Counts a connection.
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// How many are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Records the number of workers, and how many of them are stuck.
    pub(crate) fn note_workers(&self, workers: usize, stuck: usize) {
        self.workers.store(workers, Relaxed);
        self.stuck.store(stuck, Relaxed);
    }

    /// The number of stuck workers, and of all workers.
    pub(crate) fn stuck(&self) -> (usize, usize) {
        (self.stuck.load(Relaxed), self.workers.load(Relaxed))
    }

    /// Adds the metric families to `text`.
    pub(crate) fn write(&self, text: &mut Exposition) {
        let name = "callgate_connections";
        text.family(name, "gauge", "Clients' connections that are open.");
        text.sample(name, &[], self.connections() as f64);
        let (stuck, workers) = self.stuck();
        let name = "callgate_workers";
        text.family(name, "gauge", "Threads that serve calls.");
        text.sample(name, &[], workers as f64);
        let name = "callgate_workers_stuck";
        text.family(name, "gauge", "Workers that are stuck.");
        text.sample(name, &[], stuck as f64);
    }
}
