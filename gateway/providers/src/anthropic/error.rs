//! Why a client's request cannot be translated for Anthropic; becomes HTTP 400. No variant carries
//! text of prompts.

use callgate_failure::Failure;
use callgate_json::Ambiguity;

/// Why a request cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// The body, or a text in it, is not JSON.
    #[error("`{param}` is not valid JSON: {reason}")]
    NotJson { param: String, reason: String },
    /// A required parameter is absent or null.
    #[error("missing required parameter: `{param}`")]
    Missing { param: String },
    /// A value of the wrong kind.
    #[error("`{param}` must be {expected}, found {found}")]
    WrongType { param: String, expected: &'static str, found: &'static str },
    /// A value that Anthropic has nothing for; `remedy` says what it takes.
    #[error("Anthropic does not take `{param}`; {remedy}")]
    NotTaken { param: String, remedy: &'static str },
    /// A member name that two parsers could read differently.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguity),
    /// Parameters that Anthropic does not have.
    #[error(
        "Anthropic does not support {}; leave these out, or set `drop_params: true` (in \
         `litellm_settings`, the deployment's `litellm_params` or the request) to drop them",
        quoted(names)
    )]
    Unsupported { names: Vec<String> },
}

impl RequestError {
    /// The failure of the call.
    pub(super) fn failure(&self) -> Failure {
        let failure = Failure::invalid(self.to_string());
        match self {
            Self::NotJson { param, .. }
            | Self::Missing { param }
            | Self::WrongType { param, .. }
            | Self::NotTaken { param, .. } => failure.param(param),
            Self::Ambiguous(ambiguity) => failure.param(&ambiguity.path),
            Self::Unsupported { names } => match names.first() {
                Some(name) => failure.param(name),
                None => failure,
            },
        }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
