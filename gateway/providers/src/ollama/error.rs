//! The errors of this dialect, and the reader of Ollama's own errors.
//!
//! One enum for each direction: the client's request, the upstream's reply, the upstream's stream.
//! The gateway's failure catalogue decides their HTTP status. No variant carries text of prompts or
//! replies.

use crate::{
    ErrorText,
    error_text::{error_in, read_status},
};
use callgate_json::Ambiguity;
use serde_json::value::RawValue;

/// A client's request that cannot be translated for Ollama; becomes HTTP 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TranslateError {
    /// The body is not JSON.
    #[error("request body is not valid JSON: {reason}")]
    NotJson {
        /// The parser's message, with line and column.
        reason: String,
    },
    /// A required parameter is absent or null.
    #[error("missing required parameter: `{param}`")]
    Missing {
        /// The path of the parameter.
        param: String,
    },
    /// A value of the wrong kind.
    #[error("`{param}` must be {expected}, found {found}")]
    WrongType {
        /// The path of the parameter; `body` for the whole request.
        param: String,
        /// The expected kind, with its article.
        expected: &'static str,
        /// The found kind, with its article.
        found: &'static str,
    },
    /// Tool-call arguments that are not the text of a JSON object.
    #[error(
        "`{param}` must be the text of a JSON object ({reason}); send `{{}}` for a call without arguments"
    )]
    ToolArguments {
        /// The path of the arguments.
        param: String,
        /// The parser's message, or what was found instead.
        reason: String,
    },
    /// An image that Ollama cannot use.
    #[error("`{param}` {problem}; send the picture inline as `data:image/png;base64,<data>`")]
    Image {
        /// The path of the image part's URL.
        param: String,
        /// The problem with it.
        problem: &'static str,
    },
    /// A content part that is neither text nor an image.
    #[error("`{param}` is of a type Ollama does not take; send `text` and `image_url` parts only")]
    ContentPart {
        /// The path of the part.
        param: String,
    },
    /// A body that would become much longer in Ollama's format.
    #[error(
        "the request would become {bound} bytes or more in Ollama's format, much longer than it is; \
         send fewer empty messages and functions"
    )]
    TooLarge {
        /// The longest that it may become.
        bound: usize,
    },
    /// A member name that two parsers could read differently.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguity),
    /// Parameters that Ollama does not support, or that are unknown.
    #[error(
        "Ollama does not support {}; leave these out, or set `drop_params: true` (in \
         `litellm_settings`, the deployment's `litellm_params` or the request) to drop them; \
         Ollama's own options may be set in `options`",
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

    /// The value of the error object's `param`: the path of the faulty parameter, if there is one.
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

/// A body under 200 that is not a valid `/api/chat` reply; becomes HTTP 502.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    /// The body reports an error although the status is 200.
    #[error("Ollama reported an error: {}", .0.message)]
    Upstream(ErrorText),
    /// The body is not JSON, or JSON of another shape.
    #[error("Ollama's reply is not a chat reply: {reason}")]
    Malformed {
        /// What was expected, or what was found.
        reason: String,
    },
    /// The reply is marked as unfinished.
    #[error("`done` is not true in Ollama's reply")]
    Incomplete,
    /// The reply is done, but did not come to its end.
    #[error("{reason}")]
    Unended {
        /// Its `done_reason`.
        reason: String,
    },
}

/// A stream that cannot continue; becomes an error frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    /// Ollama reported an error in the middle of its response.
    #[error("Ollama reported an error: {}", .0.message)]
    Upstream(ErrorText),
    /// A line that is not JSON, or JSON of another shape.
    #[error("a line of Ollama's stream is not part of a chat reply: {reason}")]
    Malformed {
        /// What was expected, or what was found.
        reason: String,
    },
    /// The stream is done, but did not come to its end.
    #[error("{reason}")]
    Unended {
        /// Its `done_reason`.
        reason: String,
    },
}

/// Reads an error reply, and adds the remedy if Ollama lacks the model.
pub(crate) fn upstream_error(status: u16, body: &[u8]) -> ErrorText {
    let mut said = read_status(status, body);
    let message = &mut said.message;
    if status == 404 && message.starts_with("model ") && !message.contains("pull") {
        message.push_str("; fetch it with `ollama pull` or correct the deployment's `model`");
    }
    said
}

/// Reads an `error` member: its message, or the value as it is.
pub(super) fn read_error_member(error: &RawValue) -> ErrorText {
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
    fn a_missing_model_is_reported_with_the_remedy() {
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
