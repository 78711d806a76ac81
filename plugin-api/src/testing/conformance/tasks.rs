//! Whether a callback's tasks end when its instance does.

use super::Violation;
use crate::testing::MockHost;
use std::time::Duration;

/// The time that a gateway gives tasks to end, in seconds.
const SECONDS_TO_END: u64 = 5;

/// Runs the tasks of instances whose shutdown has begun, for as long as a gateway waits for them.
pub(super) fn end(host: &MockHost) -> Result<(), Violation> {
    host.wait();
    let mut left = host.run_tasks();
    for _ in 0..SECONDS_TO_END {
        if left == 0 {
            return Ok(());
        }
        host.advance(Duration::from_secs(1));
        left = host.run_tasks();
    }
    host.drop_tasks();
    if left == 0 {
        return Ok(());
    }
    let tasks = if left == 1 {
        "1 task still waits".to_owned()
    } else {
        format!("{left} tasks still wait")
    };
    Err(Violation(format!(
        "{tasks} {SECONDS_TO_END} s after `shutdown` began, and a gateway's stop would wait for them; \
         end each when `Task::shutdown` completes"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use crate::{Callback, Flow, Hook, Host, InitError, LlmCall};
    use std::time::Duration;

    /// Starts a task that wakes every second; with `true` it ends at the shutdown.
    struct Ticks;

    impl Callback for Ticks {
        type Settings = bool;

        fn new(host: Host, ends: bool) -> Result<Self, InitError> {
            let (task, timer) = (host.task().unwrap(), host.timer().unwrap());
            let shutdown = task.shutdown().filter(|_| ends);
            task.spawn(async move {
                let ticks = async {
                    loop {
                        timer.sleep(Duration::from_secs(1)).await;
                    }
                };
                match shutdown {
                    Some(shutdown) => either(ticks, shutdown).await,
                    None => ticks.await,
                }
            })
            .map_err(|error| InitError::new(error.to_string()))?;
            Ok(Self)
        }

        fn on_llm_start(&self, _call: &mut LlmCall<'_>) -> Hook {
            Ok(Flow::Continue)
        }
    }

    async fn either(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
        let (mut one, mut other) = (Box::pin(one), Box::pin(other));
        std::future::poll_fn(|context| {
            if one.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(());
            }
            other.as_mut().poll(context)
        })
        .await;
    }

    #[test]
    fn tasks_that_outlive_their_instances_are_a_violation() {
        assert_eq!(check::<Ticks>(&true.into()).unwrap(), ["on_llm_start"]);
        let violation = check::<Ticks>(&false.into()).unwrap_err().to_string();
        assert!(violation.starts_with("2 tasks still wait 5 s after `shutdown`"), "{violation}");
    }
}
