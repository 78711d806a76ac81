//! The hooks by name, for code that handles any of them.

/// One of the hooks that a callback may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Start,
    During,
    NewToken,
    End,
    Error,
    /// Not a hook of a call: it says who sent a request.
    Auth,
    /// Not a hook of a call: it changes the list of models that a caller sees.
    ListModels,
}

impl Hook {
    pub const ALL: [Self; Self::COUNT] = [
        Self::Start,
        Self::During,
        Self::NewToken,
        Self::End,
        Self::Error,
        Self::Auth,
        Self::ListModels,
    ];

    pub const COUNT: usize = 7;

    /// Whether it is a hook of a call.
    #[must_use]
    pub fn has_call(self) -> bool {
        !matches!(self, Self::Auth | Self::ListModels)
    }

    /// The name in manifests and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "on_llm_start",
            Self::During => "on_llm_during",
            Self::NewToken => "on_llm_new_token",
            Self::End => "on_llm_end",
            Self::Error => "on_llm_error",
            Self::Auth => "on_auth",
            Self::ListModels => "on_list_models",
        }
    }
}
