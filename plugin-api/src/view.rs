//! The call, chunk, reply and failure as an author sees them: safe borrows over the handles.
//!
//! `unsafe` in this module only turns a host's view into a borrow of `self`. Reading borrows
//! `&self` and editing `&mut self`, so a view cannot outlive the next edit or the hook.

#![allow(unsafe_code, clippy::allow_attributes)]

mod auth_request;
mod call;
mod caller;
mod chunk;
mod failure;
mod known;
mod llm_call;
mod model_list;
mod reply;
mod reply_writer;
mod typed;

pub use auth_request::AuthRequest;
pub use call::CallView;
pub use caller::CallerView;
pub use chunk::Chunk;
pub use failure::LlmFailure;
pub use llm_call::{LlmCall, Route};
pub use model_list::ModelList;
pub use reply::LlmReply;
pub use reply_writer::ReplyWriter;
pub use typed::ShapeError;

use crate::{HookError, abi::EditResult};
use known::known;
use std::{fmt, panic::Location};

/// The prefix of the metadata keys that the gateway sets itself, such as `callgate.public_model`
/// and `callgate.deployment_id`. [`CallView::metadata`] reads them, and [`CallView`] has a method
/// for each; callbacks cannot set keys with this prefix.
pub const FACTS: &str = "callgate.";

/// Reads a text through a handle. The text borrows from `self`.
macro_rules! read_text {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        // SAFETY: the handle lives as long as the hook, the view until the next `&mut self`.
        unsafe { ($self.raw.vt.$entry())($self.raw.ctx $(, $arg)*).text() }
    };
}

/// Reads a text through an entry that older gateways lack.
macro_rules! read_newer_text {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        // SAFETY: as in `read_text!`.
        $self.raw.vt.$entry().and_then(|entry| unsafe { entry($self.raw.ctx $(, $arg)*).text() })
    };
}

/// Makes an edit through an entry that older gateways lack.
macro_rules! newer_edit {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        match $self.raw.vt.$entry() {
            // SAFETY: as in `edit!`.
            Some(entry) => crate::view::edited(unsafe { entry($self.raw.ctx $(, $arg)*) }),
            None => Err(EditError::NotSupported),
        }
    };
}

/// Reads a number through a handle.
macro_rules! read_number {
    ($self:ident.$entry:ident()) => {
        // SAFETY: the handle is alive for the hook.
        unsafe { ($self.raw.vt.$entry())($self.raw.ctx) }
    };
}

/// Reads a number through an entry that older gateways lack.
macro_rules! read_newer_number {
    ($self:ident.$entry:ident()) => {
        // SAFETY: as in `read_number!`.
        $self.raw.vt.$entry().map(|entry| unsafe { entry($self.raw.ctx) })
    };
}

/// Makes an edit through a handle.
macro_rules! edit {
    ($self:ident.$entry:ident($($arg:expr),*)) => {
        // SAFETY: the handle lives as long as the hook; `&mut self` ends every view.
        crate::view::edited(unsafe { ($self.raw.vt.$entry())($self.raw.ctx $(, $arg)*) })
    };
}

use {edit, newer_edit, read_newer_number, read_newer_text, read_number, read_text};

/// The reason why an edit failed. A failed edit changes nothing. In a hook, `?` turns it into a
/// fault that names the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not UTF-8 (impossible in Rust).
    NotUtf8,
    /// The value is not JSON, or is not an object although one is needed.
    NotJson,
    /// The message, header or parameter does not exist.
    NotFound,
    /// The value has the wrong kind for this edit, for example a path that leads through a number.
    WrongKind,
    /// This hook runs too late for the edit.
    TooLate,
    /// The edit exceeds one of the [limits](crate::limits).
    TooLarge,
    /// The value is not allowed there: a header name with a space, a provider that does not exist.
    NotAllowed,
    /// The gateway is older than this crate and cannot make this edit. A plugin that cannot do
    /// without says so with `min_api` in [`export_callbacks!`](crate::export_callbacks).
    NotSupported,
    /// The gateway is newer than this crate and gave a reason that this crate does not know.
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
            Self::NotSupported => "this gateway is too old for the edit; update it",
            Self::Unknown => "the gateway refused the edit for a reason this plugin does not know",
        })
    }
}

impl std::error::Error for EditError {}

/// Makes a fault that names the file and line of the `?`.
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
            EditError::NotAllowed | EditError::NotSupported | EditError::Unknown => {
                Self::NOT_ALLOWED
            }
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

/// Implements `Debug` without any content, because that could print a prompt or a key.
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
