//! What the gateway itself, its callbacks or the end of a call's client make fail.

use super::{Failure, Reason};
use plugin_api::FailureKind;
use std::sync::Arc;

impl Failure {
    /// What should not happen. `cause` goes to the log only.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::of(Reason::Internal, "the gateway failed to answer this call").cause(cause)
    }

    /// A variable the config names and the environment lacks.
    pub fn missing_variable(model: &str, variable: &str) -> Self {
        let text = format!(
            "model `{model}` needs the environment variable `{variable}`, which is not set where \
             this gateway runs"
        );
        Self::of(Reason::MissingVariable, text)
    }

    pub fn too_many_bytes_in_flight(max: usize) -> Self {
        let text = format!(
            "this gateway has as many bytes of requests in hand as it takes, {max} \
             (`callgate.limits.max_inflight_bytes`); retry in a moment"
        );
        Self::of(Reason::TooManyBytesInFlight, text).retry_after("1")
    }

    pub fn workers_stuck() -> Self {
        Self::of(
            Reason::WorkersStuck,
            "this gateway cannot answer: none of its workers comes back from the hooks they run",
        )
    }

    /// The limit is the gateway's own: nothing is known of the upstream.
    pub fn out_of_descriptors(upstream: &str) -> Self {
        let text = format!(
            "this gateway has run out of file descriptors and could not call {upstream}; try again \
             later"
        );
        Self::of(Reason::OutOfDescriptors, text).retry_after("1")
    }

    pub fn client_gone() -> Self {
        Self::of(
            Reason::ClientGone,
            "the client closed the connection before the answer was complete",
        )
    }

    /// The gateway ends before the call does.
    pub fn shutting_down() -> Self {
        Self::of(
            Reason::ShuttingDown,
            "this gateway is shutting down, and the answer was not complete in time",
        )
    }

    fn retry_after(mut self, seconds: &str) -> Self {
        self.retry_after = Some(seconds.to_owned());
        self
    }
}

/// Callbacks.
impl Failure {
    /// A callback under `on_error: fail` did not do its work.
    pub fn callback_failed(callback: &Arc<str>, kind: FailureKind) -> Self {
        Self::without_callback(callback, kind, "failed, so the call was stopped")
    }

    /// The same, while its breaker is open.
    pub fn callback_left_alone(callback: &Arc<str>) -> Self {
        let what = "has failed repeatedly and is left alone for a while";
        Self::without_callback(callback, FailureKind::FAULT, what)
    }

    fn without_callback(callback: &Arc<str>, kind: FailureKind, what: &str) -> Self {
        let text = format!("callback `{callback}` {what}");
        let mut failure = Self::of(Reason::CallbackFailed, text);
        failure.kind = kind;
        failure.callback = Some(Arc::clone(callback));
        failure
    }

    pub fn callbacks_reply_is_no_completion() -> Self {
        Self::of(
            Reason::CallbackFailed,
            "a callback answered with something that is no `chat.completion`",
        )
    }

    /// A callback's own decision, with its own status and text.
    pub fn of_callback(
        callback: &Arc<str>,
        kind: FailureKind,
        status: u16,
        message: impl Into<String>,
    ) -> Self {
        let mut failure = Self::with_status(kind, status, message);
        failure.callback = Some(Arc::clone(callback));
        failure
    }
}
