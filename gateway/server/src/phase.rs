//! The steps of a shutdown.

use tokio::sync::watch;

/// How far the shutdown has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// No new calls are accepted.
    Draining,
    /// Running calls are aborted.
    Cutting,
}

impl Phase {
    /// Waits until `phase` is this one or a later one.
    pub(super) async fn reached(self, phase: &mut watch::Receiver<Phase>) {
        let _ = phase.wait_for(|phase| *phase >= self).await;
    }
}
