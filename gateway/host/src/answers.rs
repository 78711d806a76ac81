//! Answers to callbacks' requests in place of the network, for tools that must not send anything.

use super::{http, permissions::Permissions};
use plugin_api::{HostError, HttpRequest, HttpResponse};

/// Answers requests that passed the checks of a callback's grants.
pub trait HttpAnswers: Send + Sync {
    /// Answers one request, at once.
    ///
    /// # Errors
    /// If there is no answer to it, or if the answer is a failure.
    fn answer(&self, asked: &Asked<'_>) -> Result<HttpResponse, HostError>;
}

/// One request of a callback.
#[expect(missing_debug_implementations, reason = "it holds secrets")]
pub struct Asked<'a> {
    /// The entry's name.
    pub callback: &'a str,
    /// The request as a server would get it, with its secrets.
    pub request: &'a HttpRequest,
    /// Masks the callback's secrets and the gateway's.
    pub mask: &'a dyn Fn(&str) -> String,
}

/// The answer to a request that the callback's grants allow.
pub(super) fn answered(
    answers: &dyn HttpAnswers,
    (callback, may): (&str, &Permissions),
    mask: &dyn Fn(&str) -> String,
    request: &HttpRequest,
) -> Result<HttpResponse, HostError> {
    http::check(request.clone(), "", may)?;
    answers.answer(&Asked { callback, request, mask })
}
