//! Failures caused by an upstream. The parameter `upstream` names it in texts: its label and the
//! model.

use super::{Failure, Reason};
use plugin_api::FailureKind;
use std::{fmt::Display, time::Duration};

/// The form of the requested response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Stream,
}

/// An upstream's description of its error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ErrorText {
    pub message: String,
    pub error_type: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
}

impl ErrorText {
    /// Only a message.
    pub fn saying(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }
}

/// There was no response.
impl Failure {
    /// `why` is the whole text: `server::unreachable` has a sentence for each cause.
    pub fn unreachable(why: impl Into<String>) -> Self {
        Self::of(Reason::Unreachable, why)
    }

    /// No token for the upstream; `why` continues a sentence about the issuer.
    pub fn no_upstream_token(upstream: &str, why: &impl Display) -> Self {
        let text = format!("there is no token of Entra ID for {upstream}: {why}");
        Self::of(Reason::NoUpstreamToken, text)
    }

    /// `settings` names the settings that set the limit.
    pub fn no_answer_within(upstream: &str, limit: Duration, settings: &str) -> Self {
        Self::late(format!(
            "{upstream} did not answer within {} s; {settings} how long to wait",
            limit.as_secs_f64()
        ))
    }

    pub fn no_connection_within(
        upstream: &str,
        phase: &impl Display,
        limit: Duration,
        remedy: &str,
    ) -> Self {
        Self::late(format!(
            "cannot reach {upstream}: {phase} took longer than {} s, the limit for connecting; \
             {remedy}",
            limit.as_secs()
        ))
    }

    pub fn no_content_within(limit: Duration) -> Self {
        Self::late(format!(
            "the upstream sent no content within {} s (`first_content_timeout`)",
            limit.as_secs_f64()
        ))
    }

    pub fn no_event_within(limit: Duration) -> Self {
        Self::late(format!("the upstream sent no event for {} s", limit.as_secs_f64()))
    }

    fn late(text: String) -> Self {
        Self::of(Reason::Timeout, text)
    }
}

/// The response is not a completion.
impl Failure {
    /// An error in the upstream's own text, complete; `server::disclosure` masks and shortens it.
    pub fn of_upstream(status: u16, said: ErrorText) -> Self {
        let mut failure = Self::with_status(FailureKind::UPSTREAM_STATUS, status, said.message);
        if let Some(error_type) = said.error_type {
            failure.error_type = error_type.into();
        } else if status == 429 {
            failure.error_type = "throttling_error".into();
        }
        failure.code = said.code.map(Into::into);
        failure.param = said.param;
        failure
    }

    /// A success response without a completion; `cause` is empty if its body is.
    pub fn no_completion(label: &str, status: u16, cause: String) -> Self {
        let what =
            if cause.is_empty() { "an empty body" } else { "something other than a completion" };
        Self::of(Reason::NoCompletion, format!("`{label}` answered {status} with {what}"))
            .cause(cause)
    }

    /// A success response without what such a call asks for; `how` says what is wrong with it.
    pub fn unusable_answer(label: &str, status: u16, how: &str) -> Self {
        Self::of(
            Reason::NoCompletion,
            format!("`{label}` answered {status} with something else than was asked for: {how}"),
        )
    }

    pub fn malformed(form: Form) -> Self {
        match form {
            Form::Json => Self::of(
                Reason::NoCompletion,
                "the upstream sent something other than a completion",
            ),
            Form::Stream => Self::of(
                Reason::MalformedStream,
                "the upstream sent something other than a stream of chunks",
            ),
        }
    }

    /// A response of another kind than requested.
    pub fn other_answer(what: &str, form: Form) -> Self {
        let (reason, asked) = match form {
            Form::Json => (Reason::NoCompletion, "completion"),
            Form::Stream => (Reason::MalformedStream, "stream"),
        };
        Self::of(reason, format!("the upstream was asked for a {asked} and sent {what}"))
    }

    /// A part of the response is missing.
    pub fn incomplete(how: &str, form: Form) -> Self {
        let reason = match form {
            Form::Json => Reason::IncompleteReply,
            Form::Stream => Reason::IncompleteStream,
        };
        Self::of(reason, format!("the upstream's answer is incomplete: {how}"))
    }

    /// A response with an unsupported compression.
    pub fn undecodable(error: &impl Display, form: Form) -> Self {
        let reason = match form {
            Form::Json => Reason::ReplyCoding,
            Form::Stream => Reason::StreamCoding,
        };
        Self::of(reason, format!("the upstream answered with {error}"))
    }

    /// A status that HTTP does not define.
    pub fn unknown_status(label: &str, status: u16) -> Self {
        let text = format!("`{label}` answered with the status {status}, which HTTP does not have");
        Self::of(Reason::OddStatus, text)
    }

    /// A status that is neither a success, an error nor a redirect.
    pub fn meaningless_status(label: &str, model: &str, status: u16) -> Self {
        let what = match status {
            304 => "Not Modified, which does not answer a call",
            _ => "which is neither an answer nor an error",
        };
        let text = format!(
            "`{label}` for model `{model}` answered {status}, {what}; is its base URL right, and \
             is there a cache or proxy in front of it?"
        );
        Self::of(Reason::OddStatus, text)
    }

    /// The client sees `location` only if it is on the same server.
    pub fn redirected(label: &str, model: &str, status: u16, location: Option<&str>) -> Self {
        let mut text = format!(
            "`{label}` for model `{model}` answered {status}, a redirect, which is never followed; \
             its `api_base` should point to where the redirect leads"
        );
        match location {
            None => text.push_str(", but the redirect does not say where"),
            Some(path) if path.starts_with('/') && !path.starts_with("//") => {
                text.push_str(&format!(", `{path}` on the same server"));
            }
            Some(_) => text.push_str("; the gateway's log has the target"),
        }
        Self::of(Reason::Redirected, text)
    }

    pub fn reply_too_large(label: &str, max: usize) -> Self {
        let text = format!(
            "`{label}` answered with more than this gateway's limit of {max} bytes \
             (`callgate.limits.max_reply_bytes`)"
        );
        Self::of(Reason::ReplyTooLarge, text)
    }
}
