//! The only clock in the tests: a bound on how long to wait for something that should happen. It
//! never decides a result; it turns a hang into a failure that says what was awaited.

use std::time::Duration;

/// Generous, for a machine that is busy with other work.
const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits `future`, or fails naming `what`.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for: {what}"),
    }
}
