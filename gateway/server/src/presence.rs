//! Whether a call's client is still there, before an upstream is called for it.

use super::connection_timer::ConnectionTimer;
use callgate_failure::Failure;
use std::time::Duration;
use tokio::task::yield_now;

/// A client may have left during a call that has taken longer than this.
pub(super) const LONG: Duration = Duration::from_millis(1);

/// The number of yields after which every watcher has noticed a client that left.
const TURNS: usize = 4;

/// Checks whether the client is still there after a hook may have kept this thread busy. If it has
/// left, the connection reports it, or hyper drops this future.
pub(super) async fn still_there(timer: &ConnectionTimer) -> Result<(), Failure> {
    for _ in 0..TURNS {
        yield_now().await;
        if timer.client_has_left() {
            return Err(Failure::client_gone());
        }
    }
    Ok(())
}
