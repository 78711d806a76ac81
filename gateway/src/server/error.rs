//! A failure as HTTP: the only place where one becomes a response.

use super::respond::json;
use crate::failure::Failure;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

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

/// The error object as the last frame of a stream that has begun.
pub(super) fn frame(failure: &Failure) -> Vec<u8> {
    [b"data: ", &*failure.to_json(), b"\n\n"].concat()
}
