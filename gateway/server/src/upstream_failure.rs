//! Failures for upstream responses that are not completions: the upstream's own errors, redirects,
//! and unreadable bodies. `unreachable` covers upstreams that gave no response.

use super::{
    connection_timer::ConnectionTimer,
    response_headers::{add_headers, answer_headers},
    upstream_request::Sent,
};
use crate::app::App;
use callgate_failure::Failure;
use callgate_providers::error_text::read_status;
use callgate_upstream::{UpstreamError, UpstreamResponse};

/// The most bytes of an error reply that are read.
const MAX_ERROR_BODY: usize = 256 * 1024;

/// The headers with the id that an upstream's support asks for.
const REQUEST_IDS: [&str; 4] = ["x-request-id", "request-id", "x-amzn-requestid", "cf-ray"];

/// A success response without a completion.
pub(super) fn no_completion(status: u16, cause: String, sent: &Sent) -> Failure {
    Failure::no_completion(&sent.target.deployment().label, status, cause)
}

/// A success response to a call of another kind than chat, without what was asked for.
pub(super) fn unusable(status: u16, how: &str, sent: &Sent) -> Failure {
    Failure::unusable_answer(&sent.target.deployment().label, status, how)
}

/// A status that HTTP does not define.
pub(super) fn no_status(status: u16, sent: &Sent) -> Failure {
    Failure::unknown_status(&sent.target.deployment().label, status)
}

/// A success response whose body is not JSON; its text is in the message.
pub(super) fn no_json(status: u16, body: &[u8], sent: &Sent) -> Failure {
    let label = &sent.target.deployment().label;
    let start = &body[..body.len().min(MAX_ERROR_BODY)];
    let mut said = read_status(status, start);
    let plain = format!("the upstream answered {status}");
    let words = said.message.strip_prefix(&plain).unwrap_or(&said.message);
    said.message =
        format!("`{label}` answered {status} with something other than a completion{words}");
    Failure::of_upstream(500, said)
}

/// A JSON reply larger than the limit.
pub(super) fn too_large(limit: usize, sent: &Sent) -> Failure {
    Failure::reply_too_large(&sent.target.deployment().label, limit)
}

/// A response with an error status: the upstream's own message, type and code.
pub(super) async fn upstream_error(
    app: &App,
    timer: &ConnectionTimer,
    mut answer: UpstreamResponse,
    sent: &Sent,
) -> Failure {
    let status = answer.status;
    if let Some(failure) = no_answer(&answer, sent) {
        return failure;
    }
    if status == 401
        && let Some(source) = sent.target.token_source()
    {
        source.forget();
    }
    let Some((body, broken)) = error_body(timer, &mut answer, sent).await else {
        return Failure::shutting_down();
    };
    let mut said = sent.target.deployment().provider.dialect.error(status, &body);
    if let Some(error) = broken.filter(|_| body.is_empty()) {
        let label = &sent.target.deployment().label;
        said.message = match error {
            UpstreamError::Coding(error) => format!("`{label}` answered {status} with {error}"),
            _ => {
                format!("`{label}` answered {status}, and its connection broke before it said why")
            }
        };
    }
    // A status below 400 cannot be an error's.
    let status = if (400..600).contains(&status) { status } else { 502 };
    if let Some(proxy) = sent.reading_proxy(app).filter(|_| (502..=504).contains(&status)) {
        let more = format!("; the proxy {proxy} passed the call on, and may say so itself");
        said.message.push_str(&more);
    }
    let mut failure = Failure::of_upstream(status, said);
    let text = |name: &str| {
        let value = answer.headers.get(name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    failure.upstream_request_id = REQUEST_IDS.into_iter().find_map(text);
    failure.retry_after = text("retry-after");
    add_headers(&mut failure, &answer_headers(app, sent, &answer.headers));
    failure
}

/// The body of an error as far as it came in time, and the error that ended it; `None` if the
/// gateway stopped waiting for its calls.
async fn error_body(
    timer: &ConnectionTimer,
    answer: &mut UpstreamResponse,
    sent: &Sent,
) -> Option<(Vec<u8>, Option<UpstreamError>)> {
    let (mut body, mut broken) = (Vec::new(), None);
    let reading = async {
        while let Some(read) = answer.next().await {
            match read {
                Ok(bytes) => body.extend_from_slice(&bytes),
                Err(error) => broken = Some(error),
            }
            if body.len() > MAX_ERROR_BODY || broken.is_some() {
                break;
            }
        }
    };
    let whole = timer.within(sent.timeout, reading).await.is_some();
    (whole || !timer.is_cut()).then_some((body, broken))
}

/// The failure for a response that is neither a success nor an error. Certain 3xx codes are
/// redirects; other codes are if they have a `Location`.
fn no_answer(answer: &UpstreamResponse, sent: &Sent) -> Option<Failure> {
    let status = answer.status;
    match status {
        301 | 302 | 303 | 307 | 308 => Some(redirected(answer, sent)),
        300 | 305 | 306 | 309..400 if answer.headers.get("location").is_some() => {
            Some(redirected(answer, sent))
        }
        300..400 => Some(meaningless(status, sent)),
        _ => None,
    }
}

fn meaningless(status: u16, sent: &Sent) -> Failure {
    let (label, model) = (&sent.target.deployment().label, &sent.echo.model);
    Failure::meaningless_status(label, model, status)
        .cause(format!("asked at {}", sent.target.api_base()))
}

/// Redirects are never followed: a request meant for one server must not go to another.
fn redirected(answer: &UpstreamResponse, sent: &Sent) -> Failure {
    let status = answer.status;
    let (label, model) = (&sent.target.deployment().label, &sent.echo.model);
    let location = answer.headers.get("location").map(String::from_utf8_lossy);
    let cause = format!(
        "asked at {}, redirected to {}",
        sent.target.api_base(),
        location.as_deref().unwrap_or("nowhere")
    );
    Failure::redirected(label, model, status, location.as_deref()).cause(cause)
}
