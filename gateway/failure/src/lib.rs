//! Why a call failed, as OpenAI's error object with a status.
//!
//! The constructors here make all failures of the gateway, so that status, code and text of each
//! are in one place: `catalogue.rs` has the table; `request.rs`, `gateway.rs` and `upstream.rs`
//! have the texts. `server::error` turns a failure into HTTP.

#![forbid(unsafe_code)]

mod anthropic;
mod catalogue;
mod gateway;
mod request;
mod upstream;

pub use catalogue::{Reason, Row};
use plugin_api::FailureKind;
pub use request::Foreign;
use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
    sync::{Arc, LazyLock},
};
pub use upstream::{ErrorText, Form};

/// A failed call. Boxed, because every step of a call returns one and hardly any call fails.
#[derive(Debug, Clone)]
pub struct Failure(Box<Details>);

/// The details of a failure.
#[derive(Debug, Clone)]
pub struct Details {
    pub kind: FailureKind,
    /// 400 to 599.
    pub status: u16,
    pub error_type: Cow<'static, str>,
    pub code: Option<Cow<'static, str>>,
    pub param: Option<String>,
    /// For the client; contains no secret and no internal cause.
    pub message: String,
    /// For the log; contains no prompt, reply or key.
    pub cause: Option<String>,
    /// The value of `Retry-After`.
    pub retry_after: Option<String>,
    pub headers: Vec<(String, String)>,
    /// The upstream's id of the request, for its support.
    pub upstream_request_id: Option<String>,
    /// The callback that rejected the call or failed.
    pub callback: Option<Arc<str>>,
}

impl Deref for Failure {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Failure {
    /// A failure of the catalogue.
    fn of(reason: Reason, message: impl Into<String>) -> Self {
        let Row { kind, status, code } = reason.row();
        let mut failure = Self::with_status(kind, status, message);
        failure.code = code.map(Cow::Borrowed);
        failure
    }

    fn with_status(kind: FailureKind, status: u16, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            kind,
            status,
            error_type: Cow::Borrowed(type_of(status)),
            code: None,
            param: None,
            message: message.into(),
            cause: None,
            retry_after: None,
            headers: Vec::new(),
            upstream_request_id: None,
            callback: None,
        }))
    }

    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    fn error_type(mut self, error_type: &'static str) -> Self {
        self.error_type = Cow::Borrowed(error_type);
        self
    }

    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The error object's `code`: its own, otherwise the status, always as a string.
    pub fn code_text(&self) -> &str {
        static STATUSES: LazyLock<Vec<String>> =
            LazyLock::new(|| (400..600_u16).map(|status| status.to_string()).collect());
        self.code.as_deref().unwrap_or_else(|| {
            let known = STATUSES.get(usize::from(self.status.saturating_sub(400)));
            known.map_or("500", String::as_str)
        })
    }

    /// OpenAI's error object.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Object<'a> {
            error: Error<'a>,
        }
        #[derive(serde::Serialize)]
        struct Error<'a> {
            message: &'a str,
            r#type: &'a str,
            param: Option<&'a str>,
            code: &'a str,
        }
        let error = Error {
            message: &self.message,
            r#type: &self.error_type,
            param: self.param.as_deref(),
            code: self.code_text(),
        };
        // Cannot fail with strings only.
        serde_json::to_vec(&Object { error }).unwrap_or_default()
    }
}

/// LiteLLM's error `type` for a status.
pub fn type_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500..=599 => "internal_server_error",
        _ => "invalid_request_error",
    }
}
