//! The hooks by name, where code speaks of any of them.

/// One of the hooks a callback may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Start,
    NewToken,
    End,
    Error,
}

impl Hook {
    pub const ALL: [Self; 4] = [Self::Start, Self::NewToken, Self::End, Self::Error];

    /// As manifests and logs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "on_llm_start",
            Self::NewToken => "on_llm_new_token",
            Self::End => "on_llm_end",
            Self::Error => "on_llm_error",
        }
    }
}
