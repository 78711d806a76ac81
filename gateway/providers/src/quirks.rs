//! In what a provider's API differs from OpenAI's. `openai` applies it to requests.

/// The differences of one provider; the default has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    pub token_limit: TokenLimit,
    /// It refuses `stream_options`. Its streams carry their usage, or none.
    pub no_stream_options: bool,
    /// It knows no role `developer`; such messages are sent with the role `system`.
    pub developer_as_system: bool,
    /// It refuses `reasoning_content` in messages of earlier turns.
    pub no_reasoning_content: bool,
}

/// The only name that a provider knows for the limit of completion tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenLimit {
    /// It knows both, or which one depends on the model.
    #[default]
    AsGiven,
    MaxTokens,
    MaxCompletionTokens,
}

impl TokenLimit {
    /// The name it does not know, and the one to send instead.
    #[must_use]
    pub fn renamed(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AsGiven => None,
            Self::MaxTokens => Some(("max_completion_tokens", "max_tokens")),
            Self::MaxCompletionTokens => Some(("max_tokens", "max_completion_tokens")),
        }
    }
}
