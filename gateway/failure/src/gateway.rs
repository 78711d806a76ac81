//! Failures caused by the gateway itself, by callbacks, or by a client that left.

use super::{Failure, Reason};
use plugin_api::FailureKind;
use std::{sync::Arc, time::Duration};

impl Failure {
    /// An internal error. Only the log shows `cause`.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::of(Reason::Internal, "the gateway failed to answer this call").cause(cause)
    }

    /// A variable that the config refers to and the environment lacks.
    pub fn missing_variable(model: &str, variable: &str) -> Self {
        let text = format!(
            "model `{model}` needs the environment variable `{variable}`, which is not set where \
             this gateway runs"
        );
        Self::of(Reason::MissingVariable, text)
    }

    /// A model whose entry in the config can answer no call.
    pub fn model_not_served(model: &str, reason: &str) -> Self {
        let text = format!("model `{model}` is not served by this gateway: {reason}");
        Self::of(Reason::ModelNotServed, text)
    }

    /// A call of a kind that the model's provider does not serve. `others` names the models of this
    /// gateway that the client may use instead, if that may be said.
    pub fn endpoint_not_served(
        model: &str,
        provider: &str,
        path: &str,
        others: Option<&[&str]>,
    ) -> Self {
        const SHOWN: usize = 16;
        let remedy = match others {
            None => "`/v1/models` lists the other models".to_owned(),
            Some([]) => "no model of this gateway serves them".to_owned(),
            Some(others) => {
                let named: Vec<_> =
                    others.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
                let more = others.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("models that serve them: {}{more}", named.join(", "))
            }
        };
        let text = format!(
            "{path}: model `{model}` is at `{provider}`, which does not serve such calls; {remedy}"
        );
        Self::of(Reason::EndpointNotServed, text).param("model")
    }

    pub fn too_many_bytes_in_flight(max: usize) -> Self {
        let text = format!(
            "this gateway already holds as many bytes of requests as it accepts, {max} \
             (`callgate.limits.max_inflight_bytes`); retry in a moment"
        );
        Self::of(Reason::TooManyBytesInFlight, text).retry_after("1")
    }

    /// An upload could not be written to its file.
    pub fn upload_not_kept(error: &std::io::Error) -> Self {
        let text = "this gateway could not keep the upload in a temporary file";
        Self::of(Reason::Internal, text).cause(format!("$TMPDIR: {error}"))
    }

    pub fn workers_stuck() -> Self {
        Self::of(
            Reason::WorkersStuck,
            "this gateway cannot answer: all of its workers are stuck in hooks",
        )
    }

    /// The gateway's own limit was reached, so nothing is known of the upstream.
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

    /// So many requests for a reload wait that no more are taken.
    pub fn too_many_reloads() -> Self {
        let text = "too many requests for a reload wait already; the next reload answers them all";
        Self::of(Reason::TooManyReloads, text).retry_after("1")
    }

    /// A request for a reload does not wait any longer; `doing` says what the reload does.
    pub fn reload_running(wait: Duration, doing: &str) -> Self {
        let seconds = wait.as_secs_f64();
        let text = format!(
            "the reload has not ended within {seconds} s: {doing}; `GET /admin/reload` shows how it \
             goes on"
        );
        Self::of(Reason::ReloadRunning, text)
    }

    /// The gateway shut down before the call ended.
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

/// Failures caused by callbacks.
impl Failure {
    /// A callback with `on_error: fail` has failed.
    pub fn callback_failed(callback: &Arc<str>, kind: FailureKind) -> Self {
        Self::without_callback(callback, kind, "failed, so the call was stopped")
    }

    /// The breaker of such a callback is open.
    pub fn callback_left_alone(callback: &Arc<str>) -> Self {
        let what = "has failed repeatedly, and its breaker is open";
        Self::without_callback(callback, FailureKind::FAULT, what)
    }

    /// The authenticator decides about too many requests already.
    pub fn authenticator_is_busy(callback: &Arc<str>) -> Self {
        let what = "decides about too many other requests; try again";
        let mut failure = Self::without_callback(callback, FailureKind::FAULT, what);
        failure.retry_after = Some("1".to_owned());
        failure
    }

    fn without_callback(callback: &Arc<str>, kind: FailureKind, what: &str) -> Self {
        let text = format!("callback `{callback}` {what}");
        let mut failure = Self::of(Reason::CallbackFailed, text);
        failure.kind = kind;
        failure.callback = Some(Arc::clone(callback));
        failure
    }

    /// The stream that a callback answered with is not whole, or no stream.
    pub fn callbacks_stream_is_broken(callback: &Arc<str>, how: &str) -> Self {
        let text = format!("the stream of callback `{callback}` is incomplete: {how}");
        let mut failure = Self::of(Reason::IncompleteStream, text);
        failure.callback = Some(Arc::clone(callback));
        failure
    }

    /// A callback that answers with a stream sent nothing for too long.
    pub fn callbacks_stream_is_late(callback: &Arc<str>, limit: Duration) -> Self {
        let text = format!("callback `{callback}` sent nothing for {} s", limit.as_secs_f64());
        let mut failure = Self::of(Reason::Timeout, text);
        failure.callback = Some(Arc::clone(callback));
        failure
    }

    pub fn callbacks_reply_is_no_completion() -> Self {
        Self::of(
            Reason::CallbackFailed,
            "a callback replied with something other than a `chat.completion`",
        )
    }

    /// A callback's rejection, with its own status and text.
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
