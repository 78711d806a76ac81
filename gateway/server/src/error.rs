//! Turns a failure into an HTTP response. No other file does.

use super::{call_paths, respond::json};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use callgate_call::valid_header;
use callgate_coding::DECODED;
use callgate_failure::{Failure, Reason};
use callgate_providers::CallKind;
use std::io::Write as _;

/// The form of the errors that a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorForm {
    OpenAi,
    /// OpenAI's, with the `type` `error` in events of streams.
    Responses,
    Anthropic,
}

impl ErrorForm {
    /// The form of the API that a client uses.
    pub(super) fn of(kind: CallKind) -> Self {
        match kind {
            CallKind::Messages | CallKind::CountTokens => Self::Anthropic,
            CallKind::Responses => Self::Responses,
            _ => Self::OpenAi,
        }
    }

    /// The same by the path of the request.
    pub(super) fn of_path(path: &str) -> Self {
        call_paths::named(path).map_or(Self::OpenAi, |(_, kind)| Self::of(kind))
    }

    fn json(self, failure: &Failure) -> Vec<u8> {
        match self {
            Self::OpenAi | Self::Responses => failure.to_json(),
            Self::Anthropic => failure.to_anthropic_json(),
        }
    }
}

/// The error object with the failure's status, `Retry-After` and headers.
pub(super) fn response(failure: &Failure, form: ErrorForm) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, form.json(failure));
    let headers = response.headers_mut();
    for (name, value) in &failure.headers {
        // Headers that a callback must not set on a reply, it must not set here either.
        let Ok((name, value)) = valid_header(name, value) else { continue };
        if name == header::SET_COOKIE {
            headers.append(name, value);
        } else {
            headers.insert(name, value);
        }
    }
    // RFC 9110, section 15.5.16: the response to an unknown coding names the accepted ones.
    if failure.status == 415 && failure.code.as_deref() == Reason::RequestCoding.row().code {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(DECODED));
    }
    if let Some(wait) = failure.retry_after.as_deref().and_then(|it| it.parse().ok()) {
        headers.insert(header::RETRY_AFTER, wait);
    }
    response
}

/// As [`response`], with the member `detail` beside the error object, which is all that LiteLLM
/// sends.
pub(super) fn with_detail(failure: &Failure, detail: Option<&str>, form: ErrorForm) -> Response {
    let mut response = response(failure, form);
    if let Some(detail) = detail.filter(|_| form != ErrorForm::Anthropic) {
        let mut body = failure.to_json();
        // The body is an object with at least one member.
        body.pop();
        let _ = write!(body, r#","detail":"{detail}"}}"#);
        *response.body_mut() = Body::from(body);
    }
    response
}

/// The error object as the last frame of a stream that has begun. Clients of OpenAI's responses
/// and of Anthropic's messages read an event of that name.
pub(super) fn frame(failure: &Failure, form: ErrorForm) -> Vec<u8> {
    let json = form.json(failure);
    match form {
        ErrorForm::OpenAi => [b"data: ", &*json, b"\n\n"].concat(),
        ErrorForm::Anthropic => [b"event: error\ndata: ", &*json, b"\n\n"].concat(),
        ErrorForm::Responses => {
            let members = json.strip_prefix(b"{").unwrap_or(&json);
            [b"event: error\ndata: {\"type\":\"error\",", members, b"\n\n"].concat()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_failure::Form;
    use plugin_api::FailureKind;

    #[test]
    fn a_coding_that_is_not_decoded_is_refused_with_those_that_are() {
        let coding = "of this name";
        for (failure, expected) in [
            (Failure::body_coding(&coding), true),
            (Failure::of_callback(&"x".into(), FailureKind::REJECTED, 415, "no"), false),
            (Failure::undecodable(&coding, Form::Json), false),
        ] {
            let response = response(&failure, ErrorForm::OpenAi);
            assert_eq!(response.headers().contains_key("accept-encoding"), expected, "{failure:?}");
        }
    }

    #[test]
    fn a_refusal_sets_the_headers_a_reply_may_have_and_no_others() {
        let mut failure = Failure::of_callback(&"x".into(), FailureKind::REJECTED, 403, "no");
        for name in [
            "content-type",
            "Content-Length",
            "content-encoding",
            "transfer-encoding",
            "connection",
            "Keep-Alive",
            "proxy-connection",
            "upgrade",
            "trailer",
            "te",
            "x bad",
        ] {
            failure.headers.push((name.to_owned(), "gzip".to_owned()));
        }
        for (name, value) in [
            ("x-one", "1"),
            ("X-One", "2"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-two", "a\r\nb: c"),
        ] {
            failure.headers.push((name.to_owned(), value.to_owned()));
        }
        let response = response(&failure, ErrorForm::OpenAi);
        let mut found: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .filter(|(name, _)| *name != "content-length")
            .collect();
        found.sort_unstable();
        let expected = [
            ("content-type", "application/json"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-one", "2"),
        ];
        assert_eq!(found, expected);
    }
}
