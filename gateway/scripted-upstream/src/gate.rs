//! A gate in an answer: the upstream stops there until the script's owner opens it. Scripts control
//! time with it; nothing here reads a clock.

use std::sync::Arc;
use tokio::sync::watch;

/// A point where answers wait. Clones are the same gate, which may occur in many answers.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<Turns>>);

#[derive(Debug, Default)]
struct Turns {
    arrived: usize,
    admitted: usize,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(Turns::default()).0))
    }

    /// Lets everything pass, now and later.
    pub fn open(&self) {
        self.0.send_modify(|turns| turns.admitted = usize::MAX);
    }

    /// Lets `count` more arrivals pass, oldest first.
    pub fn admit(&self, count: usize) {
        self.0.send_modify(|turns| turns.admitted = turns.admitted.saturating_add(count));
    }

    /// Waits until `count` arrivals have been counted in all, passed ones included.
    pub async fn arrived(&self, count: usize) {
        let _ = self.0.subscribe().wait_for(|turns| turns.arrived >= count).await;
    }

    pub(super) async fn pass(&self) {
        let mut turn = 0;
        self.0.send_modify(|turns| {
            turn = turns.arrived;
            turns.arrived += 1;
        });
        let _ = self.0.subscribe().wait_for(|turns| turns.admitted > turn).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
