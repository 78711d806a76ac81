//! What an answer that is none is called: one table for JSON replies and streams.

use callgate_coding::{CodingError, UNSUPPORTED};
use callgate_failure::Failure;
use callgate_providers::{AnswerFault, UpstreamError as Said};
use callgate_upstream::UpstreamError;
use plugin_api::FailureKind;

/// What the upstream was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Stream,
}

pub(super) fn failure(fault: AnswerFault, form: Form) -> Failure {
    let malformed = |text: String| {
        let failure = Failure::new(form.kind(), 500, text);
        if form == Form::Stream { failure.code("malformed_stream") } else { failure }
    };
    match (fault, form) {
        (AnswerFault::Upstream(said), _) => upstream_said(said),
        (AnswerFault::Incomplete(what), form) => cut_off(&what, form),
        (AnswerFault::Malformed(what), Form::Stream) => {
            malformed("the upstream sent something that is no stream of chunks".into()).cause(what)
        }
        (AnswerFault::Malformed(what), Form::Json) => {
            malformed("the upstream sent something that is no completion".into()).cause(what)
        }
        (AnswerFault::Other(what), Form::Stream) => {
            malformed(format!("the upstream was asked for a stream and sent {what}"))
        }
        (AnswerFault::Other(what), Form::Json) => {
            malformed(format!("the upstream was asked for a completion and sent {what}"))
        }
    }
}

/// Some of the answer is missing.
pub(super) fn cut_off(how: &str, form: Form) -> Failure {
    let text = format!("the upstream's answer is incomplete: {how}");
    let code = if form == Form::Stream { "incomplete_stream" } else { "incomplete_reply" };
    Failure::new(form.kind(), 502, text).code(code)
}

/// The answer's body broke off, or is not coded as its head says.
pub(super) fn broken(error: &UpstreamError, form: Form) -> Failure {
    match error {
        UpstreamError::Coding(error @ CodingError::Unsupported(_)) => undecodable(error, form),
        UpstreamError::Coding(error) => cut_off(&format!("it has {error}"), form),
        error => cut_off("the connection to it broke", form).cause(error.to_string()),
    }
}

/// An answer that is compressed in a way that is not understood.
fn undecodable(error: &CodingError, form: Form) -> Failure {
    let text = format!("the upstream answered with {error}");
    Failure::new(form.kind(), 502, text).code(UNSUPPORTED)
}

/// An error under 200: its status is in its code when that is one.
fn upstream_said(said: Said) -> Failure {
    let status = said
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .filter(|status| (400..600).contains(status))
        .unwrap_or(500);
    Failure::of_upstream(status, said)
}

impl Form {
    fn kind(self) -> FailureKind {
        match self {
            Self::Json => FailureKind::UPSTREAM_UNREACHABLE,
            Self::Stream => FailureKind::BROKEN_STREAM,
        }
    }
}
