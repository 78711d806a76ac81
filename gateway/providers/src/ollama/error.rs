//! What can go wrong in this dialect, and how Ollama's own errors are read.
//!
//! One enum per direction: the client's request, the upstream's reply, the upstream's stream. Their
//! HTTP status is decided by the gateway's error table, not here. No variant carries prompt or
//! reply text.

use serde_json::value::RawValue;

use crate::{
    ErrorText,
    error_text::{error_in, read_status},
};
use callgate_json::Ambiguity;

/// A client's request that cannot be said in Ollama's terms; becomes HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TranslateError {
    /// The body is not JSON at all.
    #[error("request body is not valid JSON: {reason}")]
    NotJson {
        /// The parser's words, with line and column.
        reason: String,
    },
    /// Something the call cannot do without is absent or null.
    #[error("missing required parameter: `{param}`")]
    Missing {
        /// Path of the parameter.
        param: String,
    },
    /// A value of the wrong kind.
    #[error("`{param}` must be {expected}, found {found}")]
    WrongType {
        /// Path of the parameter; `body` for the whole request.
        param: String,
        /// What belongs there, with its article.
        expected: &'static str,
        /// What stands there, with its article.
        found: &'static str,
    },
    /// Tool-call arguments that are not the text of a JSON object.
    #[error(
        "`{param}` must be the text of a JSON object ({reason}); send `{{}}` for a call without arguments"
    )]
    ToolArguments {
        /// Path of the arguments.
        param: String,
        /// The parser's words, or what was found instead.
        reason: String,
    },
    /// A picture that Ollama could not see.
    #[error("`{param}` {problem}; send the picture inline as `data:image/png;base64,<data>`")]
    Image {
        /// Path of the image part's URL.
        param: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A content part that is neither text nor a picture.
    #[error("`{param}` is of a type Ollama does not take; send `text` and `image_url` parts only")]
    ContentPart {
        /// Path of the part.
        param: String,
    },
    /// A body that would be sent on much longer than it came.
    #[error(
        "the request would be {bound} bytes long or more in Ollama's terms, much more than it is now; \
         send fewer empty messages and functions"
    )]
    TooLarge {
        /// How long it may become.
        bound: usize,
    },
    /// A name that two readers may take differently.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguity),
    /// Parameters that Ollama cannot honour: it has no counterpart, or nobody knows them.
    #[error(
        "Ollama's chat API does not support {}; leave out what is named, or set `drop_params: true` \
         (in `litellm_settings`, the deployment's `litellm_params` or the request) to have it ignored; \
         options of Ollama's own may stand in `options`",
        quoted(names)
    )]
    UnsupportedParams {
        /// Their names, at least one.
        names: Vec<String>,
    },
}

impl TranslateError {
    /// The text for the error object's `message`.
    pub(crate) fn message(&self) -> String {
        self.to_string()
    }

    /// The value of the error object's `param`: the offending parameter's path, when there is one.
    pub(crate) fn param(&self) -> Option<&str> {
        match self {
            Self::NotJson { .. } | Self::TooLarge { .. } => None,
            Self::Missing { param }
            | Self::WrongType { param, .. }
            | Self::ToolArguments { param, .. }
            | Self::Image { param, .. }
            | Self::ContentPart { param } => Some(param),
            Self::Ambiguous(ambiguity) => Some(&ambiguity.path),
            Self::UnsupportedParams { names } => names.first().map(String::as_str),
        }
    }
}

/// A 200 whose body is not what `/api/chat` promises; becomes HTTP 502.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    /// The body reports a failure in spite of its status.
    #[error("Ollama reported an error: {}", .0.message)]
    Upstream(ErrorText),
    /// The body is not JSON, or JSON of another shape.
    #[error("Ollama's reply is not a chat reply: {reason}")]
    Malformed {
        /// What was expected or found.
        reason: String,
    },
    /// The reply says of itself that it is not finished.
    #[error("`done` is not true in Ollama's reply")]
    Incomplete,
    /// It is done, but not because it came to its end.
    #[error("{reason}")]
    Unended {
        /// What its `done_reason` is.
        reason: String,
    },
}

/// A stream that cannot go on; becomes an error frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    /// Ollama reported a failure in the middle of its answer.
    #[error("Ollama reported an error: {}", .0.message)]
    Upstream(ErrorText),
    /// A line that is not JSON, or JSON of another shape.
    #[error("a line of Ollama's stream is not part of a chat reply: {reason}")]
    Malformed {
        /// What was expected or found.
        reason: String,
    },
    /// It is done, but not because it came to its end.
    #[error("{reason}")]
    Unended {
        /// What its `done_reason` is.
        reason: String,
    },
}

/// What an error reply says, and what to do when Ollama lacks the model.
pub(crate) fn upstream_error(status: u16, body: &[u8]) -> ErrorText {
    let mut said = read_status(status, body);
    let message = &mut said.message;
    if status == 404 && message.starts_with("model ") && !message.contains("pull") {
        message.push_str("; fetch it with `ollama pull` or correct the deployment's `model`");
    }
    said
}

/// What an `error` member says: its message, or the value as it stands.
pub(super) fn error_said(error: &RawValue) -> ErrorText {
    error_in(error)
        .unwrap_or_else(|| ErrorText { message: error.get().to_owned(), ..ErrorText::default() })
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::upstream_error;

    #[test]
    fn a_missing_model_is_said_with_what_to_do() {
        for (status, body, expected) in [
            (500, r#"{"error": "unexpected EOF"}"#, "unexpected EOF"),
            (
                404,
                r#"{"error":"model \"x\" not found, try pulling it first"}"#,
                "model \"x\" not found, try pulling it first",
            ),
            (
                404,
                "{\"error\": \"model 'x' not found\"}",
                "model 'x' not found; fetch it with `ollama pull` or correct the deployment's `model`",
            ),
        ] {
            assert_eq!(upstream_error(status, body.as_bytes()).message, expected, "{body}");
        }
    }
}
