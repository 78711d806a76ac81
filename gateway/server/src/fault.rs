//! Failures for upstream responses that are not completions: one table for JSON replies and
//! streams.

use callgate_coding::CodingError;
use callgate_failure::{Failure, Form};
use callgate_providers::{AnswerFault, ErrorText};
use callgate_upstream::UpstreamError;

pub(super) fn failure(fault: AnswerFault, form: Form) -> Failure {
    match fault {
        AnswerFault::Upstream(said) => error_under_200(said),
        AnswerFault::Incomplete(what) => Failure::incomplete(&what, form),
        AnswerFault::Malformed(what) => Failure::malformed(form).cause(what),
        AnswerFault::Other(what) => Failure::other_answer(what, form),
    }
}

/// The body of the response broke off, or does not have the coding that its head names.
pub(super) fn broken(error: &UpstreamError, form: Form) -> Failure {
    match error {
        UpstreamError::Coding(error @ CodingError::Unsupported(_)) => {
            Failure::undecodable(error, form)
        }
        UpstreamError::Coding(error) => Failure::incomplete(&format!("it has {error}"), form),
        error => Failure::incomplete("the connection to it broke", form).cause(error.to_string()),
    }
}

/// An error in a response with status 200. If its code is a valid status, that becomes the status.
fn error_under_200(said: ErrorText) -> Failure {
    let status = said
        .code
        .as_deref()
        .and_then(|code| code.parse().ok())
        .filter(|status| (400..600).contains(status))
        .unwrap_or(500);
    Failure::of_upstream(status, said)
}
