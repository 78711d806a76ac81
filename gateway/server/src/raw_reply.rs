//! An answer that is no JSON, such as sound or plain text: read whole, and passed with its type.

use super::{
    access_log::Record, connection_timer::ConnectionTimer, fault, response_headers,
    unreachable::unreachable, upstream_failure, upstream_request::Sent,
};
use crate::app::App;
use bytes::{Bytes, BytesMut};
use callgate_failure::{Failure, Form};
use callgate_upstream::{UpstreamError, UpstreamResponse};
use http::{HeaderMap, HeaderValue};

/// The answer, its type, and the client's other headers.
pub(super) struct RawReply {
    pub(super) body: Bytes,
    pub(super) content_type: HeaderValue,
    pub(super) headers: HeaderMap,
}

/// Whether an answer is something other than JSON, judged by its type.
pub(super) fn is_raw(answer: &UpstreamResponse) -> bool {
    let content_type = answer.headers.get("content-type").unwrap_or_default();
    memchr::memmem::find(&content_type.to_ascii_lowercase(), b"json").is_none()
}

/// Reads an answer to its end.
pub(super) async fn read(
    (app, timer, record): (&App, &ConnectionTimer, &mut Record),
    answer: &mut UpstreamResponse,
    sent: &Sent,
) -> Result<RawReply, Failure> {
    let headers = response_headers::json_headers(app, sent, &answer.headers);
    let content_type = answer.headers.get("content-type").unwrap_or_default();
    let content_type = HeaderValue::from_bytes(content_type)
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let (limit, end) = (app.limits.max_reply_bytes, sent.started.checked_add(sent.timeout));
    let mut body = BytesMut::new();
    while let Some(next) = timer
        .until(end, answer.next())
        .await
        .ok_or_else(|| unreachable(&UpstreamError::Timeout(sent.timeout), sent))?
    {
        body.extend_from_slice(&next.map_err(|error| fault::broken(&error, Form::Json))?);
        if body.len() > limit {
            return Err(upstream_failure::too_large(limit, sent));
        }
    }
    record.upstream = Some(sent.started.elapsed());
    // A page of a proxy on the way, or of the wrong server.
    if content_type.as_bytes().to_ascii_lowercase().starts_with(b"text/html") {
        return Err(upstream_failure::no_json(answer.status, &body, sent));
    }
    if body.is_empty() {
        return Err(upstream_failure::unusable(answer.status, "an empty body", sent));
    }
    Ok(RawReply { body: body.freeze(), content_type, headers })
}
