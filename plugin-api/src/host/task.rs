//! Background work.

use super::{Host, HostError, HostErrorKind};
use crate::abi::{HostHandle, TaskVtRef, shim};
use std::{fmt, future::Future};

/// Runs work in the background, never on a thread that serves calls: futures on the entry's
/// background thread, jobs on threads that may block. A task that panics ends and is logged under
/// the callback's name; nothing else is affected. A task may outlive the hook and the instance, so
/// move copies or `Arc`s into it. A task that runs in a loop waits for [`Task::shutdown`] beside
/// its work. It then has 5 s; after that it is dropped at its `.await`. (A blocking job cannot be
/// dropped; the gateway exits without waiting for it.) Channels and locks that need no runtime work
/// between tasks and hooks: those of `std`, `futures` and `tokio::sync`.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use plugin_api::{Callback, Flow, Hook, Host, InitError, Level, LlmCall};
/// use plugin_api::testing::{TestCall, Tester};
///
/// struct Notes(Host);
///
/// impl Callback for Notes {
///     type Settings = serde_json::Value;
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> { Ok(Self(host)) }
///     fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let (host, id) = (self.0, call.id().to_owned());
///         if let Some(task) = host.task() {
///             let _ = task.spawn_blocking(move || host.log(Level::Info, &id));
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let tester = Tester::of::<Notes>(serde_json::json!({}))?;
/// tester.start(&mut TestCall::chat("gemma3"));
/// assert!(tester.host().log().is_empty());
/// assert_eq!(tester.host().run_tasks(), 0, "none is left");
/// assert_eq!(tester.host().log().len(), 1);
/// # Ok::<(), InitError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Task {
    pub(super) raw: HostHandle,
    pub(super) vt: TaskVtRef,
}

lent!(Task);

impl Host {
    /// Returns the task service, which runs futures and blocking jobs in the background.
    #[must_use]
    pub fn task(&self) -> Option<Task> {
        Some(Task { raw: self.raw, vt: self.raw.vt.task().into_option()? })
    }
}

impl Task {
    /// Runs a future on the entry's background thread, which also serves the entry's other futures,
    /// timers and requests. A future that blocks holds them up, but no other entry's. Use
    /// [`Task::spawn_blocking`] for blocking work and long computations.
    ///
    /// # Errors
    /// [`FULL`](super::HostErrorKind::FULL): 1024 futures of this instance are running;
    /// [`ENDING`](super::HostErrorKind::ENDING): the gateway is shutting down. The future is
    /// dropped.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), HostError> {
        let work = shim::background::future(Host { raw: self.raw }, work);
        // SAFETY: as in `Host`; the future is given away.
        let number = unsafe { (self.vt.spawn())(self.raw.ctx, work) };
        HostError::from_number(
            number,
            &[(HostErrorKind::FULL, "this instance already has 1024 tasks")],
        )
    }

    /// Returns a future that completes when the instance's shutdown begins: because the gateway
    /// ends, or because a reload replaces the instance. A task that runs in a loop waits for it
    /// beside its work, and ends. It completes before [`shutdown`](crate::Callback::shutdown) is
    /// called, and tasks have 5 s from then on. `None` if the gateway is older than 1.1.
    ///
    /// ```no_run
    /// # use std::{future::Future, pin::pin, task::Poll};
    /// # fn hook(host: plugin_api::Host) -> Option<()> {
    /// let (task, timer) = (host.task()?, host.timer()?);
    /// let mut ending = Box::pin(task.shutdown()?);
    /// let _ = task.spawn(async move {
    ///     loop {
    ///         let mut pause = pin!(timer.sleep(std::time::Duration::from_secs(60)));
    ///         let is_ending = std::future::poll_fn(|context| {
    ///             if ending.as_mut().poll(context).is_ready() {
    ///                 return Poll::Ready(true);
    ///             }
    ///             pause.as_mut().poll(context).map(|()| false)
    ///         });
    ///         if is_ending.await {
    ///             break; // Sends what is left.
    ///         }
    ///     }
    /// });
    /// # Some(())
    /// # }
    /// ```
    #[must_use]
    pub fn shutdown(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        // SAFETY: as in `Host`.
        self.vt.shutdown().map(|shutdown| unsafe { shutdown(self.raw.ctx) })
    }

    /// Runs a job on a thread that may block. At most four jobs of an entry run at once; others
    /// wait.
    ///
    /// # Errors
    /// [`FULL`](super::HostErrorKind::FULL): 64 jobs of this instance run or wait;
    /// [`ENDING`](super::HostErrorKind::ENDING): the gateway is shutting down. The job is dropped.
    pub fn spawn_blocking(&self, job: impl FnOnce() + Send + 'static) -> Result<(), HostError> {
        let job = shim::background::job(Host { raw: self.raw }, job);
        // SAFETY: as in `Host`; the job is given away.
        let number = unsafe { (self.vt.spawn_blocking())(self.raw.ctx, job) };
        HostError::from_number(
            number,
            &[(HostErrorKind::FULL, "this instance already has 64 jobs")],
        )
    }
}
