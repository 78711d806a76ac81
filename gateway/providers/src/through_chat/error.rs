//! Why a client's request cannot become a chat; becomes HTTP 400. No variant carries text of
//! prompts.

use callgate_failure::Failure;
use callgate_json::Ambiguity;

/// Why a request has no form as a chat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    /// A required parameter is absent or null.
    #[error("missing required parameter: `{param}`")]
    Missing { param: String },
    /// A value of the wrong kind.
    #[error("`{param}` must be {expected}, found {found}")]
    WrongType { param: String, expected: &'static str, found: &'static str },
    /// A value that no chat has; `remedy` says what is possible.
    #[error("the model's provider does not take `{param}`; {remedy}")]
    NotTaken { param: String, remedy: &'static str },
    /// A member name that two parsers could read differently.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguity),
    /// What no chat has, but could do without.
    #[error(
        "the model's provider does not support {}; leave these out, or set `drop_params: true` (in \
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
            Self::Missing { param }
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

/// Notes what no chat has: dropped if the operator or the client allows it, else refused with all
/// other names.
#[derive(Debug)]
pub(super) struct Unsupported {
    pub(super) is_dropped: bool,
    names: Vec<String>,
}

impl Unsupported {
    pub(super) fn new(is_dropped: bool) -> Self {
        Self { is_dropped, names: Vec::new() }
    }

    /// More names than these say nothing more to a reader.
    const MOST: usize = 16;

    pub(super) fn note(&mut self, name: impl Into<String>) {
        if !self.is_dropped && self.names.len() < Self::MOST {
            self.names.push(name.into());
        }
    }

    pub(super) fn judge(self) -> Result<(), RequestError> {
        match self.names.is_empty() {
            true => Ok(()),
            false => Err(RequestError::Unsupported { names: self.names }),
        }
    }
}
