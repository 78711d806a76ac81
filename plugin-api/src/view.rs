//! The live call, chunk, reply and failure as an author sees them: safe borrows over the handles.
//!
//! `unsafe` here only turns a host's view into a borrow of `self`: reading borrows `&self`, editing
//! `&mut self`, so a view cannot outlive the next edit or the hook.

#![allow(unsafe_code, clippy::allow_attributes)]

mod call;
mod chunk;
mod failure;
mod reply;

pub use call::{CallView, LlmCall, Route};
pub use chunk::Chunk;
pub use failure::LlmFailure;
pub use reply::LlmReply;

use crate::{HookError, abi::EditResult};
use std::{fmt, panic::Location};

/// What the keys begin with under which the gateway itself says something of a call by
/// [`CallView::metadata`]: `callgate.public_model`, `callgate.model_group`,
/// `callgate.upstream_asked`. No callback sets one.
pub const FACTS: &str = "callgate.";

/// Reads one text through a handle, borrowed from `self`.
macro_rules! read_text {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        // SAFETY: the handle is alive for the hook, the view until the next `&mut self`.
        unsafe { ($self.raw.vt.$entry())($self.raw.ctx $(, $arg)*).text() }
    };
}

/// Reads one number through a handle.
macro_rules! read_number {
    ($self:ident.$entry:ident()) => {
        // SAFETY: the handle is alive for the hook.
        unsafe { ($self.raw.vt.$entry())($self.raw.ctx) }
    };
}

/// Runs one edit through a handle.
macro_rules! edit {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        // SAFETY: the handle is alive for the hook; `&mut self` ends every view.
        crate::view::edited(unsafe { ($self.raw.vt.$entry())($self.raw.ctx $(, $arg)*) })
    };
}

use {edit, read_number, read_text};

/// Why an edit did not happen. The call is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// Text was not UTF-8 (only from another language than Rust).
    NotUtf8,
    /// A value was not JSON, or not an object where one is needed.
    NotJson,
    /// There is no such message, header or parameter.
    NotFound,
    /// The value is of another kind than the edit needs (text of a message that has none).
    WrongKind,
    /// This can no longer be changed in this hook.
    TooLate,
    /// Past one of the [limits](crate::limits).
    TooLarge,
    /// Not allowed there: a header name with a space, a provider that does not exist.
    NotAllowed,
    /// Newer than this crate.
    Unknown,
}

impl fmt::Display for EditError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotUtf8 => "text is not utf-8",
            Self::NotJson => "value is not valid json of the expected shape",
            Self::NotFound => "there is no such message, header or parameter",
            Self::WrongKind => "the value is of another kind than the edit needs",
            Self::TooLate => "this can no longer be changed in this hook",
            Self::TooLarge => "the value is larger than the gateway's limit",
            Self::NotAllowed => "the value is not allowed there",
            Self::Unknown => "the gateway refused the edit for a reason this plugin does not know",
        })
    }
}

impl std::error::Error for EditError {}

/// `?` on an edit in a hook makes it a fault, which says where in the plugin's source that was.
impl From<EditError> for HookError {
    #[track_caller]
    fn from(error: EditError) -> Self {
        let place = Location::caller();
        Self::Internal(format!("an edit was refused at {}:{}: {error}", place.file(), place.line()))
    }
}

impl From<EditError> for EditResult {
    fn from(error: EditError) -> Self {
        match error {
            EditError::NotUtf8 => Self::NOT_UTF8,
            EditError::NotJson => Self::NOT_JSON,
            EditError::NotFound => Self::NOT_FOUND,
            EditError::WrongKind => Self::WRONG_KIND,
            EditError::TooLate => Self::TOO_LATE,
            EditError::TooLarge => Self::TOO_LARGE,
            EditError::NotAllowed | EditError::Unknown => Self::NOT_ALLOWED,
        }
    }
}

fn edited(result: EditResult) -> Result<(), EditError> {
    Err(match result {
        EditResult::OK => return Ok(()),
        EditResult::NOT_UTF8 => EditError::NotUtf8,
        EditResult::NOT_JSON => EditError::NotJson,
        EditResult::NOT_FOUND => EditError::NotFound,
        EditResult::WRONG_KIND => EditError::WrongKind,
        EditResult::TOO_LATE => EditError::TooLate,
        EditResult::TOO_LARGE => EditError::TooLarge,
        EditResult::NOT_ALLOWED => EditError::NotAllowed,
        _ => EditError::Unknown,
    })
}

/// A count or duration that may be unknown.
fn known(number: u64) -> Option<u64> {
    (number != u64::MAX).then_some(number)
}

/// What is lent has nothing to show: printing it must never print a prompt or a key.
macro_rules! opaque {
    ($($name:ident$(<$lifetime:lifetime>)?),*) => {$(
        impl fmt::Debug for crate::$name$(<$lifetime>)? {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}
opaque!(CallView<'_>, LlmCall<'_>, Chunk<'_>, LlmReply<'_>, LlmFailure<'_>);

#[cfg(test)]
mod tests {
    use super::EditError;
    use crate::{Flow, Hook, HookError};

    #[test]
    fn a_refused_edit_says_where() {
        fn hook(edit: Result<(), EditError>) -> Hook {
            edit?;
            Ok(Flow::Continue)
        }
        let line = line!() - 3;
        let text = format!("view.rs:{line}: there is no such message, header or parameter");
        let fault = hook(Err(EditError::NotFound));
        assert!(matches!(&fault, Err(HookError::Internal(it)) if it.ends_with(&text)), "{fault:?}");
    }
}
