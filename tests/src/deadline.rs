//! The only clock in the tests: a limit on waiting for an event that should happen. It never
//! decides a result; it turns a hang into a failure that names the event.

use std::time::Duration;

/// Generous, for a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `future`; fails after the time limit and names `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for: {what}"),
    }
}
