//! What a hook decided, as a test sees it.

use crate::{Rejection, Reply};

/// The outcome of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The call continues.
    Continue,
    /// The callback answered the call.
    Reply(Reply),
    /// The callback rejected the call.
    Reject(Rejection),
    /// The callback failed: `HookError::Internal`, a panic, or an async hook that did not end.
    Fault(String),
    /// The trait's default body ran: the call continues, and the export must not list the hook.
    NotImplemented,
}
