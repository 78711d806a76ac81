//! Work beside the calls.

use super::{Host, HostError};
use crate::abi::{HostHandle, TaskVtRef, shim};
use std::future::Future;

/// Runs work on a background thread of the entry's, or on threads that may block, never on a thread
/// that serves calls. What panics is logged under the callback's name and ends, nothing else does.
///
/// A task may outlive the hook and the instance: move into it what it needs (`Arc`s of it), and
/// tell it in [`shutdown`](crate::Callback::shutdown) to come to its end. From then on it has 5
/// seconds; what still runs after them is dropped where it waits. (A job that blocks cannot be
/// dropped; the gateway ends without it.) Channels and locks that need no runtime work between
/// tasks and hooks: those of `std`, `futures`, and `tokio::sync`.
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

impl Task {
    /// Runs a future. It shares one thread with the timers and requests of this entry of the
    /// config, and with no other's: where it blocks, those wait. What blocks, and long
    /// computations, belong in [`Task::spawn_blocking`].
    ///
    /// # Errors
    /// [`FULL`](super::HostErrorKind::FULL): 1024 futures of this callback are not done yet;
    /// [`ENDING`](super::HostErrorKind::ENDING). The future is dropped then.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), HostError> {
        let work = shim::background::future(Host { raw: self.raw }, work);
        // SAFETY: as in `Host`; the future is given away.
        HostError::from_number(unsafe { (self.vt.spawn())(self.raw.ctx, work) })
    }

    /// Runs a job on a thread that may block. Jobs of all callbacks share four such threads.
    ///
    /// # Errors
    /// [`FULL`](super::HostErrorKind::FULL): 64 jobs of this callback are not done yet;
    /// [`ENDING`](super::HostErrorKind::ENDING). The job is dropped then.
    pub fn spawn_blocking(&self, job: impl FnOnce() + Send + 'static) -> Result<(), HostError> {
        let job = shim::background::job(Host { raw: self.raw }, job);
        // SAFETY: as in `Host`; the job is given away.
        HostError::from_number(unsafe { (self.vt.spawn_blocking())(self.raw.ctx, job) })
    }
}
