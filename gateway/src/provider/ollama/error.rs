//! What can go wrong in this dialect, and how Ollama's own errors are read.
//!
//! One enum per direction: the client's request, the upstream's reply, the upstream's stream. Their HTTP status is
//! decided by the gateway's error table, not here. No variant carries prompt or reply text.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Text;

/// The longest upstream message repeated to a client, in bytes.
const MESSAGE_LIMIT: usize = 500;

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
    /// Parameters that would change the answer and have no counterpart in Ollama.
    #[error(
        "Ollama's chat API does not support {}; leave out what is named, or set `drop_params: true` \
         (in `litellm_settings`, the deployment's `litellm_params` or the request) to have it ignored",
        quoted(names)
    )]
    UnsupportedParams {
        /// Their names, at least one.
        names: Vec<&'static str>,
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
            Self::NotJson { .. } => None,
            Self::Missing { param }
            | Self::WrongType { param, .. }
            | Self::ToolArguments { param, .. }
            | Self::Image { param, .. }
            | Self::ContentPart { param } => Some(param),
            Self::UnsupportedParams { names } => names.first().copied(),
        }
    }
}

/// A 200 whose body is not what `/api/chat` promises; becomes HTTP 502.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplyError {
    /// The body reports a failure in spite of its status.
    #[error("Ollama reported an error: {message}")]
    Upstream {
        /// Ollama's words, shortened.
        message: String,
    },
    /// The body is not JSON, or JSON of another shape.
    #[error("Ollama's reply is not a chat reply: {reason}")]
    Malformed {
        /// What was expected or found.
        reason: String,
    },
    /// The reply says of itself that it is not finished.
    #[error("Ollama's reply is incomplete: `done` is false although no stream was asked for")]
    Incomplete,
}

/// A stream that cannot go on; becomes an error frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamError {
    /// Ollama reported a failure in the middle of its answer.
    #[error("Ollama reported an error: {message}")]
    Upstream {
        /// Ollama's words, shortened.
        message: String,
    },
    /// A line that is not JSON, or JSON of another shape.
    #[error("a line of Ollama's stream is not part of a chat reply: {reason}")]
    Malformed {
        /// What was expected or found.
        reason: String,
    },
}

/// The best message to be had from an error reply: Ollama's `error` text, else the body as plain text, else the
/// status alone. One line of at most 500 bytes.
pub(crate) fn upstream_error(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_str::<ErrorBody<'_>>(&text) {
        Ok(ErrorBody { error: Some(error), .. }) => error_text(error),
        Ok(ErrorBody { message: Some(message), .. }) => error_text(message),
        _ => one_line(&text),
    };
    if message.is_empty() {
        return format!("Ollama answered HTTP {status} without a message");
    }
    if status == 404 && message.starts_with("model ") && !message.contains("pull") {
        return format!(
            "{message}; fetch it with `ollama pull` or correct the deployment's `model`"
        );
    }
    message
}

/// An `error` member as one line: the string, the `message` of an object, or the value as it stands.
pub(super) fn error_text(error: &RawValue) -> String {
    if let Some(text) = Text::of(error) {
        return one_line(&text.decode().unwrap_or(text.escaped().into()));
    }
    match serde_json::from_str::<ErrorBody<'_>>(error.get()) {
        Ok(ErrorBody { message: Some(message), .. }) => match Text::of(message) {
            Some(text) => one_line(&text.decode().unwrap_or(text.escaped().into())),
            None => one_line(message.get()),
        },
        _ => one_line(error.get()),
    }
}

#[derive(Deserialize)]
struct ErrorBody<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// `text` with every run of white space and control characters made one space, cut at a character.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MESSAGE_LIMIT {
            line.truncate(line.floor_char_boundary(MESSAGE_LIMIT - '…'.len_utf8()));
            line.push('…');
            break;
        }
    }
    line
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_LIMIT, upstream_error};

    #[test]
    fn the_best_message_is_found_in_any_body() {
        for (status, body, expected) in [
            (500, r#"{"error": "unexpected EOF"}"#, "unexpected EOF"),
            (400, r#"{"error":{"message":"bad\noption","type":"x"}}"#, "bad option"),
            (400, r#"{"error":{"code":7}}"#, r#"{"code":7}"#),
            (400, r#"{"error":null,"message":"m"}"#, "m"),
            (502, "  <html>\r\n<h1>Bad gateway</h1> ", "<html> <h1>Bad gateway</h1>"),
            (503, "", "Ollama answered HTTP 503 without a message"),
            (500, r#"{"error":"\ud800"}"#, r"\ud800"),
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
            assert_eq!(upstream_error(status, body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_message_is_bounded_and_cut_between_characters() {
        for body in ["é".repeat(4000).into_bytes(), vec![0xff; 4000], b"a ".repeat(4000)] {
            let message = upstream_error(500, &body);
            assert!(message.len() <= MESSAGE_LIMIT, "{}", message.len());
            assert!(message.ends_with('…'));
        }
    }
}
