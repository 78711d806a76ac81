//! A failure as HTTP: the only place where one becomes a response.

use super::respond::json;
use crate::failure::Failure;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use std::io::Write as _;

/// OpenAI's error object with the failure's status, `Retry-After` and headers.
pub(super) fn response(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, failure.to_json());
    let headers = response.headers_mut();
    for (name, value) in &failure.headers {
        let parsed = (HeaderName::try_from(name), HeaderValue::try_from(value));
        // Invalid ones from a callback are left out; framing ones would break the connection.
        if let (Ok(name), Ok(value)) = parsed
            && !matches!(
                name,
                header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION
            )
        {
            headers.append(name, value);
        }
    }
    if let Some(wait) = failure.retry_after.as_deref().and_then(|it| it.parse().ok()) {
        headers.insert(header::RETRY_AFTER, wait);
    }
    response
}

/// As [`response`], with the member `detail` beside the error object: what LiteLLM answers alone.
pub(super) fn with_detail(failure: &Failure, detail: Option<&str>) -> Response {
    let mut response = response(failure);
    if let Some(detail) = detail {
        let mut body = failure.to_json();
        // It is an object with a member.
        body.pop();
        let _ = write!(body, r#","detail":"{detail}"}}"#);
        *response.body_mut() = Body::from(body);
    }
    response
}

/// The error object as the last frame of a stream that has begun.
pub(super) fn frame(failure: &Failure) -> Vec<u8> {
    [b"data: ", &*failure.to_json(), b"\n\n"].concat()
}
