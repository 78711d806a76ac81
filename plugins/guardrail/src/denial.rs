//! The error for a text that a rule denies.

use plugin_api::{HookError, Rejection};

/// The error that the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Denial {
    /// The error for a text that a long replacement makes too large.
    pub(crate) fn too_large() -> Self {
        let message = "a text is too large once its matches are masked; send less at once";
        Self { status: 400, message: message.to_owned() }
    }
}

impl From<Denial> for HookError {
    fn from(denial: Denial) -> Self {
        Rejection::new(denial.status, denial.message).code("guardrail").into()
    }
}
