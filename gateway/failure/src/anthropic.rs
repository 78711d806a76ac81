//! A failure in the form that clients of Anthropic's API read.

use super::Failure;
use plugin_api::FailureKind;

/// The error types of Anthropic's API that say more than the status does.
const OWN_TYPES: [&str; 9] = [
    "api_error",
    "authentication_error",
    "billing_error",
    "not_found_error",
    "overloaded_error",
    "permission_error",
    "rate_limit_error",
    "request_too_large",
    "timeout_error",
];

impl Failure {
    /// Anthropic's error object.
    pub fn to_anthropic_json(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Object<'a> {
            r#type: &'a str,
            error: Error<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
        }
        #[derive(serde::Serialize)]
        struct Error<'a> {
            r#type: &'a str,
            message: &'a str,
        }
        let error = Error { r#type: self.anthropic_type(), message: &self.message };
        let request_id = self.upstream_request_id.as_deref();
        // Cannot fail with strings only.
        serde_json::to_vec(&Object { r#type: "error", error, request_id }).unwrap_or_default()
    }

    /// An upstream's own type, if it is one of Anthropic's; else that of the status.
    fn anthropic_type(&self) -> &'static str {
        let is_upstreams =
            matches!(self.kind, FailureKind::UPSTREAM_STATUS | FailureKind::BROKEN_STREAM);
        let own = OWN_TYPES.into_iter().find(|own| is_upstreams && *own == self.error_type);
        own.unwrap_or(match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            408 | 504 => "timeout_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{ErrorText, Failure};

    #[test]
    fn the_type_is_that_of_the_status_or_the_upstreams_own() {
        let of = |status, kind: Option<&str>| {
            let said = ErrorText::saying("words \"quoted\"");
            Failure::of_upstream(status, ErrorText { error_type: kind.map(str::to_owned), ..said })
        };
        for (status, kind, expected) in [
            (400, None, "invalid_request_error"),
            (401, Some("invalid_request_error"), "authentication_error"),
            (404, Some("invalid_request_error"), "not_found_error"),
            (429, Some("tokens"), "rate_limit_error"),
            (500, Some("overloaded_error"), "overloaded_error"),
            (503, Some("server_error"), "api_error"),
            (504, None, "timeout_error"),
            (529, None, "overloaded_error"),
        ] {
            let mut failure = of(status, kind);
            let json = String::from_utf8(failure.to_anthropic_json()).unwrap();
            let error = format!(r#""error":{{"type":"{expected}","message":"words \"quoted\""}}"#);
            assert_eq!(json, format!(r#"{{"type":"error",{error}}}"#));
            failure.upstream_request_id = Some("req_1".to_owned());
            let json = String::from_utf8(failure.to_anthropic_json()).unwrap();
            assert_eq!(json, format!(r#"{{"type":"error",{error},"request_id":"req_1"}}"#));
        }
        let missing = Failure::unknown_model("/messages", "x").to_anthropic_json();
        assert!(String::from_utf8(missing).unwrap().contains("invalid_request_error"));
    }
}
